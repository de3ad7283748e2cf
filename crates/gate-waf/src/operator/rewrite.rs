//! PCRE's way of writing patterns in the way of the linear-time engine.
//!
//! Both agree on nearly all that rules use. Rewritten are: `\x{hh}` and bytes beyond ASCII (rules mean
//! bytes, not characters), brackets and doubled marks within classes (set operations over there),
//! braces that are no repetition, `\h`, `\v`, `\R`, `\e`, `\Z`, `\<`, escapes of ordinary letters,
//! and atomic groups, whose language only grows by the loss of atomicity.

/// Rewrites a pattern. What the engine cannot do (back references, looking around) stays and is
/// refused by it.
pub(super) fn rewrite(pattern: &str) -> String {
    let mut rewriter = Rewriter {
        input: pattern.as_bytes(),
        at: 0,
        output: String::with_capacity(pattern.len() + 16),
    };
    rewriter.run();
    rewriter.output
}

struct Rewriter<'a> {
    input: &'a [u8],
    at: usize,
    output: String,
}

impl Rewriter<'_> {
    fn peek(&self, ahead: usize) -> Option<u8> {
        self.input.get(self.at + ahead).copied()
    }

    fn byte(&mut self, byte: u8) {
        if byte.is_ascii() {
            self.output.push(char::from(byte));
        } else {
            self.output.push_str(&format!("\\x{byte:02x}"));
        }
    }

    fn run(&mut self) {
        while let Some(byte) = self.peek(0) {
            match byte {
                b'\\' => self.escape(false),
                b'[' => self.class(),
                b'{' if !self.is_repetition() => {
                    self.output.push_str("\\{");
                    self.at += 1;
                }
                b'(' if self.input[self.at..].starts_with(b"(?>") => {
                    self.output.push_str("(?:");
                    self.at += 3;
                }
                _ => {
                    self.byte(byte);
                    self.at += 1;
                }
            }
        }
    }

    /// Whether a brace opens `{n}`, `{n,}` or `{n,m}`.
    fn is_repetition(&self) -> bool {
        let rest = &self.input[self.at + 1..];
        let digits = |bytes: &[u8]| {
            bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let first = digits(rest);
        if first == 0 {
            return false;
        }
        match rest.get(first) {
            Some(b'}') => true,
            Some(b',') => {
                let second = digits(&rest[first + 1..]);
                rest.get(first + 1 + second) == Some(&b'}')
            }
            _ => false,
        }
    }

    fn escape(&mut self, in_class: bool) {
        let Some(next) = self.peek(1) else {
            self.output.push_str("\\\\");
            self.at += 1;
            return;
        };
        self.at += 2;
        let text = match next {
            b'x' if self.peek(0) == Some(b'{') => {
                let rest = &self.input[self.at + 1..];
                let close = rest.iter().position(|byte| *byte == b'}');
                let digits = close.and_then(|close| std::str::from_utf8(&rest[..close]).ok());
                let number = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
                match (number, close) {
                    (Some(number), Some(close)) => {
                        self.at += close + 2;
                        self.output.push_str(&format!("\\x{number:02x}"));
                        return;
                    }
                    _ => "\\x",
                }
            }
            b'h' if in_class => " \\t\\xa0",
            b'h' => "[ \\t\\xa0]",
            b'v' if in_class => "\\n\\x0b\\x0c\\r\\x85",
            b'v' => "[\\n\\x0b\\x0c\\r\\x85]",
            b'R' if !in_class => "(?:\\r\\n|[\\n\\x0b\\x0c\\r\\x85])",
            b'e' => "\\x1b",
            b'Z' if !in_class => "(?:\\n?\\z)",
            b'b' if in_class => "\\x08",
            b'/' => "/",
            b'<' | b'>' | b'_' => {
                self.output.push(char::from(next));
                return;
            }
            _ if next.is_ascii_alphanumeric()
                && !b"aABbDdfnrSstwWxzpPukQEG0123456789".contains(&next) =>
            {
                self.output.push(char::from(next));
                return;
            }
            _ if !next.is_ascii() => {
                self.byte(next);
                return;
            }
            _ => {
                self.output.push('\\');
                self.output.push(char::from(next));
                return;
            }
        };
        self.output.push_str(text);
    }

    fn class(&mut self) {
        self.output.push('[');
        self.at += 1;
        if self.peek(0) == Some(b'^') {
            self.output.push('^');
            self.at += 1;
        }
        if self.peek(0) == Some(b']') {
            self.output.push_str("\\]");
            self.at += 1;
        }
        while let Some(byte) = self.peek(0) {
            match byte {
                b']' => {
                    self.output.push(']');
                    self.at += 1;
                    return;
                }
                b'\\' => self.escape(true),
                b'[' if matches!(self.peek(1), Some(b':')) => {
                    let rest = &self.input[self.at..];
                    let close = rest.windows(2).position(|two| two == b":]");
                    let close = close.unwrap_or(0) + 2;
                    self.output
                        .push_str(&String::from_utf8_lossy(&rest[..close]));
                    self.at += close;
                }
                b'[' => {
                    self.output.push_str("\\[");
                    self.at += 1;
                }
                b'&' | b'~' => {
                    self.output.push('\\');
                    self.output.push(char::from(byte));
                    self.at += 1;
                }
                b'-' if self.peek(1) == Some(b'-') => {
                    self.output.push_str("\\-");
                    self.at += 1;
                }
                _ => {
                    self.byte(byte);
                    self.at += 1;
                }
            }
        }
    }
}
