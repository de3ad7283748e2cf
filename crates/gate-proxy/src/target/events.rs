//! Where callers publish events: read, held against their types, kept, and only then answered.
//!
//! The event is done when the journal has it: source and id are its key, so that whoever is not sure
//! publishes again and is answered as the first time. Who wants the event is not known here.

use crate::compile::Work;
use crate::events::{self, EventTypes, OWN_SOURCES, Refusal, WORD_MAX};
use gate_contract::cloud::{
    CloudError, CloudEvent, Limits, Mode, read_batch, read_binary, read_structured,
};
use gate_flow::{
    Exchange, Fault, FaultError, LocalFuture, PublishError, PublishedEvent, Services, Target,
};
use gate_kit::http::{Body, Chunk, HeaderId, Method, Response};
use gate_model::document::Path;
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::{EventIntake, OWN_EVENTS};
use serde_json::json;
use std::sync::{Arc, OnceLock};

/// So many bytes are read on the worker; more are read elsewhere.
const AT_ONCE_MAX: usize = 32 << 10;

/// The journal as a target.
pub(crate) struct ToEvents(Arc<Intake>);

struct Intake {
    types: Patterns,
    sources: Patterns,
    /// Consumers that hand on other gateways' own events.
    gateways: Vec<String>,
    registered_only: bool,
    limits: Limits,
    known: Arc<EventTypes>,
}

/// Texts, each whole or with anything behind it; everything where there are none.
struct Patterns(Vec<(String, bool)>);

impl Patterns {
    fn new(patterns: &[String]) -> Self {
        let one = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => (prefix.to_owned(), true),
            None => (pattern.clone(), false),
        };
        Self(patterns.iter().map(one).collect())
    }

    fn take(&self, text: &str) -> bool {
        let fits = |(pattern, is_prefix): &(String, bool)| match is_prefix {
            true => text.starts_with(&**pattern),
            false => text == pattern,
        };
        self.0.is_empty() || self.0.iter().any(fits)
    }
}

/// Compiles the target; what is wrong goes into the findings.
pub(crate) fn to_events(
    work: &mut Work<'_>,
    intake: &EventIntake,
    known: &Arc<EventTypes>,
    path: &Path,
) -> Option<ToEvents> {
    let before = work.findings.len();
    if work.resources.gateway.store.is_none() {
        let message = "events need `gateway.store`, where they are kept";
        work.report(events::store_missing(path, message));
    }
    for (field, value, most) in [
        ("event", intake.event.bytes(), EventIntake::EVENT_MAX),
        ("batch", intake.batch.bytes(), EventIntake::BATCH_MAX),
        (
            "batch_events",
            intake.batch_events.into(),
            EventIntake::BATCH_EVENTS_MAX.into(),
        ),
    ] {
        if !(1..=most).contains(&value) {
            let message = format!("{value} is not between 1 and {most}");
            work.report(Finding::error("out_of_range", path.key(field), message));
        }
    }
    for (field, patterns) in [("types", &intake.types), ("sources", &intake.sources)] {
        for (index, pattern) in patterns.iter().enumerate() {
            let inside = pattern.strip_suffix('*').unwrap_or(pattern);
            if pattern.is_empty() || inside.contains('*') {
                let message = "a text, whole or with one `*` at its end";
                let path = path.key(field).index(index);
                work.report(Finding::error("invalid_pattern", path, message));
            }
        }
    }
    for (index, consumer) in intake.gateways.iter().enumerate() {
        if !work.resources.consumers.contains_key(consumer) {
            let message = format!("there is no consumer `{consumer}`");
            let path = path.key("gateways").index(index);
            work.report(Finding::warning("unknown_consumer", path, message));
        }
    }
    let is_sound = !work.findings[before..].iter().any(Finding::is_error);
    is_sound.then(|| {
        ToEvents(Arc::new(Intake {
            types: Patterns::new(&intake.types),
            sources: Patterns::new(&intake.sources),
            gateways: intake.gateways.clone(),
            registered_only: intake.registered_only,
            limits: Limits {
                event_bytes: intake.event.len(),
                batch_events: intake.batch_events as usize,
                batch_bytes: intake.batch.len(),
                ..Limits::default()
            },
            known: known.clone(),
        }))
    })
}

