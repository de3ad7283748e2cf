//! A bucket of an S3-compatible store as a place of objects.
//!
//! Five requests of the S3 API, signed, with the bucket in the path; how they travel is up to a
//! [`Transport`]. `If-None-Match: *` is what keeps an object from being replaced; a store without it
//! cannot hold a lake, which [`S3::probe`] finds out. Source:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>.

use super::{Object, Objects};
use bytes::Bytes;
use gate_kit::clock::Clock;
use gate_kit::http::{Headers, Method, RequestHead, Version};
use gate_kit::order::Order;
use gate_kit::sigv4::{Credentials, Scope, body_hash, sign};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::time::Duration;

/// Most bytes of an object that is read.
const OBJECT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Most bytes of a list's page and of an error.
const PAGE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// How often a request is sent that was not answered, or answered with a failure of the store.
const TRIES: u32 = 3;
/// How long the first pause between two tries is; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(100);

/// An answer of a store.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

/// How requests travel.
pub trait Transport: Send + Sync {
    /// Sends a request over HTTP/1.1 and reads its answer of at most `most` bytes, within a time of
    /// the transport's own. The header fields come as they are signed; `Host` and the framing are
    /// the transport's.
    ///
    /// # Errors
    /// When no whole answer came.
    fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
        most: u64,
    ) -> io::Result<Answer>;

    /// What `Host` says.
    fn host(&self) -> String;
}

/// What a bucket is reached with. Never shown.
#[derive(Clone)]
pub struct Access {
    /// The bucket.
    pub bucket: String,
    /// In front of every object, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The id of the access key.
    pub access_key_id: String,
    /// Its secret.
    pub secret: String,
    /// The token of a session.
    pub session_token: Option<String>,
}

/// A bucket.
pub struct S3 {
    transport: Box<dyn Transport>,
    access: Access,
    clock: Clock,
}

impl S3 {
    /// A bucket that is reached so.
    #[must_use]
    pub fn new(transport: Box<dyn Transport>, access: Access, clock: Clock) -> Self {
        Self {
            transport,
            access,
            clock,
        }
    }

    /// Whether the store keeps objects from being replaced, tried with one of the lake's own.
    ///
    /// # Errors
    /// When the store does not answer, or replaces objects.
    pub fn probe(&self) -> io::Result<()> {
        let path = "catalog/probe";
        self.put(path, b"a lake is kept here")?;
        match self.put_new(path, b"replaced")? {
            false => Ok(()),
            true => Err(io::Error::other(
                "the store does not know `If-None-Match`, so that gateways could overwrite each \
                 other's catalog",
            )),
        }
    }

    fn key(&self, path: &str) -> String {
        match self.access.prefix.is_empty() {
            true => path.to_owned(),
            false => format!("{}/{path}", self.access.prefix),
        }
    }

    fn target(&self, path: &str) -> String {
        let key = encode(&self.key(path), true);
        format!("/{}/{key}", encode(&self.access.bucket, false))
    }

    /// Sends a request, again where that may help.
    fn ask(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        most: u64,
    ) -> io::Result<Answer> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            let answer = self.ask_once(method.clone(), target, fields, body, most);
            let again = match &answer {
                Ok(answer) => answer.status >= 500 || answer.status == 429,
                Err(_) => true,
            };
            if !again || tries >= TRIES {
                return answer;
            }
            tries += 1;
            std::thread::sleep(pause);
            pause *= 2;
        }
    }

    fn ask_once(
        &self,
        method: Method,
        target: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        most: u64,
    ) -> io::Result<Answer> {
        let mut headers = Headers::new();
        for (name, value) in fields {
            headers.append(name.as_bytes(), value.as_bytes());
        }
        let mut head = RequestHead {
            method,
            authority: self.transport.host(),
            target: target.into(),
            version: Version::Http11,
            headers,
            upgrade: None,
        };
        let credentials = Credentials {
            access_key_id: &self.access.access_key_id,
            secret: &self.access.secret,
            session_token: self.access.session_token.as_deref(),
        };
        let scope = Scope {
            region: &self.access.region,
            service: "s3",
        };
        let now = self.clock.unix().as_secs();
        sign(&mut head, &body_hash(body), &credentials, &scope, now).map_err(io::Error::other)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let fields: Vec<(String, String)> = head
            .headers
            .iter()
            .map(|(_, name, value)| (text(name), text(value)))
            .collect();
        let method = head.method.as_str();
        self.transport.send(method, target, &fields, body, most)
    }
}

