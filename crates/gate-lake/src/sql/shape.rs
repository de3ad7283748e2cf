//! Queries that the native scan answers: one table, conditions that the scan knows, and either groups of
//! aggregates or the first of an order.
//!
//! A group-by becomes a small table of groups, made by [`crate::scan::group`], and the same query over it
//! with keys and aggregates as columns: what is around them (expressions, `HAVING`, `ORDER BY`, `LIMIT`)
//! stays SQLite's. Whatever is not understood to the last word is left to SQLite whole, so that the
//! answer is the same and only its cost differs.

use super::Table;
use super::condition::{conditions, numeric};
use super::expression::over_keys;
use super::functions::{SPANS, span_us};
use super::rewrite::{Beside, Rewriting};
use super::token::{Placed, Token, tokens};
use crate::scan::{Aggregate, Filter, Key};
use crate::schema::Column;
use std::ops::Range;

/// The name of the table of groups.
pub(super) const GROUPS: &str = "tidegate_groups";
/// What names of its columns of keys, and of aggregates, begin with.
pub(super) const KEY: &str = "tidegate_key_";
pub(super) const VALUE: &str = "tidegate_value_";

/// A group-by for the native scan.
#[derive(Debug, PartialEq)]
pub(super) struct Grouping {
    /// The place of the table among those that there are.
    pub(super) table: usize,
    pub(super) filters: Vec<Filter>,
    /// What rows are grouped by.
    pub(super) keys: Vec<Key>,
    /// The keys of the groups as expressions over [`KEY`] of `keys`, where they are not those.
    pub(super) made: Option<Vec<String>>,
    pub(super) aggregates: Vec<Aggregate>,
    /// The query over the groups, whose columns are [`KEY`] and [`VALUE`] with numbers from zero.
    pub(super) over: String,
}

/// The first rows of an order by one column.
#[derive(Debug, PartialEq)]
pub(super) struct First {
    pub(super) table: usize,
    pub(super) filters: Vec<Filter>,
    pub(super) column: usize,
    pub(super) descending: bool,
    pub(super) rows: usize,
}

/// Words that make a query something else, wherever they stand.
const FOREIGN: [&str; 22] = [
    "select",
    "distinct",
    "union",
    "intersect",
    "except",
    "join",
    "over",
    "window",
    "collate",
    "exists",
    "with",
    "values",
    "from",
    "natural",
    "cross",
    "using",
    "indexed",
    "all",
    "like",
    "regexp",
    "match",
    "raise",
];
/// Most rows whose order is looked for beforehand.
const FIRST_MAX: usize = 100_000;

/// A query cut at its clauses.
struct Clauses<'a> {
    sql: &'a str,
    tokens: Vec<Placed>,
    items: Range<usize>,
    table: usize,
    condition: Option<Range<usize>>,
    group: Option<Range<usize>>,
    having: Option<Range<usize>>,
    order: Option<Range<usize>>,
    limit: Option<Range<usize>>,
}

impl<'a> Clauses<'a> {
    fn cut(sql: &'a str, tables: &[Table]) -> Option<Self> {
        let sql = sql.trim().trim_end_matches(';');
        let tokens = tokens(sql)?;
        if !tokens.first()?.token.is_word("select") {
            return None;
        }
        // Where clauses begin, outside brackets.
        let mut marks: Vec<(&str, usize)> = Vec::new();
        let mut depth = 0_i32;
        for (at, placed) in tokens.iter().enumerate() {
            match &placed.token {
                token if token.is("(") => depth += 1,
                token if token.is(")") => depth -= 1,
                Token::Word(word) if depth == 0 => {
                    let known = ["from", "where", "group", "having", "order", "limit"];
                    if let Some(known) = known.iter().find(|known| *known == word) {
                        marks.push((known, at));
                    }
                }
                Token::Symbol(symbol) if symbol == ";" => return None,
                _ => {}
            }
            if depth < 0 {
                return None;
            }
        }
        let order = ["from", "where", "group", "having", "order", "limit"];
        let places: Vec<usize> = marks
            .iter()
            .filter_map(|(word, _)| order.iter().position(|known| known == word))
            .collect();
        if places.first() != Some(&0) || !places.is_sorted_by(|a, b| a < b) {
            return None;
        }
        let clause = |name: &str| {
            let index = marks.iter().position(|(word, _)| *word == name)?;
            let end = marks.get(index + 1).map_or(tokens.len(), |(_, at)| *at);
            let by = usize::from(matches!(name, "group" | "order"));
            let begin = marks[index].1 + 1 + by;
            let right = by == 0 || tokens.get(begin - 1)?.token.is_word("by");
            (right && begin < end).then_some(begin..end)
        };
        let from = clause("from")?;
        let name = match &tokens[from] {
            [one] => one.token.word()?,
            _ => return None,
        };
        let table = tables.iter().position(|table| table.name == name)?;
        let clauses = Self {
            sql,
            items: 1..marks[0].1,
            table,
            condition: clause("where"),
            group: clause("group"),
            having: clause("having"),
            order: clause("order"),
            limit: clause("limit"),
            tokens,
        };
        let found = [
            &clauses.condition,
            &clauses.group,
            &clauses.having,
            &clauses.order,
            &clauses.limit,
        ];
        let found = found.iter().filter(|clause| clause.is_some()).count();
        let foreign = |placed: &&Placed| {
            let word = placed.token.word();
            word.is_some_and(|word| FOREIGN.contains(&word))
        };
        // `select` and `from` themselves are two of them.
        let alone = clauses.tokens.iter().filter(foreign).count() == 2;
        (alone && found + 1 == marks.len()).then_some(clauses)
    }

