//! The responder's loop: one thread, one epoll, answers written piece by piece.
//!
//! Each connection is either reading a request or sending a reply. A reply that waits between
//! pieces lies in a heap of due times. What is answered is decided in `replies`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use gate_kit::clock::{Clock, Moment};

use super::model::{Model, SPEEDS};
use super::replies::{Replies, Reply};
use super::request::{Parsed, parse};
use crate::machine;
use crate::poller::Poller;

const LISTENER: u64 = u64::MAX;
/// The longest sleep, so that a stop is seen.
const NAP: Duration = Duration::from_millis(200);

/// A running mock upstream; dropping it stops its thread.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Upstream {
    /// Starts the responder on a loopback port that the system chooses, on `core` if given.
    pub fn start(core: Option<usize>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let thread = std::thread::Builder::new()
            .name("bench-upstream".to_owned())
            .spawn(move || {
                if let Some(core) = core {
                    machine::pin_thread(core).expect("the core was checked before");
                }
                let mut server = Server::new(listener, stopped).expect("epoll opens");
                server.run().expect("the mock upstream's loop runs");
            })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed by its own hook.
            let _ = thread.join();
        }
    }
}

struct Server {
    listener: TcpListener,
    stop: Arc<AtomicBool>,
    poller: Poller,
    replies: Replies,
    models: [Model; SPEEDS.len()],
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    due: BinaryHeap<Reverse<(Moment, usize)>>,
    buffer: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    sending: Option<Sending>,
}

struct Sending {
    reply: Arc<Reply>,
    piece: usize,
    offset: usize,
    due: Moment,
}

/// Why a connection stopped making progress.
enum Pause {
    Blocked,
    Until(Moment),
    Closed,
}

impl Server {
    fn new(listener: TcpListener, stop: Arc<AtomicBool>) -> io::Result<Self> {
        let poller = Poller::new()?;
        poller.add(&listener, LISTENER)?;
        Ok(Self {
            listener,
            stop,
            poller,
            replies: Replies::default(),
            models: SPEEDS.map(Model::new),
            connections: Vec::new(),
            free: Vec::new(),
            due: BinaryHeap::new(),
            buffer: vec![0; 64 * 1024],
        })
    }

    fn run(&mut self) -> io::Result<()> {
        let clock = Clock::System;
        while !self.stop.load(Ordering::Acquire) {
            let timeout = match self.due.peek() {
                Some(Reverse((due, _))) => due.since(clock.now()).min(NAP),
                None => NAP,
            };
            for index in 0..self.poller.wait(timeout)? {
                match self.poller.token(index) {
                    LISTENER => self.accept()?,
                    token => {
                        let hung_up = self.poller.hung_up(index);
                        let index = usize::try_from(token).expect("an index was registered");
                        self.drive(index, hung_up, &clock);
                    }
                }
            }
            self.wake_due(&clock);
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or(self.connections.len());
            self.poller.add(&stream, index as u64)?;
            let connection = Some(Connection {
                stream,
                input: Vec::new(),
                sending: None,
            });
            if index == self.connections.len() {
                self.connections.push(connection);
            } else {
                self.connections[index] = connection;
            }
        }
    }

    fn wake_due(&mut self, clock: &Clock) {
        let now = clock.now();
        while let Some(Reverse((due, index))) = self.due.peek().copied() {
            if due > now {
                return;
            }
            self.due.pop();
            self.drive(index, false, clock);
        }
    }

    fn drive(&mut self, index: usize, hung_up: bool, clock: &Clock) {
        let Some(connection) = self.connections.get_mut(index).and_then(Option::as_mut) else {
            return;
        };
        let voices = (&self.replies, &mut self.models[..]);
        match connection.advance(voices, &mut self.buffer, hung_up, clock) {
            Pause::Blocked => {}
            Pause::Until(due) => self.due.push(Reverse((due, index))),
            Pause::Closed => {
                self.connections[index] = None;
                self.free.push(index);
            }
        }
    }
}

impl Connection {
    /// Reads, answers and writes until the socket or the pace stops it.
    fn advance(
        &mut self,
        (replies, models): (&Replies, &mut [Model]),
        buffer: &mut [u8],
        hung_up: bool,
        clock: &Clock,
    ) -> Pause {
        let open = self.fill(buffer, hung_up);
        loop {
            if let Some(sending) = &mut self.sending {
                match sending.flush(&mut self.stream, clock) {
                    Ok(None) => self.sending = None,
                    Ok(Some(pause)) if open => return pause,
                    Ok(Some(_)) | Err(_) => return Pause::Closed,
                }
            }
            match parse(&self.input) {
                Parsed::Whole { question, bytes } => {
                    let reply = replies.find(&question).clone();
                    let due = reply
                        .speed
                        .map(|speed| models[speed].answers_at(clock.now()));
                    self.sending = Some(Sending {
                        reply,
                        piece: 0,
                        offset: 0,
                        due: due.unwrap_or_default(),
                    });
                    self.input.drain(..bytes);
                    if let Some(due) = due {
                        return Pause::Until(due);
                    }
                }
                Parsed::Partial if open => return Pause::Blocked,
                Parsed::Partial | Parsed::Refused(_) => return Pause::Closed,
            }
        }
    }

    /// Takes what the socket holds; false once the peer has closed. A short read has emptied
    /// the socket, except that only one more read shows the end behind a hang-up.
    fn fill(&mut self, buffer: &mut [u8], hung_up: bool) -> bool {
        loop {
            match self.stream.read(buffer) {
                Ok(0) => return false,
                Ok(count) => {
                    self.input.extend_from_slice(&buffer[..count]);
                    if count < buffer.len() && !hung_up {
                        return true;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
    }
}

impl Sending {
    /// Writes pieces; `None` once the last byte is out.
    fn flush(&mut self, stream: &mut TcpStream, clock: &Clock) -> io::Result<Option<Pause>> {
        while let Some(piece) = self.reply.pieces.get(self.piece) {
            if self.offset == 0 && self.due > clock.now() {
                // An early wake-up comes from the socket; the heap still holds the due time.
                return Ok(Some(Pause::Blocked));
            }
            match stream.write(&piece[self.offset..]) {
                Ok(count) => self.offset += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Some(Pause::Blocked));
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.offset < piece.len() {
                continue;
            }
            self.piece += 1;
            self.offset = 0;
            if let (Some(gap), true) = (self.reply.gap, self.piece < self.reply.pieces.len()) {
                let base = if self.due == Moment::default() {
                    clock.now()
                } else {
                    self.due
                };
                self.due = base.plus(gap);
                return Ok(Some(Pause::Until(self.due)));
            }
        }
        Ok(None)
    }
}