/// A refusal as an error: its status and, where it is AWS's, the word in it.
fn refused(what: &str, answer: &Answer) -> io::Error {
    let body = String::from_utf8_lossy(&answer.body);
    let code = element(&body, "Code").unwrap_or_default();
    let is_word =
        !code.is_empty() && code.len() < 64 && code.bytes().all(|b| b.is_ascii_alphanumeric());
    let code = if is_word { code } else { "no reason given" };
    let kind = match answer.status {
        404 => ErrorKind::NotFound,
        401 | 403 => ErrorKind::PermissionDenied,
        _ => ErrorKind::Other,
    };
    let status = answer.status;
    io::Error::new(
        kind,
        format!("the store refused to {what}: {status} ({code})"),
    )
}

/// Percent-encodes what RFC 3986 does not leave unreserved.
fn encode(text: &str, slashes_stay: bool) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'-' | b'.' | b'_' | b'~' => out.push(byte.into()),
            b'/' if slashes_stay => out.push('/'),
            _ if byte.is_ascii_alphanumeric() => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// The text of the first element of this name. Lists and errors of S3 are flat enough for it.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}

fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">");
    let text = text.replace("&quot;", "\"").replace("&#34;", "\"");
    text.replace("&apos;", "'").replace("&amp;", "&")
}

impl Objects for S3 {
    fn put_new(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        let target = self.target(path);
        let fields = [("if-none-match", "*")];
        let answer = self.ask(Method::Put, &target, &fields, bytes, PAGE_BYTES_MAX)?;
        match answer.status {
            200..=299 => Ok(true),
            412 => Ok(false),
            _ => Err(refused("write", &answer)),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let target = self.target(path);
        let answer = self.ask(Method::Put, &target, &[], bytes, PAGE_BYTES_MAX)?;
        match answer.status {
            200..=299 => Ok(()),
            _ => Err(refused("write", &answer)),
        }
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> io::Result<Bytes> {
        let target = self.target(path);
        let value = match range {
            Some(range) if range.start >= range.end => return Ok(Bytes::new()),
            Some(range) => Some(format!("bytes={}-{}", range.start, range.end - 1)),
            None => None,
        };
        let fields: Vec<(&str, &str)> = value.iter().map(|value| ("range", &**value)).collect();
        let answer = self.ask(Method::Get, &target, &fields, &[], OBJECT_BYTES_MAX)?;
        match answer.status {
            206 => Ok(answer.body.into()),
            200 if value.is_none() => Ok(answer.body.into()),
            200 => Err(io::Error::other("the store sent more than was asked for")),
            416 => Ok(Bytes::new()),
            _ => Err(refused("read", &answer)),
        }
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<Object>> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        let ours = self.key("");
        loop {
            let bucket = encode(&self.access.bucket, false);
            let mut target = format!(
                "/{bucket}?list-type=2&prefix={}",
                encode(&self.key(prefix), false)
            );
            if let Some(token) = &token {
                target.push_str(&format!("&continuation-token={}", encode(token, false)));
            }
            let answer = self.ask(Method::Get, &target, &[], &[], PAGE_BYTES_MAX)?;
            if answer.status != 200 {
                return Err(refused("list", &answer));
            }
            let page = String::from_utf8(answer.body)
                .map_err(|_| io::Error::new(ErrorKind::InvalidData, "the list is no text"))?;
            for entry in page.split("<Contents>").skip(1) {
                let key = element(entry, "Key").map(unescape);
                let bytes = element(entry, "Size").and_then(|size| size.parse().ok());
                let (Some(key), Some(bytes)) = (key, bytes) else {
                    return Err(io::Error::new(
                        ErrorKind::InvalidData,
                        "the list is damaged",
                    ));
                };
                if let Some(path) = key.strip_prefix(&ours) {
                    found.push(Object {
                        path: path.into(),
                        bytes,
                    });
                }
            }
            if element(&page, "IsTruncated") != Some("true") {
                break;
            }
            let next = element(&page, "NextContinuationToken").map(unescape);
            if next.is_none() || next == token {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    "the list has no end",
                ));
            }
            token = next;
        }
        found.order_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn delete(&self, path: &str) -> io::Result<()> {
        let target = self.target(path);
        let answer = self.ask(Method::Delete, &target, &[], &[], PAGE_BYTES_MAX)?;
        match answer.status {
            200..=299 | 404 => Ok(()),
            _ => Err(refused("delete", &answer)),
        }
    }

    fn location(&self, path: &str) -> String {
        format!("s3://{}/{}", self.access.bucket, self.key(path))
    }
}
