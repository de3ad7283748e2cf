//! Operators (`@rx`, `@pm` ...): does a value match, and what of it.

mod bytes;
mod compare;
mod injection;
mod lookaround;
mod pattern;
mod rewrite;
mod words;

pub(crate) use pattern::Pattern;

use crate::macros::Template;
use crate::prefilter::Needs;
use crate::seclang::RawOperator;
use bytes::ByteSet;
pub(crate) use compare::{Compare, number};
use lookaround::LookAround;

use ipnet::IpNet;
use smallvec::SmallVec;
use std::borrow::Cow;
use words::Words;

/// What a match captured, as ranges of the value, by number of the group.
pub(crate) type Groups = SmallVec<[(usize, std::ops::Range<usize>); 4]>;

/// Whether an operator matched.
#[derive(Debug)]
pub(crate) enum Found {
    /// No.
    No,
    /// Yes, and there is nothing to capture.
    Yes,
    /// Yes, with these groups.
    Groups(Groups),
    /// Yes, and this is what is captured as the whole match.
    Text(SmallVec<[u8; 8]>),
}

/// An operator, ready to run.
#[derive(Debug)]
pub(crate) enum Operator {
    /// `@rx` with a fixed pattern.
    Rx(Pattern),
    /// `@rx` with macros in it.
    RxMacro(Template),
    /// `@pm`, `@pmFromFile`.
    Words(Words),
    /// Comparisons of text and numbers.
    Compare(Compare, Template),
    /// `@ipMatch`.
    Addresses(Vec<IpNet>),
    /// `@detectSQLi`.
    Sqli,
    /// `@detectXSS`.
    Xss,
    /// `@validateByteRange`.
    Bytes(Box<ByteSet>),
    /// `@validateUrlEncoding`.
    UrlEncoding,
    /// `@validateUtf8Encoding`.
    Utf8,
    /// An `@rx` that looks around or back.
    LookAround(LookAround),
    /// `@unconditionalMatch`.
    Always,
    /// `@noMatch`.
    Never,
}

impl Operator {
    /// Makes an operator; `read` gives the contents of data files.
    ///
    /// # Errors
    /// A message without a place.
    pub(crate) fn compile(
        raw: &RawOperator,
        read: &dyn Fn(&str) -> Result<Vec<u8>, String>,
        template: &mut dyn FnMut(&str) -> Result<Template, String>,
    ) -> Result<Operator, String> {
        let argument = raw.argument.as_str();
        if let Some(compare) = Compare::by_name(&raw.name) {
            return Ok(Operator::Compare(compare, template(argument)?));
        }
        Ok(match raw.name.as_str() {
            "rx" => {
                if argument.contains("%{") {
                    return Ok(Operator::RxMacro(template(argument)?));
                }
                if let Some(other) = LookAround::instead(argument) {
                    return Ok(Operator::LookAround(other));
                }
                let written = lookaround::without_ahead(argument);
                Operator::Rx(Pattern::compile(
                    written.as_deref().unwrap_or(argument),
                    false,
                )?)
            }
            "pm" => Operator::Words(Words::from_argument(argument)?),
            "pmfromfile" | "pmf" => Operator::Words(Words::from_files(argument, read)?),
            "ipmatch" => Operator::Addresses(addresses(argument)?),
            "ipmatchfromfile" | "ipmatchf" => {
                let text = read(argument)?;
                let text =
                    String::from_utf8(text).map_err(|_| format!("{argument} is no UTF-8"))?;
                let lines = text.lines().map(str::trim);
                let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
                Operator::Addresses(addresses(&lines.collect::<Vec<_>>().join(","))?)
            }
            "detectsqli" => Operator::Sqli,
            "detectxss" => Operator::Xss,
            "validatebyterange" => Operator::Bytes(ByteSet::parse(argument)?.into()),
            "validateurlencoding" => Operator::UrlEncoding,
            "validateutf8encoding" => Operator::Utf8,
            "unconditionalmatch" => Operator::Always,
            // There is no network and no database here: nothing is listed, nobody's place is known.
            "nomatch" | "rbl" | "geolookup" => Operator::Never,
            name => return Err(format!("`@{name}` is no operator that is supported")),
        })
    }

    /// What a value must hold to match; nothing where that depends on more than the value.
    pub(crate) fn needs(&self) -> Option<Needs> {
        Some(match self {
            Operator::Rx(pattern) => pattern.needs(),
            Operator::Words(words) => words.needs(),
            Operator::Compare(compare, template) => match (compare, template.fixed()?) {
                (Compare::Contains | Compare::BeginsWith | Compare::EndsWith, word)
                | (Compare::Equal, word) => Needs::one_word([word]),
                _ => return None,
            },
            Operator::Sqli => injection::sqli_needs(),
            Operator::Xss => injection::xss_needs(),
            Operator::Bytes(set) => set.needs(),
            Operator::UrlEncoding => Needs::one_of(*b"%"),
            Operator::Utf8 => Needs::one_of([0x80]),
            _ => return None,
        })
    }

    /// The macros of its argument.
    pub(crate) fn template(&self) -> Option<&Template> {
        match self {
            Operator::RxMacro(template) | Operator::Compare(_, template) => Some(template),
            _ => None,
        }
    }

    /// Whether `value` matches; `argument` is the expanded template.
    pub(crate) fn evaluate(&self, value: &[u8], argument: &[u8], capture: bool) -> Found {
        let plain = |found: bool| if found { Found::Yes } else { Found::No };
        match self {
            Operator::Rx(pattern) => pattern.find(value, capture),
            // A pattern that is too large to be run was made so by a request: that is no way around
            // the rule.
            Operator::RxMacro(_) => match Pattern::made(&String::from_utf8_lossy(argument)) {
                Ok(pattern) if pattern.prepare() => pattern.find(value, capture),
                Ok(_) => Found::Yes,
                Err(_) => Found::No,
            },
            Operator::Words(words) => words.find(value),
            Operator::Compare(compare, _) => plain(compare.holds(value, argument)),
            Operator::Addresses(blocks) => {
                let address = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                let address: Option<std::net::IpAddr> = address;
                plain(address.is_some_and(|address| {
                    let address = address.to_canonical();
                    blocks.iter().any(|block| block.contains(&address))
                }))
            }
            Operator::LookAround(other) => other.find(value),
            Operator::Sqli => injection::sqli(value),
            Operator::Xss => injection::xss(value),
            Operator::Bytes(set) => plain(set.misses(value)),
            Operator::UrlEncoding => plain(!bytes::is_url_encoded(value)),
            Operator::Utf8 => plain(std::str::from_utf8(value).is_err()),
            Operator::Always => Found::Yes,
            Operator::Never => Found::No,
        }
    }
}

fn addresses(list: &str) -> Result<Vec<IpNet>, String> {
    let parse = |text: &str| -> Result<IpNet, String> {
        let block = text.parse::<IpNet>();
        let block = block.or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
        block.map_err(|_| format!("`{text}` is neither an address nor a block"))
    };
    let parts = list
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(parse).collect()
}

/// A capture's bytes.
pub(crate) fn captured<'a>(found: &'a Found, value: &'a [u8]) -> Vec<(usize, Cow<'a, [u8]>)> {
    match found {
        Found::No | Found::Yes => Vec::new(),
        Found::Groups(groups) => {
            let part = |(group, range): &(usize, std::ops::Range<usize>)| {
                (*group, Cow::Borrowed(&value[range.clone()]))
            };
            groups.iter().map(part).collect()
        }
        Found::Text(text) => vec![(0, Cow::Borrowed(text))],
    }
}

#[cfg(test)]
mod tests;
