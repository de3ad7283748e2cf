//! Handing a batch in: over a file (OpenAI), or with its requests inline (Anthropic).

use super::wish::wish;
use super::{Again, Ask, BATCH, MESSAGE_BATCH, broken};
use crate::batches::{BatchData, FILE, Incoming, Kept, Place, Shelf, ShelfError, new_id};
use gate_ai::batch::shape::{Consumed, Counts, Times};
use gate_ai::batch::{
    ANTHROPIC_BYTES_MAX, ANTHROPIC_REQUESTS_MAX, Api, BatchState, LINE_MAX, LineError, MESSAGES,
    Requests, anthropic_line,
};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Frame, Response, frame};
use gate_model::fault::FaultCode;
use gate_store::files::BatchRow;
use serde_json::Value;
use std::collections::{HashSet, VecDeque};
use std::ops::ControlFlow;

/// Longest request for a batch over a file, in bytes.
const BODY_MAX: usize = 64 * 1024;
/// Bytes that are gathered before they go to the disk.
const PIECE: usize = 256 * 1024;
/// How long a message batch may take, in milliseconds
/// (<https://docs.claude.com/en/docs/build-with-claude/batch-processing>).
const MESSAGES_MS: i64 = 86_400_000;
/// Fields of a caller's request that its requests in a batch have, too.
const FIELDS: &[&str] = &["anthropic-version", "anthropic-beta", "openai-beta"];

/// Hands a batch over a file in; none where the file is a provider's.
pub(super) async fn over_file(
    exchange: &mut Exchange,
    ask: &Ask<'_>,
) -> Result<Option<Response>, Fault> {
    let body = exchange.request.body.collect(BODY_MAX).await;
    let body = body.map_err(|error| Fault::from_request_body(&error))?;
    let value: Value = match serde_json::from_slice(&body) {
        Ok(value) => value,
        Err(_) => return Ok(Some(ask.refuse(400, "The body is no JSON."))),
    };
    let input = value["input_file_id"].as_str().unwrap_or_default();
    if !input.is_empty() && !input.starts_with(FILE) {
        let held = VecDeque::from([body]);
        exchange.request.body = Again::body(held, Body::Empty);
        return Ok(None);
    }
    let wish = match wish(&value) {
        Ok(wish) => wish,
        Err(message) => return Ok(Some(ask.refuse(400, &message))),
    };
    let (place, owner) = (place(exchange), ask.owner.clone());
    let added = ask.desk.ask(move |shelf| -> Kept<Option<Value>> {
        let (of, file) = (owner.id.clone(), wish.input.clone());
        if shelf.store(|store| store.file(&of, &file))?.is_none() {
            return Ok(None);
        }
        let now = shelf.now_ms();
        let id = new_id(BATCH)?;
        let mut data = BatchData {
            owner,
            place,
            endpoint: wish.endpoint,
            input: Some(wish.input),
            window: wish.window,
            metadata: wish.metadata,
            output_expires_s: wish.output_expires_s,
            ..empty(now, now.saturating_add(wish.window_ms))
        };
        shelf.link_requests(&file, &id)?;
        add(shelf, &id, Api::OpenAi, BatchState::Validating, &mut data).map(Some)
    });
    match added.await? {
        Ok(Some(batch)) => {
            ask.desk.note_change();
            Ok(Some(ask.json(batch)))
        }
        Ok(None) => Ok(Some(
            ask.absent(value["input_file_id"].as_str().unwrap_or_default()),
        )),
        Err(error) => ask.unkept(&error).map(Some),
    }
}

/// What is known of a batch before anything is.
fn empty(created: i64, expires: i64) -> BatchData {
    BatchData {
        owner: crate::batches::Owner {
            id: String::new(),
            consumer: None,
            key: None,
        },
        place: Place::default(),
        endpoint: String::new(),
        input: None,
        window: String::new(),
        metadata: None,
        output_expires_s: None,
        model: None,
        models: Vec::new(),
        output: None,
        errors: None,
        wrong: Vec::new(),
        counts: Counts::default(),
        consumed: Consumed::default(),
        times: Times {
            created,
            expires,
            ..Times::default()
        },
        relayed: None,
        folder: String::new(),
    }
}

/// Writes a batch down whose requests are there; they are removed where it cannot be.
fn add(
    shelf: &mut Shelf,
    id: &str,
    api: Api,
    state: BatchState,
    data: &mut BatchData,
) -> Kept<Value> {
    let mut row = BatchRow {
        number: 0,
        id: id.to_owned(),
        owner: data.owner.id.clone(),
        api: api.as_str().to_owned(),
        state: String::new(),
        is_over: false,
        data: String::new(),
        version: 0,
        created_ms: data.times.created,
        changed_ms: data.times.created,
    };
    shelf.folder_id().clone_into(&mut data.folder);
    data.write(&mut row, state, data.times.created);
    let quota = shelf.quota();
    if let Err(error) = shelf.store(|store| store.add_batch(&row, &quota)) {
        shelf.remove_parts(id)?;
        return Err(error);
    }
    Ok(data.shape(&row))
}

/// Where the exchange came in, and what its requests in a batch take over from it.
fn place(exchange: &Exchange) -> Place {
    let head = &exchange.request.head;
    let tag = exchange.snapshot.resources.gateway.store.as_ref();
    let tag = tag.and_then(|store| store.tag_header.as_deref());
    let field = |name: &str| {
        let value = head.headers.get_named(name)?;
        Some((name.to_owned(), String::from_utf8(value.to_vec()).ok()?))
    };
    Place {
        listener: exchange.client.listener.to_string(),
        authority: head.authority.clone(),
        fields: FIELDS
            .iter()
            .copied()
            .chain(tag)
            .filter_map(field)
            .collect(),
    }
}

