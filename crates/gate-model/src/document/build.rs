//! A tree out of the YAML scanner's events.
//!
//! The grammar is saphyr-parser's; the builder keeps an explicit stack, so that hostile nesting
//! costs no call stack. It refuses what would let two readers disagree (duplicate keys, several
//! documents) and resolves what only the file format has: anchors and aliases, within a budget of
//! copies, and merge keys (`<<`).

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as YamlSpan, StrInput, Tag};

use super::node::{Key, Node, NodeKind, Span};
use super::parse::{
    DEPTH_MAX, EXPANSION_BYTES_MAX, EXPANSION_NODES_MAX, FINDINGS_MAX, KEY_BYTES_MAX, NODES_MAX,
    narrow,
};
use super::path::{Path, Segment};
use super::problem::{
    duplicate_key, key_finding, merge_finding, scalar_finding, several_documents, syntax_help,
};
use super::scalar::{self, ScalarError};
use crate::finding::Finding;

/// A list or mapping whose end has not been read.
struct Frame {
    span: Span,
    anchor: usize,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping(MappingContent),
}

#[derive(Default)]
struct MappingContent {
    entries: Vec<(Key, Node)>,
    places: HashMap<String, Span>,
    /// The key whose value comes next.
    pending: Option<Pending>,
    /// Mappings to merge in, first wins.
    merged: Vec<Node>,
}

enum Pending {
    Entry(Key),
    Merge(Span),
    /// The key has been refused; its value is read and dropped.
    Refused(Key),
}

/// What copying a subtree costs.
#[derive(Clone, Copy)]
struct Size {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

pub(super) struct Builder<'f> {
    stack: Vec<Frame>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, Size)>,
    nodes: usize,
    expanded: Size,
    findings: &'f mut Vec<Finding>,
}