/// A message as it came.
struct Message {
    mode: Mode,
    /// `content-type` and the `ce-` fields.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    body: Chunk,
    consumer: String,
}

/// What is kept and answered of one message.
type Read = Result<Vec<(CloudEvent, PublishedEvent)>, Fault>;

impl Intake {
    /// Reads a message and holds its events against everything that is asked of them.
    fn read(&self, message: &Message) -> Read {
        let events = match message.mode {
            Mode::Binary => {
                let fields = message.fields.iter();
                let fields = fields.map(|(name, value)| (&name[..], &value[..]));
                read_binary(fields, &message.body, &self.limits).map(|event| vec![event])
            }
            Mode::Structured => {
                read_structured(&message.body, &self.limits).map(|event| vec![event])
            }
            Mode::Batch => read_batch(&message.body, &self.limits),
        };
        let events = events.map_err(|error| invalid(&error))?;
        let place = |index| match message.mode {
            Mode::Binary => String::new(),
            Mode::Structured => "/data".to_owned(),
            Mode::Batch => format!("/{index}/data"),
        };
        let kept = events.into_iter().enumerate().map(|(index, event)| {
            let consumer = &message.consumer;
            let is_own = self.admit(&event, consumer).map_err(|refusal| {
                let of = match message.mode {
                    Mode::Batch => format!("Event {index} of the batch: "),
                    _ => String::new(),
                };
                refusal.fault(&of, &place(index))
            })?;
            let mut published = events::published(&event, consumer);
            if is_own {
                published.key = events::handed_on_key(&event.source, &event.id, consumer).into();
            }
            Ok((event, published))
        });
        kept.collect()
    }

    /// Holds an event against what may be published here; whether it is another gateway's own.
    fn admit(&self, event: &CloudEvent, consumer: &str) -> Result<bool, NotTaken> {
        let is_own = event.kind.starts_with(OWN_EVENTS) || event.source.starts_with(OWN_SOURCES);
        if is_own && !self.gateways.iter().any(|one| one == consumer) {
            let why = "events of a gateway are published by the gateway alone, or handed on by one of \
                       the target's `gateways`";
            return Err(NotTaken::Forbidden(why));
        }
        if event.kind.len() > WORD_MAX {
            return Err(NotTaken::TooLong);
        }
        if !self.types.take(&event.kind) {
            return Err(NotTaken::Forbidden("its `type` may not be published here"));
        }
        if !self.sources.take(&event.source) {
            return Err(NotTaken::Forbidden(
                "its `source` may not be published here",
            ));
        }
        // Nobody here registers a gateway's own types; another version of it may have others.
        if !event.kind.starts_with(OWN_EVENTS) {
            let held = self.known.check(event, self.registered_only);
            held.map_err(NotTaken::Breaks)?;
        }
        Ok(is_own)
    }
}

