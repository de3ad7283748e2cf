//! One request and its response in flight.

use crate::{
    AiFacts, Bodies, Caller, ContractNotes, GuardFacts, Inside, KeptRequest, Record, RpcFacts,
    Services, Snapshot, TrialPlace,
};
use gate_kit::clock::Moment;
use gate_kit::http::{Headers, Request, ResponseHead, Scheme};
use gate_model::units::Money;
use std::any::Any;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// One request and its response in flight. Lives on one worker from its first byte to its record.
pub struct Exchange {
    /// The configuration that serves it, held until it ends.
    pub snapshot: Arc<Snapshot>,
    /// The request; policies may change it before the target sees it.
    pub request: Request,
    /// The connection it came on.
    pub client: Rc<Client>,
    /// The caller's address: the peer's, or the one that trusted proxies vouch for.
    pub address: IpAddr,
    /// Index of the route in the snapshot, once found.
    pub route: Option<usize>,
    /// What the route's path parameters matched.
    pub parameters: Parameters,
    /// Who calls, once authenticated.
    pub caller: Option<Arc<Caller>>,
    /// Fields added to whatever is answered, faults included; they are appended once every policy
    /// has seen the response.
    pub response_headers: Headers,
    /// Limits that a policy set for this exchange.
    pub overrides: Overrides,
    /// When the exchange last went on after a wait; its start until then. Between two waits a
    /// worker spends microseconds, so policies and deadlines take this instead of asking the clock.
    pub moment: Moment,
    /// What is known so far.
    pub record: Record,
    /// What a model call consumes, while its answer is still on its way; moved into the record when
    /// the exchange ends, which costs no copy of it.
    pub ai: Option<Rc<RefCell<Box<AiFacts>>>>,
    /// What guards find, while its answer is still on its way; moved into the record when the
    /// exchange ends.
    pub guard: Option<Rc<RefCell<GuardFacts>>>,
    /// What is called of a server of tools or an agent, while its answer is still on its way; moved
    /// into the record when the exchange ends.
    pub rpc: Option<Rc<RefCell<RpcFacts>>>,
    /// Bodies that are recorded, while they pass; moved into the record when the exchange ends.
    pub bodies: Option<Rc<RefCell<Bodies>>>,
    /// What contracts find wrong with its messages, also after they have passed; moved into the
    /// record when the exchange ends.
    pub contract: Option<Rc<ContractNotes>>,
    /// The request as it came, where it is kept for replays.
    pub kept: Option<Box<KeptRequest>>,
    /// What policies remember between a request and its answer.
    pub memory: Memory,
    /// What a call to a model has reserved, settled from the record when the exchange ends.
    pub reservation: Option<Box<dyn Reservation>>,
    /// The trial that it may be or is a part of.
    pub trial: TrialPlace,
    /// Takes interim responses (1xx) for the caller, where the connection can carry them.
    pub interim: Option<Rc<dyn InterimSink>>,
    /// What the worker offers: clock, tracked tasks, outgoing requests.
    pub services: Rc<dyn Services>,
}

/// What a call to a model may cost, set aside before it was made.
pub trait Reservation {
    /// Ends it with what the record says was consumed, and writes the cost into the record. Called
    /// exactly once, whatever became of the exchange.
    fn settle(self: Box<Self>, record: &mut Record);

    /// What sets more aside for it; none where nothing was set aside.
    fn extension(&mut self) -> Option<Rc<dyn Extension>> {
        None
    }
}

/// Sets more aside for a call to a model, of which another provider is asked than was foreseen.
pub trait Extension {
    /// Sets as much aside for one more try, after those of `spent`, which their providers may bill.
    /// Providers whose budget has no room for more; `None` when the caller's own has none, so that
    /// nobody is to be asked any more. May be dropped midway.
    fn extend<'a>(&'a self, spent: &'a [Arc<str>]) -> Extended<'a>;

    /// Sets aside what is short of one more answer, where all before it come to `used`. False when a
    /// budget has no room. May be dropped midway.
    fn cover(self: Rc<Self>, used: Spent) -> Pin<Box<dyn Future<Output = bool>>>;
}

/// What a call has come to so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spent {
    /// In money; none where no price is known.
    pub cost: Option<Money>,
    /// Tokens read and written.
    pub tokens: i64,
}

/// The outcome of [`Extension::extend`].
pub type Extended<'a> = Pin<Box<dyn Future<Output = Option<Vec<Arc<str>>>> + 'a>>;

/// What is known about the connection of a caller.
#[derive(Debug, Clone)]
pub struct Client {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The other end, after a PROXY protocol header; unspecified for Unix sockets.
    pub peer: SocketAddr,
    /// Its address as text, which every request to an upstream carries.
    pub peer_address: Box<str>,
    /// Our end.
    pub local: SocketAddr,
    /// Whether TLS was used.
    pub scheme: Scheme,
    /// Facts of the TLS session.
    pub tls: Option<TlsFacts>,
    /// For whom the gateway itself makes the exchange; none where it came over a connection.
    pub inside: Option<Box<Inside>>,
}

/// Facts of a TLS session.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// Server name the caller asked for.
    pub server_name: Option<Box<str>>,
    /// Version, as `1.2` or `1.3`.
    pub version: &'static str,
    /// The caller's certificate in DER, once the handshake has verified it.
    pub certificate: Option<Arc<[u8]>>,
}

/// What path parameters matched, in the order of the path, as it stands in the normalised path:
/// what is percent-encoded there is percent-encoded here.
#[derive(Debug, Clone, Default)]
pub struct Parameters(pub Vec<(Arc<str>, String)>);

impl Parameters {
    /// The value of a parameter by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(key, _)| &**key == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Limits that a policy set for one exchange, instead of the target's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Overrides {
    /// For everything.
    pub total: Option<Duration>,
    /// To the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer.
    pub idle: Option<Duration>,
    /// Bytes of request body.
    pub body: Option<u64>,
}

/// What policies remember between a request and its answer, by policy. Takes no memory until one
/// does.
#[derive(Default)]
pub struct Memory(Vec<(usize, Box<dyn Any>)>);

impl Memory {
    /// Keeps something for this policy, in place of what it kept of the same type.
    pub fn keep<T: Any>(&mut self, policy: &impl Sized, value: T) {
        drop(self.take::<T>(policy));
        self.0.push((address(policy), Box::new(value)));
    }

    /// Looks at what this policy kept.
    #[must_use]
    pub fn look<T: Any>(&self, policy: &impl Sized) -> Option<&T> {
        let of_policy = self.0.iter().filter(|(owner, _)| *owner == address(policy));
        of_policy
            .map(|(_, value)| value)
            .find_map(|value| value.downcast_ref())
    }

    /// Gives back what this policy kept.
    pub fn take<T: Any>(&mut self, policy: &impl Sized) -> Option<T> {
        let is_it =
            |(owner, value): &(usize, Box<dyn Any>)| *owner == address(policy) && value.is::<T>();
        let position = self.0.iter().position(is_it)?;
        let (_, value) = self.0.swap_remove(position);
        value.downcast().ok().map(|value| *value)
    }
}

/// A policy is one object behind a shared pointer, so that its address tells it from others.
fn address(policy: &impl Sized) -> usize {
    std::ptr::from_ref(policy).addr()
}

/// Where interim responses (1xx) go.
pub trait InterimSink {
    /// Sends one ahead of the answer; best effort.
    fn send(&self, head: &ResponseHead);
}
