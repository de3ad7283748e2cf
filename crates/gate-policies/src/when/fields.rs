//! Headers, query and path parameters as CEL maps that borrow the request.
//!
//! Looking one up reads the request directly; nothing is copied for a condition that looks at one
//! header of thirty. A name that is not there reads as the empty string.

use crate::places;
use cel::ExecutionError;
use cel::common::traits::{self, Container, Indexer, Iterable, Sizer};
use cel::common::types::{CelInt, CelString, MAP_TYPE, Type};
use cel::common::value::{CowVal, Val};
use gate_flow::Parameters;
use gate_kit::http::Headers;
use std::borrow::Cow;
use std::sync::OnceLock;

/// A borrowed map from names to texts.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    source: Source<'a>,
    /// Made only when a macro goes through all of them.
    names: OnceLock<Vec<CelString<'a>>>,
}

/// What a map is read from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source<'a> {
    /// Request headers, by name in lower case.
    Headers(&'a Headers),
    /// A query string without its question mark.
    Query(&'a str),
    /// Path parameters.
    Parameters(&'a Parameters),
}

impl<'a> Fields<'a> {
    pub(super) fn new(source: Source<'a>) -> Self {
        Self {
            source,
            names: OnceLock::new(),
        }
    }

    fn names(&self) -> &[CelString<'a>] {
        self.names.get_or_init(|| self.source.names())
    }

    fn index(&self, key: &dyn Val) -> Result<CelString<'a>, ExecutionError> {
        Ok(CelString::from(
            self.source.value(name(key)?).unwrap_or_default(),
        ))
    }
}

impl<'a> Source<'a> {
    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        match *self {
            Source::Headers(headers) => {
                let mut values = headers.iter().filter(|(_, own, _)| is_header(own, name));
                let first = String::from_utf8_lossy(values.next()?.2);
                Some(values.fold(first, |joined, (_, _, value)| {
                    joined + ", " + String::from_utf8_lossy(value)
                }))
            }
            Source::Query(query) => {
                let value = places::query_values(query, name).next();
                value.map(|value| Cow::Owned(String::from_utf8_lossy(&value).into_owned()))
            }
            Source::Parameters(parameters) => {
                let found = parameters.0.iter().find(|(own, _)| **own == *name);
                found.map(|(_, value)| Cow::Borrowed(value.as_str()))
            }
        }
    }

    /// Every name once, in order.
    fn names(&self) -> Vec<CelString<'a>> {
        let mut names: Vec<Cow<'a, str>> = Vec::new();
        let mut add = |name: Cow<'a, str>| {
            if !names.contains(&name) {
                names.push(name);
            }
        };
        match *self {
            Source::Headers(headers) => headers.iter().for_each(|field| {
                add(String::from_utf8_lossy(field.1).to_ascii_lowercase().into())
            }),
            Source::Query(query) => {
                query
                    .split('&')
                    .filter(|pair| !pair.is_empty())
                    .for_each(|pair| {
                        let name = places::decoded(pair.split('=').next().unwrap_or(pair));
                        add(String::from_utf8_lossy(&name).into_owned().into());
                    })
            }
            Source::Parameters(parameters) => {
                parameters
                    .0
                    .iter()
                    .for_each(|(name, _)| add(name.to_string().into()));
            }
        }
        names.into_iter().map(CelString::from).collect()
    }
}

/// Headers are known by their name in lower case, so that one spelling is right.
fn is_header(own: &[u8], name: &str) -> bool {
    own.eq_ignore_ascii_case(name.as_bytes()) && !name.bytes().any(|b| b.is_ascii_uppercase())
}

fn name(key: &dyn Val) -> Result<&str, ExecutionError> {
    match key.downcast_ref::<CelString<'_>>() {
        Some(name) => Ok(name.inner()),
        None => Err(ExecutionError::UnexpectedType {
            got: key.get_type().name().to_owned(),
            want: "string".to_owned(),
        }),
    }
}

impl<'a> Val for Fields<'a> {
    fn get_type(&self) -> &Type {
        &MAP_TYPE
    }

    fn cel_type() -> &'static Type {
        &MAP_TYPE
    }

    fn as_container(&self) -> Option<&dyn Container> {
        Some(self)
    }

    fn as_indexer<'b, 'v>(&'b self) -> Option<&'b (dyn Indexer + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn into_indexer<'v>(self: Box<Self>) -> Option<Box<dyn Indexer + 'v>>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_iterable<'b, 'v>(&'b self) -> Option<&'b (dyn Iterable + 'v)>
    where
        Self: 'v,
    {
        Some(self)
    }

    fn as_sizer(&self) -> Option<&dyn Sizer> {
        Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(Fields::new(self.source))
    }
}

impl Container for Fields<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.source.value(name(key)?).is_some())
    }
}

impl Indexer for Fields<'_> {
    fn get<'b, 'v>(&'b self, key: &dyn Val) -> Result<CowVal<'b, 'v>, ExecutionError>
    where
        Self: 'v,
    {
        self.index(key).map(CowVal::owned)
    }

    fn steal<'v>(self: Box<Self>, key: &dyn Val) -> Result<Box<dyn Val + 'v>, ExecutionError>
    where
        Self: 'v,
    {
        Ok(Box::new(self.index(key)?))
    }
}

impl Sizer for Fields<'_> {
    fn size(&self) -> CelInt {
        CelInt::from(i64::try_from(self.names().len()).unwrap_or(i64::MAX))
    }
}

impl Iterable for Fields<'_> {
    fn iter<'b, 'v>(&'b self) -> Box<dyn traits::Iterator<'b, 'v> + 'b>
    where
        Self: 'v,
    {
        Box::new(Names(self.names().iter()))
    }
}

struct Names<'b, 'a>(std::slice::Iter<'b, CelString<'a>>);

impl<'b, 'a: 'v, 'v> traits::Iterator<'b, 'v> for Names<'b, 'a> {
    fn next(&mut self) -> Option<&'b (dyn Val + 'v)> {
        self.0.next().map(|name| name as &(dyn Val + 'v))
    }
}
