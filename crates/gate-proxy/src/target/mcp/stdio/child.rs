//! A process as workers see it: messages in, messages out, each to whom it is for.

use super::super::MESSAGE_MAX;
use bytes::Bytes;
use gate_ai::rpc::{self, Kind, Message};
use gate_flow::Fault;
use gate_model::fault::FaultCode;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc;

/// Messages that may wait for the process.
const OUT: usize = 64;
/// Messages that may wait for a caller.
const IN: usize = 8;
/// Most calls at a time.
const CALLS_MAX: usize = 256;

/// A process, held by the session that it is for: without it, it is ended.
pub(crate) struct Child {
    to: mpsc::Sender<Bytes>,
    desk: Arc<Desk>,
}

/// Who waits for what of a process.
#[derive(Default)]
pub(super) struct Desk {
    calls: Mutex<Calls>,
    ended: AtomicBool,
}

#[derive(Default)]
struct Calls {
    pending: HashMap<Box<str>, Pending>,
    listener: Option<mpsc::Sender<Vec<u8>>>,
    number: u64,
}

struct Pending {
    to: mpsc::Sender<Vec<u8>>,
    progress: Option<Box<str>>,
    /// The gateway's own, which answers nothing.
    own: bool,
    /// Earlier ones have lower numbers.
    number: u64,
}

/// What a process says to one who waits.
pub(crate) struct Inbox {
    from: mpsc::Receiver<Vec<u8>>,
    /// The call that is cancelled when nobody waits any more.
    call: Option<(Box<str>, Arc<Desk>, mpsc::WeakSender<Bytes>)>,
}

/// What is to be done with a message of a process.
pub(super) enum Routed {
    /// It goes to one who waits.
    To(mpsc::Sender<Vec<u8>>),
    /// The process is answered at once.
    Answer(Vec<u8>),
    /// Nobody wants it.
    Nobody,
}

impl Child {
    /// A process's two ends: for its session, and for the thread that runs it.
    pub(super) fn new() -> (Self, Arc<Desk>, mpsc::Receiver<Bytes>) {
        let (to, from) = mpsc::channel(OUT);
        let desk = Arc::<Desk>::default();
        let child = Self {
            to,
            desk: desk.clone(),
        };
        (child, desk, from)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.desk.ended.load(Ordering::Acquire)
    }

    /// Sends a message that asks for no answer.
    ///
    /// # Errors
    /// When it has ended or does not read.
    pub(crate) fn tell(&self, body: Bytes) -> Result<(), Fault> {
        let mut line = body.to_vec();
        rpc::flatten(&mut line);
        line.push(b'\n');
        self.to.try_send(line.into()).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Fault::new(FaultCode::UpstreamOverloaded).detail("the process does not read")
            }
            mpsc::error::TrySendError::Closed(_) => ended(),
        })
    }

    /// Sends a request; what is said to it, the answer last.
    ///
    /// # Errors
    /// When it has ended, does not read, or has as many requests as it may.
    pub(crate) fn ask(
        &self,
        id: &str,
        progress: Option<&str>,
        body: Bytes,
    ) -> Result<Inbox, Fault> {
        if self.has_ended() {
            return Err(ended());
        }
        let (to, from) = mpsc::channel(IN);
        let mut calls = self.desk.lock();
        if calls.pending.len() >= CALLS_MAX {
            let detail = format!("the process has {CALLS_MAX} requests in flight");
            return Err(Fault::new(FaultCode::UpstreamOverloaded).detail(detail));
        }
        if calls.pending.contains_key(id) {
            let message = "A request with this id is still in flight.";
            return Err(Fault::new(FaultCode::InvalidBody).message(message));
        }
        calls.number += 1;
        let pending = Pending {
            to,
            progress: progress.map(Into::into),
            own: id.starts_with("\"tidegate"),
            number: calls.number,
        };
        calls.pending.insert(id.into(), pending);
        drop(calls);
        let inbox = Inbox {
            from,
            call: Some((id.into(), self.desk.clone(), self.to.downgrade())),
        };
        self.tell(body)?;
        Ok(inbox)
    }

    /// What it says unasked, from now on; to one listener at a time, the latest.
    pub(crate) fn listen(&self) -> Inbox {
        let (to, from) = mpsc::channel(IN);
        if !self.has_ended() {
            self.desk.lock().listener = Some(to);
        }
        Inbox { from, call: None }
    }
}

