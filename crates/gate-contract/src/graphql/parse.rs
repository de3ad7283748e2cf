//! From tokens to selections. Everything that decides nothing about shape and cost is passed over.

use super::NESTING_MAX;
use super::lexer::{Token, tokens};

/// A document: operations and fragments.
#[derive(Debug, Default)]
pub struct Document<'t> {
    pub(super) operations: Vec<Operation<'t>>,
    pub(super) fragments: Vec<(&'t str, Vec<Selection<'t>>)>,
    /// Directives on selections.
    pub(super) directives: usize,
}

#[derive(Debug)]
pub(super) struct Operation<'t> {
    pub(super) kind: &'t str,
    /// Defaults of variables that are whole numbers.
    pub(super) defaults: Vec<(&'t str, i64)>,
    pub(super) selections: Vec<Selection<'t>>,
}

#[derive(Debug)]
pub(super) enum Selection<'t> {
    Field(Field<'t>),
    Spread(&'t str),
    Inline(Vec<Selection<'t>>),
}

#[derive(Debug)]
pub(super) struct Field<'t> {
    pub(super) name: &'t str,
    pub(super) is_aliased: bool,
    /// Arguments that are whole numbers or variables.
    pub(super) arguments: Vec<(&'t str, Argument<'t>)>,
    pub(super) selections: Vec<Selection<'t>>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Argument<'t> {
    Number(i64),
    Variable(&'t str),
}

/// Reads a document.
///
/// # Errors
/// What is wrong with it, in a few words that follow "the query".
pub fn parse(text: &str) -> Result<Document<'_>, String> {
    let mut reader = Reader {
        tokens: tokens(text)?,
        at: 0,
        directives: 0,
    };
    let mut document = Document::default();
    while let Some(token) = reader.peek() {
        match token {
            Token::Sign(b'{') => document.operations.push(Operation {
                kind: "query",
                defaults: Vec::new(),
                selections: reader.selections(0)?,
            }),
            Token::Name("fragment") => {
                reader.at += 1;
                let name = reader.name()?;
                reader.expect_name("on")?;
                reader.name()?;
                reader.directives()?;
                let selections = reader.selections(0)?;
                if document.fragments.iter().any(|(known, _)| *known == name) {
                    return Err(format!("has the fragment `{name}` twice"));
                }
                document.fragments.push((name, selections));
            }
            Token::Name(kind @ ("query" | "mutation" | "subscription")) => {
                reader.at += 1;
                document.operations.push(reader.operation(kind)?);
            }
            _ => return Err(reader.unexpected()),
        }
    }
    document.directives = reader.directives;
    match document.operations.is_empty() {
        true => Err("has no operation".to_owned()),
        false => Ok(document),
    }
}

struct Reader<'t> {
    tokens: Vec<(Token<'t>, usize)>,
    at: usize,
    directives: usize,
}

impl<'t> Reader<'t> {
    fn peek(&self) -> Option<Token<'t>> {
        self.tokens.get(self.at).map(|(token, _)| *token)
    }

    fn take(&mut self) -> Option<Token<'t>> {
        let token = self.peek()?;
        self.at += 1;
        Some(token)
    }

    fn unexpected(&self) -> String {
        match self.tokens.get(self.at) {
            Some((_, at)) => format!("cannot be read at byte {at}"),
            None => "ends too early".to_owned(),
        }
    }

    fn is_sign(&mut self, sign: u8) -> bool {
        let is_it = self.peek() == Some(Token::Sign(sign));
        self.at += usize::from(is_it);
        is_it
    }

    fn expect(&mut self, sign: u8) -> Result<(), String> {
        match self.is_sign(sign) {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    fn name(&mut self) -> Result<&'t str, String> {
        match self.peek() {
            Some(Token::Name(name)) => {
                self.at += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn expect_name(&mut self, name: &str) -> Result<(), String> {
        match self.name()? == name {
            true => Ok(()),
            false => Err(self.unexpected()),
        }
    }

    fn operation(&mut self, kind: &'t str) -> Result<Operation<'t>, String> {
        if let Some(Token::Name(_)) = self.peek() {
            self.at += 1;
        }
        let mut defaults = Vec::new();
        if self.is_sign(b'(') {
            while !self.is_sign(b')') {
                self.expect(b'$')?;
                let name = self.name()?;
                self.expect(b':')?;
                self.kind(0)?;
                if self.is_sign(b'=')
                    && let Some(Argument::Number(number)) = self.value(0)?
                {
                    defaults.push((name, number));
                }
                self.directives()?;
            }
        }
        self.directives()?;
        Ok(Operation {
            kind,
            defaults,
            selections: self.selections(0)?,
        })
    }

    /// A type, such as `[Int!]!`.
    fn kind(&mut self, depth: usize) -> Result<(), String> {
        if depth > NESTING_MAX {
            return Err("is nested too deep".to_owned());
        }
        if self.is_sign(b'[') {
            self.kind(depth + 1)?;
            self.expect(b']')?;
        } else {
            self.name()?;
        }
        self.is_sign(b'!');
        Ok(())
    }

    fn directives(&mut self) -> Result<(), String> {
        while self.is_sign(b'@') {
            self.name()?;
            self.arguments()?;
            self.directives += 1;
        }
        Ok(())
    }

    fn arguments(&mut self) -> Result<Vec<(&'t str, Argument<'t>)>, String> {
        let mut found = Vec::new();
        if self.is_sign(b'(') {
            while !self.is_sign(b')') {
                let name = self.name()?;
                self.expect(b':')?;
                if let Some(value) = self.value(0)? {
                    found.push((name, value));
                }
            }
        }
        Ok(found)
    }

    fn value(&mut self, depth: usize) -> Result<Option<Argument<'t>>, String> {
        if depth > NESTING_MAX {
            return Err("is nested too deep".to_owned());
        }
        match self.take() {
            Some(Token::Sign(b'$')) => Ok(Some(Argument::Variable(self.name()?))),
            Some(Token::Integer(number)) => Ok(Some(Argument::Number(number.unwrap_or(i64::MAX)))),
            Some(Token::Float | Token::Text | Token::Name(_)) => Ok(None),
            Some(Token::Sign(b'[')) => {
                while !self.is_sign(b']') {
                    self.value(depth + 1)?;
                }
                Ok(None)
            }
            Some(Token::Sign(b'{')) => {
                while !self.is_sign(b'}') {
                    self.name()?;
                    self.expect(b':')?;
                    self.value(depth + 1)?;
                }
                Ok(None)
            }
            _ => {
                self.at = self.at.saturating_sub(1);
                Err(self.unexpected())
            }
        }
    }

    fn selections(&mut self, depth: usize) -> Result<Vec<Selection<'t>>, String> {
        if depth > NESTING_MAX {
            return Err("is nested too deep".to_owned());
        }
        self.expect(b'{')?;
        let mut selections = Vec::new();
        while !self.is_sign(b'}') {
            selections.push(self.selection(depth)?);
        }
        match selections.is_empty() {
            true => Err("has a selection of nothing".to_owned()),
            false => Ok(selections),
        }
    }

    fn selection(&mut self, depth: usize) -> Result<Selection<'t>, String> {
        if self.is_sign(b'.') {
            match self.peek() {
                Some(Token::Name(name)) if name != "on" => {
                    self.at += 1;
                    self.directives()?;
                    return Ok(Selection::Spread(name));
                }
                Some(Token::Name(_)) => {
                    self.at += 1;
                    self.name()?;
                }
                _ => {}
            }
            self.directives()?;
            return Ok(Selection::Inline(self.selections(depth + 1)?));
        }
        let first = self.name()?;
        let is_aliased = self.is_sign(b':');
        let name = if is_aliased { self.name()? } else { first };
        let arguments = self.arguments()?;
        self.directives()?;
        let selections = match self.peek() {
            Some(Token::Sign(b'{')) => self.selections(depth + 1)?,
            _ => Vec::new(),
        };
        Ok(Selection::Field(Field {
            name,
            is_aliased,
            arguments,
            selections,
        }))
    }
}
