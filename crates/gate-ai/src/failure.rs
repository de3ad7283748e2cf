//! What went wrong at a provider, and saying so in the caller's dialect.
//!
//! Classes are decided by the error's own words first and by the status last, because providers
//! answer a full context with 400, an empty purse with 429 and an overload with anything. Which
//! class leads to a retry or to another target is decided here once.

mod words;

use crate::Dialect;

/// What kind of failure a provider reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// Too many requests or tokens per time; passes by itself.
    RateLimited,
    /// The provider is out of capacity; passes by itself.
    Overloaded,
    /// The account has no money or quota left; does not pass by itself.
    QuotaExhausted,
    /// The conversation does not fit into the model's context.
    ContextLength,
    /// A filter of the provider refused the content.
    ContentFilter,
    /// The credential is missing, wrong or not allowed to do this.
    BadCredential,
    /// The request itself is wrong; every provider would say so.
    BadRequest,
    /// The model or address does not exist there.
    NotFound,
    /// The provider gave up waiting.
    Timeout,
    /// The provider failed.
    Server,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 10] = [
        Self::RateLimited,
        Self::Overloaded,
        Self::QuotaExhausted,
        Self::ContextLength,
        Self::ContentFilter,
        Self::BadCredential,
        Self::BadRequest,
        Self::NotFound,
        Self::Timeout,
        Self::Server,
    ];

    /// The class's name in metrics and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::QuotaExhausted => "quota_exhausted",
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::BadCredential => "bad_credential",
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::Timeout => "timeout",
            Self::Server => "server",
        }
    }

    /// Whether the same target may answer the same request a little later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited | Self::Overloaded | Self::Timeout | Self::Server
        )
    }

    /// Whether another target may answer the same request.
    #[must_use]
    pub const fn falls_back(self) -> bool {
        !matches!(self, Self::BadRequest | Self::ContentFilter)
    }
}

/// What a failure is held against, so that the next calls avoid it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The request: any call like it would fail, others would not.
    Request,
    /// The credential: it is wrong, wherever it is used.
    Credential,
    /// The account behind the credential: it has nothing left to spend.
    Account,
    /// The credential at this model: it has used up its rate, or may not use the model.
    Rate,
    /// The model at this provider: it is overloaded or broken.
    Target,
}

impl ErrorClass {
    /// What an answer of this class and status is held against.
    #[must_use]
    pub const fn blame(self, status: u16) -> Blame {
        match self {
            Self::ContextLength | Self::ContentFilter | Self::BadRequest | Self::NotFound => {
                Blame::Request
            }
            // 403 says that the credential is known and may not do this.
            Self::BadCredential if status == 403 => Blame::Rate,
            Self::BadCredential => Blame::Credential,
            Self::QuotaExhausted => Blame::Account,
            Self::RateLimited => Blame::Rate,
            Self::Overloaded | Self::Timeout | Self::Server => Blame::Target,
        }
    }
}

/// What an error's body says, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderError {
    /// The vendor's type of error.
    pub kind: Option<String>,
    /// The vendor's code.
    pub code: Option<String>,
    /// The message for people.
    pub message: Option<String>,
}

/// Reads the body of an error answer.
#[must_use]
pub fn provider_error(dialect: Dialect, body: &[u8]) -> ProviderError {
    dialect.codec().read_error(body)
}

/// The body of an error answer in a caller's dialect. `code` is the gateway's own code.
#[must_use]
pub fn error_body(dialect: Dialect, status: u16, code: &str, message: &str) -> Vec<u8> {
    dialect.codec().error_body(status, code, message)
}

/// A header field that goes with an error answer in a caller's dialect, where the dialect has one.
#[must_use]
pub fn error_header(dialect: Dialect, status: u16) -> Option<(&'static str, &'static str)> {
    match dialect {
        // AWS's clients find the kind of the error here.
        Dialect::Converse => {
            let kind = crate::dialect::converse::kind_of_status(status);
            Some(("x-amzn-errortype", kind))
        }
        _ => None,
    }
}

