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

/// A borrowed map from names to texts.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fields<'a> {
    /// Request headers, by name in lower case.
    Headers(&'a Headers),
    /// A query string without its question mark.
    Query(&'a str),
    /// Path parameters.
    Parameters(&'a Parameters),
}

impl<'a> Fields<'a> {
    fn value(&self, name: &str) -> Option<Cow<'a, str>> {
        match *self {
            Fields::Headers(headers) => {
                let mut values = headers.iter().filter(|(_, own, _)| is_header(own, name));
                let first = String::from_utf8_lossy(values.next()?.2);
                Some(values.fold(first, |joined, (_, _, value)| {
                    joined + ", " + String::from_utf8_lossy(value)
                }))
            }
            Fields::Query(query) => {
                let value = places::query_values(query, name).next();
                value.map(|value| Cow::Owned(String::from_utf8_lossy(&value).into_owned()))
            }
            Fields::Parameters(parameters) => {
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
            Fields::Headers(headers) => headers
                .iter()
                .for_each(|field| add(String::from_utf8_lossy(field.1).to_ascii_lowercase().into())),
            Fields::Query(query) => query.split('&').filter(|pair| !pair.is_empty()).for_each(|pair| {
                let name = places::decoded(pair.split('=').next().unwrap_or(pair));
                add(String::from_utf8_lossy(&name).into_owned().into());
            }),
            Fields::Parameters(parameters) => {
                parameters.0.iter().for_each(|(name, _)| add(name.to_string().into()));
            }
        }
        names.into_iter().map(CelString::from).collect()
    }

    fn index(&self, key: &dyn Val) -> Result<CelString<'a>, ExecutionError> {
        let value = self.value(name(key)?);
        Ok(CelString::from(value.unwrap_or_default()))
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
        Box::new(*self)
    }
}

impl Container for Fields<'_> {
    fn contains(&self, key: &dyn Val) -> Result<bool, ExecutionError> {
        Ok(self.value(name(key)?).is_some())
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
