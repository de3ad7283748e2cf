//! From a finished exchange to its line, on the thread that writes.

use super::line::{AiLine, Basis, ContractLine, Line, Text};
use super::secret::Secret;
use crate::record::redact;
use crate::record::row::Row;
use crate::record::trace::write_hex;
use gate_flow::{AiFacts, Attempt, ContractFacts, Keeps, KeptRequest, Outcome};
use gate_kit::http::Scheme;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// An exchange on its way to its line.
pub(crate) struct Item {
    pub(in crate::record) row: Arc<Row>,
    pub(crate) kept: Box<KeptRequest>,
}

/// Lines of a segment, with the bases that they refer to.
#[derive(Default)]
pub(super) struct Encoder {
    /// Those that the segment holds already, by their number.
    bases: Vec<Arc<Keeps>>,
}

impl Encoder {
    /// Forgets the bases: another segment begins.
    pub(super) fn begin(&mut self) {
        self.bases.clear();
    }

    /// Appends an exchange's line, and its basis in front of it where that is new.
    pub(super) fn append(&mut self, to: &mut Vec<u8>, item: &Item, secret: &Secret) {
        let keeps = &item.kept.keeps;
        let known = self
            .bases
            .iter()
            .position(|known| Arc::ptr_eq(known, keeps));
        let index = known.unwrap_or_else(|| {
            self.bases.push(keeps.clone());
            let basis = Basis {
                basis: self.bases.len() as u32 - 1,
                revision: keeps.revision,
                digest: keeps.digest.clone(),
                sample: keeps.sample,
                reads: keeps.reads.clone(),
            };
            write(to, &basis);
            self.bases.len() - 1
        });
        write_line(to, index as u32, item, secret);
    }
}

fn write(to: &mut Vec<u8>, value: &impl serde::Serialize) {
    let before = to.len();
    match serde_json::to_writer(&mut *to, value) {
        Ok(()) => to.push(b'\n'),
        // Lines have no map with keys that are no text; should one fail, it leaves nothing behind.
        Err(_) => to.truncate(before),
    }
}

/// What a line holds of a request, credentials replaced.
struct Shown<'a> {
    target: Option<String>,
    headers: Vec<(&'a str, Cow<'a, str>)>,
    hidden: Vec<String>,
}

impl<'a> Shown<'a> {
    fn of(kept: &'a KeptRequest, secret: &Secret) -> Self {
        let reads = &kept.keeps.reads;
        let mut hidden = Vec::new();
        let known = |name: &str| reads.credential_parameters.contains(name);
        let target = secret.target(kept.target(), known, &mut hidden);
        let mut headers = Vec::new();
        for (name, value) in kept.fields() {
            let expected = reads.credentials.contains(name);
            let value = match expected || redact::is_credential_value(value) {
                true => Cow::Owned(secret.header(name, value)),
                false => Cow::Borrowed(value),
            };
            if !expected && matches!(value, Cow::Owned(_)) {
                hidden.push(name.to_owned());
            }
            headers.push((name, value));
        }
        Self {
            target,
            headers,
            hidden,
        }
    }
}

