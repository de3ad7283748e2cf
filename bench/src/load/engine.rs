//! Drives the connections of one run from one thread over one epoll.
//!
//! Closed loop: a connection sends again as soon as its answer is whole. Open loop: requests
//! fall due at a fixed rate whatever the proxy does; one that finds no idle connection waits,
//! and its wait counts, so that a stalled proxy cannot hide behind a polite client.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use gate_kit::clock::{Clock, Moment};

use super::plan::{LoadError, Mark, Outcome, Pace, Plan, Stop};
use super::{Answer, ResponseReader, Transport};
use crate::machine;
use crate::poller::Poller;

/// Without an answer for so long, the run has failed.
const STALL_MAX: Duration = Duration::from_secs(15);
/// The longest sleep, so that the end of a run is seen in time.
const NAP: Duration = Duration::from_millis(5);

/// Runs the plan on this thread. `mark` is called at the borders of the measured time.
pub fn run(plan: &Plan, mark: &mut dyn FnMut(Mark)) -> Result<Outcome, LoadError> {
    // The default slack of 50 us would add itself to every scheduled send. Where it cannot be
    // set, it is the same for every proxy and for the direct path.
    let _ = machine::set_timer_slack(1);
    let outcome = Engine::new(plan).and_then(|mut engine| engine.run(mark));
    let _ = machine::set_timer_slack(0);
    outcome
}

struct Engine<'a> {
    plan: &'a Plan,
    clock: Clock,
    poller: Poller,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    overdue: VecDeque<Moment>,
    buffer: Vec<u8>,
    phase: Phase,
    outcome: Outcome,
    sent: u64,
    scheduled: u64,
    began: Moment,
    last_answer: Moment,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    WarmUp,
    Measured,
    Over,
}

struct Connection {
    transport: Transport,
    reader: ResponseReader,
    written: usize,
    busy: bool,
    counted_from: Moment,
    sent_at: Moment,
    saw_body: bool,
}

