//! Text with `%{...}` in it, and the names of `TX`.

use crate::operator::number;
use crate::seclang::RawSelector;
use crate::variables::{Bag, Scalar, Set, Variable};
use rustc_hash::FxHashMap;

/// Number of a name of `TX` that rules write out.
pub(crate) type TxName = u16;

/// The names of `TX` that rules write out, in lower case. The first ten are `0` to `9`: captures.
#[derive(Debug)]
pub(crate) struct TxNames {
    names: Vec<Box<str>>,
    by_name: FxHashMap<Box<str>, TxName>,
}

impl Default for TxNames {
    fn default() -> Self {
        let mut names = TxNames {
            names: Vec::new(),
            by_name: FxHashMap::default(),
        };
        for group in 0..10 {
            names.number(&group.to_string());
        }
        names
    }
}

impl TxNames {
    /// The number of a name; given one if it has none.
    pub(crate) fn number(&mut self, name: &str) -> TxName {
        let name = name.to_ascii_lowercase();
        if let Some(number) = self.by_name.get(name.as_str()) {
            return *number;
        }
        let number = self.names.len() as TxName;
        self.names.push(name.as_str().into());
        self.by_name.insert(name.into(), number);
        number
    }

    /// The number of a name, where rules write it out.
    pub(crate) fn known(&self, name: &[u8]) -> Option<TxName> {
        let name = std::str::from_utf8(name).ok()?;
        self.by_name.get(name).copied()
    }

    pub(crate) fn name(&self, number: TxName) -> &str {
        &self.names[usize::from(number)]
    }

    pub(crate) fn count(&self) -> usize {
        self.names.len()
    }
}

/// A part of a template.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Text(Box<[u8]>),
    Scalar(Scalar),
    /// The first member of a collection, with this key if there is one.
    First(Set, Option<Box<[u8]>>),
    Tx(TxName),
    Bag(Bag, Box<[u8]>),
    MatchedVar,
    MatchedVarName,
    HighestSeverity,
    RuleId,
    RuleMessage,
    RuleSeverity,
}

/// Text with macros in it.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    parts: Box<[Part]>,
    number: Option<i64>,
}

impl Template {
    /// Reads a text. What is no macro that is known stays as it is written, and expands to nothing
    /// if it looks like one.
    ///
    /// # Errors
    /// When a macro is not closed, or names what is not there.
    pub(crate) fn parse(text: &str, names: &mut TxNames) -> Result<Template, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find("%{") {
            let Some(length) = rest[at..].find('}') else {
                break;
            };
            if at > 0 {
                parts.push(Part::Text(rest.as_bytes()[..at].into()));
            }
            parts.push(part(&rest[at + 2..at + length], names)?);
            rest = &rest[at + length + 1..];
        }
        if !rest.is_empty() || parts.is_empty() {
            parts.push(Part::Text(rest.as_bytes().into()));
        }
        let number = match parts.as_slice() {
            [Part::Text(text)] => Some(number(text)),
            _ => None,
        };
        Ok(Template {
            parts: parts.into(),
            number,
        })
    }

    /// The text, where there is no macro in it.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match &*self.parts {
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The number that a fixed text begins with.
    pub(crate) fn number(&self) -> Option<i64> {
        self.number
    }

    /// The name of `TX`, where that is all.
    pub(crate) fn single_tx(&self) -> Option<TxName> {
        match &*self.parts {
            [Part::Tx(name)] => Some(*name),
            _ => None,
        }
    }

    /// Whether it names what the last operator matched.
    pub(crate) fn reads_match(&self) -> bool {
        let reads = |part: &Part| matches!(part, Part::MatchedVar | Part::MatchedVarName);
        self.parts.iter().any(reads)
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }
}

fn part(name: &str, names: &mut TxNames) -> Result<Part, String> {
    let (collection, key) = match name.split_once(['.', ':']) {
        Some((collection, key)) => (collection, Some(key)),
        None => (name, None),
    };
    let collection = collection.trim().to_ascii_uppercase();
    if collection == "RULE" {
        return match key.unwrap_or_default().to_ascii_lowercase().as_str() {
            "id" => Ok(Part::RuleId),
            "msg" => Ok(Part::RuleMessage),
            "severity" => Ok(Part::RuleSeverity),
            other => Err(format!("`%{{rule.{other}}}` is no macro that is supported")),
        };
    }
    let variable = Variable::by_name(&collection, &RawSelector::All)
        .map_err(|_| format!("`%{{{name}}}` names no variable that is supported"))?;
    let lower = |key: &str| -> Box<[u8]> { key.to_ascii_lowercase().into_bytes().into() };
    Ok(match variable {
        Variable::Scalar(scalar) => Part::Scalar(scalar),
        Variable::Values(set) | Variable::Keys(set) => Part::First(set, key.map(lower)),
        Variable::Bag(Bag::Tx) => match key {
            Some(key) => Part::Tx(names.number(key)),
            None => return Err("`%{tx}` needs a name".into()),
        },
        Variable::Bag(bag) => Part::Bag(bag, lower(key.unwrap_or_default())),
        Variable::MatchedVarName | Variable::MatchedVarsNames => Part::MatchedVarName,
        Variable::MatchedVar | Variable::MatchedVars => Part::MatchedVar,
        Variable::HighestSeverity => Part::HighestSeverity,
    })
}
