//! Sources of an answer: `groundingMetadata` and `citationMetadata`.
//!
//! Google lists pages beside the answer and says which stretches of the text, in bytes, rest on
//! which pages; the neutral form has the pages at a piece of text, with the characters they stand
//! behind. A stream tells both when its text has gone out, so that only the pages are kept there.
//! Reference: <https://ai.google.dev/api/generate-content#GroundingMetadata>.

use crate::conversation::{Citation, Text};
use crate::json::object::{Object, Raw, list, unsigned};
use crate::json::write::Writer;
use crate::{DialectError, Losses};
use std::ops::Range;

/// Most citations made of one answer's sources.
const CITATIONS_MAX: usize = 1024;
/// Longest text, in bytes, whose characters are counted for every citation.
const TEXT_MAX: usize = 256 * 1024;

/// A stretch of the text, in bytes, and the pages it rests on.
struct Support {
    bytes: Range<u64>,
    pages: Vec<usize>,
}

/// What an answer rests on.
#[derive(Default)]
pub(super) struct Sources<'a> {
    pages: Vec<Citation<'a>>,
    /// For each of Google's chunks its page, where it has an address.
    page_of_chunk: Vec<Option<usize>>,
    supports: Vec<Support>,
}

impl<'a> Sources<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Reads `groundingMetadata`.
    pub(super) fn read_grounding(
        &mut self,
        raw: Raw<'a>,
        losses: &mut Losses,
    ) -> Result<(), DialectError> {
        for (name, raw) in Object::of(raw, "groundingMetadata")?.camel()?.iter() {
            match name {
                "groundingChunks" => {
                    for item in list(raw, "groundingChunks")? {
                        let page = page(item, losses)?.map(|page| self.add(page));
                        self.page_of_chunk.push(page);
                    }
                }
                "groundingSupports" => {
                    for item in list(raw, "groundingSupports")?
                        .into_iter()
                        .take(CITATIONS_MAX)
                    {
                        self.supports.extend(support(item, losses)?);
                    }
                }
                _ => losses.add(format!("groundingMetadata.{name}")),
            }
        }
        Ok(())
    }

    /// Reads `citationMetadata`, in the spelling of either service.
    pub(super) fn read_citations(
        &mut self,
        raw: Raw<'a>,
        losses: &mut Losses,
    ) -> Result<(), DialectError> {
        for (name, raw) in Object::of(raw, "citationMetadata")?.camel()?.iter() {
            if !matches!(name, "citations" | "citationSources") {
                losses.add(format!("citationMetadata.{name}"));
                continue;
            }
            for item in list(raw, "citations")? {
                let source = Object::of(item, "citations")?.camel()?;
                for (name, _) in source.iter() {
                    if !matches!(name, "uri" | "title") {
                        losses.add(format!("citationMetadata.citations.{name}"));
                    }
                }
                if let Some(url) = source.text("uri") {
                    let title = source.text("title");
                    self.add(Citation {
                        url,
                        title,
                        ..Citation::default()
                    });
                }
            }
        }
        Ok(())
    }

    fn add(&mut self, page: Citation<'a>) -> usize {
        self.pages.push(page);
        self.pages.len() - 1
    }

    /// The citations of `text`: one for each stretch and page, and one for each page without a
    /// stretch. Without the text the stretches are lost.
    pub(super) fn citations(&self, text: Option<&str>, losses: &mut Losses) -> Vec<Citation<'a>> {
        let text = text.filter(|text| text.len() <= TEXT_MAX);
        let mut cited = vec![false; self.pages.len()];
        let mut citations = Vec::new();
        for support in &self.supports {
            let span = text.and_then(|text| characters(text, &support.bytes));
            if span.is_none() {
                losses.add("groundingMetadata.groundingSupports");
                continue;
            }
            for chunk in &support.pages {
                let Some(Some(page)) = self.page_of_chunk.get(*chunk) else {
                    continue;
                };
                cited[*page] = true;
                let page = self.pages[*page].clone();
                citations.push(Citation { span, ..page });
            }
        }
        let bare = self.pages.iter().zip(cited).filter(|(_, cited)| !cited);
        citations.extend(bare.map(|(page, _)| page.clone()));
        if citations.len() > CITATIONS_MAX {
            citations.truncate(CITATIONS_MAX);
            losses.add("groundingMetadata.groundingSupports");
        }
        citations
    }
}

