//! Another gateway, or whatever takes CloudEvents over HTTP.

use super::super::work::now_s;
use super::{ANSWER_BYTES_MAX, Failure, Letter, Means, answered, signs, written};
use gate_api::client::Reply;
use gate_model::resources::{CloudEventMode, GatewayTarget};
use serde_json::Value;

/// The code of a gateway that does not take an event of this type or source.
const FORBIDDEN: &str = "event_forbidden";

pub(super) fn send(
    means: &Means,
    letter: &Letter<'_>,
    target: &GatewayTarget,
) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let authorization = means.optional(parcel, target.authorization.as_ref())?;
    let (endpoint, path) = means.endpoint(&target.url, target.authorities.as_ref(), letter)?;
    let (mut fields, body) = written(&letter.event, CloudEventMode::Structured);
    fields.extend(signs(parcel, now_s()));
    fields.extend(authorization.map(|value| ("authorization".to_owned(), value)));
    let headers: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (&**n, &**v)).collect();
    let reply = endpoint.call("POST", path, &headers, &body, ANSWER_BYTES_MAX);
    taken(&reply.map_err(|error| error.to_string())?)
}

/// What an answer means. One that a gateway does not take for its type or source is not taken the next
/// time either; whoever changes what it takes has dead letters sent again.
fn taken(reply: &Reply) -> Result<(), Failure> {
    let problem = || serde_json::from_slice::<Value>(&reply.body).ok();
    if reply.status == 403 && problem().is_some_and(|it| it["code"] == FORBIDDEN) {
        return Err(Failure::Never(format!(
            "it answered with 403 `{FORBIDDEN}`"
        )));
    }
    answered(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_a_gateway_does_not_take_is_refused_for_good() {
        let of = |status, body: &str| {
            taken(&Reply {
                status,
                headers: Vec::new(),
                body: body.into(),
            })
        };
        let forbidden = r#"{"type":"urn:tidegate:fault:event_forbidden","status":403,"code":"event_forbidden"}"#;
        assert!(matches!(of(403, forbidden), Err(Failure::Never(_))));
        // A key that is not accepted now may be later.
        for (status, body) in [
            (403, "no"),
            (403, r#"{"code":"forbidden"}"#),
            (503, forbidden),
        ] {
            assert!(
                matches!(of(status, body), Err(Failure::Later(..))),
                "{body}"
            );
        }
        assert!(of(202, r#"{"events":[]}"#).is_ok());
    }
}
