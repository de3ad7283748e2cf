//! Conditions of SQL as the scan's tests: only where both say the same of every value.

use super::functions;
use super::token::{Placed, Token};
use crate::scan::{Filter, Test};
use crate::schema::{Column, Kind};

/// A constant that a column is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Constant {
    Number(i64),
    Text(String),
}

/// How a column is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

/// Whether a column holds numbers.
pub(super) const fn numeric(kind: Kind) -> bool {
    matches!(kind, Kind::Time | Kind::Integer | Kind::Flag)
}

/// The bytes of an id in its one spelling: 32 hexadecimal digits in small letters.
pub(super) fn id_of(text: &str) -> Option<[u8; 16]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: &[u8; 32] = text.as_bytes().try_into().ok()?;
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(bytes.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(id)
}

/// The test that says the same as a comparison; none where SQLite would convert types first.
pub(super) fn compared(column: &Column, compare: Compare, constant: &Constant) -> Option<Test> {
    match (constant, column.kind) {
        (Constant::Number(number), kind) if numeric(kind) => Some(number_test(compare, *number)),
        (Constant::Text(text), Kind::Word | Kind::Text) => Some(text_test(compare, text)),
        (Constant::Text(text), Kind::Id) if compare == Compare::Equal => {
            Some(id_of(text).map_or(Test::Never, |id| Test::text(&id)))
        }
        _ => None,
    }
}

fn number_test(compare: Compare, number: i64) -> Test {
    let below = number.checked_sub(1);
    let above = number.checked_add(1);
    match compare {
        Compare::Equal => Test::number(number),
        Compare::NotEqual => Test::NotNumber(number),
        Compare::Less => below.map_or(Test::Never, |below| Test::Range(i64::MIN, below)),
        Compare::LessEqual => Test::Range(i64::MIN, number),
        Compare::Greater => above.map_or(Test::Never, |above| Test::Range(above, i64::MAX)),
        Compare::GreaterEqual => Test::Range(number, i64::MAX),
    }
}

fn text_test(compare: Compare, text: &str) -> Test {
    let exact = || Some(text.as_bytes().to_vec());
    // The next text in the order of bytes has one more byte, zero.
    let next = || {
        let mut next = text.as_bytes().to_vec();
        next.push(0);
        Some(next)
    };
    match compare {
        Compare::Equal => Test::text(text.as_bytes()),
        Compare::NotEqual => Test::NotText(text.as_bytes().to_vec()),
        Compare::Less => Test::Between(None, exact()),
        Compare::LessEqual => Test::Between(None, next()),
        Compare::Greater => Test::Between(next(), None),
        Compare::GreaterEqual => Test::Between(exact(), None),
    }
}

/// The test that says the same as `IN`.
pub(super) fn among(column: &Column, constants: &[Constant]) -> Option<Test> {
    if numeric(column.kind) {
        let numbers = constants.iter().map(|it| match it {
            Constant::Number(number) => Some(*number),
            Constant::Text(_) => None,
        });
        return Some(Test::Numbers(numbers.collect::<Option<_>>()?));
    }
    let texts = constants.iter().map(|it| match (it, column.kind) {
        (Constant::Text(text), Kind::Word | Kind::Text) => Some(Some(text.as_bytes().to_vec())),
        (Constant::Text(text), Kind::Id) => Some(id_of(text).map(|id| id.to_vec())),
        _ => None,
    });
    let texts: Vec<Option<Vec<u8>>> = texts.collect::<Option<_>>()?;
    Some(Test::Texts(texts.into_iter().flatten().collect()))
}

/// What a pattern of `GLOB` begins with, and whether that is all it says.
pub(super) fn glob_prefix(pattern: &str) -> (&str, bool) {
    let length = pattern.find(['*', '?', '[']).unwrap_or(pattern.len());
    (&pattern[..length], &pattern[length..] == "*")
}

