//! Tokens of a GraphQL document (October 2021, section 2.1).

use super::TOKENS_MAX;

/// One token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'t> {
    /// A name or keyword.
    Name(&'t str),
    /// A whole number; none beyond 64 bits.
    Integer(Option<i64>),
    /// A number with a fraction or exponent.
    Float,
    /// A text, quoted or as a block; what it says decides nothing here.
    Text,
    /// `! $ & ( ) : = @ [ ] { | }` and `.` for the spread `...`.
    Sign(u8),
}

/// The tokens of a document, each with the byte it begins at.
pub(super) fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, String> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let token = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            0xEF if bytes[at..].starts_with(b"\xEF\xBB\xBF") => {
                at += 3;
                continue;
            }
            b'#' => {
                at += memchr::memchr2(b'\n', b'\r', &bytes[at..]).unwrap_or(bytes.len() - at);
                continue;
            }
            b'.' if bytes[at..].starts_with(b"...") => {
                at += 3;
                Token::Sign(b'.')
            }
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|'
            | b'}' => {
                at += 1;
                Token::Sign(byte)
            }
            b'"' => {
                at = text_end(bytes, at)?;
                Token::Text
            }
            b'-' | b'0'..=b'9' => {
                at += 1;
                at += run(&bytes[at..], |byte| {
                    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'+' | b'-')
                });
                number(&text[start..at])?
            }
            byte if is_name(byte) => {
                at += run(&bytes[at..], |byte| is_name(byte) || byte.is_ascii_digit());
                Token::Name(&text[start..at])
            }
            _ => return Err(format!("has an unexpected character at byte {at}")),
        };
        if found.len() >= TOKENS_MAX {
            return Err(format!("has more than {TOKENS_MAX} tokens"));
        }
        found.push((token, start));
    }
    Ok(found)
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

fn run(bytes: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_part(**byte)).count()
}

fn number(text: &str) -> Result<Token<'_>, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Token::Integer(text.parse().ok()));
    }
    match text.parse::<f64>() {
        Ok(_) if digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(Token::Float),
        _ => Err("has a number that is none".to_owned()),
    }
}

/// Where a text ends that begins at `start`.
fn text_end(bytes: &[u8], start: usize) -> Result<usize, String> {
    let open = || "has a text that does not end".to_owned();
    if bytes[start..].starts_with(b"\"\"\"") {
        let mut at = start + 3;
        loop {
            at += memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default())
                .ok_or_else(open)?;
            if bytes[at..].starts_with(b"\\\"\"\"") {
                at += 4;
            } else if bytes[at..].starts_with(b"\"\"\"") {
                return Ok(at + 3);
            } else {
                at += 1;
            }
        }
    }
    let mut at = start + 1;
    loop {
        match bytes.get(at).ok_or_else(open)? {
            b'"' => return Ok(at + 1),
            b'\\' => at += 2,
            b'\n' | b'\r' => return Err(open()),
            _ => at += 1,
        }
    }
}
