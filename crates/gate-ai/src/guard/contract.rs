//! What an answer has to look like: a given schema, or what its own request asks for.
//!
//! [`Contract::of_request`] reads a request once; whole answers are held against it by
//! [`Contract::check_whole`], streams by [`ContractStream`], which says after every piece whether
//! something of it is still open. Text is complete when the model stops, a tool call when its
//! block ends: until then nobody can say whether JSON holds, so that whoever enforces a contract
//! has to wait, and only from the first piece that matters on.

use super::Point;
use super::schema::{Mismatch, Schema, SchemaError};
use crate::conversation::{Block, Content, Format, Part, Stop, StreamEvent};
use crate::dialect::StreamDecoder;
use crate::framing::{Framer, Framing, Scanner};
use crate::{Dialect, DialectError, Losses, read_request, read_response};
use std::collections::HashMap;
use std::sync::Arc;

/// Most bytes of an answer's text and arguments that are kept for a check.
const KEPT_MAX: usize = 4 * 1024 * 1024;
/// Longest event of a stream.
const EVENT_MAX: usize = 4 * 1024 * 1024;
/// Schema of an answer that has to be any JSON object.
const ANY_OBJECT: &str = r#"{"type":"object"}"#;

/// What of an exchange is looked at.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Every answer has to hold to this, whatever its request asks for.
    pub answer: Option<Arc<Schema>>,
    /// Answers are held against what their request asks for.
    pub declared_answer: bool,
    /// Calls of tools are held against the tools' declarations.
    pub declared_tools: bool,
}

/// Where an answer breaks its contract, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    /// In the answer's text, or in a tool call.
    pub point: Point,
    /// What does not hold.
    pub what: Broken,
}

/// What does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The text or the arguments.
    Value(Mismatch),
    /// The tool was not declared.
    UnknownTool,
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(mismatch) => mismatch.fmt(f),
            Self::UnknownTool => f.write_str("the tool was not declared"),
        }
    }
}

/// What the answer of one request has to look like.
#[derive(Debug)]
pub struct Contract {
    dialect: Dialect,
    answer: Option<Arc<Schema>>,
    /// By name; without a schema any arguments will do.
    tools: Option<HashMap<String, Option<Schema>>>,
}

impl Contract {
    /// The contract of one request; `None` when there is nothing to hold its answer against.
    ///
    /// # Errors
    /// [`SchemaError`] when what was declared cannot be checked.
    pub fn of_request(
        dialect: Dialect,
        body: &[u8],
        terms: &Terms,
    ) -> Result<Option<Self>, SchemaError> {
        let unread = |error: DialectError| SchemaError(error.to_string());
        let request = read_request(dialect, body).map_err(unread)?;
        if request.candidates.is_some_and(|wanted| wanted > 1) {
            return Err(SchemaError(
                "only requests for one answer are checked".into(),
            ));
        }
        let mut answer = terms.answer.clone();
        if answer.is_none() && terms.declared_answer {
            answer = match &request.format {
                None => None,
                Some(Format::JsonObject) => Some(Arc::new(Schema::new(ANY_OBJECT)?)),
                Some(Format::JsonSchema { schema, .. }) => Some(Arc::new(Schema::new(schema)?)),
            };
        }
        let mut tools = None;
        if terms.declared_tools && !request.tools.is_empty() {
            let mut named = HashMap::new();
            for tool in &request.tools {
                let schema = tool.schema.as_deref().map(Schema::new).transpose()?;
                named.insert(tool.name.clone().into_owned(), schema);
            }
            tools = Some(named);
        }
        let binds = answer.is_some() || tools.is_some();
        Ok(binds.then_some(Self {
            dialect,
            answer,
            tools,
        }))
    }

    /// Whether a whole answer keeps the contract.
    ///
    /// # Errors
    /// [`DialectError`] when the answer cannot be read.
    pub fn check_whole(self: &Arc<Self>, body: &[u8]) -> Result<Option<Breach>, DialectError> {
        if self.dialect == Dialect::GenerateContent && body.trim_ascii_start().starts_with(b"[") {
            let mut stream = ContractStream::new(self.clone(), Framing::JsonList);
            stream.push(body)?;
            return Ok(stream.finish());
        }
        let response = read_response(self.dialect, body)?;
        let mut text = String::new();
        for Part { content, .. } in &response.parts {
            match content {
                Content::Text { text: piece, .. } => text.push_str(piece),
                Content::ToolCall {
                    name, arguments, ..
                } => {
                    if let Some(breach) = self.call(name, arguments) {
                        return Ok(Some(breach));
                    }
                }
                _ => {}
            }
        }
        Ok(self.text(&text, response.stop))
    }

    /// The whole text of an answer. Refusals, and turns that only call tools, have none.
    fn text(&self, text: &str, stop: Stop) -> Option<Breach> {
        let schema = self.answer.as_ref()?;
        let says_nothing = matches!(stop, Stop::ToolCall | Stop::Refusal | Stop::Pause);
        if says_nothing && text.trim().is_empty() || stop == Stop::Refusal {
            return None;
        }
        let what = Broken::Value(schema.check_text(text).err()?);
        let point = Point::Response;
        Some(Breach { point, what })
    }

    fn call(&self, name: &str, arguments: &str) -> Option<Breach> {
        let point = Point::ToolCall;
        let what = match self.tools.as_ref()?.get(name) {
            None => Broken::UnknownTool,
            Some(None) => return None,
            // Some models leave out the arguments of a tool that has none.
            Some(Some(schema)) if arguments.trim().is_empty() => {
                Broken::Value(schema.check_text("{}").err()?)
            }
            Some(Some(schema)) => Broken::Value(schema.check_text(arguments).err()?),
        };
        Some(Breach { point, what })
    }
}

