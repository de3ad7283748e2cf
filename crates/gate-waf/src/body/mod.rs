//! Parsers of request bodies. Each puts what it finds into the transaction as it goes, so that what
//! was read before a mistake is looked at too, and says what the mistake was.

mod disposition;
mod flags;
mod json;
mod multipart;
mod xml;

pub(crate) use json::parse as json;
pub(crate) use multipart::parse as multipart;
pub(crate) use xml::parse as xml;

#[cfg(test)]
mod tests;
