//! Every failure the gateway can report, as one table.
//!
//! A code is a promise: it never changes its meaning, has a page under `docs/errors/`, and carries
//! the status, the side at fault and whether trying again makes sense. How a fault is written on
//! the wire is decided elsewhere (`gate-proxy/respond.rs`).

mod guidance;

pub use guidance::Guidance;

/// Which side caused a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum FaultSource {
    /// The caller sent something that cannot be served.
    Client,
    /// The gateway itself refused or failed.
    Gateway,
    /// Whatever the gateway called failed.
    Upstream,
}

impl FaultSource {
    /// The word used in records, metrics and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            FaultSource::Client => "client",
            FaultSource::Gateway => "gateway",
            FaultSource::Upstream => "upstream",
        }
    }
}

/// Whether sending the same request again may help.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum RetryClass {
    /// The same request will fail the same way.
    Never,
    /// Later, after the time in Retry-After when there is one.
    Later,
    /// At once, when the request is safe to repeat.
    Now,
}

macro_rules! fault_codes {
    ($($variant:ident = $code:literal, $status:literal, $source:ident, $retry:ident, $title:literal;)+) => {
        /// A kind of failure; see the page `docs/errors/<code>.md`.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum FaultCode {
            $(#[doc = $title] $variant,)+
        }

        impl FaultCode {
            /// Every code, in the order of the table.
            pub const ALL: &[FaultCode] = &[$(FaultCode::$variant,)+];

            /// The stable name, in snake case.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(FaultCode::$variant => $code,)+ }
            }

            /// The HTTP status it is answered with.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(FaultCode::$variant => $status,)+ }
            }

            /// The side at fault.
            #[must_use]
            pub const fn source(self) -> FaultSource {
                match self { $(FaultCode::$variant => FaultSource::$source,)+ }
            }

            /// Whether trying again may help.
            #[must_use]
            pub const fn retry(self) -> RetryClass {
                match self { $(FaultCode::$variant => RetryClass::$retry,)+ }
            }

            /// One line for people.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(FaultCode::$variant => $title,)+ }
            }
        }
    };
}

fault_codes! {
    MalformedRequest = "malformed_request", 400, Client, Never, "The request is not valid HTTP.";
    AmbiguousFraming = "ambiguous_framing", 400, Client, Never, "The request's length could be read in two ways.";
    InvalidPath = "invalid_path", 400, Client, Never, "The path cannot be normalised.";
    InvalidBody = "invalid_body", 400, Client, Never, "The request's body is not what this route understands.";
    ContractViolated = "contract_violated", 400, Client, Never, "The request is not what the API's contract describes.";
    GuardBlocked = "guard_blocked", 400, Client, Never, "A guard does not let this pass.";
    LossyTranslation = "lossy_translation", 400, Client, Never, "The model's provider cannot express all of the request.";
    ApiVersionUnknown = "api_version_unknown", 400, Client, Never, "The API has no such version.";
    EventInvalid = "event_invalid", 400, Client, Never, "The request carries no valid event.";
    EventVersionUnknown = "event_version_unknown", 400, Client, Never, "The type of the event has no such version.";
    CredentialMissing = "credential_missing", 401, Client, Never, "The request carries no credential.";
    CredentialInvalid = "credential_invalid", 401, Client, Never, "The credential is not valid.";
    Forbidden = "forbidden", 403, Client, Never, "The caller may not do this.";
    AddressForbidden = "address_forbidden", 403, Client, Never, "The caller's address is not allowed.";
    AccessBlocked = "access_blocked", 403, Client, Never, "A rule of access does not let this request pass.";
    WafBlocked = "waf_blocked", 403, Client, Never, "The request looks like an attack.";
    EventForbidden = "event_forbidden", 403, Client, Never, "The event may not be published here.";
    RouteNotFound = "route_not_found", 404, Client, Never, "No route matches the request.";
    ModelNotFound = "model_not_found", 404, Client, Never, "No such model is available to this caller.";
    ToolNotFound = "tool_not_found", 404, Client, Never, "No such tool, prompt or resource is available to this caller.";
    SessionNotFound = "session_not_found", 404, Client, Never, "The session does not exist or has ended.";
    MethodNotAllowed = "method_not_allowed", 405, Client, Never, "The path exists, but not for this method.";
    RequestTimeout = "request_timeout", 408, Client, Now, "The request did not arrive in time.";
    ApiVersionRetired = "api_version_retired", 410, Client, Never, "This version of the API is retired.";
    BodyTooLarge = "body_too_large", 413, Client, Never, "The request's body exceeds the limit.";
    TargetTooLong = "target_too_long", 414, Client, Never, "The request's target exceeds the limit.";
    RateLimited = "rate_limited", 429, Client, Later, "The caller has used up its rate.";
    QuotaExceeded = "quota_exceeded", 429, Client, Later, "The caller has used up a quota of its plan.";
    BudgetExceeded = "budget_exceeded", 429, Client, Later, "A budget has not enough left for this call.";
    ModelBusy = "model_busy", 429, Gateway, Later, "Every target of the model is full.";
    HeadTooLarge = "head_too_large", 431, Client, Never, "The request's head exceeds the limit.";
    ClientClosed = "client_closed", 499, Client, Never, "The caller went away before the answer was complete.";
    InternalError = "internal_error", 500, Gateway, Later, "The gateway failed.";
    PolicyFailed = "policy_failed", 500, Gateway, Later, "A policy could not decide, and failing open was not allowed.";
    TransferCodingUnknown = "transfer_coding_unknown", 501, Client, Never, "The transfer coding is not supported.";
    UpstreamUnreachable = "upstream_unreachable", 502, Upstream, Now, "No connection to the upstream could be made.";
    UpstreamReset = "upstream_reset", 502, Upstream, Now, "The upstream closed the connection before its answer was complete.";
    UpstreamMalformed = "upstream_malformed", 502, Upstream, Never, "The upstream's answer is not valid.";
    UpstreamRejected = "upstream_rejected", 502, Upstream, Never, "The upstream refused the gateway's own credential or request.";
    AnswerViolatesContract = "answer_violates_contract", 502, Upstream, Never, "The upstream's answer is not what the API's contract describes.";
    NoEndpoint = "no_endpoint", 503, Upstream, Later, "The upstream has no endpoint that can take the request.";
    UpstreamOverloaded = "upstream_overloaded", 503, Upstream, Later, "The upstream's limit of concurrent requests is reached.";
    Overloaded = "overloaded", 503, Gateway, Later, "The gateway has reached a limit of its own.";
    ApiVersionPaused = "api_version_paused", 503, Gateway, Later, "This version of the API refuses for a while, because it will be retired.";
    BudgetUnavailable = "budget_unavailable", 503, Gateway, Later, "What is left of a budget cannot be known now.";
    EventsUnavailable = "events_unavailable", 503, Gateway, Later, "Events cannot be kept now.";
    UpstreamTimeout = "upstream_timeout", 504, Upstream, Now, "The upstream did not answer in time.";
    VersionUnsupported = "version_unsupported", 505, Client, Never, "The HTTP version is not supported.";
}

