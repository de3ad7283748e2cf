//! The requests in the body of a message batch, one by one as the body comes.

use std::ops::ControlFlow;

/// Longest name of a member at the top, in bytes.
const NAME_MAX: usize = 256;

/// Why a body is no message batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestsError {
    /// It is not one JSON object with a list of objects called `requests`.
    #[error("requests: the body is no object with a list of requests")]
    Malformed,
    /// One request is too long.
    #[error("requests: one request is longer than a request may be")]
    TooLong,
    /// `requests` is there twice: two readers of it need not agree.
    #[error("requests: the list is there twice")]
    Twice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the object.
    Start,
    /// Before a name, or the end where none came yet.
    Name { first: bool },
    /// In a name.
    InName { escaped: bool },
    /// Behind a name.
    Colon,
    /// Before the value of `requests`.
    List,
    /// Before a value that is passed over.
    Value,
    /// In a value that is passed over.
    Skip,
    /// In a value without brackets or quotes.
    Scalar,
    /// Before a request, or the end where none came yet.
    Request { first: bool },
    /// In a request.
    InRequest,
    /// Behind a request.
    BehindRequest,
    /// Behind a value.
    Behind,
    /// Behind the object.
    Over,
}

/// Reads a body of `{"requests": [...]}`. Each request goes on as one line of JSON without blanks;
/// whether it is JSON and what it asks for is for whoever reads the line. Holds one request.
#[derive(Debug)]
pub struct Requests {
    at: At,
    most: usize,
    held: Vec<u8>,
    depth: usize,
    in_text: bool,
    escaped: bool,
    found: bool,
}

impl Requests {
    /// Requests of at most `most` bytes each.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            at: At::Start,
            most,
            held: Vec::new(),
            depth: 0,
            in_text: false,
            escaped: false,
            found: false,
        }
    }

    /// Reads the next piece; `each` gets every request that ends in it, and may stop the reading.
    ///
    /// # Errors
    /// [`RequestsError`]; nothing more is to be read. Where `each` stopped, `Ok` as well.
    pub fn push(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), RequestsError> {
        for &byte in piece {
            if self.step(byte)? {
                let held = std::mem::take(&mut self.held);
                if each(&held).is_break() {
                    return Ok(());
                }
                self.held = held;
                self.held.clear();
            }
        }
        Ok(())
    }

    /// The body has ended.
    ///
    /// # Errors
    /// [`RequestsError::Malformed`] when it is not whole.
    pub fn finish(&self) -> Result<(), RequestsError> {
        match self.at == At::Over && self.found {
            true => Ok(()),
            false => Err(RequestsError::Malformed),
        }
    }

    /// Reads a byte; true when a request has ended, which is held then.
    fn step(&mut self, byte: u8) -> Result<bool, RequestsError> {
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        let wrong = Err(RequestsError::Malformed);
        match (self.at, byte) {
            (At::InRequest | At::Skip, _) => return self.inside(byte),
            (At::InName { escaped: true }, _) => {
                self.hold(byte, NAME_MAX)?;
                self.at = At::InName { escaped: false };
            }
            (At::InName { .. }, b'"') => self.at = At::Colon,
            (At::InName { .. }, _) => {
                self.hold(byte, NAME_MAX)?;
                self.at = At::InName {
                    escaped: byte == b'\\',
                };
            }
            (At::Scalar, b',' | b'}') => {
                self.at = At::Behind;
                return self.step(byte);
            }
            (At::Scalar, b'{' | b'[' | b'"' | b':' | b']') => return wrong,
            (At::Scalar, _) => {}
            (_, _) if blank => {}
            (At::Start, b'{') => self.at = At::Name { first: true },
            (At::Name { .. }, b'"') => {
                self.held.clear();
                self.at = At::InName { escaped: false };
            }
            (At::Name { first: true }, b'}') | (At::Behind, b'}') => self.at = At::Over,
            (At::Colon, b':') => self.named()?,
            (At::List, b'[') => self.at = At::Request { first: true },
            (At::Request { first: true } | At::BehindRequest, b']') => self.at = At::Behind,
            (At::Request { .. }, b'{') => {
                self.held.clear();
                self.begin(At::InRequest);
                return self.inside(byte);
            }
            (At::BehindRequest, b',') => self.at = At::Request { first: false },
            (At::Behind, b',') => self.at = At::Name { first: false },
            (At::Value, b'{' | b'[' | b'"') => {
                self.begin(At::Skip);
                return self.inside(byte);
            }
            (At::Value, b',' | b'}' | b']' | b':') => return wrong,
            (At::Value, _) => self.at = At::Scalar,
            _ => return wrong,
        }
        Ok(false)
    }

    const fn begin(&mut self, at: At) {
        (self.at, self.depth) = (at, 0);
        (self.in_text, self.escaped) = (false, false);
    }

    /// A name has been read.
    fn named(&mut self) -> Result<(), RequestsError> {
        // A name with escapes could be any: it is read as JSON reads it.
        let mut quoted = Vec::with_capacity(self.held.len() + 2);
        quoted.push(b'"');
        quoted.extend_from_slice(&self.held);
        quoted.push(b'"');
        let name: String = serde_json::from_slice(&quoted).map_err(|_| RequestsError::Malformed)?;
        self.held.clear();
        self.at = At::Value;
        if name == "requests" {
            if std::mem::replace(&mut self.found, true) {
                return Err(RequestsError::Twice);
            }
            self.at = At::List;
        }
        Ok(())
    }

    /// A byte inside of a value that has brackets or quotes.
    fn inside(&mut self, byte: u8) -> Result<bool, RequestsError> {
        let keeps = self.at == At::InRequest;
        let blank = matches!(byte, b' ' | b'\t' | b'\r' | b'\n');
        if keeps && (self.in_text || !blank) {
            self.hold(byte, self.most)?;
        }
        if self.in_text {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' => self.escaped = true,
                b'"' => self.in_text = false,
                // A line's end inside of a text is no JSON, and would cut the line in two.
                b'\n' => return Err(RequestsError::Malformed),
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.in_text = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' if self.depth == 0 => return Err(RequestsError::Malformed),
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        if self.in_text || self.depth > 0 {
            return Ok(false);
        }
        self.at = if keeps { At::BehindRequest } else { At::Behind };
        Ok(keeps)
    }

    fn hold(&mut self, byte: u8, most: usize) -> Result<(), RequestsError> {
        if self.held.len() >= most {
            return Err(RequestsError::TooLong);
        }
        self.held.push(byte);
        Ok(())
    }
}

