//! The grammar of `nginx.conf`: words, quotes, comments, blocks (as `ngx_conf_read_token` reads it).
//!
//! A word ends at white space, `;` or `{`; `${` inside a word does not open a block. Blocks of Lua
//! are kept as one directive without contents, because another language stands in them.

use super::files::Files;
use crate::ImportError;

/// The most directives of one file and of those that it includes.
const DIRECTIVES_MAX: usize = 100_000;
/// The deepest nesting of blocks.
const DEPTH_MAX: usize = 24;

/// One directive, with its block where it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) name: String,
    pub(super) words: Vec<String>,
    pub(super) line: u32,
    pub(super) block: Option<Vec<Directive>>,
}

impl Directive {
    /// A word behind the name, from 0.
    pub(super) fn word(&self, index: usize) -> &str {
        self.words.get(index).map_or("", String::as_str)
    }

    /// The directives of its block.
    pub(super) fn inside(&self) -> &[Directive] {
        self.block.as_deref().unwrap_or_default()
    }

    /// It as it may be shown: name and words.
    pub(super) fn shown(&self) -> String {
        let mut shown = self.name.clone();
        for word in &self.words {
            shown.push(' ');
            shown.push_str(word);
        }
        shown
    }
}

/// The directives of a file, with those of the files that it includes in place of the directive.
/// Lines of included files are numbered on behind those read before; `files` knows which is which.
///
/// # Errors
/// The first place where the grammar is broken.
pub(super) fn parse(text: &str, files: &mut Files<'_>) -> Result<Vec<Directive>, ImportError> {
    let mut reader = Reader {
        rest: text,
        line: files.first_line(text),
        left: DIRECTIVES_MAX,
        files,
    };
    reader.block(0)
}

struct Reader<'a, 'f, 'i> {
    rest: &'a str,
    line: u32,
    left: usize,
    files: &'f mut Files<'i>,
}

enum Token {
    Word(String),
    End,
    Open,
    Close,
    Finished,
}