impl FaultCode {
    /// The gRPC status that says the same (google.rpc.Code).
    #[must_use]
    pub const fn grpc_status(self) -> u8 {
        match self {
            FaultCode::ClientClosed => 1,
            FaultCode::MalformedRequest | FaultCode::AmbiguousFraming | FaultCode::InvalidPath => 3,
            FaultCode::InvalidBody | FaultCode::LossyTranslation => 3,
            FaultCode::EventInvalid | FaultCode::EventVersionUnknown => 3,
            FaultCode::TransferCodingUnknown => 3,
            FaultCode::GuardBlocked | FaultCode::ContractViolated => 3,
            FaultCode::AnswerViolatesContract => 13,
            FaultCode::UpstreamTimeout | FaultCode::RequestTimeout => 4,
            FaultCode::RouteNotFound | FaultCode::MethodNotAllowed => 12,
            FaultCode::ApiVersionUnknown | FaultCode::ApiVersionRetired => 12,
            FaultCode::ModelNotFound | FaultCode::ToolNotFound | FaultCode::SessionNotFound => 5,
            FaultCode::Forbidden | FaultCode::AddressForbidden => 7,
            FaultCode::AccessBlocked | FaultCode::WafBlocked | FaultCode::EventForbidden => 7,
            FaultCode::RateLimited | FaultCode::BudgetExceeded | FaultCode::ModelBusy => 8,
            FaultCode::QuotaExceeded => 8,
            FaultCode::BodyTooLarge | FaultCode::HeadTooLarge => 8,
            FaultCode::CredentialMissing | FaultCode::CredentialInvalid => 16,
            FaultCode::InternalError | FaultCode::PolicyFailed | FaultCode::UpstreamMalformed => 13,
            _ => 14,
        }
    }
}

impl std::fmt::Display for FaultCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let mut seen = std::collections::HashSet::new();
        for &code in FaultCode::ALL {
            assert!(seen.insert(code.as_str()), "{code} appears twice");
            assert!((400..600).contains(&code.status()), "{code} is no error");
            assert!(
                code.title().ends_with('.'),
                "{code}: the title is a sentence"
            );
        }
    }
}
