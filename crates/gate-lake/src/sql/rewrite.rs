//! Expressions over rows, written anew over groups: keys and aggregates become columns of the table of
//! groups, everything around them stays. See [`super::shape`].

use super::Table;
use super::condition::{conditions, numeric};
use super::functions::QUANTILES;
use super::shape::{KEY, VALUE};
use super::token::{Placed, Token};
use crate::scan::{Aggregate, Filter, Function, Key};
use crate::schema::Column;

/// Writes expressions over groups instead of rows.
pub(super) struct Rewriting<'a> {
    /// The whole query.
    pub(super) sql: &'a str,
    /// The table that it asks.
    pub(super) table: &'a Table,
    /// What `now()` is.
    pub(super) now_us: i64,
    /// Whether there are keys.
    pub(super) grouped: bool,
    /// The words of each key, and what may stand beside them.
    pub(super) keys: Vec<(Vec<Token>, Beside)>,
    /// Names that `ORDER BY` and `HAVING` may use.
    pub(super) aliases: Vec<&'a str>,
    /// The aggregates that were found.
    pub(super) aggregates: Vec<Aggregate>,
}

/// What may stand beside the words of a key, so that they mean the key there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// Anything: it is a word, or ends with the bracket that its first word opens.
    Anything,
    /// Whatever does not bind its parts otherwise: it is a division.
    NoOperator,
    /// What begins and ends an expression.
    Ends,
}

impl Beside {
    /// Of a key of these words.
    pub(super) fn of(words: &[Token], key: Option<Key>) -> Self {
        match (key, words) {
            (Some(Key::Divided(..)), _) => Beside::NoOperator,
            (Some(_), _) => Beside::Anything,
            (None, [Token::Word(_), open, ..]) if open.is("(") && closes_last(&words[1..]) => {
                Beside::Anything
            }
            _ => Beside::Ends,
        }
    }
}

/// Whether the bracket that opens first closes with the last word.
fn closes_last(words: &[Token]) -> bool {
    let mut depth = 0_i32;
    let closes = words.iter().position(|word| {
        depth += i32::from(word.is("(")) - i32::from(word.is(")"));
        depth == 0
    });
    closes == Some(words.len() - 1)
}

/// Operators that bind what stands after or before them.
const BINDING: [&str; 7] = ["*", "/", "%", "-", "||", "~", "+"];

