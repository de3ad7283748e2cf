//! Citations: stretches of a text and the documents and tools' answers they rest on.
//!
//! Elsewhere a source is a page with an address, so that only sources with an address go over.

use crate::conversation::Content;
use crate::conversation::{Citation, Part};
use crate::json::object::{Object, Raw, list, unsigned};
use crate::json::write::Writer;
use crate::{DialectError, Losses};

/// Most citations read of one answer.
const CITATIONS_MAX: usize = 1024;

/// The sources of one citation, and which piece of content they are behind.
pub(super) struct Cited<'a> {
    pub(super) content_index: Option<u64>,
    pub(super) sources: Vec<Citation<'a>>,
}

/// Reads one citation.
pub(super) fn read<'a>(raw: Raw<'a>, losses: &mut Losses) -> Result<Cited<'a>, DialectError> {
    let object = Object::of(raw, "citations")?;
    let offset = |key| object.get(key).and_then(|raw| unsigned(raw, key).ok());
    let span = offset("start").zip(offset("end"));
    let mut sources = Vec::new();
    if let Some(raw) = object.get("sources") {
        for item in list(raw, "sources")? {
            let source = Object::of(item, "sources")?;
            let document = source.get("document");
            let document = document.and_then(|raw| Object::of(raw, "document").ok());
            let member = |key| document.as_ref().and_then(|document| document.text(key));
            match member("url") {
                Some(url) => sources.push(Citation {
                    url,
                    title: member("title"),
                    cited_text: member("text"),
                    reference: None,
                    span,
                }),
                None => losses.add("content.text.citations.sources"),
            }
        }
    }
    Ok(Cited {
        content_index: offset("content_index"),
        sources,
    })
}

/// Reads a list of citations and puts them at the texts among `content` that they are behind.
pub(super) fn attach<'a>(
    raw: Raw<'a>,
    content: &mut [Part<'a>],
    losses: &mut Losses,
) -> Result<(), DialectError> {
    for item in list(raw, "citations")?.into_iter().take(CITATIONS_MAX) {
        let cited = read(item, losses)?;
        if cited.sources.is_empty() {
            continue;
        }
        let is_text = |part: &&mut Part<'a>| matches!(part.content, Content::Text { .. });
        let found = match cited.content_index {
            Some(index) => usize::try_from(index)
                .ok()
                .and_then(|index| content.get_mut(index))
                .filter(is_text),
            None => content.iter_mut().find(is_text),
        };
        match found.map(|part| &mut part.content) {
            Some(Content::Text { citations, .. }) => citations.extend(cited.sources),
            _ => losses.add("content.text.citations.sources"),
        }
    }
    Ok(())
}

/// Writes a citation that stands behind `span` of the piece of content with this index.
pub(super) fn write(
    w: &mut Writer<'_>,
    citation: &Citation<'_>,
    index: u64,
    span: (u64, u64),
    losses: &mut Losses,
) {
    if citation.reference.is_some() {
        losses.add("content.text.citations.reference");
    }
    let (start, end) = citation.span.unwrap_or(span);
    w.open().key("start").unsigned(start);
    w.key("end").unsigned(end).key("sources").open_list();
    w.open().member("type", "document");
    w.member("id", &citation.url).key("document").open();
    w.member("id", &citation.url).member("url", &citation.url);
    w.member_if("title", citation.title.as_deref());
    w.member_if("text", citation.cited_text.as_deref());
    w.close().close().close_list();
    w.member("type", "TEXT_CONTENT");
    w.key("content_index").unsigned(index).close();
}
