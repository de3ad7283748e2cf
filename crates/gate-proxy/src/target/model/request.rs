//! The request for one target: the caller's body with another model name, or translated; and a
//! head of our own.

use super::attempt::Bad;
use super::call::{Call, not_understood};
use super::fetch::Origin;
use super::{Provider, ProviderTarget};
use bytes::Bytes;
use gate_ai::{
    DialectError, Loss, TranslateOptions, prepare_native, translate_request, versioned_body,
};
use gate_flow::Fault;
use gate_kit::http::{HeaderId, Headers, Method, RequestHead, Version};
use gate_model::fault::FaultCode;

/// Most characters of a list of losses that a caller is told.
const LISTED_MAX: usize = 2_000;

/// What is to be sent to one target.
pub(super) struct Outgoing {
    pub(super) body: Bytes,
    pub(super) strip_usage_chunk: bool,
    pub(super) options: TranslateOptions,
    pub(super) losses: Vec<Loss>,
}

/// The body for one target: the caller's with another model name, or a translation.
pub(super) fn outgoing(
    origin: Origin<'_>,
    call: &Call<'_>,
    target: &ProviderTarget,
) -> Result<Outgoing, Bad> {
    if let Some(other) = call.other {
        return other.outgoing(call, target);
    }
    let spoken = target.spoken(call.operation);
    let now_unix_s = origin.started_unix.as_secs();
    let mut options = TranslateOptions {
        now_unix_s,
        stream: call.dialect.in_path().then_some(call.facts.stream),
        json_list: call.is_json_list(),
        ..target.provider.options.clone()
    };
    if spoken == call.dialect {
        let wants = target.provider.asks_for_usage();
        let prepared = prepare_native(spoken, &call.body, &call.facts, &target.model, wants);
        let strip_usage_chunk = prepared.strip_usage_chunk;
        let body = match prepared.is_unchanged() {
            true => call.body.clone(),
            false => prepared.to_vec(&call.body).into(),
        };
        let body = match target.version_in_body(spoken) {
            Some(version) => versioned(&body, version)?,
            None => body,
        };
        return Ok(Outgoing {
            body,
            strip_usage_chunk,
            options,
            losses: Vec::new(),
        });
    }
    let translated = translate_request(call.dialect, spoken, &call.body, &target.model, &options)
        .map_err(|error| untranslated(&error))?;
    bear_losses(call, &translated.losses)?;
    options.include_usage = translated.include_usage;
    let body = match target.version_in_body(spoken) {
        Some(version) => versioned(&translated.body, version)?,
        None => translated.body.into(),
    };
    Ok(Outgoing {
        body,
        strip_usage_chunk: false,
        options,
        losses: translated.losses,
    })
}

/// What becomes of a try whose request could not be translated.
pub(super) fn untranslated(error: &DialectError) -> Bad {
    match error {
        DialectError::Untranslatable { .. } => Bad::Unfit(not_understood(error)),
        error => Bad::Final(not_understood(error)),
    }
}

/// Refuses to send what would lose something, where the model says so.
pub(super) fn bear_losses(call: &Call<'_>, losses: &[Loss]) -> Result<(), Bad> {
    match call.model.refuses_losses && !losses.is_empty() {
        true => Err(Bad::Unfit(would_lose(losses))),
        false => Ok(()),
    }
}

/// The fault of a request that this target could be sent in part only.
fn would_lose(losses: &[Loss]) -> Fault {
    let each: Vec<String> = losses
        .iter()
        .map(|loss| format!("`{}` ({})", loss.field, loss.reason))
        .collect();
    let mut list = each.join("; ");
    if let Some((end, _)) = list.char_indices().nth(LISTED_MAX) {
        list.truncate(end);
        list.push_str(" ...");
    }
    Fault::new(FaultCode::LossyTranslation).message(format!("Not sent: {list}."))
}

fn versioned(body: &[u8], version: &str) -> Result<Bytes, Bad> {
    let made = versioned_body(body, version);
    let made = made.map_err(|error| Bad::Final(not_understood(&error)))?;
    Ok(made.into())
}

/// Adds the caller's fields of these names, as the caller spells them.
pub(super) fn forward(names: &[&str], caller: &Headers, headers: &mut Headers) {
    // A bit for each length there is, so that most fields are passed over at once.
    let bit = |name: &[u8]| 1_u64 << (name.len() % 64);
    let lengths = names
        .iter()
        .fold(0, |bits, name| bits | bit(name.as_bytes()));
    let is_listed = |name: &[u8]| {
        let mut names = names.iter();
        lengths & bit(name) != 0 && names.any(|listed| name.eq_ignore_ascii_case(listed.as_bytes()))
    };
    for (_, name, value) in caller.iter() {
        if is_listed(name) {
            headers.append(name, value);
        }
    }
}

/// The head for a provider: its address, a credential, and of the caller's fields only those
/// that the provider's file lists.
pub(super) fn request_head(
    origin: Origin<'_>,
    provider: &Provider,
    secret: Option<&str>,
    target: &str,
) -> Result<RequestHead, Fault> {
    let caller = origin.headers;
    let mut headers = Headers::with_capacity(12, 512);
    headers.append_known(HeaderId::ContentType, b"application/json");
    headers.append_known(
        HeaderId::Accept,
        caller.get(HeaderId::Accept).unwrap_or(b"*/*"),
    );
    forward(provider.kind.forwarded_headers, caller, &mut headers);
    for (name, value) in &provider.headers {
        headers
            .try_set(name, value.as_bytes())
            .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))?;
    }
    let place = provider.config.place(provider.kind);
    provider
        .kind
        .authorize_at(place, &mut headers, secret)
        .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))?;
    crate::record::trace::inject(origin.trace, origin.attempts, &mut headers);
    Ok(RequestHead {
        method: Method::Post,
        authority: provider.authority.clone(),
        target: secret
            .and_then(|secret| place.in_target(target, secret))
            .unwrap_or_else(|| target.to_owned()),
        version: Version::Http11,
        headers,
        upgrade: None,
    })
}
