//! Parameters in path, query, header and cookie.

use super::bodies::field;
use super::levels::Stand;
use super::lifecycle::{Thing, sunset};
use super::schema::Scope;
use super::spec::{items, truth};
use super::{Compare, Severity, Spec};
use gate_model::document::Node;

/// A parameter as it counts for an operation.
struct Parameter<'a> {
    name: &'a str,
    place: &'a str,
    /// As it is told apart: names of headers in lower case, parameters of paths by their position.
    key: String,
    node: &'a Node,
    /// Whether it stands at the path and not at the operation.
    is_common: bool,
}

impl Parameter<'_> {
    fn shown(&self) -> String {
        format!("{} parameter `{}`", self.place, self.name)
    }

    fn is_required(&self) -> bool {
        self.place == "path" || self.node.get("required").is_some_and(truth)
    }
}

impl<'a> Compare<'a> {
    pub(super) fn parameters(
        &mut self,
        (old_path, old_item, old): (&str, &'a Node, &'a Node),
        (new_path, new_item, new): (&str, &'a Node, &'a Node),
    ) {
        let was = collect(&self.old, old_path, old_item, old);
        let is = collect(&self.new, new_path, new_item, new);
        for parameter in &was {
            match is.iter().find(|other| other.key == parameter.key) {
                Some(other) => self.parameter(parameter, other),
                None => self.parameter_gone(parameter, new),
            }
        }
        for parameter in &is {
            if !was.iter().any(|other| other.key == parameter.key) {
                self.parameter_new(parameter, old);
            }
        }
    }

    fn parameter_gone(&mut self, parameter: &Parameter<'a>, new: &'a Node) {
        let node = parameter.node;
        let deprecated = node.get("deprecated").is_some_and(truth);
        let (rule, severity) = match sunset(node) {
            Some(Err(_)) if deprecated => ("request-parameter-sunset-parse", Severity::Breaking),
            Some(Ok(day)) if deprecated && day > self.options.today => (
                "request-parameter-removed-before-sunset",
                Severity::Breaking,
            ),
            _ if deprecated => ("request-parameter-removed-with-deprecation", Severity::Info),
            _ => ("request-parameter-removed", Severity::Warning),
        };
        let message = format!("the {} was removed", parameter.shown());
        self.tell(rule, severity, message, Some(node), Some(new));
    }

    fn parameter_new(&mut self, parameter: &Parameter<'a>, old: &'a Node) {
        let required = parameter.is_required();
        let kind = if required { "required" } else { "optional" };
        let rule = match (parameter.place, parameter.is_common) {
            ("path", _) => "new-request-path-parameter".to_owned(),
            (_, true) => format!("new-{kind}-request-default-parameter-to-existing-path"),
            (_, false) => format!("new-{kind}-request-parameter"),
        };
        let breaks = required && self.sent(Stand::Parameter);
        let severity = if breaks {
            Severity::Breaking
        } else {
            Severity::Info
        };
        let message = format!("the {} is new and {kind}", parameter.shown());
        self.tell(rule, severity, message, Some(old), Some(parameter.node));
    }

    fn parameter(&mut self, old: &Parameter<'a>, new: &Parameter<'a>) {
        let (was, is) = (old.node, new.node);
        let (asked, asks) = (old.is_required(), new.is_required());
        if asked != asks {
            let word = if asks { "required" } else { "optional" };
            let severity = match asks == self.sent(Stand::Parameter) {
                true => Severity::Breaking,
                false => Severity::Info,
            };
            let message = format!("the {} became {word}", new.shown());
            let rule = format!("request-parameter-became-{word}");
            self.tell(rule, severity, message, Some(was), Some(is));
        }
        self.lifecycle(&Thing::Parameter(new.shown()), was, is);
        for (keyword, before, now) in written(old, new) {
            let message = format!("the {} has {keyword} {now}, formerly {before}", new.shown());
            let rule = format!("request-parameter-{keyword}-changed");
            self.tell(rule, Severity::Breaking, message, Some(was), Some(is));
        }
        match (schema(was), schema(is)) {
            (Some((before, media)), Some((after, now))) => {
                if media != now {
                    let shown = |media: Option<&str>| media.unwrap_or("none").to_owned();
                    let message = format!(
                        "the parameter's media type is {}, formerly {}",
                        shown(now),
                        shown(media)
                    );
                    let rule = "request-parameter-media-type-changed";
                    self.tell(rule, Severity::Breaking, message, Some(was), Some(is));
                }
                let scope = Scope::new(Stand::Parameter, new.shown());
                self.root(&scope.loose(media.is_none()), before, after);
            }
            (None, Some((schema, _))) => {
                let message = "the parameter has a schema now".to_owned();
                let rule = "request-parameter-schema-added";
                self.tell(rule, Severity::Warning, message, Some(was), Some(schema));
            }
            _ => {}
        }
    }
}

/// How values are written, where that changed: keyword, before, now.
fn written(old: &Parameter<'_>, new: &Parameter<'_>) -> Vec<(&'static str, String, String)> {
    let style = |parameter: &Parameter<'_>| {
        let usual = match parameter.place {
            "path" | "header" => "simple",
            _ => "form",
        };
        field(parameter.node, "style").unwrap_or(usual).to_owned()
    };
    let explode = |parameter: &Parameter<'_>| {
        let usual = style(parameter) == "form";
        parameter
            .node
            .get("explode")
            .map_or(usual, truth)
            .to_string()
    };
    let mut found = Vec::new();
    if style(old) != style(new) {
        found.push(("style", style(old), style(new)));
    } else if explode(old) != explode(new) && is_structured(new.node) {
        found.push(("explode", explode(old), explode(new)));
    }
    found
}

/// Whether values may be lists or objects, so that it matters how they are written.
fn is_structured(node: &Node) -> bool {
    let schema = node.get("schema");
    let kind = schema.and_then(|schema| field(schema, "type"));
    !matches!(kind, Some("string" | "integer" | "number" | "boolean"))
}

/// A parameter's schema, with the media type it is written in where it has one.
fn schema(node: &Node) -> Option<(&Node, Option<&str>)> {
    if let Some(schema) = node.get("schema") {
        return Some((schema, None));
    }
    let (key, media) = node.get("content")?.entries().first()?;
    Some((media.get("schema")?, Some(&key.text)))
}

/// Those of the path that the operation does not say otherwise of, and those of the operation.
fn collect<'a>(
    spec: &Spec<'a>,
    path: &str,
    item: &'a Node,
    operation: &'a Node,
) -> Vec<Parameter<'a>> {
    let names: Vec<&str> = path
        .split('{')
        .skip(1)
        .filter_map(|part| Some(part.split_once('}')?.0))
        .collect();
    let mut all: Vec<Parameter<'a>> = Vec::new();
    for (node, is_common) in [(operation, false), (item, true)] {
        let list = node.get("parameters").map_or(&[][..], items);
        for node in list {
            let node = spec.follow(node);
            let (Some(name), Some(place)) = (field(node, "name"), field(node, "in")) else {
                continue;
            };
            let key = match place {
                "header" => format!("header {}", name.to_ascii_lowercase()),
                // Paths match whatever their parameters are called.
                "path" => match names.iter().position(|known| *known == name) {
                    Some(position) => format!("path {position}"),
                    None => format!("path {name}"),
                },
                _ => format!("{place} {name}"),
            };
            if !all.iter().any(|known| known.key == key) {
                all.push(Parameter {
                    name,
                    place,
                    key,
                    node,
                    is_common,
                });
            }
        }
    }
    all
}