/// JSON on one line: without the blanks between its parts. `json` is valid.
pub fn compact(json: &[u8], out: &mut Vec<u8>) {
    let (mut in_text, mut escaped) = (false, false);
    for &byte in json {
        if in_text {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_text = false,
                _ => {}
            }
        } else if matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
            continue;
        } else {
            in_text = byte == b'"';
        }
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Result<Vec<String>, RequestsError> {
        let mut requests = Requests::new(64);
        let mut found = Vec::new();
        for piece in pieces {
            requests.push(piece, |one| {
                found.push(String::from_utf8_lossy(one).into_owned());
                ControlFlow::Continue(())
            })?;
        }
        requests.finish()?;
        Ok(found)
    }

    #[test]
    fn requests_are_the_same_however_they_come() {
        let body = b" {\"a\":[1,{\"requests\":[]}], \"b\" : \"}\\\"\", \"n\":-1.5e3,\n\"requests\" :\n[ {\"custom_id\": \"x \\\" }\", \"params\":{ \"k\" : [ 1 , 2 ] } } , {} ] , \"z\":null } ";
        let whole = read(&[body]).unwrap();
        assert_eq!(
            whole,
            [r#"{"custom_id":"x \" }","params":{"k":[1,2]}}"#, "{}"]
        );
        for cut in 0..body.len() {
            assert_eq!(read(&[&body[..cut], &body[cut..]]).unwrap(), whole);
            assert!(
                read(&[&body[..cut]]).is_err() || cut == body.len() - 1,
                "{cut}"
            );
        }
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"requests\":{}}",
            "{\"requests\":[1]}",
            "{\"requests\":[{}}",
            "{\"requests\":[{},]}",
            "{\"requests\":[{}{}]}",
            "{\"requests\":[]} x",
            "{\"requests\":[{\"a\":\"\n\"}]}",
            "{\"requests\":[],}",
            "{,\"requests\":[]}",
            "{\"a\":,\"requests\":[]}",
        ] {
            assert_eq!(
                read(&[body.as_bytes()]),
                Err(RequestsError::Malformed),
                "{body}"
            );
        }
        let long = format!("{{\"requests\":[{{\"a\":\"{}\"}}]}}", "x".repeat(64));
        assert_eq!(read(&[long.as_bytes()]), Err(RequestsError::TooLong));
        let twice = b"{\"requests\":[],\"request\\u0073\":[]}";
        assert_eq!(read(&[twice]), Err(RequestsError::Twice));
    }

    #[test]
    fn json_on_one_line_keeps_its_texts() {
        let mut out = Vec::new();
        compact(b"{ \"a b\" : [ 1,\n \"\\\" \\\\\" , true ] }", &mut out);
        assert_eq!(out, br#"{"a b":[1,"\" \\",true]}"#);
    }
}
