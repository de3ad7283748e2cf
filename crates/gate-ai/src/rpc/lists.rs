//! Lists of several servers, merged into one.

use super::names::public;
use crate::DialectError;
use crate::json::object::{Object, list, text};
use crate::json::write::Writer;

/// Most entries of one page of a server's.
const PAGE_MAX: usize = 10_000;

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// Tools.
    Tools,
    /// Prompts.
    Prompts,
    /// Resources.
    Resources,
    /// Templates of resources.
    Templates,
}

impl Listed {
    /// What a method lists.
    #[must_use]
    pub fn of(method: &str) -> Option<Self> {
        Some(match method {
            "tools/list" => Self::Tools,
            "prompts/list" => Self::Prompts,
            "resources/list" => Self::Resources,
            "resources/templates/list" => Self::Templates,
            _ => return None,
        })
    }

    /// The method that lists it.
    #[must_use]
    pub const fn method(self) -> &'static str {
        match self {
            Self::Tools => "tools/list",
            Self::Prompts => "prompts/list",
            Self::Resources => "resources/list",
            Self::Templates => "resources/templates/list",
        }
    }

    const fn key(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Templates => "resourceTemplates",
        }
    }

    /// Whether callers tell the servers' entries apart by prefixes. Resources have addresses, which
    /// stand in answers, too, and stay as they are.
    const fn is_prefixed(self) -> bool {
        matches!(self, Self::Tools | Self::Prompts)
    }
}

/// An entry of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as the server has it; empty where it has none.
    pub name: Box<str>,
    /// All of it as JSON, with the name that callers see.
    pub json: Box<str>,
}

/// A page of a server's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Its entries; those that are no objects or have no name are left out.
    pub entries: Vec<Entry>,
    /// Where the list goes on.
    pub next: Option<Box<str>>,
    /// The code of the error that was answered instead.
    pub error: Option<i64>,
}

/// Reads a server's answer to a list, and gives its entries the prefix.
///
/// # Errors
/// When the bytes are no answer to a list.
pub fn read_page(bytes: &[u8], listed: Listed, prefix: &str) -> Result<Page, DialectError> {
    let answer = Object::parse(bytes)?;
    let mut page = Page {
        entries: Vec::new(),
        next: None,
        error: None,
    };
    if let Some(error) = answer.get("error") {
        let code = Object::of(error, "error")?;
        let code = code.get("code").and_then(|raw| raw.get().parse().ok());
        page.error = Some(code.unwrap_or(super::SERVER_ERROR));
        return Ok(page);
    }
    let result = answer
        .get("result")
        .ok_or(DialectError::Missing { field: "result" })?;
    let result = Object::of(result, "result")?;
    page.next = result.text("nextCursor").map(Into::into);
    let Some(entries) = result.get(listed.key()) else {
        return Ok(page);
    };
    for raw in list(entries, "result")?.into_iter().take(PAGE_MAX) {
        let Ok(object) = Object::of(raw, "result") else {
            continue;
        };
        let Some(name) = object.get("name").and_then(|raw| text(raw, "name").ok()) else {
            continue;
        };
        let json = match listed.is_prefixed() && !prefix.is_empty() {
            true => renamed(&object, &public(prefix, &name)),
            false => raw.get().into(),
        };
        page.entries.push(Entry {
            name: name.into(),
            json,
        });
    }
    Ok(page)
}

fn renamed(object: &Object<'_>, name: &str) -> Box<str> {
    let mut out = Vec::new();
    let mut w = Writer::new(&mut out);
    w.open();
    for (key, raw) in object.iter() {
        match key {
            "name" => w.member("name", name),
            key => w.named(key).raw(raw.get()),
        };
    }
    w.close();
    String::from_utf8(out)
        .expect("JSON of texts is UTF-8")
        .into()
}

/// An answer to the request with this id: these entries, and where the list goes on.
#[must_use]
pub fn write_page<'a>(
    id: &str,
    listed: Listed,
    entries: impl Iterator<Item = &'a str>,
    next: Option<&str>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(4096);
    let mut w = Writer::new(&mut out);
    w.open().member("jsonrpc", "2.0").key("id").raw(id);
    w.key("result").open().key(listed.key()).open_list();
    for entry in entries {
        w.raw(entry);
    }
    w.close_list().member_if("nextCursor", next).close().close();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_get_the_prefix_and_keep_the_rest() {
        let said = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"read","inputSchema":{"type": "object"}},{"name":7},3],"nextCursor":"c"}}"#;
        let page = read_page(said, Listed::Tools, "files").unwrap();
        assert_eq!(page.next.as_deref(), Some("c"));
        assert_eq!(page.entries.len(), 1);
        assert_eq!(&*page.entries[0].name, "read");
        let json = r#"{"name":"files__read","inputSchema":{"type": "object"}}"#;
        assert_eq!(&*page.entries[0].json, json);
        let written = write_page("\"x\"", Listed::Tools, [json].into_iter(), Some("n"));
        let again = read_page(&written, Listed::Tools, "").unwrap();
        assert_eq!(&*again.entries[0].name, "files__read");
        assert_eq!(again.next.as_deref(), Some("n"));
    }

    #[test]
    fn an_error_is_no_list_and_addresses_stay() {
        let said = br#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}"#;
        let page = read_page(said, Listed::Prompts, "a").unwrap();
        assert_eq!((page.error, page.entries.len()), (Some(-32601), 0));
        let said =
            br#"{"jsonrpc":"2.0","id":1,"result":{"resources":[{"name":"r","uri":"file:///r"}]}}"#;
        let page = read_page(said, Listed::Resources, "a").unwrap();
        assert_eq!(&*page.entries[0].json, r#"{"name":"r","uri":"file:///r"}"#);
        assert!(read_page(b"{}", Listed::Tools, "").is_err());
    }
}
