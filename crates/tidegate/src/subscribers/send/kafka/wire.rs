//! Requests and answers, in versions that brokers from 1.0 to 4.x know.
//!
//! <https://kafka.apache.org/protocol>: metadata 4, produce 7, SASL handshake 1 and authenticate 0.

/// A request without its length and number.
pub(super) struct Request {
    key: i16,
    version: i16,
    body: Vec<u8>,
}

impl Request {
    fn new(key: i16, version: i16) -> Self {
        Request {
            key,
            version,
            body: Vec::new(),
        }
    }

    fn int16(mut self, number: i16) -> Self {
        self.body.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn int32(mut self, number: i32) -> Self {
        self.body.extend_from_slice(&number.to_be_bytes());
        self
    }

    fn string(mut self, text: &str) -> Self {
        string(&mut self.body, text);
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.body.extend_from_slice(&length.to_be_bytes());
        self.body.extend_from_slice(bytes);
        self
    }

    /// As it goes over the wire.
    pub(super) fn framed(&self, correlation: i32) -> Vec<u8> {
        let mut head = Vec::new();
        head.extend_from_slice(&self.key.to_be_bytes());
        head.extend_from_slice(&self.version.to_be_bytes());
        head.extend_from_slice(&correlation.to_be_bytes());
        string(&mut head, "tidegate");
        let length = i32::try_from(head.len() + self.body.len()).unwrap_or(i32::MAX);
        [&length.to_be_bytes()[..], &head, &self.body].concat()
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    let length = i16::try_from(text.len()).unwrap_or(i16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn sasl_handshake(mechanism: &str) -> Request {
    Request::new(17, 1).string(mechanism)
}

pub(super) fn sasl_authenticate(proof: &[u8]) -> Request {
    Request::new(36, 0).bytes(proof)
}

/// Who leads the partitions of one topic, which is not made by asking.
pub(super) fn metadata(topic: &str) -> Request {
    let mut request = Request::new(3, 4).int32(1).string(topic);
    request.body.push(0);
    request
}

pub(super) fn produce(
    topic: &str,
    partition: i32,
    batch: &[u8],
    acks: i16,
    timeout_ms: i32,
) -> Request {
    // No transaction, one topic, one partition.
    let request = Request::new(0, 7).int16(-1).int16(acks).int32(timeout_ms);
    request
        .int32(1)
        .string(topic)
        .int32(1)
        .int32(partition)
        .bytes(batch)
}

/// An answer, read in order.
pub(super) struct Answer {
    bytes: Vec<u8>,
    at: usize,
}

impl Answer {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        Answer { bytes, at: 0 }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let taken = self
            .bytes
            .get(self.at..self.at + N)
            .and_then(|part| part.try_into().ok());
        self.at += N;
        taken.ok_or_else(|| "its answer is cut".to_owned())
    }

    fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count);
    }

    pub(super) fn int16(&mut self) -> Result<i16, String> {
        self.take().map(i16::from_be_bytes)
    }

    pub(super) fn int32(&mut self) -> Result<i32, String> {
        self.take().map(i32::from_be_bytes)
    }

    /// How many follow; never more than there are bytes for.
    fn count(&mut self) -> Result<usize, String> {
        let count = usize::try_from(self.int32()?).unwrap_or(0);
        match count <= self.bytes.len() {
            true => Ok(count),
            false => Err("its answer is cut".to_owned()),
        }
    }

    fn string(&mut self) -> Result<String, String> {
        let length = usize::try_from(self.int16()?).unwrap_or(0);
        let part = self.bytes.get(self.at..self.at + length);
        let text = part.map(|part| String::from_utf8_lossy(part).into_owned());
        self.at += length;
        text.ok_or_else(|| "its answer is cut".to_owned())
    }

    fn numbers(&mut self) -> Result<(), String> {
        let count = self.count()?;
        self.skip(count.saturating_mul(4));
        Ok(())
    }
}

/// What is known of a topic: its error, brokers by number, leaders by partition.
pub(super) type Topic = (i16, Vec<(i32, String)>, Vec<i32>);

pub(super) fn topic(answer: &mut Answer) -> Result<Topic, String> {
    answer.int32()?; // throttled for
    let mut brokers = Vec::new();
    for _ in 0..answer.count()? {
        let (number, host, port) = (answer.int32()?, answer.string()?, answer.int32()?);
        answer.string()?; // the rack
        brokers.push((number, format!("{host}:{port}")));
    }
    answer.string()?; // the cluster
    answer.int32()?; // the controller
    let mut code = 0;
    let mut leaders = Vec::new();
    for _ in 0..answer.count()? {
        code = answer.int16()?;
        answer.string()?;
        answer.skip(1); // whether it is the cluster's own
        for _ in 0..answer.count()? {
            answer.int16()?; // its error: then nobody leads
            let (index, leader) = (answer.int32()?, answer.int32()?);
            answer.numbers()?; // replicas
            answer.numbers()?; // those in sync
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if index >= 100_000 {
                return Err("it has too many partitions".to_owned());
            }
            if leaders.len() <= index {
                leaders.resize(index + 1, -1);
            }
            leaders[index] = leader;
        }
    }
    Ok((code, brokers, leaders))
}

/// The error of the one partition that was produced to.
pub(super) fn produced(answer: &mut Answer) -> Result<i16, String> {
    if answer.count()? != 1 {
        return Err("it answers something else".to_owned());
    }
    answer.string()?;
    if answer.count()? != 1 {
        return Err("it answers something else".to_owned());
    }
    answer.int32()?; // the partition
    answer.int16()
}

/// What an error is called; none for success.
pub(super) fn problem(code: i16) -> Option<&'static str> {
    Some(match code {
        0 => return None,
        2 => "the record is corrupt",
        3 => "there is no such topic or partition",
        5 => "the partition has no leader just now",
        6 => "another broker leads the partition",
        7 => "it took too long",
        10 => "the record is too large",
        17 => "this is no name of a topic",
        18 => "the batch is too large",
        19 => "too few replicas are in sync",
        20 => "too few replicas are in sync, though it was appended",
        29 => "this user may not write to the topic",
        33 => "it knows no such way of signing in",
        58 => "it refuses the password",
        87 => "the record is invalid",
        _ => "an error",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_that_are_cut_are_errors() {
        let mut whole = Vec::new();
        whole.extend_from_slice(&0_i32.to_be_bytes());
        whole.extend_from_slice(&1_i32.to_be_bytes());
        whole.extend_from_slice(&7_i32.to_be_bytes());
        string(&mut whole, "127.0.0.1");
        whole.extend_from_slice(&9092_i32.to_be_bytes());
        whole.extend_from_slice(&(-1_i16).to_be_bytes());
        string(&mut whole, "cluster");
        whole.extend_from_slice(&7_i32.to_be_bytes());
        whole.extend_from_slice(&1_i32.to_be_bytes());
        whole.extend_from_slice(&0_i16.to_be_bytes());
        string(&mut whole, "events");
        whole.push(0);
        whole.extend_from_slice(&1_i32.to_be_bytes());
        whole.extend_from_slice(&0_i16.to_be_bytes());
        whole.extend_from_slice(&0_i32.to_be_bytes());
        whole.extend_from_slice(&7_i32.to_be_bytes());
        whole.extend_from_slice(&0_i32.to_be_bytes());
        whole.extend_from_slice(&0_i32.to_be_bytes());
        let read = topic(&mut Answer::new(whole.clone()));
        assert_eq!(read, Ok((0, vec![(7, "127.0.0.1:9092".into())], vec![7])));
        for cut in 0..whole.len() {
            assert!(
                topic(&mut Answer::new(whole[..cut].to_vec())).is_err(),
                "{cut}"
            );
        }
    }
}
