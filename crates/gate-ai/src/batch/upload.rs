//! The multipart form that brings a file, taken apart as it comes.
//!
//! The file streams through; what is held is the end of a piece that might begin a delimiter, a
//! part's head, or a short field. RFC 7578 on RFC 2046 section 5.1.

use memchr::memmem;

/// Longest head of a part, in bytes.
const HEAD_MAX: usize = 8 * 1024;
/// Longest value of a field, in bytes.
const FIELD_MAX: usize = 4 * 1024;
/// Most parts of a form.
const PARTS_MAX: usize = 32;

/// Something of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part<'a> {
    /// A field with its whole value.
    Field {
        /// Its name.
        name: &'a str,
        /// Its value.
        value: &'a str,
    },
    /// The file begins.
    File {
        /// What the caller calls it; empty where it is not said.
        name: &'a str,
    },
    /// The next bytes of the file.
    Bytes(&'a [u8]),
    /// The file is whole.
    End,
}

/// Why a form brings no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadError {
    /// A part's head never ends, or is no head.
    #[error("the head of a part of the form cannot be read")]
    Head,
    /// A field's value is too long, or no UTF-8.
    #[error("a field of the form is too long, or no text")]
    Field,
    /// There are too many parts.
    #[error("the form has too many parts")]
    Parts,
    /// There are two files.
    #[error("the form has two files; send one")]
    TwoFiles,
    /// The form ended early.
    #[error("the form is not whole")]
    Cut,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    /// Before the first delimiter.
    Before,
    /// Behind a delimiter: in a part's head, unless the form ends here.
    Head,
    /// In the field of this name.
    Field(String),
    /// In the file.
    File,
    /// Behind the last delimiter.
    Over,
}

/// A form on its way.
#[derive(Debug)]
pub struct Upload {
    delimiter: Vec<u8>,
    at: At,
    held: Vec<u8>,
    parts: usize,
    has_file: bool,
}

impl Upload {
    /// A form with this boundary.
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        Self {
            delimiter: format!("\r\n--{boundary}").into_bytes(),
            at: At::Before,
            // The first delimiter has no line before it.
            held: b"\r\n".to_vec(),
            parts: 0,
            has_file: false,
        }
    }

    /// Reads the next piece; `each` gets what it has of the form, in its order.
    ///
    /// # Errors
    /// [`UploadError`]; nothing more is to be read.
    pub fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(Part<'_>),
    ) -> Result<(), UploadError> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(piece);
        let mut rest = &held[..];
        while let Some(left) = self.step(rest, &mut each)? {
            rest = left;
        }
        let done = held.len() - rest.len();
        held.drain(..done);
        self.held = held;
        Ok(())
    }

    /// The form has ended.
    ///
    /// # Errors
    /// [`UploadError::Cut`] when it is not whole.
    pub fn finish(&self) -> Result<(), UploadError> {
        match self.at == At::Over {
            true => Ok(()),
            false => Err(UploadError::Cut),
        }
    }

    /// One step over `rest`; what is left of it when there may be another. What is not taken is held.
    fn step<'r>(
        &mut self,
        rest: &'r [u8],
        each: &mut impl FnMut(Part<'_>),
    ) -> Result<Option<&'r [u8]>, UploadError> {
        match &self.at {
            At::Over => Ok((!rest.is_empty()).then_some(&rest[rest.len()..])),
            At::Head => self.head(rest, each),
            At::Before | At::Field(_) | At::File => self.contents(rest, each),
        }
    }

    /// What stands before the next delimiter.
    fn contents<'r>(
        &mut self,
        rest: &'r [u8],
        each: &mut impl FnMut(Part<'_>),
    ) -> Result<Option<&'r [u8]>, UploadError> {
        let end = memmem::find(rest, &self.delimiter);
        // The end of a piece may begin a delimiter.
        let known = end.unwrap_or((rest.len() + 1).saturating_sub(self.delimiter.len()));
        let (contents, left) = rest.split_at(known);
        match &self.at {
            At::File => {
                if !contents.is_empty() {
                    each(Part::Bytes(contents));
                }
                if end.is_some() {
                    each(Part::End);
                }
            }
            At::Field(_) if known > FIELD_MAX => return Err(UploadError::Field),
            At::Field(_) if end.is_none() => return Ok(None),
            At::Field(name) => {
                let value = std::str::from_utf8(contents).map_err(|_| UploadError::Field)?;
                each(Part::Field { name, value });
            }
            _ => {}
        }
        if end.is_none() {
            // Nothing but what may begin a delimiter is left.
            return Ok((known > 0).then_some(left));
        }
        self.at = At::Head;
        Ok(Some(&left[self.delimiter.len()..]))
    }

    /// A part's head.
    fn head<'r>(
        &mut self,
        rest: &'r [u8],
        each: &mut impl FnMut(Part<'_>),
    ) -> Result<Option<&'r [u8]>, UploadError> {
        if rest.starts_with(b"--") {
            self.at = At::Over;
            return Ok(Some(&rest[rest.len()..]));
        }
        let Some(end) = memmem::find(rest, b"\r\n\r\n") else {
            return match rest.len() > HEAD_MAX {
                true => Err(UploadError::Head),
                false => Ok(None),
            };
        };
        if end > HEAD_MAX {
            return Err(UploadError::Head);
        }
        self.parts += 1;
        if self.parts > PARTS_MAX {
            return Err(UploadError::Parts);
        }
        let head = std::str::from_utf8(&rest[..end]).map_err(|_| UploadError::Head)?;
        let (name, file) = disposition(head).ok_or(UploadError::Head)?;
        self.at = match (name == "file", file) {
            (true, file) => {
                if std::mem::replace(&mut self.has_file, true) {
                    return Err(UploadError::TwoFiles);
                }
                each(Part::File {
                    name: file.as_deref().unwrap_or_default(),
                });
                At::File
            }
            (false, _) => At::Field(name),
        };
        Ok(Some(&rest[end + 4..]))
    }
}