impl<'f> Builder<'f> {
    pub(super) fn new(findings: &'f mut Vec<Finding>) -> Builder<'f> {
        Builder {
            stack: Vec::new(),
            root: None,
            anchors: HashMap::new(),
            nodes: 0,
            expanded: Size {
                nodes: 0,
                bytes: 0,
                depth: 0,
            },
            findings,
        }
    }

    /// Runs through all events; `Err` carries the finding that made going on pointless.
    pub(super) fn read(mut self, text: &str) -> Result<Node, Finding> {
        let mut parser = Parser::new(StrInput::new(text));
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let span = span_of(span);
            match event {
                Event::DocumentStart(_) if documents > 0 => return Err(several_documents(span)),
                Event::DocumentStart(_) => documents += 1,
                Event::Nothing | Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::Scalar(text, style, anchor, tag) => {
                    self.scalar(&text, style, anchor, tag.as_deref(), span)?;
                }
                Event::SequenceStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), "seq", span)?;
                    self.open(Content::Sequence(Vec::new()), anchor, span)?;
                }
                Event::MappingStart(anchor, tag) => {
                    self.check_tag(tag.as_deref(), "map", span)?;
                    self.open(Content::Mapping(MappingContent::default()), anchor, span)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            }
        }
        Ok(match self.root {
            Some(Node {
                kind: NodeKind::Null,
                span,
            }) => Node {
                kind: NodeKind::Mapping(Vec::new()),
                span,
            },
            Some(node) => node,
            None => Node {
                kind: NodeKind::Mapping(Vec::new()),
                span: Span {
                    line: 1,
                    column: 1,
                    end_line: 1,
                    end_column: 1,
                },
            },
        })
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> Result<(), Finding> {
        let kind = match tag {
            None if style == ScalarStyle::Plain => scalar::plain(text),
            None => Ok(NodeKind::String(text.to_owned())),
            Some(tag) if tag.is_yaml_core_schema() => scalar::tagged(&tag.suffix, text),
            // The non-specific tag `!` says: not plain, so text (YAML 1.2.2, section 6.9.1).
            Some(tag) if is_non_specific(tag) => Ok(NodeKind::String(text.to_owned())),
            Some(_) => Err(ScalarError::UnknownTag),
        };
        if self.awaits_key() {
            if anchor > 0 {
                let node = Node {
                    span,
                    kind: NodeKind::String(text.to_owned()),
                };
                self.keep_anchor(anchor, &node)?;
            }
            let plain = tag.is_none() && style == ScalarStyle::Plain;
            return self.key(text, kind, plain, span);
        }
        let kind = kind.unwrap_or_else(|error| {
            let finding = scalar_finding(error, self.path(), tag).at(span);
            self.report(finding);
            NodeKind::Null
        });
        self.count(span)?;
        self.accept(Node { span, kind }, anchor)
    }

    /// A scalar in the place of a key.
    fn key(
        &mut self,
        text: &str,
        kind: Result<NodeKind, ScalarError>,
        plain: bool,
        span: Span,
    ) -> Result<(), Finding> {
        if plain && text == "<<" {
            let repeated = self.mapping().places.insert("<<".to_owned(), span);
            if let Some(first) = repeated {
                let finding = duplicate_key("<<", first, self.path().key("<<")).at(span);
                self.report(finding);
            }
            self.mapping().pending = Some(Pending::Merge(span));
            return Ok(());
        }
        let key = Key {
            text: text.to_owned(),
            span,
        };
        let refusal = match kind {
            Ok(NodeKind::String(_) | NodeKind::Integer(_)) | Err(ScalarError::Range) => None,
            Ok(NodeKind::Null) => Some("null"),
            Ok(NodeKind::Bool(_)) => Some("a boolean"),
            Ok(_) | Err(ScalarError::NotFinite) => Some("a fractional number"),
            Err(error) => return Err(scalar_finding(error, self.path(), None).at(span)),
        };
        let problem = refusal.map(|found| key_finding(found, text, self.path()));
        let problem = problem.or_else(|| self.check_key(&key));
        if let Some(finding) = problem {
            self.report(finding.at(span));
            self.mapping().pending = Some(Pending::Refused(key));
            return Ok(());
        }
        self.mapping().places.insert(key.text.clone(), span);
        self.mapping().pending = Some(Pending::Entry(key));
        Ok(())
    }

    /// Length, characters and uniqueness of a key.
    fn check_key(&mut self, key: &Key) -> Option<Finding> {
        if key.text.len() > KEY_BYTES_MAX {
            let message = format!("the key has {} bytes", key.text.len());
            return Some(
                Finding::error("key_too_long", self.path(), message)
                    .expected(format!("a key of at most {KEY_BYTES_MAX} bytes")),
            );
        }
        if key.text.chars().any(char::is_control) {
            let message = format!("the key {:?} holds a control character", key.text);
            return Some(Finding::error("key_malformed", self.path(), message));
        }
        let first = *self.mapping().places.get(&key.text)?;
        let path = self.path().key(key.text.clone());
        Some(duplicate_key(&key.text, first, path))
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Finding> {
        if self.awaits_key() {
            return Err(
                Finding::error("key_not_text", self.path(), "found an alias as a key")
                    .expected("a key written as text")
                    .at(span),
            );
        }
        let Some(size) = self.anchors.get(&anchor).map(|(_, size)| *size) else {
            let message = "the alias stands inside the value that it names";
            return Err(Finding::error("alias_cycle", self.path(), message).at(span));
        };
        if self.stack.len() + size.depth > DEPTH_MAX {
            return Err(self.too_deep(span));
        }
        self.expand(size, span)?;
        self.nodes += size.nodes - 1;
        self.count(span)?;
        let node = self.anchors.get(&anchor).map(|(node, _)| node.clone());
        node.map_or(Ok(()), |node| self.accept(node, 0))
    }

    fn open(&mut self, content: Content, anchor: usize, span: Span) -> Result<(), Finding> {
        if self.awaits_key() {
            let message = "found a list or mapping as a key";
            return Err(Finding::error("key_not_text", self.path(), message)
                .expected("a key written as text")
                .help("text that starts with `{` or `[` needs quotes")
                .at(span));
        }
        if self.stack.len() >= DEPTH_MAX {
            return Err(self.too_deep(span));
        }
        self.count(span)?;
        self.stack.push(Frame {
            span,
            anchor,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Finding> {
        let Some(frame) = self.stack.pop() else {
            return Err(
                Finding::error("syntax", Path::root(), "found an end without a start").at(end),
            );
        };
        let kind = match frame.content {
            Content::Sequence(mut items) => {
                items.shrink_to_fit();
                NodeKind::Sequence(items)
            }
            Content::Mapping(mapping) => {
                let mut entries = merge(mapping);
                entries.shrink_to_fit();
                NodeKind::Mapping(entries)
            }
        };
        let span = Span {
            end_line: end.end_line,
            end_column: end.end_column,
            ..frame.span
        };
        self.accept(Node { span, kind }, frame.anchor)
    }

    /// Puts a finished value where the stack's top wants it.
    fn accept(&mut self, node: Node, anchor: usize) -> Result<(), Finding> {
        if anchor > 0 {
            self.keep_anchor(anchor, &node)?;
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping(mapping) => match mapping.pending.take() {
                Some(Pending::Entry(key)) => mapping.entries.push((key, node)),
                Some(Pending::Merge(span)) => match mappings_of(node) {
                    Some(found) => mapping.merged.extend(found),
                    None => {
                        let path = self.path().key("<<");
                        self.report(merge_finding(path).at(span));
                    }
                },
                Some(Pending::Refused(_)) | None => {}
            },
        }
        Ok(())
    }

    fn keep_anchor(&mut self, anchor: usize, node: &Node) -> Result<(), Finding> {
        let size = size_of(node);
        self.expand(size, node.span)?;
        self.anchors.insert(anchor, (node.clone(), size));
        Ok(())
    }

    /// Charges a copy to the budget that keeps "a billion laughs" harmless.
    fn expand(&mut self, size: Size, span: Span) -> Result<(), Finding> {
        self.expanded.nodes += size.nodes;
        self.expanded.bytes += size.bytes;
        if self.expanded.nodes <= EXPANSION_NODES_MAX && self.expanded.bytes <= EXPANSION_BYTES_MAX
        {
            return Ok(());
        }
        let message = "the anchors and aliases expand to too much";
        Err(Finding::error("alias_expansion", self.path(), message)
            .expected(format!(
                "at most {EXPANSION_NODES_MAX} values and {EXPANSION_BYTES_MAX} bytes copied"
            ))
            .at(span))
    }

    fn count(&mut self, span: Span) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        Err(Finding::error(
            "document_too_large",
            self.path(),
            "the document has too many values",
        )
        .expected(format!("at most {NODES_MAX} values"))
        .at(span))
    }

    fn too_deep(&self, span: Span) -> Finding {
        Finding::error("document_too_deep", self.path(), "the nesting is too deep")
            .expected(format!("at most {DEPTH_MAX} levels"))
            .at(span)
    }

    fn check_tag(&self, tag: Option<&Tag>, name: &str, span: Span) -> Result<(), Finding> {
        match tag {
            Some(tag)
                if !is_non_specific(tag) && (!tag.is_yaml_core_schema() || tag.suffix != name) =>
            {
                Err(scalar_finding(ScalarError::UnknownTag, self.path(), Some(tag)).at(span))
            }
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(
            self.stack.last(),
            Some(Frame {
                content: Content::Mapping(MappingContent { pending: None, .. }),
                ..
            })
        )
    }

    /// The mapping that awaits a key; callers have asked [`Builder::awaits_key`].
    fn mapping(&mut self) -> &mut MappingContent {
        match self.stack.last_mut() {
            Some(Frame {
                content: Content::Mapping(mapping),
                ..
            }) => mapping,
            _ => unreachable!("keys are only read while a mapping is on top of the stack"),
        }
    }

    /// Where the next value goes.
    fn path(&self) -> Path {
        let step = |frame: &Frame| match &frame.content {
            Content::Sequence(items) => Some(Segment::Index(items.len())),
            Content::Mapping(mapping) => match &mapping.pending {
                Some(Pending::Entry(key) | Pending::Refused(key)) => {
                    Some(Segment::Key(key.text.clone()))
                }
                Some(Pending::Merge(_)) => Some(Segment::Key("<<".to_owned())),
                None => None,
            },
        };
        self.stack.iter().filter_map(step).collect()
    }

    fn report(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding);
        }
    }

    fn syntax(&self, error: &ScanError) -> Finding {
        let info = error.info();
        let finding = Finding::error("syntax", self.path(), info)
            .at(span_of(YamlSpan::empty(*error.marker())));
        match syntax_help(info) {
            Some(help) => finding.help(help),
            None => finding,
        }
    }
}

/// The scanner counts lines from 1 and columns from 0.
fn span_of(span: YamlSpan) -> Span {
    Span {
        line: narrow(span.start.line()),
        column: narrow(span.start.col() + 1),
        end_line: narrow(span.end.line()),
        end_column: narrow(span.end.col() + 1),
    }
}

fn is_non_specific(tag: &Tag) -> bool {
    (tag.handle == "!" && tag.suffix.is_empty()) || (tag.handle.is_empty() && tag.suffix == "!")
}

/// The mappings that a merge key's value stands for.
fn mappings_of(node: Node) -> Option<Vec<Node>> {
    match node.kind {
        NodeKind::Mapping(_) => Some(vec![node]),
        NodeKind::Sequence(items) => {
            let all = items
                .iter()
                .all(|item| matches!(item.kind, NodeKind::Mapping(_)));
            all.then_some(items)
        }
        _ => None,
    }
}

/// Own entries first, then those of merged mappings whose keys are still free.
fn merge(mapping: MappingContent) -> Vec<(Key, Node)> {
    let MappingContent {
        mut entries,
        merged,
        ..
    } = mapping;
    if merged.is_empty() {
        return entries;
    }
    let mut taken: HashSet<String> = entries.iter().map(|(key, _)| key.text.clone()).collect();
    for node in merged {
        let NodeKind::Mapping(more) = node.kind else {
            continue;
        };
        entries.extend(
            more.into_iter()
                .filter(|(key, _)| taken.insert(key.text.clone())),
        );
    }
    entries
}

fn size_of(node: &Node) -> Size {
    let nests = matches!(node.kind, NodeKind::Sequence(_) | NodeKind::Mapping(_));
    let mut size = Size {
        nodes: 1,
        bytes: 0,
        depth: usize::from(nests),
    };
    let mut add = |child: &Node, key_bytes: usize| {
        let below = size_of(child);
        size.nodes += below.nodes;
        size.bytes += below.bytes + key_bytes;
        size.depth = size.depth.max(below.depth + 1);
    };
    match &node.kind {
        NodeKind::Sequence(items) => items.iter().for_each(|item| add(item, 0)),
        NodeKind::Mapping(entries) => {
            entries
                .iter()
                .for_each(|(key, value)| add(value, key.text.len()));
        }
        NodeKind::String(text) => size.bytes = text.len(),
        _ => {}
    }
    size
}
