//! SQL's words, as far as shapes of queries are told apart by them.

/// A word of a query.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name or a keyword, in small letters where it was not quoted.
    Word(String),
    /// A text in single quotes, unquoted.
    Text(String),
    /// A whole number.
    Number(i64),
    /// Anything else, as it stands: operators, brackets, other numbers.
    Symbol(String),
}

impl Token {
    pub(super) fn is(&self, symbol: &str) -> bool {
        matches!(self, Token::Symbol(found) if found == symbol)
    }

    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.word() == Some(word)
    }
}

/// A token with where it stands in the query.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

const DOUBLE: [&str; 8] = ["==", "!=", "<>", "<=", ">=", "||", "<<", ">>"];

/// Cuts a query into tokens. None where something is in it that shapes are not told by: comments, blobs,
/// parameters, other ways to quote.
pub(super) fn tokens(sql: &str) -> Option<Vec<Placed>> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        let token = match bytes[at] {
            b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                while at < bytes.len() && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'_') {
                    at += 1;
                }
                if bytes.get(at) == Some(&b'\'') {
                    return None;
                }
                Token::Word(sql[start..at].to_ascii_lowercase())
            }
            b'0'..=b'9' | b'.' => {
                while at < bytes.len()
                    && (bytes[at].is_ascii_alphanumeric() || bytes[at] == b'.' || bytes[at] == b'_')
                {
                    at += 1;
                }
                let text = &sql[start..at];
                match text.bytes().all(|byte| byte.is_ascii_digit()) {
                    true => Token::Number(text.parse().ok()?),
                    false => Token::Symbol(text.to_owned()),
                }
            }
            b'\'' => {
                let (text, end) = quoted(sql, at)?;
                at = end;
                Token::Text(text)
            }
            b'-' if bytes.get(at + 1) == Some(&b'-') => return None,
            b'/' if bytes.get(at + 1) == Some(&b'*') => return None,
            b'-' if bytes.get(at + 1) == Some(&b'>') => return None,
            byte if b"(),;=<>!+-*/%|&~".contains(&byte) => {
                let double = sql.get(at..at + 2).filter(|two| DOUBLE.contains(two));
                at += if double.is_some() { 2 } else { 1 };
                Token::Symbol(sql[start..at].to_owned())
            }
            _ => return None,
        };
        found.push(Placed {
            token,
            start,
            end: at,
        });
    }
    Some(found)
}

/// The text between single quotes, and where it ends.
fn quoted(sql: &str, start: usize) -> Option<(String, usize)> {
    let mut text = String::new();
    let mut at = start + 1;
    loop {
        let length = sql.get(at..)?.find('\'')?;
        text.push_str(&sql[at..at + length]);
        at += length + 1;
        if sql.as_bytes().get(at) != Some(&b'\'') {
            return Some((text, at));
        }
        text.push('\'');
        at += 1;
    }
}