    fn part(&self, range: &Range<usize>) -> &[Placed] {
        &self.tokens[range.clone()]
    }

    fn filters(&self, table: &Table, now_us: i64) -> Option<Vec<Filter>> {
        let columns: Vec<Column> = table.columns().map(|(_, column)| column).collect();
        let places: Vec<usize> = table.columns().map(|(place, _)| place).collect();
        let mut filters = match &self.condition {
            Some(range) => conditions(self.part(range), &columns, now_us)?,
            None => Vec::new(),
        };
        filters
            .iter_mut()
            .for_each(|filter| filter.column = places[filter.column]);
        filters.extend(table.filters.iter().cloned());
        Some(filters)
    }
}

/// The same query as a group-by of the native scan, if it is one.
pub(super) fn grouping(sql: &str, tables: &[Table], now_us: i64) -> Option<Grouping> {
    let clauses = Clauses::cut(sql, tables)?;
    let table = &tables[clauses.table];
    let filters = clauses.filters(table, now_us)?;
    let items = split(clauses.part(&clauses.items));
    let items: Vec<Item<'_>> = items.into_iter().map(Item::of).collect::<Option<_>>()?;
    if items.iter().any(|item| item.hides(table)) {
        return None;
    }
    let (mut keys, mut native, mut made) = (Vec::new(), Vec::new(), Vec::new());
    let mut is_made = false;
    for expression in clauses
        .group
        .iter()
        .flat_map(|range| split(clauses.part(range)))
    {
        let expression = match expression {
            [
                Placed {
                    token: Token::Number(number),
                    ..
                },
            ] => {
                let index = usize::try_from(*number).ok()?.checked_sub(1)?;
                items.get(index)?.expression
            }
            [one] => {
                let alias = one.token.word()?;
                let found = items.iter().find(|item| item.alias == Some(alias));
                found.map_or(expression, |item| item.expression)
            }
            other => other,
        };
        let key = key_of(expression, table);
        match key {
            Some(key) => {
                made.push(format!("{KEY}{}", native.len()));
                native.push(key);
            }
            None => {
                let sql = clauses.sql;
                made.push(over_keys(expression, sql, table, &mut native)?);
                is_made = true;
            }
        }
        let words = words(expression);
        let beside = Beside::of(&words, key);
        keys.push((words, beside));
    }
    let mut rewriting = Rewriting {
        sql: clauses.sql,
        table,
        now_us,
        grouped: !keys.is_empty(),
        keys,
        aliases: items.iter().filter_map(|item| item.alias).collect(),
        aggregates: Vec::new(),
    };
    let mut over = String::from("SELECT ");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            over.push_str(", ");
        }
        over.push_str(&rewriting.write(item.expression, false)?);
        let name = match item.alias {
            Some(alias) => alias,
            None => item.name(clauses.sql, table)?,
        };
        over.push_str(&format!(" AS \"{}\"", name.replace('"', "\"\"")));
    }
    over.push_str(&format!(" FROM {GROUPS}"));
    for (range, word) in [
        (&clauses.having, "WHERE"),
        (&clauses.order, "ORDER BY"),
        (&clauses.limit, "LIMIT"),
    ] {
        if let Some(range) = range {
            let written = rewriting.write(clauses.part(range), true)?;
            over.push_str(&format!(" {word} {written}"));
        }
    }
    // Without either it is a query of rows.
    let grouped = rewriting.grouped || !rewriting.aggregates.is_empty();
    grouped.then_some(Grouping {
        table: clauses.table,
        filters,
        keys: native,
        made: is_made.then_some(made),
        aggregates: rewriting.aggregates,
        over,
    })
}