/// What an answer's header fields say of an error, added to what its body says. `kind` is the value
/// of `x-amzn-errortype`, which Bedrock gives beside a body that has only a message.
#[must_use]
pub fn with_error_kind(mut error: ProviderError, kind: Option<&[u8]>) -> ProviderError {
    if error.kind.is_none()
        && let Some(kind) = kind.and_then(|kind| std::str::from_utf8(kind).ok())
    {
        error.kind = Some(crate::dialect::converse::error_name(kind).to_owned());
    }
    error
}

/// A whole stream event that tells a caller in its dialect that the stream failed.
#[must_use]
pub fn error_event(dialect: Dialect, class: ErrorClass, code: &str, message: &str) -> Vec<u8> {
    dialect.codec().error_event(class, code, message)
}

/// The class of an error answer or of an error inside a stream (status 200).
#[must_use]
pub fn classify(status: u16, error: &ProviderError) -> ErrorClass {
    let status = told_status(error).unwrap_or(status);
    let word = |text: &Option<String>| words::of_code(text.as_deref()?);
    let phrase = |text: &Option<String>| words::of_message(status, text.as_deref()?);
    let bad_request = |kind: &String| kind.eq_ignore_ascii_case("validationException");
    word(&error.code)
        .or_else(|| word(&error.kind))
        .or_else(|| phrase(&error.message))
        .or_else(|| {
            error
                .kind
                .as_ref()
                .filter(|kind| bad_request(kind))
                .map(|_| ErrorClass::BadRequest)
        })
        .unwrap_or_else(|| class_of_status(status))
}

/// The status that an error names as its code, where it has no other.
fn told_status(error: &ProviderError) -> Option<u16> {
    let code = error.code.as_deref()?.parse().ok()?;
    (400..600).contains(&code).then_some(code)
}

