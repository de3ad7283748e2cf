//! Errors of AWS, Google and Azure: what they say, and what to do about it.
//!
//! Statuses alone mislead: AWS throttles with 400, an expired credential is 400, 401 or 403, and a
//! 503 may be a quota that no waiting brings back. The words decide, the status where nothing is
//! understood. Sources: the common errors of AWS's services and botocore's retry tables
//! (`ThrottlingException` and its like), google.rpc.Code with `RetryInfo` (google/rpc/error_details),
//! Azure's ARM and storage error codes.

use super::attempt::Answered;
use gate_kit::http::{Body, Chunk, HeaderId, Headers};
use serde_json::Value;
use std::time::Duration;

/// Most bytes of an error that are read.
const ERROR_MAX: u64 = 64 * 1024;

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// The same request may work at once.
    Retry,
    /// It may work later.
    Throttle,
    /// The credential is no longer good, or was made with a wrong clock: it is made afresh.
    Renew,
    /// It will fail again.
    GiveUp,
}

/// An error that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CloudError {
    /// Its code, in the vendor's words.
    pub(crate) code: String,
    /// What to do.
    pub(crate) advice: Advice,
    /// How long to wait, where it says.
    pub(crate) after: Option<Duration>,
}

/// Codes that mean the same whatever their status, in lower case.
const CODES: &[(Advice, &[&str])] = &[
    (
        Advice::Throttle,
        &[
            "throttling",
            "throttlingexception",
            "throttledexception",
            "requestthrottled",
            "requestthrottledexception",
            "toomanyrequestsexception",
            "toomanyrequests",
            "provisionedthroughputexceededexception",
            "transactioninprogressexception",
            "requestlimitexceeded",
            "bandwidthlimitexceeded",
            "limitexceededexception",
            "slowdown",
            "priorrequestnotcomplete",
            "ec2throttledexception",
            "resource_exhausted",
            "ratelimitexceeded",
            "userratelimitexceeded",
            "rate_limit_exceeded",
            "serverbusy",
            "subscriptionrequeststhrottled",
            "operationnotallowedonthrottled",
        ],
    ),
    (
        Advice::Renew,
        &[
            "expiredtoken",
            "expiredtokenexception",
            "requestexpired",
            "tokenrefreshrequired",
            "requesttimetooskewed",
            "requestintheft",
            "unrecognizedclientexception",
            "invalidclienttokenid",
            "unauthenticated",
            "autherror",
            "expiredauthenticationtoken",
            "invalidauthenticationtoken",
            "authenticationfailed",
        ],
    ),
    (
        Advice::Retry,
        &[
            "requesttimeout",
            "requesttimeoutexception",
            "internalerror",
            "internalfailure",
            "internalservererror",
            "internalserverexception",
            "serviceunavailable",
            "serviceunavailableexception",
            "idpcommunicationerror",
            "unavailable",
            "aborted",
            "backenderror",
            "operationtimedout",
            "gatewaytimeout",
        ],
    ),
    (
        Advice::GiveUp,
        &[
            "accessdenied",
            "accessdeniedexception",
            "unauthorizedoperation",
            "optinrequired",
            "servicequotaexceededexception",
            "permission_denied",
            "quotaexceeded",
            "dailylimitexceeded",
            "billingnotenabled",
            "accountdisabled",
            "authorizationfailed",
            "authorizationfailure",
            "subscriptionnotfound",
            "invalid_argument",
            "failed_precondition",
            "signaturedoesnotmatch",
            "invalidsignatureexception",
        ],
    ),
];

/// Reads the error in an answer, whose body stays as it came. `None` for what is no error, and for
/// one that nobody understands.
pub(crate) async fn read(answered: &mut Answered) -> Option<CloudError> {
    let status = answered.head.status;
    if status < 400 {
        return None;
    }
    let body = match answered.body.length() {
        Some(length) if length <= ERROR_MAX => {
            let whole = answered.body.collect(ERROR_MAX as usize).await.ok()?;
            let whole = whole.into_bytes();
            answered.body = match whole.is_empty() {
                true => Body::Empty,
                false => Body::Full(Chunk::Shared(whole.clone())),
            };
            whole
        }
        _ => bytes::Bytes::new(),
    };
    understand(&answered.head.headers, &body)
}

fn understand(headers: &Headers, body: &[u8]) -> Option<CloudError> {
    let (codes, message, detail) = codes(headers, body);
    let known = |code: &String| {
        let lower = code.to_ascii_lowercase();
        let of = |(_, list): &&(Advice, &[&str])| list.contains(&lower.as_str());
        let (advice, _) = CODES.iter().find(of)?;
        Some((code.clone(), *advice))
    };
    // The narrowest word decides: Google names a reason beside a status.
    let (code, mut advice) = codes.iter().find_map(known)?;
    let said = message.to_ascii_lowercase();
    let skewed = [
        "signature expired",
        "signature not yet current",
        "security token included in the request is expired",
    ];
    if skewed.iter().any(|words| said.contains(words)) {
        advice = Advice::Renew;
    }
    let after = retry_after(headers)
        .or(detail)
        .filter(|_| advice != Advice::GiveUp);
    Some(CloudError {
        code,
        advice,
        after,
    })
}

