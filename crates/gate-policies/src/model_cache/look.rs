//! Whether a request may be answered from the cache, and whether it can be.

use super::control::Control;
use super::entry::Entry;
use super::flight::{Flight, STEP};
use super::key::{Key, KeyWriter, write_fields, write_tenant};
use super::semantic::{Compared, Turn};
use super::store::Looked;
use super::{Asked, ModelCache, Pending};
use crate::heavy;
use bytes::Bytes;
use gate_ai::Operation;
use gate_ai::repeat::{Repeatable, last_turn, repeatable};
use gate_flow::{CacheFacts, CacheStatus, Exchange, Fault, Verdict};
use gate_kit::http::{Body, Chunk, Response};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of a request, as the models' own limit.
const BODY_MAX: usize = 64 * 1024 * 1024;
/// Requests up to this size are read on the worker, in well under 200 us.
const INLINE_MAX: usize = 16 * 1024;

/// What is known of a request that may be answered from the cache.
struct Read {
    key: Key,
    stream: bool,
    /// The question, where similar ones may have its answer.
    turn: Option<Turn>,
}

/// A request as it is read, and its last turn with the form of the rest, where that is compared.
type Understood = (Repeatable, Option<(String, Vec<u8>)>);

/// Why a request passes the cache by, in one word.
type Reason = &'static str;