fn class_of_status(status: u16) -> ErrorClass {
    match status {
        401 | 403 => ErrorClass::BadCredential,
        402 => ErrorClass::QuotaExhausted,
        404 => ErrorClass::NotFound,
        408 | 504 => ErrorClass::Timeout,
        413 => ErrorClass::ContextLength,
        429 => ErrorClass::RateLimited,
        503 | 529 => ErrorClass::Overloaded,
        400..=499 => ErrorClass::BadRequest,
        _ => ErrorClass::Server,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_beat_phrases_beat_the_status() {
        let class = |status, body: &str| {
            classify(
                status,
                &provider_error(Dialect::ChatCompletions, body.as_bytes()),
            )
        };
        for (status, body, expected) in [
            (
                429,
                r#"{"error":{"code":"insufficient_quota"}}"#,
                ErrorClass::QuotaExhausted,
            ),
            (
                429,
                r#"{"error":{"code":"RateLimitReached"}}"#,
                ErrorClass::RateLimited,
            ),
            (
                400,
                r#"{"error":{"message":"maximum context length is 8"}}"#,
                ErrorClass::ContextLength,
            ),
            (
                400,
                r#"{"error":{"code":"content_filter"}}"#,
                ErrorClass::ContentFilter,
            ),
            (
                401,
                r#"{"detail":"Invalid API Key"}"#,
                ErrorClass::BadCredential,
            ),
            (
                400,
                r#"{"error":{"code":400,"message":"no"}}"#,
                ErrorClass::BadRequest,
            ),
            (
                400,
                r#"{"error":{"message":"Input Tokens Exceeded: tokens exceeds maximum length."}}"#,
                ErrorClass::ContextLength,
            ),
            (404, "not json", ErrorClass::NotFound),
            (529, "", ErrorClass::Overloaded),
            (500, "", ErrorClass::Server),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn words_of_the_caller_in_a_message_are_no_sign_of_a_bad_credential_or_an_empty_purse() {
        let class = |status, message: &str| {
            let error = ProviderError {
                kind: Some("invalid_request_error".to_owned()),
                code: None,
                message: Some(message.to_owned()),
            };
            classify(status, &error)
        };
        for words in [
            "my api key",
            "credit balance is too low",
            "Insufficient Balance",
            "you exceeded your current quota",
        ] {
            let quoted = format!("Invalid value: '{words}'. Supported values are: 'user'.");
            for status in [400, 404, 422] {
                let class = class(status, &quoted);
                assert_eq!(class.blame(status), Blame::Request, "{status} {quoted}");
            }
            assert_eq!(class(500, &quoted), ErrorClass::Server, "{quoted}");
        }
        for (status, message, expected) in [
            (
                401,
                "Incorrect API key provided.",
                ErrorClass::BadCredential,
            ),
            (403, "This API key may not.", ErrorClass::BadCredential),
            (402, "Insufficient Balance", ErrorClass::QuotaExhausted),
            (403, "Insufficient balance", ErrorClass::QuotaExhausted),
            (
                429,
                "You exceeded your current quota, please check your plan.",
                ErrorClass::QuotaExhausted,
            ),
            // Anthropic's, of status 400, which the account's words begin.
            (
                400,
                "Your credit balance is too low to access the Anthropic API.",
                ErrorClass::QuotaExhausted,
            ),
        ] {
            assert_eq!(class(status, message), expected, "{status} {message}");
        }
        // An error inside a stream has the status that it names.
        let named = ProviderError {
            kind: None,
            code: Some("401".to_owned()),
            message: Some("Please give a valid API key.".to_owned()),
        };
        assert_eq!(classify(500, &named), ErrorClass::BadCredential);
    }

    #[test]
    fn a_bad_key_is_held_against_the_key_and_not_against_its_provider() {
        assert_eq!(ErrorClass::BadCredential.blame(401), Blame::Credential);
        assert_eq!(ErrorClass::BadCredential.blame(403), Blame::Rate);
        assert_eq!(ErrorClass::QuotaExhausted.blame(429), Blame::Account);
        for class in ErrorClass::ALL {
            let blames_target = class.blame(500) == Blame::Target;
            assert!(!blames_target || class.is_retryable(), "{class:?}");
        }
    }

    #[test]
    fn exceptions_of_bedrock_have_a_class_wherever_they_stand() {
        let class = |status, kind: &str| {
            let error = provider_error(Dialect::Converse, br#"{"message":"no"}"#);
            let error = with_error_kind(error, Some(kind.as_bytes()));
            classify(status, &error)
        };
        let at = ":http://internal.amazon.com/coral/com.amazon.bedrock/";
        for (kind, expected) in [
            ("ThrottlingException", ErrorClass::RateLimited),
            ("throttlingException", ErrorClass::RateLimited),
            ("ServiceUnavailableException", ErrorClass::Overloaded),
            ("AccessDeniedException", ErrorClass::BadCredential),
            ("UnrecognizedClientException", ErrorClass::BadCredential),
            ("ModelTimeoutException", ErrorClass::Timeout),
            ("ResourceNotFoundException", ErrorClass::NotFound),
            ("validationException", ErrorClass::BadRequest),
            ("internalServerException", ErrorClass::Server),
        ] {
            assert_eq!(class(500, &format!("{kind}{at}")), expected, "{kind}");
        }
        let typed = br#"{"__type":"com.amazon.coral.service#ThrottlingException"}"#;
        let kind = provider_error(Dialect::Converse, typed).kind;
        assert_eq!(kind.as_deref(), Some("ThrottlingException"));
        let header = error_header(Dialect::Converse, 429);
        assert_eq!(header, Some(("x-amzn-errortype", "ThrottlingException")));
    }

    #[test]
    fn what_cannot_pass_is_not_retried() {
        for class in ErrorClass::ALL {
            assert!(!class.is_retryable() || class.falls_back(), "{class:?}");
        }
        assert!(!ErrorClass::BadCredential.is_retryable());
        assert!(ErrorClass::BadCredential.falls_back());
    }
}