/// Conditions joined by `AND`, of columns and constants. None where something else is among them.
pub(super) fn conditions(
    tokens: &[Placed],
    columns: &[Column],
    now_us: i64,
) -> Option<Vec<Filter>> {
    let mut reader = Conditions {
        tokens,
        columns,
        now_us,
    };
    let mut filters = vec![reader.one()?];
    while !reader.tokens.is_empty() {
        reader.word("and")?;
        filters.push(reader.one()?);
    }
    Some(filters)
}

struct Conditions<'a> {
    tokens: &'a [Placed],
    columns: &'a [Column],
    now_us: i64,
}

impl Conditions<'_> {
    fn next(&mut self) -> Option<&Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(&first.token)
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.first().map(|placed| &placed.token)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.next()?.is_word(word).then_some(())
    }

    fn symbol(&mut self, symbol: &str) -> Option<()> {
        self.next()?.is(symbol).then_some(())
    }

    fn one(&mut self) -> Option<Filter> {
        let name = self.next()?.word()?.to_owned();
        let column = self.columns.iter().position(|it| it.name == name)?;
        let described = self.columns[column];
        let test = match self.next()?.clone() {
            Token::Word(word) => match word.as_str() {
                "is" => self.missing()?,
                "in" => self.among(&described)?,
                "between" => {
                    let low = self.constant()?;
                    self.word("and")?;
                    let high = self.constant()?;
                    let (Constant::Number(low), Constant::Number(high), true) =
                        (low, high, numeric(described.kind))
                    else {
                        return None;
                    };
                    Test::Range(low, high)
                }
                "glob" => match (self.next()?, described.kind) {
                    (Token::Text(pattern), Kind::Word | Kind::Text) => {
                        let (prefix, all) = glob_prefix(pattern);
                        all.then(|| Test::prefix(prefix.as_bytes()))?
                    }
                    _ => return None,
                },
                _ => return None,
            },
            Token::Symbol(symbol) => {
                let compare = match symbol.as_str() {
                    "=" | "==" => Compare::Equal,
                    "!=" | "<>" => Compare::NotEqual,
                    "<" => Compare::Less,
                    "<=" => Compare::LessEqual,
                    ">" => Compare::Greater,
                    ">=" => Compare::GreaterEqual,
                    _ => return None,
                };
                compared(&described, compare, &self.constant()?)?
            }
            _ => return None,
        };
        // A condition ends here, or what follows belongs to it: `time > 5 + 5`.
        let ends = self.peek().is_none_or(|next| next.is_word("and"));
        ends.then_some(Filter { column, test })
    }

    fn missing(&mut self) -> Option<Test> {
        let not = self.peek()?.is_word("not");
        if not {
            self.next();
        }
        self.word("null")?;
        Some(if not { Test::Present } else { Test::Missing })
    }

    fn among(&mut self, column: &Column) -> Option<Test> {
        self.symbol("(")?;
        let mut constants = vec![self.constant()?];
        loop {
            match self.next()? {
                token if token.is(",") => constants.push(self.constant()?),
                token if token.is(")") => return among(column, &constants),
                _ => return None,
            }
        }
    }

    fn constant(&mut self) -> Option<Constant> {
        match self.next()?.clone() {
            Token::Number(number) => Some(Constant::Number(number)),
            Token::Text(text) => Some(Constant::Text(text)),
            Token::Symbol(minus) if minus == "-" => match self.next()? {
                Token::Number(number) => Some(Constant::Number(-number)),
                _ => None,
            },
            Token::Word(word) => {
                self.symbol("(")?;
                let argument = match self.next()?.clone() {
                    Token::Text(text) => {
                        self.symbol(")")?;
                        Some(text)
                    }
                    token if token.is(")") => None,
                    _ => return None,
                };
                let number = match (word.as_str(), argument) {
                    ("now", None) => Some(self.now_us),
                    ("since", Some(span)) => {
                        functions::span_us(&span).map(|span| self.now_us.saturating_sub(span))
                    }
                    ("at", Some(time)) => functions::time_us(&time),
                    _ => None,
                };
                number.map(Constant::Number)
            }
            Token::Symbol(_) => None,
        }
    }
}
