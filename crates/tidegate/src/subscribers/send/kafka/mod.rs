//! Kafka: a producer of single records, by the few requests that it takes.
//!
//! A broker of the list says who leads the topic's partitions ([`wire`] has the messages); the record
//! goes to the leader of the partition that its key falls into, and has arrived when that one says so. What a
//! broker refuses for now (it leads no more, too few replicas) is tried again by the next attempt, which
//! asks anew who leads. A repetition after an answer that was lost is another record: consumers tell by
//! the header `idempotency-key`.

mod record;
mod wire;

use super::link::Link;
use super::{Failure, Letter, Means, signs, written};
use crate::subscribers::work::now_s;
use gate_kit::random;
use gate_model::resources::{KafkaAcks, KafkaTarget};
use gate_ops::event::delivery::word;
use record::{Record, batch, partition};
use wire::{Answer, Request};

/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// A broker that was signed in to.
struct Broker {
    link: Link,
    correlation: i32,
}

impl Broker {
    fn connect(
        means: &Means,
        letter: &Letter<'_>,
        target: &KafkaTarget,
        server: &str,
    ) -> Result<Self, Failure> {
        let mut link = Link::connect(server, letter.timeout, letter.parcel.term.clone())?;
        if target.tls {
            link.seal(means.file(target.authorities.as_ref()).as_deref())?;
        }
        let mut broker = Broker {
            link,
            correlation: 0,
        };
        let password = means.optional(letter.parcel, target.password.as_ref())?;
        if let (Some(user), Some(password)) = (&target.user, password) {
            let mut answer = broker.ask(&wire::sasl_handshake("PLAIN"))?;
            if let Some(problem) = wire::problem(answer.int16()?) {
                return Err(format!("it does not let anybody sign in so: {problem}").into());
            }
            let proof = format!("\0{user}\0{password}");
            let mut answer = broker.ask(&wire::sasl_authenticate(proof.as_bytes()))?;
            if answer.int16()? != 0 {
                // What a server says in full may repeat what was sent.
                return Err("it refuses the password".into());
            }
        }
        Ok(broker)
    }

    /// Asks, and reads the answer behind its number.
    fn ask(&mut self, request: &Request) -> Result<Answer, String> {
        self.correlation += 1;
        self.link.write(&request.framed(self.correlation))?;
        let length = self.link.exactly(4)?;
        let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if !(4..=ANSWER_BYTES_MAX).contains(&length) {
            return Err("it does not speak Kafka".into());
        }
        let mut answer = Answer::new(self.link.exactly(length)?);
        match answer.int32()? == self.correlation {
            true => Ok(answer),
            false => Err("it answers something else".into()),
        }
    }
}

pub(super) fn send(
    means: &Means,
    letter: &Letter<'_>,
    target: &KafkaTarget,
) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let (mut broker, topic) = metadata(means, letter, target)?;
    let order = parcel.ready.subscriber.order_by.as_deref();
    let key = order.and_then(|path| word(parcel.loaded.json.as_ref()?, path));
    let count = topic.leaders.len();
    let index = match &key {
        Some(key) => partition(key.as_bytes(), count),
        None => random::below(count),
    };
    let leader = topic
        .leader(index)
        .ok_or("nobody leads the partition just now")?;
    if leader != topic.asked {
        broker = Broker::connect(means, letter, target, &leader)?;
    }
    let (fields, body) = written(&letter.event, target.mode);
    // The binding of CloudEvents to Kafka: `ce_` in front of attributes, and the type as it is.
    let fields = fields
        .into_iter()
        .map(|(name, value)| match name.strip_prefix("ce-") {
            Some(name) => (format!("ce_{name}"), decoded(&value)),
            None => (name, value.into_bytes()),
        });
    let own = signs(parcel, now_s()).into_iter();
    let own = own.map(|(name, value)| (name, value.into_bytes()));
    let record = Record {
        key: key.as_deref().map(str::as_bytes),
        value: &body,
        headers: fields.chain(own).collect(),
    };
    let at_ms = i64::try_from(now_s() * 1_000).unwrap_or(i64::MAX);
    let acks = match target.acks {
        KafkaAcks::All => -1,
        KafkaAcks::Leader => 1,
    };
    let timeout = i32::try_from(letter.timeout.as_millis()).unwrap_or(i32::MAX);
    let partition = i32::try_from(index).unwrap_or(0);
    let request = wire::produce(
        &target.topic,
        partition,
        &batch(&record, at_ms),
        acks,
        timeout,
    );
    let mut answer = broker.ask(&request)?;
    match wire::produced(&mut answer)? {
        0 => Ok(()),
        code => Err(failure(code)),
    }
}

/// Asks the first broker that answers who leads the topic's partitions.
fn metadata(
    means: &Means,
    letter: &Letter<'_>,
    target: &KafkaTarget,
) -> Result<(Broker, Topic), Failure> {
    let first = random::below(target.brokers.len().max(1));
    let (behind, before) = target.brokers.split_at(first);
    let mut last = Failure::from("there is no broker");
    for server in before.iter().chain(behind) {
        let asked = Broker::connect(means, letter, target, server).and_then(|mut broker| {
            let mut answer = broker.ask(&wire::metadata(&target.topic))?;
            let (code, brokers, leaders) = wire::topic(&mut answer)?;
            if code != 0 {
                return Err(failure(code));
            }
            if leaders.is_empty() {
                return Err("the topic has no partitions".into());
            }
            let asked = server.clone();
            Ok((
                broker,
                Topic {
                    asked,
                    brokers,
                    leaders,
                },
            ))
        });
        match asked {
            Ok(found) => return Ok(found),
            Err(failure) => last = failure,
        }
    }
    Err(last)
}

/// Who leads a topic's partitions.
struct Topic {
    /// Which broker said so.
    asked: String,
    /// Brokers as `HOST:PORT`, by number.
    brokers: Vec<(i32, String)>,
    /// Leaders by partition.
    leaders: Vec<i32>,
}

impl Topic {
    fn leader(&self, partition: usize) -> Option<String> {
        let leader = self.leaders.get(partition)?;
        let found = self.brokers.iter().find(|(number, _)| number == leader);
        found.map(|(_, server)| server.clone())
    }
}

/// What an error of a broker means: of the message itself, or of the moment.
fn failure(code: i16) -> Failure {
    let text = wire::problem(code).unwrap_or("an error without a name");
    let reason = format!("its broker said: {text} ({code})");
    match code {
        // MESSAGE_TOO_LARGE, INVALID_TOPIC, RECORD_LIST_TOO_LARGE, INVALID_RECORD.
        10 | 17 | 18 | 87 => Failure::Never(reason),
        _ => Failure::Later(reason, None),
    }
}

/// An attribute as a header field has it, as the bytes that it stands for.
fn decoded(value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let digit = |at: usize| char::from(*after.get(at)?).to_digit(16);
        match (byte, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                rest = &after[2..];
            }
            _ => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    out
}