fn ended() -> Fault {
    Fault::new(FaultCode::UpstreamReset).detail("the process has ended")
}

impl Inbox {
    /// The next message; none for a listener whose process has ended. May be dropped midway.
    ///
    /// # Errors
    /// When the process ended before it answered.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        match self.from.recv().await {
            Some(message) => Ok(Some(message)),
            None if self.call.is_some() => Err(ended()),
            None => Ok(None),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        let Some((id, desk, to)) = self.call.take() else {
            return;
        };
        let unanswered = desk.lock().pending.remove(&id).is_some();
        // The handshake may not be cancelled, says the protocol.
        if let Some(to) = to
            .upgrade()
            .filter(|_| unanswered && &*id != "\"tidegate\"")
        {
            let params = format!("{{\"requestId\":{id},\"reason\":\"nobody waits\"}}");
            let mut line = rpc::request(None, "notifications/cancelled", Some(&params));
            line.push(b'\n');
            let _ = to.try_send(line.into());
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody waits for an answer.
    pub(super) fn is_busy(&self) -> bool {
        !self.lock().pending.is_empty()
    }

    /// Notes that the process has ended; who waits hears of it.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        let mut calls = self.lock();
        let gone = (std::mem::take(&mut calls.pending), calls.listener.take());
        drop(calls);
        drop(gone);
    }

    /// Whom a message of the process is for.
    pub(super) fn route(&self, line: &[u8]) -> Routed {
        let Ok(message) = Message::read(line) else {
            return Routed::Nobody;
        };
        let mut calls = self.lock();
        match message.kind {
            Kind::Response => {
                let id = message.id.as_deref().unwrap_or_default();
                match calls.pending.remove(id) {
                    Some(pending) => Routed::To(pending.to),
                    None => Routed::Nobody,
                }
            }
            Kind::Notification => {
                let token = message.progress.as_deref();
                let of = calls
                    .pending
                    .values()
                    .find(|call| token.is_some() && call.progress.as_deref() == token);
                let found = of.map(|call| call.to.clone());
                found
                    .or_else(|| calls.hearer())
                    .map_or(Routed::Nobody, Routed::To)
            }
            Kind::Request => {
                let id = message.id.as_deref().unwrap_or("null");
                if &*message.method == "ping" {
                    return Routed::Answer(rpc::answer(id, "{}"));
                }
                let refusal = || {
                    let text = "The client has no stream open on which it could be asked.";
                    let code = "no_stream";
                    rpc::error_answer(Some(id), rpc::METHOD_NOT_FOUND, text, code)
                };
                match calls.hearer() {
                    Some(to) => Routed::To(to),
                    None => Routed::Answer(refusal()),
                }
            }
        }
    }
}

impl Calls {
    /// Who hears what nobody has asked for: the listener, else the call that has waited longest.
    fn hearer(&self) -> Option<mpsc::Sender<Vec<u8>>> {
        let listener = self.listener.as_ref().filter(|to| !to.is_closed());
        let waiting = self.pending.values().filter(|call| !call.own);
        let waiting = waiting.min_by_key(|call| call.number).map(|call| &call.to);
        listener.or(waiting).cloned()
    }
}

/// Lines out of what a process writes, none longer than a message may be.
#[derive(Default)]
pub(super) struct Lines {
    rest: Vec<u8>,
}

/// A line that is longer than a message may be.
#[derive(Debug)]
pub(super) struct TooLong;

