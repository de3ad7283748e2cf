//! Another gateway, or whatever takes CloudEvents over HTTP.

use super::super::work::now_s;
use super::{ANSWER_BYTES_MAX, Failure, Letter, Means, answered, signs, written};
use gate_model::resources::{CloudEventMode, GatewayTarget};

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
    answered(&reply.map_err(|error| error.to_string())?)
}