/// The order and the count of a query that wants the first of an order by a column that is never
/// missing.
pub(super) fn first(sql: &str, tables: &[Table], now_us: i64) -> Option<First> {
    let clauses = Clauses::cut(sql, tables)?;
    let table = &tables[clauses.table];
    let number = |placed: &Placed| match placed.token {
        Token::Number(number) => usize::try_from(number).ok(),
        _ => None,
    };
    let rows = match clauses.part(clauses.limit.as_ref()?) {
        [one] => number(one)?,
        [one, offset, other] if offset.token.is_word("offset") => {
            number(one)?.checked_add(number(other)?)?
        }
        _ => return None,
    };
    let order = clauses.part(clauses.order.as_ref()?);
    let (column, descending) = match order {
        [one] => (one.token.word()?, false),
        [one, way] if way.token.is_word("desc") => (one.token.word()?, true),
        [one, way] if way.token.is_word("asc") => (one.token.word()?, false),
        _ => return None,
    };
    let plain = clauses.group.is_none() && clauses.having.is_none();
    // An aggregate or an alias that hides the column would make it another order.
    let items = clauses.part(&clauses.items);
    let bare = items.iter().all(|placed| {
        placed.token.is("*")
            || placed.token.is(",")
            || placed
                .token
                .word()
                .is_some_and(|word| table.find(word).is_some())
    });
    let (place, described) = table.find(column)?;
    (plain
        && bare
        && rows > 0
        && rows <= FIRST_MAX
        && numeric(described.kind)
        && !described.optional)
        .then(|| {
            Some(First {
                table: clauses.table,
                filters: clauses.filters(table, now_us)?,
                column: place,
                descending,
                rows,
            })
        })?
}

/// Cuts at commas outside brackets.
fn split(tokens: &[Placed]) -> Vec<&[Placed]> {
    let mut depth = 0_i32;
    tokens
        .split(|placed| {
            depth += i32::from(placed.token.is("(")) - i32::from(placed.token.is(")"));
            depth == 0 && placed.token.is(",")
        })
        .collect()
}

pub(super) fn words(tokens: &[Placed]) -> Vec<Token> {
    tokens.iter().map(|placed| placed.token.clone()).collect()
}

/// What is selected, and as what.
struct Item<'a> {
    expression: &'a [Placed],
    alias: Option<&'a str>,
}

impl<'a> Item<'a> {
    fn of(tokens: &'a [Placed]) -> Option<Self> {
        match tokens {
            [] => None,
            [expression @ .., as_word, alias] if as_word.token.is_word("as") => Some(Self {
                expression,
                alias: Some(alias.token.word()?),
            }),
            // An alias without `AS`: a word after a bracket that closes.
            [expression @ .., close, alias]
                if close.token.is(")") && alias.token.word().is_some() =>
            {
                Some(Self {
                    expression: &tokens[..expression.len() + 1],
                    alias: alias.token.word(),
                })
            }
            expression => Some(Self {
                expression,
                alias: None,
            }),
        }
    }

    /// Whether its alias is the name of another column, so that names mean one or the other.
    fn hides(&self, table: &Table) -> bool {
        let own = match self.expression {
            [one] => one.token.word(),
            _ => None,
        };
        self.alias.is_some_and(|alias| {
            let another = table.find(alias).is_some() && own != Some(alias);
            another || alias.starts_with("tidegate_")
        })
    }

    /// The name that SQLite gives the column of the answer.
    fn name<'b>(&self, sql: &'b str, table: &Table) -> Option<&'b str>
    where
        'a: 'b,
    {
        match self.expression {
            [one] => {
                let (_, column) = table.find(one.token.word()?)?;
                Some(column.name)
            }
            [first, .., last] => Some(&sql[first.start..last.end]),
            [] => None,
        }
    }
}

/// The key that an expression is.
pub(super) fn key_of(expression: &[Placed], table: &Table) -> Option<Key> {
    let number = |name: &str| {
        let (place, column) = table.find(name)?;
        numeric(column.kind).then_some(place)
    };
    match words(expression).as_slice() {
        [Token::Word(name)] => table.find(name).map(|(place, _)| Key::Column(place)),
        [Token::Word(name), slash, Token::Number(by)] if slash.is("/") && *by > 0 => {
            Some(Key::Divided(number(name)?, *by))
        }
        [Token::Word(function), open, Token::Word(name), close]
            if open.is("(") && close.is(")") =>
        {
            let (_, width) = SPANS.iter().find(|(span, _)| span == function)?;
            Some(Key::Floor(number(name)?, *width))
        }
        [
            Token::Word(function),
            open,
            Token::Word(name),
            comma,
            width,
            close,
        ] if function == "bucket" && open.is("(") && comma.is(",") && close.is(")") => {
            let width = match width {
                Token::Number(width) if *width > 0 => *width,
                Token::Text(span) => span_us(span)?,
                _ => return None,
            };
            Some(Key::Floor(number(name)?, width))
        }
        _ => None,
    }
}