impl Lines {
    /// Takes what was written, and hands out the lines that it completes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, TooLong> {
        let mut lines = Vec::new();
        let mut bytes = bytes;
        while let Some(end) = memchr(bytes) {
            self.rest.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            if self.rest.len() > MESSAGE_MAX {
                return Err(TooLong);
            }
            let mut line = std::mem::take(&mut self.rest);
            if line.ends_with(b"\r") {
                line.pop();
            }
            if !line.is_empty() {
                lines.push(line);
            }
        }
        self.rest.extend_from_slice(bytes);
        match self.rest.len() > MESSAGE_MAX {
            true => Err(TooLong),
            false => Ok(lines),
        }
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|&byte| byte == b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_for(routed: &Routed, inbox: &mut Inbox) -> bool {
        match routed {
            Routed::To(to) => {
                to.try_send(b"x".to_vec()).unwrap();
                inbox.from.try_recv().is_ok()
            }
            _ => false,
        }
    }

    fn request(method: &str) -> Vec<u8> {
        rpc::request(Some("5"), method, None)
    }

    #[test]
    fn each_message_goes_to_whom_it_is_for() {
        let (child, desk, mut written) = Child::new();
        let mut one = child
            .ask("1", Some("\"p\""), Bytes::from_static(b"{}"))
            .unwrap();
        let mut two = child.ask("2", None, Bytes::from_static(b"{\n}")).unwrap();
        assert_eq!(&written.try_recv().unwrap()[..], b"{}\n");
        assert_eq!(&written.try_recv().unwrap()[..], b"{ }\n");
        let params = Some("{\"progressToken\":\"p\",\"progress\":1}");
        let progress = rpc::request(None, "notifications/progress", params);
        assert!(is_for(&desk.route(&progress), &mut one));
        // A question goes to the call that has waited longest, until somebody listens.
        assert!(is_for(&desk.route(&request("roots/list")), &mut one));
        let mut listener = child.listen();
        assert!(is_for(&desk.route(&request("roots/list")), &mut listener));
        assert!(is_for(&desk.route(&rpc::answer("2", "{}")), &mut two));
        assert!(matches!(
            desk.route(&rpc::answer("2", "{}")),
            Routed::Nobody
        ));
        assert!(matches!(
            desk.route(b"Listening on nothing"),
            Routed::Nobody
        ));
    }

    #[test]
    fn what_nobody_waits_for_is_cancelled_or_refused() {
        let (child, desk, mut written) = Child::new();
        let asked = child.ask("1", None, Bytes::from_static(b"{}")).unwrap();
        assert!(child.ask("1", None, Bytes::from_static(b"{}")).is_err());
        drop(asked);
        written.try_recv().unwrap();
        let cancelled = written.try_recv().unwrap();
        let cancelled = std::str::from_utf8(&cancelled).unwrap();
        assert!(cancelled.contains("notifications/cancelled"), "{cancelled}");
        assert!(matches!(desk.route(&request("ping")), Routed::Answer(_)));
        assert!(matches!(
            desk.route(&request("roots/list")),
            Routed::Answer(_)
        ));
        desk.end();
        assert!(child.has_ended() && child.ask("3", None, Bytes::new()).is_err());
    }

    #[test]
    fn lines_do_not_depend_on_how_they_were_cut() {
        let written = b"{\"a\":1}\r\n\n{}\n{\"b\"";
        let mut whole = Lines::default();
        let expected = whole.push(written).unwrap();
        assert_eq!(expected, [b"{\"a\":1}".to_vec(), b"{}".to_vec()]);
        for cut in 0..written.len() {
            let mut lines = Lines::default();
            let mut found = lines.push(&written[..cut]).unwrap();
            found.extend(lines.push(&written[cut..]).unwrap());
            assert_eq!(found, expected, "cut at {cut}");
        }
        assert!(Lines::default().push(&vec![b'x'; MESSAGE_MAX + 1]).is_err());
    }
}