/// Name and file name in the head of a part.
fn disposition(head: &str) -> Option<(String, Option<String>)> {
    let line = head.lines().find(|line| {
        let name = line.split(':').next().unwrap_or_default();
        name.eq_ignore_ascii_case("content-disposition")
    })?;
    let name = parameter(line, "name")?;
    Some((name, parameter(line, "filename")))
}

/// A parameter of a field, in quotes or without.
fn parameter(line: &str, wanted: &str) -> Option<String> {
    let mut rest = line.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().trim_start_matches(';').trim();
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted_text(quoted)?,
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = left;
    }
}

/// A text up to its quote, and what follows it. Browsers write a quote as `%22`, others as `\"`.
fn quoted_text(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, one)) = characters.next() {
        match one {
            '"' => return Some((value.replace("%22", "\""), &text[at + 1..])),
            '\\' => {
                let (_, next) = characters.next()?;
                if !matches!(next, '"' | '\\') {
                    value.push('\\');
                }
                value.push(next);
            }
            _ => value.push(one),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, UploadError> {
        let mut upload = Upload::new("b");
        let mut found: Vec<String> = Vec::new();
        for piece in pieces {
            upload.push(piece, |part| match part {
                Part::Field { name, value } => found.push(format!("{name}={value}")),
                Part::File { name } => found.push(format!("<{name}>")),
                Part::Bytes(bytes) => {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    match found.last_mut() {
                        Some(last) if last.starts_with('|') => last.push_str(&text),
                        _ => found.push(format!("|{text}")),
                    }
                }
                Part::End => found.push("end".into()),
            })?;
        }
        upload.finish()?;
        Ok(found)
    }

    const FORM: &[u8] = b"--b\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b\r\ncontent-disposition: form-data; name=empty\r\n\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a;\\\"b.jsonl\"\r\nContent-Type: application/octet-stream\r\n\r\n{\"a\":1}\r\n--\r\n-- b--\n\r\n--b--\r\n";

    #[test]
    fn a_form_is_the_same_however_it_comes() {
        let whole = read(&[FORM]).unwrap();
        assert_eq!(whole[..3], ["purpose=batch", "empty=", "<a;\"b.jsonl>"]);
        assert!(whole[3].starts_with("|{\"a\":1}\r\n--"), "{whole:?}");
        for cut in 0..FORM.len() {
            assert_eq!(
                read(&[&FORM[..cut], &FORM[cut..]]).ok(),
                Some(whole.clone()),
                "{cut}"
            );
        }
        let single: Vec<&[u8]> = FORM.chunks(1).collect();
        assert_eq!(read(&single).unwrap(), whole);
    }

    #[test]
    fn a_form_that_is_cut_or_has_two_files_is_refused() {
        let cut = FORM.len() - 10;
        assert_eq!(read(&[&FORM[..cut]]), Err(UploadError::Cut));
        let file =
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nx\r\n";
        let two = format!("{file}{file}--b--");
        assert_eq!(read(&[two.as_bytes()]), Err(UploadError::TwoFiles));
        let long = format!("--b\r\nContent-Disposition: {}", "x".repeat(HEAD_MAX + 1));
        assert_eq!(read(&[long.as_bytes()]), Err(UploadError::Head));
        let field = format!(
            "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n{}",
            "x".repeat(FIELD_MAX + 100)
        );
        assert_eq!(read(&[field.as_bytes()]), Err(UploadError::Field));
    }
}
