//! Request bodies, responses, their media types and headers.

use super::levels::Stand;
use super::schema::Scope;
use super::spec::{text, truth};
use super::{Compare, Severity};
use gate_kit::order::Gather;
use gate_model::document::Node;
use std::collections::BTreeSet;

/// The part of a media type in front of its parameters, in lower case.
fn essence(media: &str) -> String {
    media
        .split(';')
        .next()
        .unwrap_or(media)
        .trim()
        .to_ascii_lowercase()
}

/// Whether values of this media type have no types of their own.
fn is_loose(media: &str) -> bool {
    let essence = essence(media);
    let typed = ["json", "yaml", "cbor", "msgpack"];
    !typed.iter().any(|word| essence.contains(word)) && essence != "*/*"
}

impl<'a> Compare<'a> {
    /// The request bodies of one operation.
    pub(super) fn request_bodies(&mut self, old: &'a Node, new: &'a Node) {
        let body = |operation: &'a Node| operation.get("requestBody");
        let required = |node: &'a Node| node.get("required").is_some_and(truth);
        let sent = self.sent(Stand::RequestBody);
        match (body(old), body(new)) {
            (None, None) => {}
            (None, Some(is)) => {
                let asked = required(self.new.follow(is));
                let (word, severity) = match asked {
                    true if sent => ("required", Severity::Breaking),
                    true => ("required", Severity::Info),
                    false => ("optional", Severity::Info),
                };
                let message = format!("a {word} request body is new");
                self.tell(
                    format!("request-body-added-{word}"),
                    severity,
                    message,
                    Some(old),
                    Some(is),
                );
            }
            (Some(was), None) => {
                let message = "the request body was removed".to_owned();
                self.tell(
                    "request-body-removed",
                    Severity::Breaking,
                    message,
                    Some(was),
                    Some(new),
                );
            }
            (Some(was), Some(is)) => {
                let (was, is) = (self.old.follow(was), self.new.follow(is));
                let asked = (required(was), required(is));
                if asked.0 != asked.1 {
                    let word = if asked.1 { "required" } else { "optional" };
                    let worse = asked.1 == sent;
                    let severity = if worse {
                        Severity::Breaking
                    } else {
                        Severity::Info
                    };
                    let message = format!("the request body became {word}");
                    self.tell(
                        format!("request-body-became-{word}"),
                        severity,
                        message,
                        Some(was),
                        Some(is),
                    );
                }
                self.media_types(Stand::RequestBody, "request body", was, is);
            }
        }
    }

    /// The responses of one operation.
    pub(super) fn responses(&mut self, old: &'a Node, new: &'a Node) {
        let entries = |node: &'a Node| node.get("responses").map_or(&[][..], Node::entries);
        let (was, is) = (old.get("responses"), new.get("responses"));
        for (key, response) in entries(old) {
            let status = &*key.text;
            match is.and_then(|is| is.get(status)) {
                Some(now) => self.response(status, response, now),
                None if status.starts_with("x-") => {}
                None => {
                    let (rule, severity) = match is_success(status) {
                        true => ("response-success-status-removed", Severity::Breaking),
                        false => ("response-non-success-status-removed", Severity::Info),
                    };
                    let message = format!("the response {status} was removed");
                    self.tell(rule, severity, message, Some(response), is.or(Some(new)));
                }
            }
        }
        for (key, response) in entries(new) {
            let status = &*key.text;
            if status.starts_with("x-") || was.and_then(|was| was.get(status)).is_some() {
                continue;
            }
            let rule = match is_success(status) {
                true => "response-success-status-added",
                false => "response-non-success-status-added",
            };
            let message = format!("the response {status} is new");
            self.tell(
                rule,
                Severity::Info,
                message,
                was.or(Some(old)),
                Some(response),
            );
        }
    }

    fn response(&mut self, status: &str, old: &'a Node, new: &'a Node) {
        let (old, new) = (self.old.follow(old), self.new.follow(new));
        let subject = format!("response {status}");
        self.media_types(Stand::ResponseBody, &subject, old, new);
        self.response_headers(status, old, new);
    }

    fn media_types(&mut self, stand: Stand, subject: &str, old: &'a Node, new: &'a Node) {
        let entries = |node: &'a Node| node.get("content").map_or(&[][..], Node::entries);
        let (was, is) = (entries(old), entries(new));
        let mut known = BTreeSet::new();
        for (key, media) in was {
            let name = &*key.text;
            let exact = is
                .iter()
                .find(|(other, _)| other.text.eq_ignore_ascii_case(name));
            let alike = || {
                let kept = |other: &str| {
                    was.iter()
                        .any(|(known, _)| known.text.eq_ignore_ascii_case(other))
                };
                let alike = |other: &str| essence(other) == essence(name) && !kept(other);
                is.iter().find(|(other, _)| alike(&other.text))
            };
            match exact.or_else(alike) {
                Some((other, now)) => {
                    known.insert(&*other.text);
                    if !other.text.eq_ignore_ascii_case(name) {
                        self.renamed(stand, subject, (name, media), (&other.text, now));
                    }
                    self.media(stand, subject, name, media, now);
                }
                None => {
                    let message = format!("the media type `{name}` of the {subject} was removed");
                    let rule = rule(stand, "media-type-removed");
                    self.tell(rule, Severity::Breaking, message, Some(media), Some(new));
                }
            }
        }
        for (key, media) in is {
            if !known.contains(&*key.text) {
                let message = format!("the media type `{}` of the {subject} is new", key.text);
                let rule = rule(stand, "media-type-added");
                self.tell(rule, Severity::Info, message, Some(old), Some(media));
            }
        }
    }