impl ModelCache {
    /// Answers from the cache, or lets the request go on.
    pub(super) async fn look(&self, exchange: &mut Exchange, asked: Asked) -> Verdict<'static> {
        let mut facts = CacheFacts::default();
        let found = self.found(exchange, &asked, &mut facts).await;
        let verdict = match found {
            Ok(Some(entry)) => {
                let response = self.replay(exchange, &entry, &mut facts);
                Verdict::Reply(Box::new(response))
            }
            Ok(None) => Verdict::Next,
            Err(fault) => return Verdict::refuse(fault),
        };
        announce(exchange, &facts, self.rules.ttl);
        exchange.record.cache = Some(Box::new(facts));
        verdict
    }

    async fn found(
        &self,
        exchange: &mut Exchange,
        asked: &Asked,
        facts: &mut CacheFacts,
    ) -> Result<Option<Arc<Entry>>, Fault> {
        let control = Control::of(&exchange.request.head.headers);
        let read = match control.no_store {
            true => Err("no_store"),
            false => self.read(exchange, asked, facts).await?,
        };
        let read = match read {
            Ok(read) => read,
            Err(reason) => {
                facts.reason = reason;
                return Ok(None);
            }
        };
        let mut pending = Pending {
            key: read.key,
            operation: asked.operation,
            stream: read.stream,
            learning: None,
            flight: None,
        };
        let mut entry = match control.no_cache {
            true => {
                facts.status = CacheStatus::Refresh;
                None
            }
            false => self.exact(exchange, &read.key, control, facts).await,
        };
        if entry.is_none() && facts.status != CacheStatus::Failed && !self.rules.collapse.is_zero()
        {
            (entry, pending.flight) = self.collapsed(exchange, &read.key, control, facts).await;
        }
        let is_open = matches!(facts.status, CacheStatus::Miss | CacheStatus::Stale);
        if let Some(turn) = read.turn.filter(|_| is_open) {
            entry = self
                .similar(exchange, turn, control, &mut pending, facts)
                .await;
        }
        if entry.is_none() {
            exchange.memory.keep(self, pending);
        }
        Ok(entry)
    }

    /// Waits for the answer to the same request where that is under way; otherwise this one is, and
    /// others wait for it.
    async fn collapsed(
        &self,
        exchange: &Exchange,
        key: &Key,
        control: Control,
        facts: &mut CacheFacts,
    ) -> (Option<Arc<Entry>>, Option<Flight>) {
        let flight = self.flights.begin(*key);
        if flight.is_some() || control.no_cache {
            return (None, flight);
        }
        let clock = exchange.services.clock();
        let until = clock.now().plus(self.rules.collapse);
        while clock.now() < until {
            exchange.services.sleep(STEP).await;
            if self.flights.has(key) {
                continue;
            }
            let entry = self.exact(exchange, key, control, facts).await;
            if entry.is_some() {
                facts.status = CacheStatus::Collapsed;
                return (entry, None);
            }
            // The other one came to nothing; this one asks, or waits for another that does.
            let flight = self.flights.begin(*key);
            if flight.is_some() {
                return (None, flight);
            }
        }
        (None, None)
    }

    /// The answer to a similar question, if it may be given.
    async fn similar(
        &self,
        exchange: &Exchange,
        turn: Turn,
        control: Control,
        pending: &mut Pending,
        facts: &mut CacheFacts,
    ) -> Option<Arc<Entry>> {
        let (Some(semantic), Operation::Conversation(dialect)) =
            (&self.semantic, pending.operation)
        else {
            return None;
        };
        let now = exchange.services.clock().unix();
        let is_fresh = |entry: &Entry| entry.age(now) < self.most_age(control);
        let asked = (turn, &pending.key);
        let tokens = &mut facts.embedding_tokens;
        let compared = semantic
            .compare(
                exchange.beside(),
                &self.store,
                dialect,
                asked,
                is_fresh,
                tokens,
            )
            .await;
        match compared {
            Compared::Given(entry, similarity) => {
                facts.status = CacheStatus::SimilarHit;
                facts.similarity = Some(similarity);
                Some(entry)
            }
            Compared::Asked(learning, similarity) => {
                if similarity.is_some() {
                    facts.status = CacheStatus::Explored;
                    facts.similarity = similarity;
                }
                pending.learning = learning;
                None
            }
        }
    }

    /// How old an answer may be.
    fn most_age(&self, control: Control) -> Duration {
        let ttl = self.rules.ttl;
        control.max_age.map_or(ttl, |age| age.min(ttl))
    }

    /// The answer to the same request, if it is young enough.
    async fn exact(
        &self,
        exchange: &Exchange,
        key: &Key,
        control: Control,
        facts: &mut CacheFacts,
    ) -> Option<Arc<Entry>> {
        facts.status = CacheStatus::Miss;
        match self.store.get(&exchange.services, key).await {
            Looked::Found(entry) => {
                let age = entry.age(exchange.services.clock().unix());
                facts.status = CacheStatus::Stale;
                if age < self.most_age(control) {
                    facts.status = CacheStatus::Hit;
                    return Some(entry);
                }
            }
            Looked::Nothing => {}
            Looked::Failed => facts.status = CacheStatus::Failed,
        }
        None
    }

    /// Reads a request; the reason where it may not be answered from the cache.
    async fn read(
        &self,
        exchange: &mut Exchange,
        asked: &Asked,
        facts: &mut CacheFacts,
    ) -> Result<Result<Read, Reason>, Fault> {
        let mut writer = KeyWriter::new("tidegate cache: answer");
        let rules = &self.rules;
        if !write_tenant(&mut writer, exchange, rules.tenant, rules.anonymous) {
            return Ok(Err("anonymous"));
        }
        let limit = exchange.overrides.body;
        let limit = limit.map_or(BODY_MAX, |bytes| bytes as usize);
        let body = exchange.request.body.collect(limit).await;
        let body = body
            .map_err(|error| Fault::from_request_body(&error))?
            .into_bytes();
        exchange.request.body = Body::from(Chunk::Shared(body.clone()));
        let compares = self.semantic.is_some();
        let Some((mut request, turn)) = understood(exchange, asked, body, compares).await else {
            return Ok(Err("unreadable"));
        };
        if let Some(model) = &asked.model {
            request.model.clone_from(model);
        }
        let Some((model, configured)) = self.models.get_key_value(&request.model) else {
            return Ok(Err("model"));
        };
        if !may_use(exchange, model) {
            return Ok(Err("model"));
        }
        facts.model = Some(model.as_str().into());
        if let Some(reason) = self.refusal(&request) {
            return Ok(Err(reason));
        }
        let stream = asked.streams.unwrap_or(request.stream);
        let head = &exchange.request.head;
        writer.part(&configured.0);
        writer.part(asked.operation.as_str().as_bytes());
        writer.part(asked.operation.format().unwrap_or_default().as_bytes());
        writer.part(head.target.as_bytes());
        writer.part(&[u8::from(stream)]);
        write_fields(&mut writer, &head.headers, &rules.vary);
        let turn = self.turn(&request, turn, &writer);
        writer.part(&request.canonical);
        let key = writer.finish();
        Ok(Ok(Read { key, stream, turn }))
    }

    /// The question as it is compared, where it may be.
    fn turn(
        &self,
        request: &Repeatable,
        turn: Option<(String, Vec<u8>)>,
        writer: &KeyWriter,
    ) -> Option<Turn> {
        let semantic = self.semantic.as_ref()?;
        let (text, rest) = turn?;
        let kept_out =
            request.has_tools && !semantic.tools || request.has_images && !semantic.images;
        if kept_out || !semantic.takes(text.len()) {
            return None;
        }
        let mut writer = writer.clone();
        writer.part(&rest);
        let rest = writer.finish();
        Some(Turn { text, rest })
    }

    /// Why this request passes by.
    fn refusal(&self, request: &Repeatable) -> Option<Reason> {
        let rules = &self.rules;
        let is_hot = |temperature: f64| temperature > rules.temperature_max;
        if request.has_tools && !rules.tools {
            Some("tools")
        } else if request.leaves_traces {
            Some("state")
        } else if request.temperature.is_some_and(is_hot) {
            Some("temperature")
        } else {
            None
        }
    }

    /// The answer that is given, and what the record says of it.
    fn replay(&self, exchange: &Exchange, entry: &Entry, facts: &mut CacheFacts) -> Response {
        facts.age = entry.age(exchange.services.clock().unix());
        facts.saved_input_tokens = entry.about.input_tokens;
        facts.saved_output_tokens = entry.about.output_tokens;
        entry.response()
    }
}

