//! The frames of a WebSocket session (RFC 6455 section 5), read beside it for their usage.
//!
//! Nothing is changed and nothing is held back. A message is kept up to a limit and read when it is
//! whole and tells of a finished response; longer ones, binary ones and compressed ones pass unread.

use super::watch::usage_of_event;
use crate::Usage;
use crate::json::write::Writer;
use memchr::memmem;

/// Longest message that is read, in bytes.
const MESSAGE_MAX: usize = 1024 * 1024;

/// Reads what a server of OpenAI Realtime sends.
#[derive(Debug, Default)]
pub struct Frames {
    /// The head of the frame being read.
    head: Vec<u8>,
    /// Bytes of the frame's payload still to come; none while the head is read.
    left: Option<u64>,
    /// The frame being read is a piece of a text message that is kept.
    keeps: bool,
    /// It is the last one of its message.
    last: bool,
    /// The key of a masked frame and where in it the next byte is.
    mask: Option<([u8; 4], usize)>,
    /// The message so far.
    message: Vec<u8>,
    /// The message being read is text that is kept.
    text: bool,
    /// More pieces of a message are to come.
    is_open: bool,
    usage: Option<Usage>,
    /// What was counted since somebody took it, response by response: as many as one read brings.
    finished: Vec<Usage>,
    responses: u64,
}

impl Frames {
    /// Reads the next bytes; true when a finished response came with them.
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.responses;
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.left {
                None => self.read_head(rest),
                Some(left) => self.read_payload(left, rest),
            };
        }
        self.responses > before
    }

    /// Counts of all responses together.
    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Takes the counts of the responses that finished since they were taken last, one by one.
    pub fn finished(&mut self) -> impl Iterator<Item = Usage> + '_ {
        self.finished.drain(..)
    }

    /// Whether a message has ended and the next one has not begun, so that one may be put in.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.left.is_none() && self.head.is_empty() && !self.is_open
    }

    /// Takes one byte of the head; the frame begins once all of it is there.
    fn read_head<'r>(&mut self, rest: &'r [u8]) -> &'r [u8] {
        self.head.push(rest[0]);
        if let Some(frame) = Head::parse(&self.head) {
            self.begin(&frame);
            self.head.clear();
        }
        &rest[1..]
    }

    fn begin(&mut self, frame: &Head) {
        // Control frames may come between the pieces of a message.
        let control = frame.opcode >= 8;
        match frame.opcode {
            0 => {}
            1 => {
                self.message.clear();
                self.text = !frame.reserved;
            }
            _ if control => {}
            _ => self.text = false,
        }
        self.keeps = self.text && !control;
        if !control {
            self.is_open = !frame.last;
        }
        self.last = frame.last;
        self.mask = frame.mask.map(|key| (key, 0));
        self.left = Some(frame.length);
        self.end_if_done();
    }

    fn read_payload<'r>(&mut self, left: u64, rest: &'r [u8]) -> &'r [u8] {
        let length = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (payload, behind) = rest.split_at(length);
        if self.keeps {
            if self.message.len() + length > MESSAGE_MAX {
                self.text = false;
                self.keeps = false;
                self.message = Vec::new();
            } else {
                self.keep(payload);
            }
        }
        self.left = Some(left - length as u64);
        self.end_if_done();
        behind
    }

    fn keep(&mut self, payload: &[u8]) {
        match &mut self.mask {
            None => self.message.extend_from_slice(payload),
            Some((key, at)) => {
                let unmasked = payload.iter().enumerate();
                let from = *at;
                self.message
                    .extend(unmasked.map(|(i, byte)| byte ^ key[(from + i) % 4]));
                *at = (from + payload.len()) % 4;
            }
        }
    }

    fn end_if_done(&mut self) {
        if self.left != Some(0) {
            return;
        }
        self.left = None;
        if !(self.keeps && self.last) {
            return;
        }
        if memmem::find(&self.message, b"response.done").is_some() {
            self.read_message();
        }
        self.message.clear();
    }

    fn read_message(&mut self) {
        let kind = crate::usage::value_of_member(&self.message, b"type");
        let is_done = kind.is_some_and(|at| self.message[at..].starts_with(b"\"response.done\""));
        if !is_done {
            return;
        }
        self.responses += 1;
        let Some(more) = usage_of_event(&self.message) else {
            return;
        };
        self.finished.push(more);
        let mut sum = self.usage.unwrap_or_default();
        sum.add(&more);
        self.usage = Some(sum);
    }
}

/// The end of a session by its server: an error as OpenAI Realtime tells it, and the reason to close
/// (RFC 6455 section 7.4.1: 1008, a policy).
#[must_use]
pub fn last_frames(code: &str, message: &str) -> Vec<u8> {
    let mut event = Vec::new();
    let mut w = Writer::new(&mut event);
    w.open()
        .member("type", "error")
        .member("event_id", "event_last");
    w.key("error")
        .open()
        .member("type", "server_error")
        .member("code", code);
    w.member("message", message)
        .key("param")
        .null()
        .key("event_id")
        .null();
    w.close().close();
    let reason = [&1008_u16.to_be_bytes(), code.as_bytes()].concat();
    let mut out = Vec::with_capacity(event.len() + reason.len() + 6);
    for (first, payload) in [(0x81, event), (0x88, reason)] {
        out.push(first);
        // Neither is as long as that the third form of a length would be needed.
        match u8::try_from(payload.len()) {
            Ok(short @ 0..=125) => out.push(short),
            _ => {
                out.push(126);
                let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
                out.extend_from_slice(&length.to_be_bytes());
            }
        }
        out.extend_from_slice(&payload);
    }
    out
}

