//! What providers' words mean: of types and codes, and of messages for people.
//!
//! Types and codes are the vendor's own. Messages are not always: they quote what the caller sent, so
//! that what they say decides over other callers' calls only where it cannot be a quotation.

use super::ErrorClass;

/// Characters of a message that are looked at.
const MESSAGE_MAX: usize = 2_000;

/// Words in a type or code, in lower case, and what they mean.
const WORDS: &[(&str, ErrorClass)] = &[
    ("insufficient_quota", ErrorClass::QuotaExhausted),
    ("billing", ErrorClass::QuotaExhausted),
    ("insufficient_balance", ErrorClass::QuotaExhausted),
    ("context_length_exceeded", ErrorClass::ContextLength),
    ("too_many_prompt_tokens", ErrorClass::ContextLength),
    // Cohere.
    ("too_many_tokens", ErrorClass::ContextLength),
    ("string_above_max_length", ErrorClass::ContextLength),
    ("request_too_large", ErrorClass::ContextLength),
    ("content_filter", ErrorClass::ContentFilter),
    ("content_policy_violation", ErrorClass::ContentFilter),
    // Google's status names, and the reasons among the details.
    ("api_key_invalid", ErrorClass::BadCredential),
    ("resource_exhausted", ErrorClass::RateLimited),
    ("permission_denied", ErrorClass::BadCredential),
    ("unauthenticated", ErrorClass::BadCredential),
    ("deadline_exceeded", ErrorClass::Timeout),
    ("unavailable", ErrorClass::Overloaded),
    ("rate_limit", ErrorClass::RateLimited),
    ("ratelimit", ErrorClass::RateLimited),
    ("overloaded", ErrorClass::Overloaded),
    ("invalid_api_key", ErrorClass::BadCredential),
    ("authentication_error", ErrorClass::BadCredential),
    ("permission_error", ErrorClass::BadCredential),
    ("model_not_found", ErrorClass::NotFound),
    ("not_found_error", ErrorClass::NotFound),
    ("timeout", ErrorClass::Timeout),
    // Bedrock, in the words of AWS: ThrottlingException, modelStreamErrorException and so on.
    ("throttling", ErrorClass::RateLimited),
    ("servicequotaexceeded", ErrorClass::QuotaExhausted),
    ("serviceunavailable", ErrorClass::Overloaded),
    ("modelnotready", ErrorClass::Overloaded),
    ("accessdenied", ErrorClass::BadCredential),
    ("unrecognizedclient", ErrorClass::BadCredential),
    ("invalidsignature", ErrorClass::BadCredential),
    ("expiredtoken", ErrorClass::BadCredential),
    ("resourcenotfound", ErrorClass::NotFound),
];

/// Phrases in messages of errors whose type says too little.
const PHRASES: &[(&str, ErrorClass)] = &[
    ("prompt is too long", ErrorClass::ContextLength),
    ("prompt too long", ErrorClass::ContextLength),
    ("input is too long", ErrorClass::ContextLength),
    ("exceeds maximum length", ErrorClass::ContextLength),
    ("maximum context length", ErrorClass::ContextLength),
    ("context length exceeded", ErrorClass::ContextLength),
    ("max context length", ErrorClass::ContextLength),
    ("context window", ErrorClass::ContextLength),
    (
        "length of all messages is too long",
        ErrorClass::ContextLength,
    ),
    (
        "reduce the length of the messages",
        ErrorClass::ContextLength,
    ),
    ("content management policy", ErrorClass::ContentFilter),
];

/// Phrases that put a credential out for everybody, and the statuses that say the same. Messages of
/// other statuses quote what the caller wrote, which must not decide over others: there a phrase
/// counts where the message begins with it, or with one word before it ("Your credit balance is too
/// low", which Anthropic says with 400; "Incorrect API key", which xAI does).
const ACCOUNT_PHRASES: &[(&str, &[u16], ErrorClass)] = &[
    (
        "credit balance is too low",
        &[401, 402, 403, 429],
        ErrorClass::QuotaExhausted,
    ),
    (
        "exceeded your current quota",
        &[401, 402, 403, 429],
        ErrorClass::QuotaExhausted,
    ),
    (
        "insufficient balance",
        &[401, 402, 403, 429],
        ErrorClass::QuotaExhausted,
    ),
    ("api key", &[401, 403], ErrorClass::BadCredential),
];

/// The class of an error whose type or code this is.
pub(super) fn of_code(text: &str) -> Option<ErrorClass> {
    let text = text.to_ascii_lowercase();
    let hit = WORDS.iter().find(|(word, _)| text.contains(word));
    hit.map(|(_, class)| *class)
}

/// The class of an error of this status whose message this is.
pub(super) fn of_message(status: u16, text: &str) -> Option<ErrorClass> {
    let text: String = text.chars().take(MESSAGE_MAX).collect();
    let text = text.to_ascii_lowercase();
    let hit = PHRASES.iter().find(|(phrase, _)| text.contains(phrase));
    hit.map(|(_, class)| *class)
        .or_else(|| of_account(status, &text))
}

/// What a message, in lower case, says of the credential or the account behind it.
fn of_account(status: u16, text: &str) -> Option<ErrorClass> {
    let counts = |(phrase, statuses, _): &&(&str, &[u16], ErrorClass)| {
        let Some(at) = text.find(phrase) else {
            return false;
        };
        let is_one_word = |lead: &str| lead.bytes().all(|byte| byte.is_ascii_alphabetic());
        statuses.contains(&status) || is_one_word(text[..at].trim())
    };
    let hit = ACCOUNT_PHRASES.iter().find(counts);
    hit.map(|(.., class)| *class)
}