impl Reader<'_, '_, '_> {
    fn block(&mut self, depth: usize) -> Result<Vec<Directive>, ImportError> {
        self.block_of(depth, depth == 0)
    }

    /// The directives up to the end of a block, or of a file.
    fn block_of(&mut self, depth: usize, file: bool) -> Result<Vec<Directive>, ImportError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("blocks are nested too deeply"));
        }
        let mut directives = Vec::new();
        loop {
            let name = match self.token()? {
                Token::Word(name) => name,
                Token::Close if !file => return Ok(directives),
                Token::Finished if file => return Ok(directives),
                Token::Finished => return Err(self.wrong("a block is not closed")),
                Token::Close => return Err(self.wrong("`}` closes nothing")),
                Token::End => return Err(self.wrong("`;` ends nothing")),
                Token::Open => return Err(self.wrong("`{` stands without a name")),
            };
            self.left = match self.left.checked_sub(1) {
                Some(left) => left,
                None => return Err(self.wrong("there are too many directives")),
            };
            let directive = self.directive(name, depth)?;
            match directive.name == "include" && directive.block.is_none() {
                true => self.include(directive, depth, &mut directives)?,
                false => directives.push(directive),
            }
        }
    }

    /// Puts the directives of included files in the place of `include`, which stays where there are
    /// none.
    fn include(
        &mut self,
        directive: Directive,
        depth: usize,
        to: &mut Vec<Directive>,
    ) -> Result<(), ImportError> {
        let Some(found) = self.files.open(directive.word(0), directive.line)? else {
            to.push(directive);
            return Ok(());
        };
        for (name, text) in found {
            let line = self.files.begin(name, &text);
            let mut reader = Reader {
                rest: &text,
                line,
                left: self.left,
                files: &mut *self.files,
            };
            // The blocks around count, so that files which include one another come to an end.
            let mut inner = reader.block_of(depth + 1, true)?;
            self.left = reader.left;
            to.append(&mut inner);
        }
        Ok(())
    }

    fn directive(&mut self, name: String, depth: usize) -> Result<Directive, ImportError> {
        let line = self.line;
        let mut words = Vec::new();
        let block = loop {
            match self.token()? {
                Token::Word(word) => words.push(word),
                Token::End => break None,
                Token::Open if name.ends_with("_by_lua_block") => {
                    self.skip_braces()?;
                    break None;
                }
                Token::Open => break Some(self.block(depth + 1)?),
                Token::Close => return Err(self.wrong("`;` is missing before `}`")),
                Token::Finished => return Err(self.wrong("the last directive is not ended")),
            }
        };
        Ok(Directive {
            name,
            words,
            line,
            block,
        })
    }

    fn wrong(&self, message: &str) -> ImportError {
        ImportError::new(self.line, message)
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        self.line += u32::from(c == '\n');
        Some(c)
    }

    fn token(&mut self) -> Result<Token, ImportError> {
        while let Some(c) = self.next() {
            match c {
                c if c.is_ascii_whitespace() => {}
                '#' => while self.next().is_some_and(|c| c != '\n') {},
                ';' => return Ok(Token::End),
                '{' => return Ok(Token::Open),
                '}' => return Ok(Token::Close),
                '"' | '\'' => return self.quoted(c),
                c => return Ok(Token::Word(self.bare(c))),
            }
        }
        Ok(Token::Finished)
    }

    fn bare(&mut self, first: char) -> String {
        let mut word = String::new();
        let mut last = ' ';
        let mut c = first;
        loop {
            if c == '\\' {
                self.escaped(&mut word);
                last = '\\';
            } else {
                word.push(c);
                last = if last == '$' && c == '{' { 'v' } else { c };
            }
            let variable = last == '$' || last == 'v';
            match self.rest.chars().next() {
                None | Some(';') => return word,
                Some('{') if !variable => return word,
                Some(c) if c.is_ascii_whitespace() => return word,
                Some(next) => {
                    self.next();
                    c = next;
                }
            }
        }
    }

    /// What stands behind a backslash: an escape of the grammar, else the backslash stays, because
    /// it belongs to a regular expression.
    fn escaped(&mut self, word: &mut String) {
        match self.next() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => {
                word.push('\\');
                word.push(c);
            }
            None => word.push('\\'),
        }
    }

    fn quoted(&mut self, quote: char) -> Result<Token, ImportError> {
        let mut word = String::new();
        loop {
            match self.next() {
                None => return Err(self.wrong("a quote is not closed")),
                Some(c) if c == quote => return Ok(Token::Word(word)),
                Some('\\') => self.escaped(&mut word),
                Some(c) => word.push(c),
            }
        }
    }

    fn skip_braces(&mut self) -> Result<(), ImportError> {
        let mut open = 1_usize;
        while open > 0 {
            match self.next() {
                Some('{') => open += 1,
                Some('}') => open -= 1,
                Some(_) => {}
                None => return Err(self.wrong("a block of Lua is not closed")),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut none = |_: &str| Err(String::new());
        match parse(text, &mut Files::new(&mut none)) {
            Err(error) => error.to_string(),
            Ok(directives) => directives
                .iter()
                .map(|d| format!("{}@{}{}", d.shown(), d.line, d.inside().len()))
                .collect::<Vec<_>>()
                .join("|"),
        }
    }

    #[test]
    fn words_quotes_comments_and_blocks() {
        for (text, expected) in [
            ("a b  c;\nd;", "a b c@10|d@20"),
            ("a 'b c' \"d;e\"; # f {", "a b c d;e@10"),
            ("a { b; c { d; } }", "a@12"),
            ("a ~ ^/x\\.php$ { }", "a ~ ^/x\\.php$@10"),
            ("a ${b}c$d;", "a ${b}c$d@10"),
            ("x_by_lua_block { if a { } }\nb;", "x_by_lua_block@10|b@20"),
            ("a", "line 1: the last directive is not ended"),
            ("a {\n b;", "line 2: a block is not closed"),
            ("}", "line 1: `}` closes nothing"),
            ("a \"b", "line 1: a quote is not closed"),
            ("a { b }", "line 1: `;` is missing before `}`"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        let deep = "a {".repeat(30);
        assert_eq!(shown(&deep), "line 1: blocks are nested too deeply");
    }
}
