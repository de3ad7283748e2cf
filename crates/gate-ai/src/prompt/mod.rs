//! Prompt templates: texts with variables, and how they get into a request of any dialect.
//!
//! A template knows variables and nothing else: no conditions, no loops, no functions. What a
//! variable brings is put in as text and never read as a template. [`put_in`] splices messages in
//! front of the caller's, so that everything else of a request stays as its sender wrote it.

mod splice;

pub use splice::{Asked, PutIn, asked, put_in};

/// Most bytes of a name of a variable.
const NAME_MAX: usize = 64;

/// A text with variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A sentence on the braces that are no variable.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            if let Some(before) = rest[..at].strip_suffix('\\') {
                plain.push_str(before);
                plain.push_str("{{");
                rest = &rest[at + 2..];
                continue;
            }
            plain.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            let end = inner
                .find("}}")
                .ok_or("`{{` has no `}}`; `\\{{` stands for two braces")?;
            let name = inner[..end].trim();
            if !is_name(name) {
                let shown: String = name.chars().take(40).collect();
                return Err(format!(
                    "`{{{{{shown}}}}}` is no variable: names have lower-case letters, digits and `_`"
                ));
            }
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Variable(name.to_owned()));
            rest = &inner[end + 2..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    /// The names of its variables, in order, each as often as it stands there.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Variable(name) => Some(name.as_str()),
        })
    }

    /// The text with the values of its variables; nothing stands for one without a value.
    #[must_use]
    pub fn render<'v>(&self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Variable(name) => out.push_str(value(name).unwrap_or_default()),
            }
        }
        out
    }
}

/// Whether a variable may have this name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty()
        && name.len() <= NAME_MAX
        && name.bytes().all(is_part)
        && !name.as_bytes()[0].is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(text: &str, values: &[(&str, &str)]) -> String {
        let template = Template::parse(text).unwrap_or_else(|error| panic!("{error}"));
        template.render(|name| {
            let found = values.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        })
    }

    #[test]
    fn variables_are_replaced_and_values_are_never_read() {
        let values = [("a", "{{b}}"), ("b", "\\{{a}}\n\"")];
        assert_eq!(
            render("x {{a}} {{ b }}{{a}}", &values),
            "x {{b}} \\{{a}}\n\"{{b}}"
        );
        assert_eq!(render("\\{{a}} {a} }} {", &values), "{{a}} {a} }} {");
        assert_eq!(render("", &values), "");
        let template = Template::parse("{{a}}{{b_2}}{{a}}").unwrap();
        assert_eq!(template.variables().collect::<Vec<_>>(), ["a", "b_2", "a"]);
    }

    #[test]
    fn what_looks_like_code_is_refused() {
        for text in [
            "{{",
            "{{a",
            "{{}}",
            "{{A}}",
            "{{a.b}}",
            "{{a|upper}}",
            "{{#if a}}",
            "{{1a}}",
            "{{a b}}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