/// Holds a stream, in the caller's dialect, against a contract.
pub struct ContractStream {
    contract: Arc<Contract>,
    scanner: Scanner,
    /// Bytes behind the last whole event.
    partial: usize,
    framer: Framer,
    decoder: Box<dyn StreamDecoder>,
    losses: Losses,
    seen: Turn,
}

/// What a stream has said so far.
#[derive(Default)]
struct Turn {
    text: String,
    /// Calls whose arguments are not complete: block, tool, arguments.
    calls: Vec<(u32, String, String)>,
    /// Complete calls that were not checked.
    complete: Vec<(String, String)>,
    stop: Option<Stop>,
    kept: usize,
    text_checked: bool,
}

impl Turn {
    fn note(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::BlockStart {
                index,
                block: Block::ToolCall { name, .. },
            } => {
                self.kept += name.len();
                self.calls.push((index, name.into_owned(), String::new()));
            }
            StreamEvent::Text { text, .. } => {
                self.kept += text.len();
                self.text.push_str(&text);
            }
            StreamEvent::Arguments { index, json } => {
                self.kept += json.len();
                if let Some(call) = self.calls.iter_mut().find(|(at, ..)| *at == index) {
                    call.2.push_str(&json);
                }
            }
            StreamEvent::BlockStop { index } => self.close(|at| at == index),
            StreamEvent::Finish { stop, .. } => {
                self.stop = Some(stop);
                self.close(|_| true);
            }
            _ => {}
        }
    }

    fn close(&mut self, is_it: impl Fn(u32) -> bool) {
        let (done, open) = std::mem::take(&mut self.calls)
            .into_iter()
            .partition(|(at, ..)| is_it(*at));
        self.calls = open;
        let done: Vec<(u32, String, String)> = done;
        let done = done.into_iter().map(|(_, name, json)| (name, json));
        self.complete.extend(done);
    }
}

impl ContractStream {
    /// A stream of this contract's dialect.
    #[must_use]
    pub fn of(contract: Arc<Contract>) -> Self {
        let framing = contract.dialect.framing();
        Self::new(contract, framing)
    }

    fn new(contract: Arc<Contract>, framing: Framing) -> Self {
        let dialect = contract.dialect;
        Self {
            scanner: Scanner::new(framing),
            partial: 0,
            framer: Framer::new(framing, EVENT_MAX),
            decoder: dialect.codec().stream_decoder(),
            losses: Losses::new(dialect, dialect),
            seen: Turn::default(),
            contract,
        }
    }

    /// Takes the next bytes; how many of them, in whole events, came before anything was open.
    ///
    /// # Errors
    /// [`DialectError`] when the stream cannot be read, or is longer than is kept.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, DialectError> {
        let mut start = self.scanner.leading(bytes);
        self.read(&bytes[..start])?;
        let mut free = if self.is_open() { 0 } else { start };
        while let Some(end) = self.scanner.next_end(bytes, start) {
            self.read(&bytes[start..end])?;
            start = end;
            self.partial = 0;
            if !self.is_open() {
                free = end;
            }
        }
        self.read(&bytes[start..])?;
        self.partial += bytes.len() - start;
        Ok(free)
    }

    /// Bytes behind the last whole event so far.
    #[must_use]
    pub const fn partial(&self) -> usize {
        self.partial
    }

    fn read(&mut self, bytes: &[u8]) -> Result<(), DialectError> {
        let Self {
            framer,
            decoder,
            losses,
            seen,
            ..
        } = self;
        framer.push(bytes, &mut |name, data| {
            decoder.event(name, data, losses, &mut |event, _| seen.note(event))
        })?;
        if seen.kept > KEPT_MAX {
            return Err(DialectError::EventTooLarge { limit: KEPT_MAX });
        }
        Ok(())
    }

    /// Whether something has begun of which nobody can say yet whether it holds.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let (seen, contract) = (&self.seen, &self.contract);
        let text = contract.answer.is_some() && !seen.text.is_empty() && !seen.text_checked;
        let calls = !seen.calls.is_empty() || !seen.complete.is_empty();
        text || calls && contract.tools.is_some()
    }

    /// Bytes that a check would look at now: nothing when none is due.
    #[must_use]
    pub fn due(&self) -> usize {
        let calls = self.seen.complete.iter().map(|(_, json)| json.len() + 1);
        let text = match self.seen.stop {
            Some(_) if !self.seen.text_checked => self.seen.text.len() + 1,
            _ => 0,
        };
        calls.sum::<usize>() + text
    }

    /// Bytes of text and arguments so far.
    #[must_use]
    pub const fn kept(&self) -> usize {
        self.seen.kept
    }

    /// Checks what is complete and was not checked before.
    pub fn check(&mut self) -> Option<Breach> {
        let mut breach = None;
        for (name, json) in std::mem::take(&mut self.seen.complete) {
            breach = breach.or(self.contract.call(&name, &json));
        }
        if let Some(stop) = self.seen.stop
            && !self.seen.text_checked
        {
            self.seen.text_checked = true;
            breach = breach.or(self.contract.text(&self.seen.text, stop));
        }
        breach
    }

    /// The bytes have ended: whatever is left is checked as it is.
    pub fn finish(&mut self) -> Option<Breach> {
        let Self {
            decoder,
            losses,
            seen,
            ..
        } = self;
        decoder.finish(losses, &mut |event, _| seen.note(event));
        self.seen.close(|_| true);
        if self.seen.stop.is_none() && !self.seen.text.is_empty() {
            self.seen.stop = Some(Stop::MaxTokens);
        }
        self.check()
    }
}

impl std::fmt::Debug for ContractStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContractStream")
            .field("kept", &self.seen.kept)
            .field("is_open", &self.is_open())
            .finish_non_exhaustive()
    }
}