    /// A media type whose parameters changed: fewer of them say less.
    fn renamed(
        &mut self,
        stand: Stand,
        subject: &str,
        (was, old): (&str, &'a Node),
        (is, new): (&str, &'a Node),
    ) {
        let parameters = |media: &str| -> BTreeSet<String> {
            let rest = media.split(';').skip(1);
            rest.map(|part| part.trim().to_ascii_lowercase()).into_set()
        };
        let (fewer, more) = (parameters(is), parameters(was));
        let sent = self.sent(stand);
        let (suffix, severity) = match (fewer.is_subset(&more), more.is_subset(&fewer)) {
            (true, false) if sent => ("generalized", Severity::Info),
            (true, false) => ("generalized", Severity::Breaking),
            (false, true) if sent => ("specialized", Severity::Breaking),
            (false, true) => ("specialized", Severity::Info),
            _ => ("changed", Severity::Info),
        };
        let message = format!("the media type `{was}` of the {subject} became `{is}`");
        let rule = rule(stand, &format!("media-type-name-{suffix}"));
        self.tell(rule, severity, message, Some(old), Some(new));
    }

    fn media(&mut self, stand: Stand, subject: &str, name: &str, old: &'a Node, new: &'a Node) {
        let scope = Scope::new(stand, format!("{subject} ({name})")).loose(is_loose(name));
        let sent = self.sent(stand);
        match (old.get("schema"), new.get("schema")) {
            (Some(old), Some(new)) => self.root(&scope, old, new),
            (None, Some(schema)) => {
                let severity = if sent {
                    Severity::Breaking
                } else {
                    Severity::Info
                };
                let message = format!("the {} has a schema now", scope.subject);
                let rule = format!("{}-media-type-schema-added", stand.prefix(false));
                self.tell(rule, severity, message, Some(old), Some(schema));
            }
            (Some(schema), None) => {
                let severity = if sent {
                    Severity::Info
                } else {
                    Severity::Warning
                };
                let message = format!("the {} has no schema now", scope.subject);
                let rule = format!("{}-media-type-schema-removed", stand.prefix(false));
                self.tell(rule, severity, message, Some(schema), Some(new));
            }
            (None, None) => {}
        }
    }

    fn response_headers(&mut self, status: &str, old: &'a Node, new: &'a Node) {
        let entries = |node: &'a Node| node.get("headers").map_or(&[][..], Node::entries);
        let find = |node: &'a Node, name: &str| {
            entries(node)
                .iter()
                .find(|(key, _)| key.text.eq_ignore_ascii_case(name))
                .map(|(_, header)| header)
        };
        let required = |header: &'a Node| header.get("required").is_some_and(truth);
        for (key, header) in entries(old) {
            let was = self.old.follow(header);
            let Some(is) = find(new, &key.text).map(|header| self.new.follow(header)) else {
                let (kind, severity) = match required(was) {
                    true => ("required", Severity::Breaking),
                    false => ("optional", Severity::Warning),
                };
                let message = format!("the header `{}` of response {status} was removed", key.text);
                let rule = format!("{kind}-response-header-removed");
                self.tell(rule, severity, message, Some(header), Some(new));
                continue;
            };
            if required(was) != required(is) {
                let (word, severity) = match required(is) {
                    true => ("required", Severity::Info),
                    false => ("optional", Severity::Breaking),
                };
                let message = format!(
                    "the header `{}` of response {status} became {word}",
                    key.text
                );
                self.tell(
                    format!("response-header-became-{word}"),
                    severity,
                    message,
                    Some(was),
                    Some(is),
                );
            }
            if let (Some(was), Some(is)) = (was.get("schema"), is.get("schema")) {
                let subject = format!("header `{}` of response {status}", key.text);
                self.root(
                    &Scope::new(Stand::ResponseHeader, subject).loose(true),
                    was,
                    is,
                );
            }
        }
        for (key, header) in entries(new) {
            if find(old, &key.text).is_none() {
                let message = format!("the header `{}` of response {status} is new", key.text);
                self.tell(
                    "response-header-added",
                    Severity::Info,
                    message,
                    Some(old),
                    Some(header),
                );
            }
        }
    }
}

fn rule(stand: Stand, suffix: &str) -> String {
    match stand {
        Stand::RequestBody => format!("request-body-{suffix}"),
        _ => format!("response-{suffix}"),
    }
}

fn is_success(status: &str) -> bool {
    status.starts_with('2')
}

/// Text of a field, or nothing.
pub(super) fn field<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    node.get(name).and_then(text)
}