/// A frame's head.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    last: bool,
    /// An extension, such as compression, gives the frame another meaning.
    reserved: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    length: u64,
}

impl Head {
    /// The head, when all its bytes are there.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let [first, second, rest @ ..] = bytes else {
            return None;
        };
        let (length, rest) = match second & 0x7f {
            126 => {
                let (length, rest) = rest.split_first_chunk::<2>()?;
                (u64::from(u16::from_be_bytes(*length)), rest)
            }
            127 => {
                let (length, rest) = rest.split_first_chunk::<8>()?;
                (u64::from_be_bytes(*length), rest)
            }
            short => (u64::from(short), rest),
        };
        let mask = match second & 0x80 {
            0 => None,
            _ => Some(*rest.first_chunk::<4>()?),
        };
        Some(Self {
            last: first & 0x80 != 0,
            reserved: first & 0x70 != 0,
            opcode: first & 0x0f,
            mask,
            length,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(first: u8, mask: Option<[u8; 4]>, payload: &[u8]) -> Vec<u8> {
        let flag = u8::from(mask.is_some()) << 7;
        let mut out = vec![first];
        match payload.len() {
            short @ 0..126 => out.push(flag | short as u8),
            medium @ 126..65536 => {
                out.push(flag | 126);
                out.extend((medium as u16).to_be_bytes());
            }
            long => {
                out.push(flag | 127);
                out.extend((long as u64).to_be_bytes());
            }
        }
        let key = mask.unwrap_or_default();
        out.extend(mask.into_iter().flatten());
        out.extend(
            payload
                .iter()
                .enumerate()
                .map(|(i, byte)| byte ^ key[i % 4]),
        );
        out
    }

    const DONE: &str = r#"{"type":"response.done","response":{"usage":{"input_tokens":5,"output_tokens":3,"input_token_details":{"cached_tokens":2,"cached_tokens_details":{"text_tokens":9}},"output_token_details":{"audio_tokens":1}}}}"#;

    fn session() -> Vec<u8> {
        let (a, b) = DONE.as_bytes().split_at(40);
        let delta = br#"{"type":"response.text.delta","delta":"\"response.done\" \"usage\""}"#;
        [
            frame(0x81, None, delta),
            frame(0x81, None, DONE.as_bytes()),
            frame(0x01, None, a),
            frame(0x89, None, b"ping"),
            frame(0x80, Some([1, 2, 3, 4]), b),
            frame(0x82, None, &[0xff; 70_000]),
            frame(0x81, None, b""),
            frame(0x88, None, &[3, 232]),
        ]
        .concat()
    }

    #[test]
    fn finished_responses_are_summed_at_every_cut() {
        let bytes = session();
        for cut in (0..600).chain([bytes.len() - 3]) {
            let mut frames = Frames::default();
            let (a, b) = bytes.split_at(cut);
            let (first, second) = (frames.push(a), frames.push(b));
            assert!(first || second);
            let finished: Vec<Usage> = frames.finished().collect();
            assert_eq!(finished.len(), 2, "{cut}");
            assert_eq!(
                (finished[1].input_tokens, finished[1].output_tokens),
                (5, 3)
            );
            assert_eq!(frames.finished().count(), 0, "they are taken once");
            let usage = frames.usage().unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens), (10, 6), "{cut}");
            assert_eq!((usage.cached_tokens, usage.audio_output_tokens), (4, 2));
        }
    }

    #[test]
    fn a_message_is_put_in_only_where_none_is_begun() {
        let bytes = session();
        let mut frames = Frames::default();
        let mut places = vec![];
        for (at, byte) in bytes.iter().enumerate() {
            if frames.is_between() {
                places.push(at);
            }
            frames.push(&[*byte]);
        }
        // Before each of the messages, and not in front of the second piece of one or its ping.
        assert_eq!(places.len(), 6, "{places:?}");
        let last = last_frames("budget_exceeded", "Nothing is left.");
        let mut frames = Frames::default();
        frames.push(&last[..2]);
        assert!(!frames.is_between());
        frames.push(&last[2..]);
        assert!(frames.is_between());
    }

    #[test]
    fn compressed_and_endless_messages_pass_unread() {
        let mut frames = Frames::default();
        assert!(!frames.push(&frame(0xc1, None, DONE.as_bytes())));
        let mut endless = vec![0x01, 127];
        endless.extend(u64::MAX.to_be_bytes());
        frames.push(&endless);
        for _ in 0..600 {
            frames.push(&[b'x'; 4096]);
            assert!(frames.message.len() <= MESSAGE_MAX);
        }
        assert_eq!(frames.usage(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes: Vec<u8>, cut in 0_usize..64) {
            let (mut one, mut two) = (Frames::default(), Frames::default());
            one.push(&bytes);
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            two.push(a);
            two.push(b);
            prop_assert_eq!(one.usage(), two.usage());
            prop_assert_eq!(one.is_between(), two.is_between());
            prop_assert!(one.head.len() <= 14);
        }
    }
}