/// Why an event is not taken.
enum NotTaken {
    Forbidden(&'static str),
    TooLong,
    Breaks(Refusal),
}

impl NotTaken {
    /// The fault; `of` begins its sentence, `place` is the pointer to the event's data.
    fn fault(self, of: &str, place: &str) -> Fault {
        match self {
            NotTaken::Forbidden(why) => {
                Fault::new(FaultCode::EventForbidden).message(format!("{of}{why}."))
            }
            NotTaken::TooLong => Fault::new(FaultCode::EventInvalid)
                .message(format!("{of}`type` is longer than {WORD_MAX} bytes.")),
            NotTaken::Breaks(Refusal::Unregistered) => Fault::new(FaultCode::EventVersionUnknown)
                .message(format!("{of}its `type` is not registered.")),
            NotTaken::Breaks(Refusal::Version(why)) => {
                Fault::new(FaultCode::EventVersionUnknown).message(format!("{of}{why}"))
            }
            NotTaken::Breaks(Refusal::Data(failures)) => {
                let errors = failures.into_iter().map(|failure| FaultError {
                    detail: failure.detail,
                    place: failure.r#in,
                    name: failure.name,
                    pointer: format!("{place}{}", failure.pointer),
                });
                Fault::new(FaultCode::EventInvalid)
                    .message(format!("{of}its data is not what its version says."))
                    .errors(errors.collect())
            }
        }
    }
}

/// The fault for what is no event. The sentence names the attribute and repeats nothing long.
fn invalid(error: &CloudError) -> Fault {
    let mut sentence = error.to_string();
    sentence.truncate(sentence.floor_char_boundary(400));
    sentence.push('.');
    Fault::new(FaultCode::EventInvalid).message(sentence)
}

impl ToEvents {
    async fn answer(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let head = &exchange.request.head;
        if head.method != Method::Post {
            return Err(Fault::new(FaultCode::MethodNotAllowed));
        }
        let mode = Mode::of(head.headers.get_str(HeaderId::ContentType));
        let mode = mode.map_err(|error| invalid(&error))?;
        let of_event = |name: &[u8]| {
            let begins = name
                .get(..3)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"ce-"));
            begins || name.eq_ignore_ascii_case(b"content-type")
        };
        let fields = head.headers.iter();
        let fields = fields.filter(|(_, name, _)| mode == Mode::Binary && of_event(name));
        let fields = fields.map(|(_, name, value)| (name.to_vec(), value.to_vec()));
        let most = match mode {
            Mode::Batch => self.0.limits.batch_bytes,
            _ => self.0.limits.event_bytes,
        };
        let fields = fields.collect();
        let body = std::mem::replace(&mut exchange.request.body, Body::Empty)
            .collect(most)
            .await;
        let message = Message {
            mode,
            fields,
            body: body.map_err(|error| Fault::from_request_body(&error))?,
            consumer: exchange
                .caller
                .as_ref()
                .map_or_else(String::new, |caller| caller.name.to_string()),
        };
        let read = self.read(&exchange.services, message).await?;
        let (events, kept): (Vec<_>, Vec<_>) = read.into_iter().unzip();
        let places = match kept.is_empty() {
            true => Vec::new(),
            false => exchange.services.publish(kept).await.map_err(unkept)?,
        };
        let told: Vec<_> = events
            .iter()
            .zip(places)
            .map(|(event, place)| json!({ "source": event.source, "id": event.id, "place": place }))
            .collect();
        let told = json!({ "events": told }).to_string();
        Ok(Response::full(202, "application/json", Chunk::from(told)))
    }

    /// Reads on the worker what is short, elsewhere what is long.
    async fn read(&self, services: &std::rc::Rc<dyn Services>, message: Message) -> Read {
        if message.body.len() <= AT_ONCE_MAX {
            return self.0.read(&message);
        }
        let (intake, slot) = (self.0.clone(), Arc::new(OnceLock::new()));
        let filled = slot.clone();
        let work = Box::new(move || {
            let _ = filled.set(intake.read(&message));
        });
        services.offload(work).await?;
        let slot = Arc::into_inner(slot).and_then(OnceLock::into_inner);
        slot.unwrap_or_else(|| Err(Fault::new(FaultCode::InternalError).detail("nothing was read")))
    }
}

/// The fault for events that are not known to be kept.
fn unkept(error: PublishError) -> Fault {
    match error {
        PublishError::Refused(why) => Fault::new(FaultCode::EventInvalid).message(why),
        PublishError::Later(after, why) => Fault::new(FaultCode::EventsUnavailable)
            .detail(why)
            .retry_after(after),
    }
}

impl Target for ToEvents {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(self.answer(exchange))
    }
}