/// What names the error, the narrowest first; its message; and how long it says to wait.
fn codes(headers: &Headers, body: &[u8]) -> (Vec<String>, String, Option<Duration>) {
    let mut codes = Vec::new();
    for name in ["x-amzn-errortype", "x-ms-error-code"] {
        let field = headers
            .get_named(name)
            .and_then(|value| std::str::from_utf8(value).ok());
        codes.extend(field.map(bare));
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    let mut message = String::new();
    let mut wait = None;
    if text.trim_start().starts_with('<') {
        codes.extend(element(text, "Code").map(bare));
        message = element(text, "Message").unwrap_or_default().to_owned();
    } else if let Ok(json) = serde_json::from_str::<Value>(text) {
        // Google wraps lists of errors into a list.
        let json = json.get(0).unwrap_or(&json);
        let error = json
            .get("error")
            .filter(|error| error.is_object())
            .unwrap_or(json);
        let strings = |value: &Value, names: &[&str]| -> Vec<String> {
            let found = names.iter().filter_map(|name| value.get(name)?.as_str());
            found.map(bare).collect()
        };
        for inner in ["errors", "details"] {
            for one in error
                .get(inner)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                codes.extend(strings(one, &["reason"]));
                let delay = one.get("retryDelay").and_then(Value::as_str);
                wait = wait.or_else(|| seconds(delay?));
            }
        }
        codes.extend(strings(
            error,
            &["__type", "code", "Code", "status", "error"],
        ));
        let said = ["message", "Message"]
            .iter()
            .find_map(|name| error.get(name)?.as_str());
        message = said.unwrap_or_default().to_owned();
    }
    (codes, message, wait)
}

/// A code without the namespace and the address that AWS puts around it:
/// `com.amazonaws.dynamodb.v20120810#ThrottlingException`, `ThrottlingException:http://...`.
fn bare(code: &str) -> String {
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    code.trim().chars().take(128).collect()
}

/// The text of the first element of this name.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once("</")?;
    Some(text.trim())
}

/// A protobuf duration in JSON: `3.5s`.
fn seconds(text: &str) -> Option<Duration> {
    let seconds: f64 = text.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// `Retry-After` in seconds, or Azure's fields in milliseconds.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let number = |text: &str| text.trim().parse::<u64>().ok();
    for name in ["retry-after-ms", "x-ms-retry-after-ms"] {
        let field = headers
            .get_named(name)
            .and_then(|value| std::str::from_utf8(value).ok());
        if let Some(ms) = field.and_then(number) {
            return Some(Duration::from_millis(ms));
        }
    }
    let field = headers.get_str(HeaderId::RetryAfter);
    field.and_then(number).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understood(fields: &[(&str, &str)], body: &str) -> Option<(String, Advice, Option<u64>)> {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers
                .try_append(name.as_bytes(), value.as_bytes())
                .unwrap();
        }
        let error = understand(&headers, body.as_bytes())?;
        let after = error
            .after
            .map(|after| u64::try_from(after.as_millis()).unwrap());
        Some((error.code, error.advice, after))
    }

    /// Bodies as the vendors' own references and SDK tests show them.
    #[test]
    fn what_vendors_say_is_understood() {
        let s3 = "<?xml version=\"1.0\"?>\n<Error><Code>SlowDown</Code><Message>Please reduce your \
                  request rate.</Message></Error>";
        let ec2 = "<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>m</Message>\
                   </Error></Errors></Response>";
        let skew = "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>Signature \
                    expired: 20261122T000000Z is now earlier than</Message></Error></ErrorResponse>";
        let wrong = "<Error><Code>SignatureDoesNotMatch</Code><Message>The request signature we \
                     calculated does not match</Message></Error>";
        let dynamo = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"m"}"#;
        let google = r#"{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"3.5s"}]}}"#;
        let daily = r#"{"error":{"code":403,"message":"m","errors":[{"domain":"usageLimits","reason":"dailyLimitExceeded"}],"status":"RESOURCE_EXHAUSTED"}}"#;
        let arm = r#"{"error":{"code":"ExpiredAuthenticationToken","message":"The access token expiry"}}"#;
        for (fields, body, expected) in [
            (&[][..], s3, Some(("SlowDown", Advice::Throttle, None))),
            (
                &[],
                ec2,
                Some(("RequestLimitExceeded", Advice::Throttle, None)),
            ),
            (
                &[],
                skew,
                Some(("SignatureDoesNotMatch", Advice::Renew, None)),
            ),
            (
                &[],
                wrong,
                Some(("SignatureDoesNotMatch", Advice::GiveUp, None)),
            ),
            (
                &[],
                dynamo,
                Some((
                    "ProvisionedThroughputExceededException",
                    Advice::Throttle,
                    None,
                )),
            ),
            (
                &[],
                google,
                Some(("RESOURCE_EXHAUSTED", Advice::Throttle, Some(3_500))),
            ),
            (
                &[],
                daily,
                Some(("dailyLimitExceeded", Advice::GiveUp, None)),
            ),
            (
                &[],
                arm,
                Some(("ExpiredAuthenticationToken", Advice::Renew, None)),
            ),
            (
                &[(
                    "x-amzn-errortype",
                    "ExpiredTokenException:http://internal.amazon.com/",
                )],
                "{}",
                Some(("ExpiredTokenException", Advice::Renew, None)),
            ),
            (
                &[
                    ("x-ms-error-code", "ServerBusy"),
                    ("x-ms-retry-after-ms", "250"),
                ],
                "",
                Some(("ServerBusy", Advice::Throttle, Some(250))),
            ),
            (
                &[("retry-after", "2")],
                r#"{"code":"InternalServerError"}"#,
                Some(("InternalServerError", Advice::Retry, Some(2_000))),
            ),
            (&[], "<html>not found</html>", None),
            (&[], "[]", None),
            (&[], "{\"error\":\"out of order\"}", None),
        ] {
            let expected = expected.map(|(code, advice, after)| (code.to_owned(), advice, after));
            assert_eq!(understood(fields, body), expected, "{body}");
        }
    }
}
