//! Messages as gRPC frames them: a flag, four bytes of length, the message
//! (PROTOCOL-HTTP2.md, "Length-Prefixed-Message").

/// A message with its frame.
#[must_use]
pub fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut out = Vec::with_capacity(message.len() + 5);
    out.push(0);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// Takes frames apart that come in pieces.
#[derive(Debug)]
pub struct Frames {
    waiting: Vec<u8>,
    most: usize,
}

impl Frames {
    /// Takes messages of at most `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            waiting: Vec::new(),
            most,
        }
    }

    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there.
    ///
    /// # Errors
    /// It is compressed, or larger than admitted.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some((head, rest)) = self.waiting.split_first_chunk::<5>() else {
            return Ok(None);
        };
        let [flag, length @ ..] = *head;
        if flag != 0 {
            return Err("a message is compressed, which nobody asked for".to_owned());
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if length > self.most {
            return Err(format!(
                "a message has {length} bytes, more than {}",
                self.most
            ));
        }
        let Some(message) = rest.get(..length) else {
            return Ok(None);
        };
        let message = message.to_vec();
        self.waiting.drain(..5 + length);
        Ok(Some(message))
    }

    /// Whether nothing of a message is left over.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let bytes = [framed(b"abc"), framed(b""), framed(b"defg")].concat();
        for cut in 0..=bytes.len() {
            let mut frames = Frames::new(4);
            let mut found = Vec::new();
            for piece in [&bytes[..cut], &bytes[cut..]] {
                frames.push(piece);
                while let Some(message) = frames.take().expect("sound frames") {
                    found.push(message);
                }
            }
            assert_eq!(found, [b"abc".to_vec(), Vec::new(), b"defg".to_vec()]);
            assert!(frames.is_empty());
        }
        let mut frames = Frames::new(3);
        frames.push(&framed(b"abcd"));
        assert!(frames.take().is_err());
        let mut frames = Frames::new(3);
        frames.push(b"\x01\0\0\0\x01a");
        assert!(frames.take().is_err());
    }
}
