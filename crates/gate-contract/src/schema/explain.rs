//! What a schema refuses, as failures that name the place.
//!
//! An alternative (`oneOf`, `anyOf`) that does not hold is explained by the branch that was meant: the
//! one that the discriminator names, else the one that came furthest. Values are not repeated: they may
//! be secrets, and the caller has them.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind as Kind;
use serde::Serialize;
use serde_json::Value;

/// Longest explanation, in bytes.
const DETAIL_MAX: usize = 240;
/// How deep alternatives within alternatives are explained.
const ALTERNATIVES_MAX: usize = 8;

/// One thing that is wrong with a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// Where: `body`, `query`, `path`, `header`, `cookie` or `status`.
    pub r#in: &'static str,
    /// Name of the parameter; empty for bodies.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// JSON pointer (RFC 6901) of the value, within the parameter or the body; empty for all of it.
    pub pointer: String,
    /// What is wrong, in one sentence that repeats no value.
    pub detail: String,
}

impl Failure {
    /// A failure of a whole body.
    #[must_use]
    pub fn of_body(detail: impl Into<String>) -> Self {
        Self {
            r#in: "body",
            name: String::new(),
            pointer: String::new(),
            detail: detail.into(),
        }
    }
}

/// Adds the failures that an error stands for.
pub(super) fn explain(
    error: &ValidationError<'_>,
    source: &Value,
    instance: &Value,
    at: &str,
    most: usize,
    failures: &mut Vec<Failure>,
) {
    step(
        error,
        source,
        instance,
        at,
        most,
        ALTERNATIVES_MAX,
        failures,
    );
}

fn step(
    error: &ValidationError<'_>,
    source: &Value,
    instance: &Value,
    at: &str,
    most: usize,
    depth: usize,
    failures: &mut Vec<Failure>,
) {
    if failures.len() >= most {
        return;
    }
    let here = error.instance_path().as_str();
    if let Kind::AnyOf { context } | Kind::OneOfNotValid { context } = error.kind()
        && depth > 0
    {
        let branch = discriminated(error, source, instance)
            .and_then(|index| context.get(index))
            .or_else(|| closest(context));
        if let Some(branch) = branch.filter(|branch| !branch.is_empty()) {
            for error in branch {
                step(error, source, instance, at, most, depth - 1, failures);
            }
            return;
        }
    }
    let (inside, detail) = sentence(error.kind());
    let mut pointer = format!("{at}{here}");
    if let Some(name) = inside {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
    }
    let mut detail = detail;
    if detail.len() > DETAIL_MAX {
        let end = (0..=DETAIL_MAX)
            .rev()
            .find(|at| detail.is_char_boundary(*at));
        detail.truncate(end.unwrap_or(0));
        detail.push('…');
    }
    failures.push(Failure {
        r#in: "body",
        name: String::new(),
        pointer,
        detail,
    });
}

/// Which alternative the instance's discriminator names.
fn discriminated(error: &ValidationError<'_>, source: &Value, instance: &Value) -> Option<usize> {
    let path = error.schema_path().as_str();
    let (above, keyword) = path.rsplit_once('/')?;
    let schema = source.pointer(above)?;
    let discriminator = schema.get("discriminator")?;
    let property = discriminator.get("propertyName")?.as_str()?;
    let instance = instance.pointer(error.instance_path().as_str())?;
    let value = instance.get(property)?.as_str()?;
    let target = discriminator.get("mapping")?.get(value)?;
    let branches = schema.get(keyword)?.as_array()?;
    branches
        .iter()
        .position(|branch| branch.get("$ref") == Some(target))
}

/// The branch whose failures are deepest; of those the one with fewest.
fn closest<'c>(
    context: &'c [Vec<ValidationError<'static>>],
) -> Option<&'c Vec<ValidationError<'static>>> {
    let depth = |branch: &Vec<ValidationError<'static>>| {
        let of = |error: &ValidationError<'_>| error.instance_path().as_str().matches('/').count();
        branch.iter().map(of).min().unwrap_or(0)
    };
    let is_type = |branch: &Vec<ValidationError<'static>>| {
        branch.iter().any(|error| {
            matches!(error.kind(), Kind::Type { .. }) && error.instance_path().as_str().is_empty()
        })
    };
    context.iter().min_by_key(|branch| {
        let shallow = usize::MAX - depth(branch);
        (is_type(branch), shallow, branch.len())
    })
}

/// What to say, and the member it is about when that is not there.
fn sentence(kind: &Kind) -> (Option<String>, String) {
    let list = |names: &[String]| {
        names
            .iter()
            .take(5)
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let detail = match kind {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default().to_owned();
            return (Some(name), "is required".to_owned());
        }
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            if let [one] = unexpected.as_slice() {
                return (Some(one.clone()), "is not expected here".to_owned());
            }
            format!("has members that are not expected: {}", list(unexpected))
        }
        Kind::Type { kind } => format!("is not of type {}", type_name(kind)),
        Kind::Enum { options } => format!("is none of {options}"),
        Kind::Constant { expected_value } => format!("is not {expected_value}"),
        Kind::Minimum { limit } => format!("is less than {limit}"),
        Kind::Maximum { limit } => format!("is more than {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("is not more than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("is not less than {limit}"),
        Kind::MinLength { limit } => format!("is shorter than {limit} characters"),
        Kind::MaxLength { limit } => format!("is longer than {limit} characters"),
        Kind::MinItems { limit } => format!("has fewer than {limit} items"),
        Kind::MaxItems { limit } => format!("has more than {limit} items"),
        Kind::MinProperties { limit } => format!("has fewer than {limit} members"),
        Kind::MaxProperties { limit } => format!("has more than {limit} members"),
        Kind::MultipleOf { multiple_of } => format!("is no multiple of {multiple_of}"),
        Kind::Pattern { pattern } => format!("does not match the pattern `{pattern}`"),
        Kind::Format { format } => format!("is no {format}"),
        Kind::UniqueItems => "has items that are equal".to_owned(),
        Kind::Contains => "has not the items that it must contain".to_owned(),
        Kind::ContentEncoding { content_encoding } => format!("is not in {content_encoding}"),
        Kind::ContentMediaType { content_media_type } => format!("is no {content_media_type}"),
        Kind::OneOfMultipleValid { .. } => {
            "fits several alternatives where one is meant".to_owned()
        }
        Kind::AnyOf { .. } | Kind::OneOfNotValid { .. } => {
            "fits none of the alternatives".to_owned()
        }
        Kind::FalseSchema => "must not be here".to_owned(),
        Kind::PropertyNames { .. } => "has a member whose name is not allowed".to_owned(),
        Kind::Not { .. } => "is what the contract excludes".to_owned(),
        other => format!("breaks `{}`", other.keyword()),
    };
    (None, detail)
}

fn type_name(kind: &jsonschema::error::TypeKind) -> String {
    use jsonschema::error::TypeKind;
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(set) => {
            let names: Vec<String> = set.iter().map(|one| one.to_string()).collect();
            names.join(" or ")
        }
    }
}
