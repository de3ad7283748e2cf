//! SQS and EventBridge, by AWS's JSON protocol, signed with Signature Version 4.
//!
//! <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>,
//! <https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>.

use super::super::work::now_s;
use super::{ANSWER_BYTES_MAX, Failure, Letter, Means, Parcel, parts};
use gate_api::Reply;
use gate_kit::http::{Headers, Method, RequestHead, Version};
use gate_kit::sigv4::{Credentials, Scope, body_hash, sign};
use gate_model::resources::{AwsAccess, EventbridgeTarget, SqsTarget};
use gate_ops::event::cloud::write_structured;
use gate_ops::event::delivery::word;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Longest group and longest deduplication id of a message.
const ID_MAX: usize = 128;
/// Names of errors that say that the message itself is wrong.
const NEVER: [&str; 4] = [
    "InvalidMessageContents",
    "MessageTooLong",
    "UnsupportedOperation",
    "ValidationException",
];

/// A call of a service.
struct Call<'a> {
    access: &'a AwsAccess,
    service: &'a str,
    operation: &'a str,
    kind: &'a str,
    address: &'a str,
    authorities: Option<&'a PathBuf>,
}

pub(super) fn queue(means: &Means, letter: &Letter<'_>, target: &SqsTarget) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let mut message = json!({ "QueueUrl": target.queue, "MessageBody": structured(letter)? });
    if target.queue.ends_with(".fifo") {
        let order = parcel.ready.subscriber.order_by.as_deref();
        let order = order.and_then(|path| word(parcel.loaded.json.as_ref()?, path));
        message["MessageGroupId"] = group(order.as_deref(), &parcel.key).into();
        message["MessageDeduplicationId"] = parcel.key.as_str().into();
    }
    let (base, _) = parts(&target.queue).ok_or("its address is none")?;
    let call = Call {
        access: &target.access,
        service: "sqs",
        operation: "AmazonSQS.SendMessage",
        kind: "application/x-amz-json-1.0",
        address: base,
        authorities: target.authorities.as_ref(),
    };
    ask(means, letter, &call, &message).map(drop)
}

/// A message's group: what events are ordered by, or the event itself, which is in no order then.
fn group(order: Option<&str>, key: &str) -> String {
    let order = order.filter(|order| !order.is_empty());
    match order {
        Some(order) if order.len() <= ID_MAX && order.bytes().all(|b| b.is_ascii_graphic()) => {
            order.to_owned()
        }
        Some(order) => body_hash(order.as_bytes()),
        None => key.to_owned(),
    }
}

pub(super) fn bus(
    means: &Means,
    letter: &Letter<'_>,
    target: &EventbridgeTarget,
) -> Result<(), Failure> {
    let event = &letter.event;
    let mut entry = json!({
        "Source": event.source, "DetailType": event.kind, "Detail": structured(letter)?,
        "EventBusName": target.bus,
    });
    if let Some(time) = event.time.as_deref().and_then(seconds) {
        entry["Time"] = time.into();
    }
    if let Some(subject) = &event.subject {
        entry["Resources"] = json!([subject]);
    }
    let vendors = format!("https://events.{}.amazonaws.com", target.access.region);
    let call = Call {
        access: &target.access,
        service: "events",
        operation: "AWSEvents.PutEvents",
        kind: "application/x-amz-json-1.1",
        address: target.address.as_deref().unwrap_or(&vendors),
        authorities: target.authorities.as_ref(),
    };
    let answer = ask(means, letter, &call, &json!({ "Entries": [entry] }))?;
    match answer["FailedEntryCount"].as_u64() {
        Some(0) | None => Ok(()),
        Some(_) => {
            let code = answer["Entries"][0]["ErrorCode"]
                .as_str()
                .unwrap_or_default();
            Err(failure(200, code))
        }
    }
}

/// A time of RFC 3339 in seconds of UNIX time.
fn seconds(time: &str) -> Option<i64> {
    time.parse::<jiff::Timestamp>()
        .ok()
        .map(jiff::Timestamp::as_second)
}

fn structured(letter: &Letter<'_>) -> Result<String, Failure> {
    let mut out = Vec::new();
    write_structured(&letter.event, &mut out);
    String::from_utf8(out).map_err(|_| Failure::Never("it is no text".into()))
}

fn ask(
    means: &Means,
    letter: &Letter<'_>,
    call: &Call<'_>,
    body: &Value,
) -> Result<Value, Failure> {
    let parcel: &Parcel = letter.parcel;
    let access = call.access;
    let id = means.secret(parcel, &access.access_key_id)?;
    let secret = means.secret(parcel, &access.secret_access_key)?;
    let token = means.optional(parcel, access.session_token.as_ref())?;
    let (endpoint, _) = means.endpoint(call.address, call.authorities, letter)?;
    let body = body.to_string();
    let mut headers = Headers::new();
    headers.append(b"content-type", call.kind.as_bytes());
    headers.append(b"x-amz-target", call.operation.as_bytes());
    let mut head = RequestHead {
        method: Method::Post,
        authority: endpoint.host_field(),
        target: "/".into(),
        version: Version::Http11,
        headers,
        upgrade: None,
    };
    let credentials = Credentials {
        access_key_id: &id,
        secret: &secret,
        session_token: token.as_deref(),
    };
    let scope = Scope {
        region: &access.region,
        service: call.service,
    };
    sign(
        &mut head,
        &body_hash(body.as_bytes()),
        &credentials,
        &scope,
        now_s(),
    )
    .map_err(|_| "its access key cannot be used")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let fields = head.headers.iter();
    let fields: Vec<(String, String)> = fields
        .map(|(_, name, value)| (text(name), text(value)))
        .collect();
    let headers: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let reply: Reply = endpoint
        .call("POST", "/", &headers, body.as_bytes(), ANSWER_BYTES_MAX)
        .map_err(|error| error.to_string())?;
    let answer: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
    match reply.status {
        200..=299 => Ok(answer),
        status => Err(failure(
            status,
            answer["__type"].as_str().unwrap_or_default(),
        )),
    }
}

/// What an error means; its name is one of AWS's own words, its message stays here.
fn failure(status: u16, kind: &str) -> Failure {
    let kind = kind.rsplit('#').next().unwrap_or_default();
    let kind: String = kind
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(80)
        .collect();
    let reason = format!("it answered with status {status} ({kind})");
    match NEVER.contains(&kind.as_str()) {
        true => Failure::Never(reason),
        false => Failure::Later(reason, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_within_what_the_service_takes() {
        assert_eq!(group(Some("order-7"), "k"), "order-7");
        assert_eq!(group(None, "k"), "k");
        assert_eq!(group(Some(""), "k"), "k");
        for odd in ["a b", "ä", &"x".repeat(129)] {
            assert_eq!(group(Some(odd), "k").len(), 64);
        }
        assert_eq!(seconds("2026-11-22T10:00:00Z"), Some(1_795_341_600));
        assert!(matches!(
            failure(400, "com.amazonaws.sqs#InvalidMessageContents"),
            Failure::Never(_)
        ));
        assert!(matches!(failure(403, "AccessDenied"), Failure::Later(..)));
    }
}