/// The page of a chunk, where it has an address.
fn page<'a>(item: Raw<'a>, losses: &mut Losses) -> Result<Option<Citation<'a>>, DialectError> {
    let mut found = None;
    for (kind, raw) in Object::of(item, "groundingChunks")?.iter() {
        let page = Object::of(raw, "groundingChunks")?.camel()?;
        let known = ["uri", "title", "text"];
        let url = page.text("uri");
        if url.is_none() || page.iter().any(|(name, _)| !known.contains(&name)) {
            losses.add(format!("groundingMetadata.groundingChunks.{kind}"));
        }
        found = url.map(|url| Citation {
            url,
            title: page.text("title"),
            cited_text: page.text("text"),
            ..Citation::default()
        });
    }
    Ok(found)
}

fn support(item: Raw<'_>, losses: &mut Losses) -> Result<Option<Support>, DialectError> {
    let support = Object::of(item, "groundingSupports")?.camel()?;
    let Some(raw) = support.get("segment") else {
        return Ok(None);
    };
    let segment = Object::of(raw, "segment")?.camel()?;
    let offset = |field| segment.get(field).map_or(Ok(0), |raw| unsigned(raw, field));
    let mut pages = Vec::new();
    if let Some(raw) = support.get("groundingChunkIndices") {
        for raw in list(raw, "groundingChunkIndices")?
            .into_iter()
            .take(CITATIONS_MAX)
        {
            pages.push(unsigned(raw, "groundingChunkIndices")? as usize);
        }
    }
    if support.get("confidenceScores").is_some() {
        losses.add("groundingMetadata.groundingSupports.confidenceScores");
    }
    Ok(Some(Support {
        bytes: offset("startIndex")?..offset("endIndex")?,
        pages,
    }))
}

/// The characters of a stretch given in bytes.
fn characters(text: &str, bytes: &Range<u64>) -> Option<(u64, u64)> {
    let (start, end) = (bytes.start as usize, bytes.end as usize);
    let before = text.get(..start)?.chars().count();
    let inside = text.get(start..end)?.chars().count();
    Some((before as u64, (before + inside) as u64))
}

/// A citation to write: the stretch of the answer in bytes, and the page.
pub(super) struct Cited {
    bytes: Range<usize>,
    uri: String,
    title: Option<String>,
}

impl Cited {
    /// A citation of a piece of text that begins `before` bytes into the answer.
    pub(super) fn new(
        citation: &Citation<'_>,
        text: &Text<'_>,
        before: usize,
        losses: &mut Losses,
    ) -> Self {
        let offset = |character: u64| {
            let found = text.char_indices().nth(character as usize);
            found.map_or(text.len(), |(offset, _)| offset)
        };
        let (start, end) = match citation.span.filter(|_| text.len() <= TEXT_MAX) {
            Some((start, end)) => (offset(start), offset(end)),
            None => (0, text.len()),
        };
        Self::of(citation, before + start..before + end, losses)
    }

    /// A citation of a piece of text that has gone out: these bytes of the answer so far.
    pub(super) fn of_stream(
        citation: &Citation<'_>,
        piece: Range<usize>,
        losses: &mut Losses,
    ) -> Self {
        if citation.span.is_some() {
            losses.add("content.text.citations.span");
        }
        Self::of(citation, piece, losses)
    }

    fn of(citation: &Citation<'_>, bytes: Range<usize>, losses: &mut Losses) -> Self {
        if citation.cited_text.is_some() {
            losses.add("content.text.citations.cited_text");
        }
        if citation.reference.is_some() {
            losses.add("content.text.citations.reference");
        }
        Self {
            bytes,
            uri: citation.url.clone().into_owned(),
            title: citation.title.as_deref().map(str::to_owned),
        }
    }
}

/// Writes `groundingMetadata` when anything is cited.
pub(super) fn write(w: &mut Writer<'_>, cited: &[Cited]) {
    if cited.is_empty() {
        return;
    }
    w.key("groundingMetadata").open();
    w.key("groundingChunks").open_list();
    for citation in cited {
        w.open().key("web").open().member("uri", &citation.uri);
        w.member_if("title", citation.title.as_deref())
            .close()
            .close();
    }
    w.close_list().key("groundingSupports").open_list();
    for (index, citation) in cited.iter().enumerate() {
        w.open().key("segment").open();
        w.key("startIndex").unsigned(citation.bytes.start as u64);
        w.key("endIndex")
            .unsigned(citation.bytes.end as u64)
            .close();
        w.key("groundingChunkIndices").open_list();
        w.unsigned(index as u64).close_list().close();
    }
    w.close_list().close();
}