impl Rewriting<'_> {
    /// An expression over groups; none where it is not understood.
    pub(super) fn write(&mut self, tokens: &[Placed], aliases: bool) -> Option<String> {
        let mut written = String::new();
        let mut at = 0;
        while let Some(placed) = tokens.get(at) {
            let key = self.key_at(tokens, at)?;
            let (text, next) = match (&placed.token, key) {
                (_, Some((index, length))) => (format!("{KEY}{index}"), at + length),
                (Token::Word(word), None) => {
                    if let Some((index, end)) = self.aggregate_at(tokens, at)? {
                        (format!("{VALUE}{index}"), end)
                    } else if self.table.find(word).is_some() {
                        // A column that is neither a key nor in an aggregate.
                        return None;
                    } else {
                        let known = aliases && self.aliases.contains(&word.as_str());
                        let calls = tokens.get(at + 1).is_some_and(|next| next.token.is("("));
                        let scalar = calls && SCALARS.contains(&word.as_str());
                        if !known && !scalar && !KEYWORDS.contains(&word.as_str()) {
                            return None;
                        }
                        (self.sql[placed.start..placed.end].to_owned(), at + 1)
                    }
                }
                (Token::Symbol(star), None) if star == "*" && at == 0 => return None,
                _ => (self.sql[placed.start..placed.end].to_owned(), at + 1),
            };
            if !written.is_empty() {
                written.push(' ');
            }
            written.push_str(&text);
            at = next;
        }
        Some(written)
    }

    /// The longest key whose words stand here. None of all where it stands amid operators that could
    /// bind its parts otherwise.
    fn key_at(&self, tokens: &[Placed], at: usize) -> Option<Option<(usize, usize)>> {
        let here = &tokens[at..];
        let found = self.keys.iter().enumerate().filter(|(_, (words, _))| {
            here.len() >= words.len()
                && words
                    .iter()
                    .zip(here)
                    .all(|(word, placed)| *word == placed.token)
        });
        let found = found.max_by_key(|(_, (words, _))| words.len());
        let Some((index, (words, beside))) = found else {
            return Some(None);
        };
        let before = at.checked_sub(1).map(|before| &tokens[before].token);
        let after = tokens.get(at + words.len()).map(|after| &after.token);
        let any = |token: &Token, all: &[&str]| all.iter().any(|symbol| token.is(symbol));
        let is_it = match beside {
            Beside::Anything => true,
            Beside::NoOperator => {
                !before.is_some_and(|token| any(token, &BINDING))
                    && !after.is_some_and(|token| token.is("||"))
            }
            Beside::Ends => {
                let order = |token: &Token| token.is_word("asc") || token.is_word("desc");
                before.is_none_or(|token| any(token, &[",", "("]))
                    && after.is_none_or(|token| any(token, &[",", ")"]) || order(token))
            }
        };
        if !is_it {
            return None;
        }
        Some(Some((index, words.len())))
    }

    /// The aggregate that begins here, and where it ends. None of all where it is one that the scan does
    /// not know.
    fn aggregate_at(&mut self, tokens: &[Placed], at: usize) -> Option<Option<(usize, usize)>> {
        let name = tokens[at].token.word()?;
        let quantile = QUANTILES.iter().find(|(known, _)| *known == name);
        let known = ["count", "sum", "avg", "min", "max", "quantile"].contains(&name);
        if !known && quantile.is_none() {
            return Some(None);
        }
        let close = bracket(tokens, at + 1)?;
        let arguments = &tokens[at + 2..close];
        let mut end = close + 1;
        let mut only = Vec::new();
        if tokens
            .get(end)
            .is_some_and(|next| next.token.is_word("filter"))
        {
            let close = bracket(tokens, end + 1)?;
            let (begin, inner) = (end + 2, &tokens[end + 2..close]);
            (begin < close && inner[0].token.is_word("where")).then_some(())?;
            only = self.conditions(&inner[1..])?;
            end = close + 1;
        }
        let function = match (name, super::shape::words(arguments).as_slice()) {
            ("count", [star]) if star.is("*") => Function::Rows,
            ("count", [Token::Word(column)]) => Function::Count(self.table.find(column)?.0),
            ("sum", [_, _, ..]) if self.grouped && only.is_empty() => {
                // The sum of a condition on a column that is never missing is a count.
                only = self.conditions(arguments)?;
                let places = only.iter().map(|filter| filter.column);
                let mut columns = places.map(|place| self.table.dataset.columns()[place]);
                columns
                    .all(|column| !column.optional)
                    .then_some(Function::Rows)?
            }
            ("sum", [Token::Word(column)]) => Function::Sum(self.number(column)?),
            ("avg", [Token::Word(column)]) => Function::Mean(self.number(column)?),
            ("min", [Token::Word(column)]) => Function::Least(self.number(column)?),
            ("max", [Token::Word(column)]) => Function::Most(self.number(column)?),
            ("quantile", [Token::Word(column), comma, share]) if comma.is(",") => {
                let share: f64 = match share {
                    Token::Symbol(share) => share.parse().ok()?,
                    Token::Number(share) => *share as f64,
                    _ => return None,
                };
                let share = (0.0..=1.0).contains(&share).then_some(share)?;
                Function::Quantile(self.number(column)?, share)
            }
            (_, [Token::Word(column)]) => Function::Quantile(self.number(column)?, quantile?.1),
            _ => return None,
        };
        let aggregate = Aggregate { function, only };
        let known = self.aggregates.iter().position(|it| *it == aggregate);
        let index = known.unwrap_or_else(|| {
            self.aggregates.push(aggregate);
            self.aggregates.len() - 1
        });
        Some(Some((index, end)))
    }

    fn number(&self, column: &str) -> Option<usize> {
        let (place, column) = self.table.find(column)?;
        numeric(column.kind).then_some(place)
    }

    fn conditions(&self, tokens: &[Placed]) -> Option<Vec<Filter>> {
        let columns: Vec<Column> = self.table.columns().map(|(_, column)| column).collect();
        let places: Vec<usize> = self.table.columns().map(|(place, _)| place).collect();
        let mut filters = conditions(tokens, &columns, self.now_us)?;
        filters
            .iter_mut()
            .for_each(|filter| filter.column = places[filter.column]);
        Some(filters)
    }
}

/// Functions that make one value of the values of one row.
pub(super) const SCALARS: [&str; 33] = [
    "abs",
    "at",
    "bucket",
    "ceil",
    "coalesce",
    "date",
    "datetime",
    "day",
    "floor",
    "format",
    "hour",
    "ifnull",
    "iif",
    "instr",
    "iso",
    "length",
    "lower",
    "ltrim",
    "minute",
    "now",
    "nullif",
    "printf",
    "replace",
    "round",
    "rtrim",
    "sign",
    "since",
    "strftime",
    "substr",
    "trim",
    "typeof",
    "unixepoch",
    "upper",
];

/// Words of expressions that are no names.
pub(super) const KEYWORDS: [&str; 24] = [
    "and", "or", "not", "null", "is", "in", "between", "case", "when", "then", "else", "end",
    "cast", "as", "asc", "desc", "nulls", "last", "first", "offset", "integer", "real", "double",
    "text",
];

/// Where the bracket closes that opens here.
fn bracket(tokens: &[Placed], open: usize) -> Option<usize> {
    if !tokens.get(open)?.token.is("(") {
        return None;
    }
    let mut depth = 0_i32;
    for (at, placed) in tokens.iter().enumerate().skip(open) {
        depth += i32::from(placed.token.is("(")) - i32::from(placed.token.is(")"));
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