/// Reads a request, a large one off the worker; nothing where it cannot be read, which the model's
/// own reader will say better.
async fn understood(
    exchange: &Exchange,
    asked: &Asked,
    body: Bytes,
    compares: bool,
) -> Option<Understood> {
    let (operation, inline) = (asked.operation, body.len() <= INLINE_MAX);
    let work = move || {
        let request = repeatable(operation, &body, None).ok()?;
        let turn = match operation {
            Operation::Conversation(dialect) if compares => last_turn(dialect, &body),
            _ => None,
        };
        let turn = turn.and_then(|(text, at)| {
            let rest = repeatable(operation, &body, Some(at)).ok()?;
            Some((text, rest.canonical))
        });
        Some((request, turn))
    };
    heavy::done(&*exchange.services, inline, work).await.ok()?
}

/// Whether the caller may use this model: who may not is told so by the target.
fn may_use(exchange: &Exchange, model: &str) -> bool {
    let caller = exchange.caller.as_ref();
    let models = caller.and_then(|caller| caller.models.as_ref());
    models.is_none_or(|models| models.iter().any(|allowed| allowed == model))
}

/// Says in the answer's head what the cache did (RFC 9211, RFC 9111 section 5.1).
fn announce(exchange: &mut Exchange, facts: &CacheFacts, ttl: Duration) {
    let left = ttl.saturating_sub(facts.age).as_secs();
    let status = match facts.status {
        CacheStatus::Hit | CacheStatus::StaleHit | CacheStatus::Revalidated => {
            format!("tidegate; hit; ttl={left}")
        }
        CacheStatus::Collapsed => format!("tidegate; hit; ttl={left}; detail=collapsed"),
        CacheStatus::SimilarHit => format!("tidegate; hit; ttl={left}; detail=similar"),
        CacheStatus::Miss => "tidegate; fwd=miss".into(),
        CacheStatus::Stale => "tidegate; fwd=stale".into(),
        CacheStatus::Explored => "tidegate; fwd=miss; detail=explored".into(),
        CacheStatus::Refresh => "tidegate; fwd=request".into(),
        CacheStatus::Failed => "tidegate; fwd=miss; detail=store".into(),
        CacheStatus::Bypass => format!("tidegate; fwd=bypass; detail={}", facts.reason),
    };
    let headers = &mut exchange.response_headers;
    headers.append(b"cache-status", status.as_bytes());
    if facts.status.is_hit() {
        let age = facts.age.as_secs();
        headers.append_written(b"age", |value| {
            value.extend_from_slice(itoa::Buffer::new().format(age).as_bytes());
        });
    }
}