fn write_line(to: &mut Vec<u8>, basis: u32, Item { row, kept }: &Item, secret: &Secret) {
    let record = &row.record;
    let Shown {
        target,
        headers,
        hidden,
    } = Shown::of(kept, secret);
    let address = kept.address.to_canonical().to_string();
    let peer = row.peer.ip().to_canonical();
    let peer = (peer != kept.address.to_canonical()).then(|| peer.to_string());
    let mut trace = [0; 32];
    write_hex(&mut trace, &record.trace.trace_id);
    let traced = record.trace.trace_id != [0; 16];
    let named = |name: &Option<Arc<str>>| -> Option<String> { name.as_deref().map(str::to_owned) };
    let text = |name: Option<String>| name.map(|name| Text(Cow::Owned(name)));
    let prompt = record.prompt.as_deref();
    let line = Line {
        basis,
        started_us: micros(record.started_unix),
        listener: record.listener.as_deref().unwrap_or_default().into(),
        method: kept.method.as_str().into(),
        tls: kept.scheme == Scheme::Https,
        authority: kept.authority().into(),
        target: target.as_deref().unwrap_or(kept.target()).into(),
        address: Text(address.into()),
        peer: text(peer),
        size: kept.size,
        cut: kept.cut,
        headers: headers
            .iter()
            .map(|(name, value)| (Text::from(*name), Text::from(&**value)))
            .collect(),
        hidden: hidden.iter().map(|name| Text::from(&**name)).collect(),
        route: text(named(&record.route)),
        answered_by: record.answered_by.map(Text::from),
        status: record.status,
        fault: record.fault.map(|fault| Text::from(fault.as_str())),
        outcome: (record.outcome != Outcome::Complete).then(|| Text::from(record.outcome.as_str())),
        consumer: text(named(&record.consumer)),
        team: text(named(&record.team)),
        key: text(named(&record.key)),
        called: text(named(&record.target)),
        prompt: prompt.map(|prompt| (Text::from(&*prompt.name), prompt.version)),
        revision: record.revision,
        duration_us: micros(record.duration),
        first_byte_us: record.first_byte.map(micros),
        bytes: (record.request_bytes, record.response_bytes),
        trace: traced.then(|| Text::from(std::str::from_utf8(&trace).unwrap_or_default())),
        request_id: record.request_id.as_deref().map(Text::from),
        attempts: record.attempts.iter().map(attempt).collect(),
        api: record.api.as_deref().map(|facts| {
            let version = facts.version.as_deref().unwrap_or_default();
            (Text::from(&*facts.api), Text::from(version))
        }),
        contract: record
            .contract
            .as_deref()
            .map(|facts| Box::new(broken(facts))),
        ai: record.ai.as_deref().map(|ai| Box::new(call(ai))),
    };
    write(to, &line);
}

type AttemptLine<'a> = (Text<'a>, u16, Option<Text<'a>>, u64, u64);

fn attempt(attempt: &Attempt) -> AttemptLine<'_> {
    (
        Text::from(&*attempt.endpoint),
        attempt.status,
        attempt.fault.map(|fault| Text::from(fault.as_str())),
        micros(attempt.started),
        micros(attempt.duration),
    )
}

fn broken(facts: &ContractFacts) -> ContractLine<'_> {
    let places = facts.broken.iter().map(|one| {
        let texts = [one.side, one.place, &*one.name, &*one.pointer, &*one.detail];
        texts.map(Text::from)
    });
    ContractLine {
        api: Text::from(&*facts.api),
        operation: Text::from(&*facts.operation),
        broken: places.collect(),
        more: facts.more,
    }
}

fn call(ai: &AiFacts) -> AiLine<'_> {
    let counted = ai.input_tokens.is_some() || ai.output_tokens.is_some();
    AiLine {
        model: Text::from(&*ai.model),
        provider: ai.provider.as_deref().map(Text::from),
        provider_model: ai.provider_model.as_deref().map(Text::from),
        stream: ai.stream,
        tokens: counted.then(|| {
            [
                ai.input_tokens.unwrap_or(0),
                ai.output_tokens.unwrap_or(0),
                ai.cached_tokens.unwrap_or(0),
                ai.cache_written_tokens.unwrap_or(0),
                ai.reasoning_tokens.unwrap_or(0),
                ai.cache_written_hour_tokens,
                ai.audio_input_tokens,
                ai.audio_output_tokens,
            ]
        }),
        needs: ai.needs.map(|needs| {
            let most = needs.max_tokens.map_or(0, |most| most.saturating_add(1));
            [needs.tokens, most, needs.tools.into(), needs.vision.into()]
        }),
        pieces: ai.pieces.is_some(),
        cost: ai.cost.map(gate_model::units::Money::picodollars),
        first_token_us: ai.first_token.map(micros),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
