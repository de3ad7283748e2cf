//! Terraform files: resources `tidegate_KIND` as the documents they stand for.
//!
//! Attributes are the document's fields; the kind's plural is the document's. What only a run of
//! Terraform knows (variables, functions, other resources) is kept as text that begins with `${`,
//! which no rule complains about.

use super::subject::{KINDS, Subject, UNTOLD};
use gate_model::document::{Key, Node, NodeKind, Span};
use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey};
use hcl_edit::structure::{Block, Structure};
use std::sync::Arc;

/// Most bytes of a file.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Deepest nesting that is followed.
const DEPTH_MAX: usize = 64;

/// Reads the Tidegate resources of a Terraform file.
///
/// # Errors
/// A sentence with line and column, when the text is no HCL.
pub fn parse_terraform(text: &str, file: &str) -> Result<Subject, String> {
    if text.len() > BYTES_MAX {
        return Err(format!("{file}: the file is longer than {BYTES_MAX} bytes"));
    }
    let body = hcl_edit::parser::parse_body(text).map_err(|error| {
        let (line, column) = (error.location().line(), error.location().column());
        format!("{file}:{line}:{column}: {}", error.message())
    })?;
    let places = Places::new(text);
    let mut kinds: Vec<(Key, Node)> = Vec::new();
    for structure in &body {
        let Structure::Block(block) = structure else {
            continue;
        };
        let Some((kind, name, node)) = resource(block, &places) else {
            continue;
        };
        let key = |text: &str, span| Key {
            text: text.to_owned(),
            span,
        };
        let entry = (key(&name, node.span), node);
        match kinds.iter_mut().find(|(known, _)| known.text == kind) {
            Some((
                _,
                Node {
                    kind: NodeKind::Mapping(entries),
                    ..
                },
            )) => entries.push(entry),
            _ => {
                let span = entry.1.span;
                let mapping = Node {
                    span,
                    kind: NodeKind::Mapping(vec![entry]),
                };
                kinds.push((key(kind, span), mapping));
            }
        }
    }
    let root = Node::new(NodeKind::Mapping(kinds));
    Ok(Subject::of_node(file.into(), root))
}

/// The kind whose resources have this type in Terraform: `tidegate_route` is one of `routes`.
fn kind_of(resource: &str) -> Option<&'static str> {
    let singular = resource.strip_prefix("tidegate_")?;
    KINDS
        .into_iter()
        .find(|kind| kind.strip_suffix('s') == Some(singular))
}

/// A resource's kind, name and settings.
fn resource(block: &Block, places: &Places) -> Option<(&'static str, String, Node)> {
    if block.ident.as_str() != "resource" {
        return None;
    }
    let [kind, label] = &block.labels[..] else {
        return None;
    };
    let kind = kind_of(kind.as_str())?;
    let span = places.span(block.span());
    let mut node = Node {
        span,
        kind: NodeKind::Mapping(body(&block.body, places)),
    };
    let named = node.get("name").and_then(super::subject::text);
    let name = named.map_or_else(|| label.as_str().to_owned(), str::to_owned);
    if kind == "prices"
        && let Some(entries) = node.get("entries")
    {
        node = entries.clone();
    }
    Some((kind, name, node))
}

fn body(body: &hcl_edit::structure::Body, places: &Places) -> Vec<(Key, Node)> {
    const META: [&str; 6] = [
        "count",
        "for_each",
        "depends_on",
        "provider",
        "name",
        "environment",
    ];
    let mut entries = Vec::new();
    for attribute in body.attributes() {
        let name = attribute.key.as_str();
        // `name` is kept: it is read as the resource's name.
        if name != "name" && META.contains(&name) {
            continue;
        }
        let key = Key {
            text: name.to_owned(),
            span: places.span(attribute.key.span()),
        };
        entries.push((key, value(&attribute.value, places, 0)));
    }
    entries
}

fn value(expression: &Expression, places: &Places, depth: usize) -> Node {
    let span = places.span(expression.span());
    let kind = match expression {
        _ if depth > DEPTH_MAX => untold(expression),
        Expression::Null(_) => NodeKind::Null,
        Expression::Bool(flag) => NodeKind::Bool(**flag),
        Expression::Number(number) => match number.value().as_i64() {
            Some(whole) => NodeKind::Integer(whole.into()),
            None => number
                .value()
                .as_f64()
                .map_or(NodeKind::Null, NodeKind::Float),
        },
        Expression::String(text) => NodeKind::String(text.as_str().to_owned()),
        Expression::Array(items) => {
            let items = items.iter();
            NodeKind::Sequence(items.map(|item| value(item, places, depth + 1)).collect())
        }
        Expression::Object(object) => {
            let mut entries = Vec::new();
            for (key, item) in object {
                let name = match key {
                    ObjectKey::Ident(ident) => ident.as_str().to_owned(),
                    ObjectKey::Expression(Expression::String(text)) => text.as_str().to_owned(),
                    ObjectKey::Expression(_) => continue,
                };
                let node = value(item.expr(), places, depth + 1);
                let span = node.span;
                entries.push((Key { text: name, span }, node));
            }
            NodeKind::Mapping(entries)
        }
        Expression::Parenthesis(inner) => return value(inner.inner(), places, depth + 1),
        // What has no schema is written as JSON text there, and is a value here.
        Expression::FuncCall(call)
            if call.name.name.as_str() == "jsonencode" && call.args.iter().count() == 1 =>
        {
            match call.args.iter().next() {
                Some(inner) => return value(inner, places, depth + 1),
                None => untold(expression),
            }
        }
        other => untold(other),
    };
    Node { span, kind }
}

/// A value that only Terraform knows. A template keeps what its file says of it.
fn untold(expression: &Expression) -> NodeKind {
    let text = match expression {
        Expression::StringTemplate(_) => expression.to_string(),
        _ => String::new(),
    };
    NodeKind::String(format!("{UNTOLD}{}", text.trim()))
}

/// From offsets to lines and columns.
struct Places {
    /// Where each line begins.
    lines: Vec<usize>,
    text: Arc<str>,
}

impl Places {
    fn new(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self {
            lines: std::iter::once(0)
                .chain(ends.map(|(at, _)| at + 1))
                .collect(),
            text: text.into(),
        }
    }

    fn place(&self, offset: usize) -> (u32, u32) {
        let line = self.lines.partition_point(|begin| *begin <= offset) - 1;
        let before = self.text.get(self.lines[line]..offset).unwrap_or_default();
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        (narrow(line + 1), narrow(before.chars().count() + 1))
    }

    fn span(&self, range: Option<std::ops::Range<usize>>) -> Span {
        let Some(range) = range else {
            return Span::default();
        };
        let ((line, column), (end_line, end_column)) =
            (self.place(range.start), self.place(range.end));
        Span {
            line,
            column,
            end_line,
            end_column,
        }
    }
}