impl<'a> Engine<'a> {
    fn new(plan: &'a Plan) -> Result<Self, LoadError> {
        let fail = |what: &str| {
            let what = what.to_owned();
            move |error| LoadError::Io(what, error)
        };
        let poller = Poller::new().map_err(fail("epoll"))?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            connections.push(connect(plan, &poller, index).map_err(fail("connect"))?);
        }
        let clock = Clock::System;
        let began = clock.now();
        Ok(Self {
            plan,
            clock,
            poller,
            idle: (0..plan.connections).collect(),
            connections,
            overdue: VecDeque::new(),
            buffer: vec![0; 128 * 1024],
            phase: Phase::WarmUp,
            outcome: Outcome::default(),
            sent: 0,
            scheduled: 0,
            began,
            last_answer: began,
        })
    }

    fn run(&mut self, mark: &mut dyn FnMut(Mark)) -> Result<Outcome, LoadError> {
        let (warm_up, limit) = match self.plan.stop {
            Stop::After { warm_up, measured } => (warm_up, warm_up + measured),
            Stop::Answers { deadline, .. } => (Duration::ZERO, deadline),
        };
        let mut measured_from = self.began;
        while self.phase != Phase::Over {
            let now = self.clock.now();
            if self.phase == Phase::WarmUp && now.since(self.began) >= warm_up {
                mark(Mark::Start);
                measured_from = self.clock.now();
                self.phase = Phase::Measured;
            }
            if now.since(self.last_answer) > STALL_MAX {
                let busy = self.connections.iter().filter(|one| one.busy).count();
                return Err(LoadError::Stalled(format!("{busy} answers outstanding")));
            }
            if self.is_over(now.since(self.began), limit)? {
                self.outcome.elapsed = self.clock.now().since(measured_from);
                mark(Mark::End);
                self.phase = Phase::Over;
                break;
            }
            let timeout = self.send_due()?;
            let ready = self
                .poller
                .wait(timeout)
                .map_err(|e| LoadError::Io("epoll".into(), e))?;
            for index in 0..ready {
                let token = usize::try_from(self.poller.token(index)).expect("an index");
                self.drive(token, self.poller.hung_up(index))?;
            }
        }
        Ok(std::mem::take(&mut self.outcome))
    }

    fn is_over(&self, elapsed: Duration, limit: Duration) -> Result<bool, LoadError> {
        match self.plan.stop {
            Stop::After { .. } => Ok(elapsed >= limit),
            Stop::Answers { count, .. } if self.outcome.answers >= count => Ok(true),
            Stop::Answers { count, .. } if elapsed >= limit => Err(LoadError::Stalled(format!(
                "{} of {count} answers within {limit:?}",
                self.outcome.answers
            ))),
            Stop::Answers { .. } => Ok(false),
        }
    }

    /// Sends what is due; returns how long to sleep until the next is.
    fn send_due(&mut self) -> Result<Duration, LoadError> {
        let Pace::Open { rate } = self.plan.pace else {
            while self.may_send() {
                let Some(index) = self.idle.pop_front() else {
                    break;
                };
                let now = self.clock.now();
                self.send(index, now)?;
            }
            return Ok(NAP);
        };
        loop {
            let next = self
                .began
                .plus(Duration::from_secs_f64(self.scheduled as f64 / rate));
            let now = self.clock.now();
            if next > now {
                return Ok(next.since(now).min(NAP));
            }
            self.scheduled += 1;
            match self.idle.pop_front() {
                Some(index) => self.send(index, next)?,
                None => self.overdue.push_back(next),
            }
        }
    }

    fn may_send(&self) -> bool {
        match self.plan.stop {
            Stop::After { .. } => true,
            Stop::Answers { count, .. } => self.sent < count,
        }
    }

    fn send(&mut self, index: usize, counted_from: Moment) -> Result<(), LoadError> {
        self.sent += 1;
        let connection = &mut self.connections[index];
        connection.reader.reset();
        connection.written = 0;
        connection.busy = true;
        connection.saw_body = false;
        connection.counted_from = counted_from;
        connection.sent_at = self.clock.now();
        connection.write(&self.plan.request.bytes)
    }

    fn drive(&mut self, index: usize, hung_up: bool) -> Result<(), LoadError> {
        let connection = &mut self.connections[index];
        if connection.busy {
            connection.write(&self.plan.request.bytes)?;
        }
        loop {
            let connection = &mut self.connections[index];
            let count = match connection.transport.read(&mut self.buffer) {
                Ok(0) if connection.busy => {
                    return Err(LoadError::Wrong(
                        "connection closed within an answer".into(),
                    ));
                }
                Ok(0) => return self.reconnect(index),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) if !connection.busy => return self.reconnect(index),
                Err(error) => return Err(LoadError::Io("read".into(), error)),
            };
            if !connection.busy {
                return Err(LoadError::Wrong(format!("{count} bytes without a request")));
            }
            let events = connection.reader.events();
            let whole = connection
                .reader
                .feed(&self.buffer[..count])
                .map_err(LoadError::Wrong)?;
            if self.phase == Phase::Measured {
                self.outcome.events += connection.reader.events() - events;
                if !connection.saw_body && connection.reader.body_bytes() > 0 {
                    let first = self.clock.now().since(connection.sent_at);
                    self.outcome.first_byte.push(first);
                }
            }
            connection.saw_body = connection.reader.body_bytes() > 0;
            let empty =
                count < self.buffer.len() && connection.transport.short_read_is_empty() && !hung_up;
            if let Some(answer) = whole {
                self.finish(index, answer)?;
            }
            if empty {
                return Ok(());
            }
        }
    }

    /// Checks and counts an answer, then lets its connection work on.
    fn finish(&mut self, index: usize, answer: Answer) -> Result<(), LoadError> {
        let expect = self.plan.request.expect;
        let length_is_right = match expect.body_bytes {
            Some(bytes) => answer.body_bytes == bytes,
            None => answer.body_bytes > 0,
        };
        let events_are_right = expect.events.is_none_or(|events| answer.events == events);
        if answer.status != expect.status || !length_is_right || !events_are_right {
            return Err(LoadError::Wrong(format!("{answer:?}, expected {expect:?}")));
        }
        let now = self.clock.now();
        self.last_answer = now;
        let connection = &mut self.connections[index];
        connection.busy = false;
        if self.phase == Phase::Measured {
            self.outcome.answers += 1;
            self.outcome
                .latency
                .push(now.since(connection.counted_from));
        }
        if answer.closes {
            return self.reconnect(index);
        }
        self.release(index)
    }

    fn reconnect(&mut self, index: usize) -> Result<(), LoadError> {
        let was_idle = self.idle.iter().position(|&one| one == index);
        self.connections[index] = connect(self.plan, &self.poller, index)
            .map_err(|error| LoadError::Io("reconnect".into(), error))?;
        self.outcome.reconnects += 1;
        if was_idle.is_none() {
            self.release(index)
        } else {
            Ok(())
        }
    }

    /// Gives an idle connection its next request, or lets it lie.
    fn release(&mut self, index: usize) -> Result<(), LoadError> {
        if let Some(due) = self.overdue.pop_front() {
            return self.send(index, due);
        }
        if self.plan.pace == Pace::Closed && self.may_send() {
            let now = self.clock.now();
            return self.send(index, now);
        }
        self.idle.push_back(index);
        Ok(())
    }
}

fn connect(plan: &Plan, poller: &Poller, index: usize) -> io::Result<Connection> {
    let transport = Transport::connect(plan.address, plan.tls.as_ref())?;
    poller.add(transport.socket(), index as u64)?;
    Ok(Connection {
        transport,
        reader: ResponseReader::new(false),
        written: 0,
        busy: false,
        counted_from: Moment::default(),
        sent_at: Moment::default(),
        saw_body: false,
    })
}

impl Connection {
    /// Writes what is left of the request.
    fn write(&mut self, request: &[u8]) -> Result<(), LoadError> {
        let fail = |error| LoadError::Io("write".into(), error);
        self.transport.flush().map_err(fail)?;
        while self.written < request.len() {
            match self.transport.write(&request[self.written..]) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(fail(error)),
            }
        }
        Ok(())
    }
}
