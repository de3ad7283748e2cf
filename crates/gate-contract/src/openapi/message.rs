//! What an operation takes and gives: lists of parameters, bodies, responses.

use super::parameter::{Parameter, Style};
use super::read::Reader;
use super::{Encoding, MediaType, PARAMETERS_MAX, RequestBody, Response};
use gate_model::document::{Node, NodeKind, Path};
use std::collections::BTreeMap;

impl Reader<'_> {
    pub(super) fn parameters(&mut self, node: &Node, at: &Path) -> Vec<Parameter> {
        let at = at.key("parameters");
        let items = match node.get("parameters").map(|node| &node.kind) {
            None => return Vec::new(),
            Some(NodeKind::Sequence(items)) => items,
            Some(_) => {
                self.report(&at, "`parameters` is a list");
                return Vec::new();
            }
        };
        let mut parameters: Vec<Parameter> = Vec::new();
        for index in 0..items.len().min(PARAMETERS_MAX + 1) {
            let Some(parameter) = self.parameter(&at.index(index)) else {
                continue;
            };
            let is_same =
                |one: &Parameter| one.name == parameter.name && one.place == parameter.place;
            if parameters.iter().any(is_same) {
                let message = format!("the parameter `{}` stands twice", parameter.name);
                self.report(&at.index(index), message);
            }
            parameters.push(parameter);
        }
        parameters
    }

    pub(super) fn body(&mut self, path: &Path) -> Option<RequestBody> {
        let (at, node) = self.follow(path)?;
        Some(RequestBody {
            span: node.span,
            required: self.flag(node, &at, "required").unwrap_or(false),
            content: self.content(node, &at),
            at,
        })
    }

    fn content(&mut self, node: &Node, at: &Path) -> Vec<MediaType> {
        let at = at.key("content");
        let mut content = Vec::new();
        for (key, media) in node.get("content").map_or(&[][..], Node::entries) {
            let at = at.key(&key.text);
            let encodings = media.get("encoding").map_or(&[][..], Node::entries);
            let mut encoding = BTreeMap::new();
            for (property, settings) in encodings {
                let at = at.key("encoding").key(&property.text);
                let style = self.text(settings, &at, "style");
                let one = Encoding {
                    content_type: self.text(settings, &at, "contentType"),
                    style: style.as_deref().and_then(Style::of),
                    explode: self.flag(settings, &at, "explode"),
                };
                encoding.insert(property.text.clone(), one);
            }
            content.push(MediaType {
                name: key.text.clone(),
                span: media.span,
                schema: media.get("schema").map(|_| at.key("schema")),
                encoding,
                at,
            });
        }
        content
    }

    pub(super) fn responses(&mut self, node: &Node, at: &Path) -> Vec<Response> {
        let mut responses = Vec::new();
        for (key, _) in node.get("responses").map_or(&[][..], Node::entries) {
            if key.text.starts_with("x-") {
                continue;
            }
            let place = at.key("responses").key(&key.text);
            let status = match key.text.as_str() {
                "default" => "default".to_owned(),
                text => text.to_ascii_uppercase(),
            };
            if !is_status(&status) {
                self.report(&place, format!("`{}` is no status", key.text));
                continue;
            }
            let Some((at, node)) = self.follow(&place) else {
                continue;
            };
            let mut headers = Vec::new();
            for (name, _) in node.get("headers").map_or(&[][..], Node::entries) {
                if !name.text.eq_ignore_ascii_case("content-type") {
                    headers.extend(self.header(&at.key("headers").key(&name.text), &name.text));
                }
            }
            responses.push(Response {
                status,
                span: node.span,
                description: self.text(node, &at, "description").unwrap_or_default(),
                headers,
                content: self.content(node, &at),
                at,
            });
        }
        responses
    }
}

fn is_status(text: &str) -> bool {
    let is_number = || {
        text.len() == 3
            && text
                .parse()
                .is_ok_and(|code: u16| (100..600).contains(&code))
    };
    let is_class = || matches!(text.as_bytes(), [b'1'..=b'5', b'X', b'X']);
    text == "default" || is_number() || is_class()
}
