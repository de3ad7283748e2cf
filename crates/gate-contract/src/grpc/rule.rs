//! Ways to call methods over HTTP, from their annotations (google/api/http.proto).

use super::template::Template;
use prost_reflect::{
    DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor,
};

/// One way to call a method over HTTP.
#[derive(Debug)]
pub(super) struct Rule {
    /// Upper case; empty for any.
    pub(super) verb: String,
    pub(super) template: Template,
    pub(super) body: Selector,
    pub(super) response: Option<FieldDescriptor>,
    pub(super) method: MethodDescriptor,
}

#[derive(Debug)]
pub(super) enum Selector {
    Nothing,
    Everything,
    Field(FieldDescriptor),
}

/// The rules that a method's annotation holds.
pub(super) fn annotated(
    method: &MethodDescriptor,
    extension: &ExtensionDescriptor,
    rules: &mut Vec<Rule>,
) -> Result<(), String> {
    let options = method.options();
    if !options.has_extension(extension) {
        return Ok(());
    }
    let annotation = options.get_extension(extension);
    let Some(rule) = annotation.as_message() else {
        return Ok(());
    };
    rules.push(of(method, rule)?);
    let more = rule.get_field_by_name("additional_bindings");
    for one in more.iter().filter_map(|list| list.as_list()).flatten() {
        if let Some(rule) = one.as_message() {
            rules.push(of(method, rule)?);
        }
    }
    Ok(())
}

fn text(message: &DynamicMessage, field: &str) -> String {
    let value = message.get_field_by_name(field);
    value
        .and_then(|value| value.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn of(method: &MethodDescriptor, rule: &DynamicMessage) -> Result<Rule, String> {
    let wrong = |what: String| format!("the rule of `{}` {what}", method.full_name());
    let mut verb = String::new();
    let mut path = String::new();
    for name in ["get", "put", "post", "delete", "patch"] {
        if rule.has_field_by_name(name) {
            verb = name.to_ascii_uppercase();
            path = text(rule, name);
        }
    }
    if let Some(custom) = rule
        .get_field_by_name("custom")
        .filter(|_| rule.has_field_by_name("custom"))
        && let Some(custom) = custom.as_message()
    {
        verb = match text(custom, "kind").as_str() {
            "*" => String::new(),
            kind => kind.to_ascii_uppercase(),
        };
        path = text(custom, "path");
    }
    let template =
        Template::new(&path).map_err(|message| wrong(format!("has a path that {message}")))?;
    for name in template.names() {
        if field_of(&method.input(), name).is_none() {
            return Err(wrong(format!("binds `{name}`, which is no field")));
        }
    }
    let body = match text(rule, "body").as_str() {
        "" => Selector::Nothing,
        "*" => Selector::Everything,
        name => Selector::Field(
            (method.input().get_field_by_name(name))
                .ok_or_else(|| wrong(format!("has the body `{name}`, which is no field")))?,
        ),
    };
    let response = match text(rule, "response_body").as_str() {
        "" => None,
        name => Some(
            (method.output().get_field_by_name(name))
                .ok_or_else(|| wrong(format!("answers with `{name}`, which is no field")))?,
        ),
    };
    Ok(Rule {
        verb,
        template,
        body,
        response,
        method: method.clone(),
    })
}

pub(super) fn plain(method: &MethodDescriptor) -> Result<Rule, String> {
    let service = method.parent_service();
    let path = format!("/{}/{}", service.full_name(), method.name());
    Ok(Rule {
        verb: "POST".to_owned(),
        template: Template::new(&path)?,
        body: Selector::Everything,
        response: None,
        method: method.clone(),
    })
}

/// The fields that a path such as `filter.limit` leads over; none where one is not there, or where
/// it leads through a list or a map.
pub(super) fn field_of(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let message = match fields.last() {
            None => message.clone(),
            Some(last) if last.is_list() || last.is_map() => return None,
            Some(last) => last.kind().as_message()?.clone(),
        };
        let by_name = message.get_field_by_name(name);
        fields.push(by_name.or_else(|| message.get_field_by_json_name(name))?);
    }
    Some(fields)
}
