//! How bad a change of a schema is, by where the schema stands and what becomes of its values.
//!
//! The rule behind the table: what callers send may be allowed more and asked less; what they receive
//! may promise more and vary less. The exceptions are listed with their reason.

use super::Severity;

/// What a change does to the values that a schema takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// More values are valid.
    Wider,
    /// Fewer values are valid.
    Narrower,
    /// Others are.
    Other,
    /// The same ones are; something about them changed.
    None,
}

impl Effect {
    /// Both at once.
    pub(super) fn and(self, other: Effect) -> Effect {
        match (self, other) {
            (Effect::None, effect) | (effect, Effect::None) => effect,
            (one, other) if one == other => one,
            _ => Effect::Other,
        }
    }

    /// As seen by somebody who negates the schema.
    pub(super) fn negated(self) -> Effect {
        match self {
            Effect::Wider => Effect::Narrower,
            Effect::Narrower => Effect::Wider,
            same => same,
        }
    }
}

/// Where a schema stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stand {
    Parameter,
    ParameterProperty,
    RequestBody,
    RequestProperty,
    ResponseBody,
    ResponseProperty,
    ResponseHeader,
}

impl Stand {
    /// Where something inside of it stands.
    pub(super) fn inside(self) -> Stand {
        match self {
            Stand::Parameter | Stand::ParameterProperty => Stand::ParameterProperty,
            Stand::RequestBody | Stand::RequestProperty => Stand::RequestProperty,
            Stand::ResponseBody | Stand::ResponseProperty => Stand::ResponseProperty,
            Stand::ResponseHeader => Stand::ResponseHeader,
        }
    }

    /// Whether it is part of a request.
    pub(super) fn is_request(self) -> bool {
        !matches!(
            self,
            Stand::ResponseBody | Stand::ResponseProperty | Stand::ResponseHeader
        )
    }

    /// What rules about it begin with.
    pub(super) fn prefix(self, one_way: bool) -> &'static str {
        match self {
            Stand::Parameter => "request-parameter",
            Stand::ParameterProperty => "request-parameter-property",
            Stand::RequestBody => "request-body",
            Stand::RequestProperty if one_way => "request-read-only-property",
            Stand::RequestProperty => "request-property",
            Stand::ResponseBody => "response-body",
            Stand::ResponseProperty if one_way => "response-write-only-property",
            Stand::ResponseProperty => "response-property",
            Stand::ResponseHeader => "response-header",
        }
    }
}

/// How bad it is. `sent` says whether callers send such values (rather than receive them).
pub(super) fn level(stand: Stand, aspect: &str, effect: Effect, sent: bool) -> Severity {
    if let Some(level) = exception(stand, aspect, sent) {
        return level;
    }
    match (effect, sent) {
        (Effect::None, _) | (Effect::Wider, true) | (Effect::Narrower, false) => Severity::Info,
        (Effect::Other, _) | (Effect::Narrower, true) | (Effect::Wider, false) => {
            Severity::Breaking
        }
    }
}

fn exception(stand: Stand, aspect: &str, sent: bool) -> Option<Severity> {
    let is_parameter = matches!(stand, Stand::Parameter);
    Some(match (aspect, sent) {
        // A caller that leaves a parameter out now gets something else; in bodies, what is left out
        // is for the service to fill as it did.
        (aspect, true) if is_parameter && aspect.starts_with("default-value") => Severity::Breaking,
        (aspect, _) if aspect.starts_with("default-value") => Severity::Info,
        // Documents often catch up with bounds that services always had.
        (aspect, true) if aspect.ends_with("-set") => Severity::Warning,
        // Whether one pattern takes all that another takes is not decided here.
        ("pattern-changed", true) => Severity::Warning,
        ("pattern-generalized", _) => Severity::Info,
        // Callers rarely check what they receive against a pattern.
        ("pattern-added" | "pattern-removed" | "pattern-changed", false) => Severity::Info,
        // Good callers expect names that they do not know.
        ("enum-value-added" | "enum-removed", false) => Severity::Warning,
        ("enum-value-removed", false) => Severity::Info,
        ("all-of-removed", true) => Severity::Warning,
        ("all-of-added" | "all-of-removed", false) => Severity::Info,
        // A form of answer that no caller knew is as bad as a new word of a list.
        ("any-of-added", false) => Severity::Warning,
        // How objects in parameters are written is often left open.
        ("type-changed", true) if stand == Stand::ParameterProperty => Severity::Warning,
        (aspect, _) if aspect.starts_with("discriminator") => Severity::Info,
        ("additional-properties-allowed", false) => Severity::Info,
        _ => return None,
    })
}