/// Takes the requests of a message batch out of its body, each checked and written as a line.
#[derive(Default)]
struct Taken {
    lines: Vec<u8>,
    ids: HashSet<String>,
    count: u64,
    model: Option<Option<String>>,
    wrong: Option<String>,
}

impl Taken {
    fn take(&mut self, line: &[u8]) -> ControlFlow<()> {
        match self.check(line) {
            Ok(()) => {
                self.lines.extend_from_slice(line);
                self.lines.push(b'\n');
                self.count += 1;
                ControlFlow::Continue(())
            }
            Err(message) => {
                self.wrong = Some(message);
                ControlFlow::Break(())
            }
        }
    }

    fn check(&mut self, line: &[u8]) -> Result<(), String> {
        let place = format!("requests.{}", self.count);
        if self.count >= ANTHROPIC_REQUESTS_MAX {
            return Err(format!(
                "requests: at most {ANTHROPIC_REQUESTS_MAX} in a batch"
            ));
        }
        let read = anthropic_line(line);
        let request = read.map_err(|error: LineError| format!("{place}: {error}"))?;
        let model = request.model.map(std::borrow::Cow::into_owned);
        match &self.model {
            None => self.model = Some(model),
            Some(one) if *one != model => self.model = Some(None),
            Some(_) => {}
        }
        match self.ids.insert(request.custom_id.into_owned()) {
            true => Ok(()),
            false => Err(format!("{place}.custom_id: the id is there twice")),
        }
    }
}

/// A message batch on its way in. It is read on the desk's thread, because one request may be long.
struct Coming {
    requests: Requests,
    taken: Taken,
    file: Incoming,
}

impl Coming {
    /// Reads the next bytes and writes the requests that end in them; what is wrong with them.
    fn read(&mut self, bytes: &[u8]) -> Kept<Option<String>> {
        let taken = &mut self.taken;
        let read = self.requests.push(bytes, |line| taken.take(line));
        let wrong = match (taken.wrong.take(), read) {
            (Some(message), _) => Some(message),
            (None, Err(error)) => Some(error.to_string()),
            (None, Ok(())) => None,
        };
        self.file.write(&std::mem::take(&mut taken.lines))?;
        Ok(wrong)
    }
}

/// Has the desk read the next bytes.
async fn read(
    ask: &Ask<'_>,
    mut coming: Coming,
    bytes: Vec<u8>,
) -> Result<Result<Coming, String>, Fault> {
    let read = ask.desk.ask(move |_| {
        let wrong = coming.read(&bytes)?;
        Ok::<_, ShelfError>(wrong.map_or(Ok(coming), Err))
    });
    read.await?.map_err(|error| broken(&error))
}

/// Hands a message batch in.
pub(super) async fn inline(exchange: &mut Exchange, ask: &Ask<'_>) -> Result<Response, Fault> {
    let limit = exchange.overrides.body.unwrap_or(u64::MAX);
    let mut body = std::mem::take(&mut exchange.request.body);
    let begun = ask.desk.ask(|shelf| shelf.begin()).await?;
    let mut coming = Coming {
        requests: Requests::new(LINE_MAX),
        taken: Taken::default(),
        file: begun.map_err(|error| broken(&error))?,
    };
    let (mut gathered, mut came) = (Vec::new(), 0_u64);
    loop {
        let chunk = match frame(&mut body).await {
            Some(Ok(Frame::Data(chunk))) => Some(chunk),
            Some(Ok(Frame::Trailers(_))) | None => None,
            Some(Err(error)) => return Err(Fault::from_request_body(&error)),
        };
        let is_over = chunk.is_none();
        if let Some(chunk) = chunk {
            came += chunk.len() as u64;
            if came > limit.min(ANTHROPIC_BYTES_MAX) {
                return Err(FaultCode::BodyTooLarge.into());
            }
            gathered.extend_from_slice(&chunk);
        }
        if gathered.len() >= PIECE || is_over {
            match read(ask, coming, std::mem::take(&mut gathered)).await? {
                Ok(read) => coming = read,
                Err(message) => return Ok(ask.refuse(400, &message)),
            }
        }
        if is_over {
            break;
        }
    }
    let Coming {
        requests,
        taken,
        file,
    } = coming;
    if let Err(error) = requests.finish() {
        return Ok(ask.refuse(400, &error.to_string()));
    }
    if taken.count == 0 {
        return Ok(ask.refuse(400, "requests: at least one request is needed"));
    }
    let (place, owner) = (place(exchange), ask.owner.clone());
    let added = ask.desk.ask(move |shelf| -> Kept<Value> {
        let now = shelf.now_ms();
        let id = new_id(MESSAGE_BATCH)?;
        let mut data = BatchData {
            owner,
            place,
            endpoint: MESSAGES.to_owned(),
            model: taken.model.flatten(),
            counts: Counts {
                total: taken.count,
                ..Counts::default()
            },
            ..empty(now, now.saturating_add(MESSAGES_MS))
        };
        shelf.keep_requests(file, &id)?;
        add(
            shelf,
            &id,
            Api::Anthropic,
            BatchState::InProgress,
            &mut data,
        )
    });
    match added.await? {
        Ok(batch) => {
            ask.desk.note_change();
            Ok(ask.json(batch))
        }
        Err(error) => ask.unkept(&error),
    }
}
