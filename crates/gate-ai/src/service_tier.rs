//! The service tier of a call: what a request asks for, and what the provider says it granted.
//!
//! A tier decides prices and nothing else. Providers name it beside the usage of an answer, each in
//! its own place; nobody looks there unless the request has named a tier, because vendors serve the
//! usual one otherwise (<https://platform.openai.com/docs/guides/flex-processing>,
//! <https://docs.claude.com/en/api/service-tiers>, <https://ai.google.dev/gemini-api/docs/flex-inference>).
//! Text of the model or the caller never stands in these places.

use crate::Dialect;
use crate::json::scan::Scanner;
use crate::prices::ServiceTier;
use crate::usage::value_of_member;

/// Where a tier stands in a document: names of members, from the outermost in.
type Place = &'static [&'static [u8]];

/// The places of a dialect, in whole answers and in events.
const fn places(dialect: Dialect) -> &'static [Place] {
    match dialect {
        Dialect::ChatCompletions => &[&[b"service_tier"]],
        Dialect::Responses => &[&[b"service_tier"], &[b"response", b"service_tier"]],
        Dialect::Messages => &[
            &[b"usage", b"service_tier"],
            &[b"message", b"usage", b"service_tier"],
        ],
        Dialect::Converse => &[&[b"serviceTier"]],
        Dialect::GenerateContent => &[
            &[b"usageMetadata", b"serviceTier"],
            &[b"usageMetadata", b"trafficType"],
        ],
        Dialect::CohereChat => &[],
    }
}

/// The tier that an answer, or an event of one, says it was served in; `None` where it does not say.
#[must_use]
pub fn granted(dialect: Dialect, document: &[u8]) -> Option<ServiceTier> {
    let find = |place: &Place| {
        let inner = |document, name: &&[u8]| member(document, name);
        let value = place.iter().try_fold(document, inner)?;
        tier(value)
    };
    places(dialect).iter().find_map(find)
}

/// The tier that the value of a request's member asks for; the usual one where it says anything
/// else, such as `auto`.
pub(crate) fn asked(value: &[u8]) -> ServiceTier {
    tier(value).unwrap_or_default()
}

/// A tier as a word, or as Bedrock writes it: `{"type": "flex"}`.
fn tier(value: &[u8]) -> Option<ServiceTier> {
    let value = member(value, b"type").unwrap_or(value);
    let word = Scanner::at(value, 0).string().ok()?;
    Some(ServiceTier::of(&word.value(value).ok()?))
}

fn member<'d>(document: &'d [u8], name: &[u8]) -> Option<&'d [u8]> {
    document.get(value_of_member(document, name)?..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_vendor_names_it_in_its_own_place() {
        for (dialect, document, expected) in [
            (
                Dialect::ChatCompletions,
                r#"{"usage":{"service_tier":"flex"},"service_tier":"priority"}"#,
                Some(ServiceTier::Priority),
            ),
            (Dialect::ChatCompletions, r#"{"service_tier":null}"#, None),
            (
                Dialect::ChatCompletions,
                r#"{"choices":[{"service_tier":"flex"}]}"#,
                None,
            ),
            (
                Dialect::Responses,
                r#"{"type":"response.completed","response":{"metadata":{"service_tier":"flex"},"service_tier":"default"}}"#,
                Some(ServiceTier::Standard),
            ),
            (
                Dialect::Messages,
                r#"{"content":[{"input":{"service_tier":"batch"}}],"usage":{"input_tokens":1,"service_tier":"priority"}}"#,
                Some(ServiceTier::Priority),
            ),
            (
                Dialect::Messages,
                r#"{"type":"message_start","message":{"usage":{"service_tier":"batch"}}}"#,
                Some(ServiceTier::Batch),
            ),
            (
                Dialect::Converse,
                r#"{"serviceTier":{"type":"flex"}}"#,
                Some(ServiceTier::Flex),
            ),
            (
                Dialect::GenerateContent,
                r#"{"usageMetadata":{"trafficType":"ON_DEMAND_FLEX"}}"#,
                Some(ServiceTier::Flex),
            ),
            (Dialect::CohereChat, r#"{"service_tier":"flex"}"#, None),
            (Dialect::ChatCompletions, "[", None),
        ] {
            assert_eq!(
                granted(dialect, document.as_bytes()),
                expected,
                "{document}"
            );
        }
    }

    #[test]
    fn a_request_that_names_any_tier_is_known() {
        for (dialect, body, expected) in [
            (
                Dialect::ChatCompletions,
                r#"{"model":"m","service_tier":"flex"}"#,
                Some(ServiceTier::Flex),
            ),
            (
                Dialect::Messages,
                r#"{"model":"m","service_tier":"auto"}"#,
                Some(ServiceTier::Standard),
            ),
            (
                Dialect::Converse,
                r#"{"serviceTier":{"type":"priority"}}"#,
                Some(ServiceTier::Priority),
            ),
            (
                Dialect::GenerateContent,
                r#"{"serviceTier":"FLEX"}"#,
                Some(ServiceTier::Flex),
            ),
            (Dialect::Responses, r#"{"model":"m"}"#, None),
        ] {
            let facts = crate::inspect(dialect, body.as_bytes()).unwrap();
            assert_eq!(facts.service_tier, expected, "{body}");
        }
    }
}
