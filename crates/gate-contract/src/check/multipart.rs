//! Forms in parts (RFC 7578), strictly: what does not fit the grammar is refused, not repaired.

/// Most parts of one form.
const PARTS_MAX: usize = 1_000;
/// Longest head of a part, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// One part of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'b> {
    pub(super) name: String,
    pub(super) content_type: Option<String>,
    pub(super) bytes: &'b [u8],
}

/// The parts of a body.
pub(super) fn parts<'b>(content_type: &str, body: &'b [u8]) -> Result<Vec<Part<'b>>, String> {
    let boundary =
        parameter(content_type, "boundary").ok_or("has no boundary in its content type")?;
    // RFC 2046, section 5.1.1.
    if boundary.is_empty() || boundary.len() > 70 {
        return Err("has a boundary that is empty or too long".to_owned());
    }
    let dashes = format!("--{boundary}");
    let between = format!("\r\n--{boundary}");
    let start = match body.strip_prefix(dashes.as_bytes()) {
        Some(rest) => rest,
        None => {
            let at = find(body, between.as_bytes()).ok_or("has no part")?;
            &body[at + between.len()..]
        }
    };
    let mut rest = start;
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let blank = rest
            .iter()
            .take_while(|byte| matches!(byte, b' ' | b'\t'))
            .count();
        let inside = rest[blank..]
            .strip_prefix(b"\r\n")
            .ok_or("has a boundary that no line ends")?;
        let end = find(inside, between.as_bytes()).ok_or("ends within a part")?;
        if parts.len() >= PARTS_MAX {
            return Err(format!("has more than {PARTS_MAX} parts"));
        }
        parts.push(part(&inside[..end])?);
        rest = &inside[end + between.len()..];
    }
}

fn part(bytes: &[u8]) -> Result<Part<'_>, String> {
    let (head, content) = match bytes.strip_prefix(b"\r\n") {
        Some(content) => (&bytes[..0], content),
        None => {
            let end = find(bytes, b"\r\n\r\n").ok_or("has a part whose head does not end")?;
            (&bytes[..end], &bytes[end + 4..])
        }
    };
    if head.len() > HEAD_MAX {
        return Err("has a part whose head is too long".to_owned());
    }
    let head = std::str::from_utf8(head).map_err(|_| "has a part whose head is no text")?;
    let (mut name, mut content_type) = (None, None);
    for line in head.split("\r\n") {
        let (field, value) = match line.split_once(':') {
            Some(pair) => pair,
            None if line.is_empty() => continue,
            None => return Err("has a part with a line that is no field".to_owned()),
        };
        if field.eq_ignore_ascii_case("content-disposition") {
            if name.is_some() {
                return Err("has a part with two dispositions".to_owned());
            }
            if !value
                .trim_start()
                .to_ascii_lowercase()
                .starts_with("form-data")
            {
                return Err("has a part that is no form data".to_owned());
            }
            name = parameter(value, "name");
        } else if field.eq_ignore_ascii_case("content-type") {
            content_type = Some(value.trim().to_owned());
        }
    }
    Ok(Part {
        name: name.ok_or("has a part without a name")?,
        content_type,
        bytes: content,
    })
}

/// A parameter of a field, quotes taken off.
fn parameter(field: &str, name: &str) -> Option<String> {
    let mut rest = field.split_once(';')?.1;
    loop {
        let (key, value) = rest.split_once('=')?;
        let value = value.trim_start();
        let (text, behind) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim().to_owned(), &value[end..])
            }
        };
        if key
            .trim()
            .trim_start_matches(';')
            .trim()
            .eq_ignore_ascii_case(name)
        {
            return Some(text);
        }
        rest = behind.split_once(';')?.1;
    }
}

/// A quoted text up to its quote, and what follows.
fn unquoted(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((out, &text[at + 1..])),
            '\\' => match characters.next()? {
                (_, escaped @ ('"' | '\\')) => out.push(escaped),
                (_, other) => {
                    out.push('\\');
                    out.push(other);
                }
            },
            other => out.push(other),
        }
    }
    None
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TYPE: &str = "multipart/form-data; boundary=\"x y\"";

    #[test]
    fn parts_have_names_types_and_bytes() {
        let body = b"--x y\r\nContent-Disposition: form-data; name=\"a;\\\"b\"; filename=f\r\n\
                     Content-Type: image/png\r\n\r\n\x00\r\n--x\r\n--x y\r\n\
                     content-disposition: form-data; name=n\r\n\r\n\r\n--x y--\r\n";
        let parts = parts(TYPE, body).expect("a sound form");
        assert_eq!(parts.len(), 2);
        assert_eq!(
            (&*parts[0].name, parts[0].bytes),
            ("a;\"b", &b"\x00\r\n--x"[..])
        );
        assert_eq!(parts[0].content_type.as_deref(), Some("image/png"));
        assert_eq!((&*parts[1].name, parts[1].bytes), ("n", &b""[..]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (content_type, body) in [
            ("multipart/form-data", "--x\r\n"),
            (TYPE, ""),
            (
                TYPE,
                "--x y\r\nContent-Disposition: form-data; name=a\r\n\r\n1",
            ),
            (
                TYPE,
                "--x y\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x y--",
            ),
            (
                TYPE,
                "--x y\r\nContent-Disposition: attachment; name=a\r\n\r\n1\r\n--x y--",
            ),
            (
                TYPE,
                "--x yz\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--x y--",
            ),
            (TYPE, "--x y\r\n\r\n1\r\n--x y--"),
        ] {
            assert!(parts(content_type, body.as_bytes()).is_err(), "{body}");
        }
    }
}
