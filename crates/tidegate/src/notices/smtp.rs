//! Messages by e-mail: a small client of SMTP (RFC 5321) that says what a message needs, and no more.
//!
//! Our own, because it is little and a library brings a message builder, an address parser and a pool
//! that nothing else here needs. Encrypted by STARTTLS (RFC 3207) or from the first byte (RFC 8314);
//! signs in by PLAIN (RFC 4616), only over TLS.

use super::http::WHOLE;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_api::{Term, TimedStream, client_tls};
use gate_kit::date::http_date;
use gate_model::resources::{EmailReceiver, EmailTls};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long nothing may come.
const QUIET: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// A message to send.
pub(crate) struct Mail<'a> {
    /// Where to, and by which server.
    pub(crate) receiver: &'a EmailReceiver,
    /// The password, if somebody signs in.
    pub(crate) password: Option<&'a str>,
    /// Whom to trust instead of the public authorities.
    pub(crate) authorities: Option<&'a Path>,
    /// A subject, an empty line, and a text.
    pub(crate) text: &'a str,
    /// Its idempotency key.
    pub(crate) key: &'a str,
    /// The same over all messages of a group.
    pub(crate) thread: &'a str,
    /// Now, since 1970.
    pub(crate) now: Duration,
    /// Behind which nothing is said or waited for.
    pub(crate) term: Option<Term>,
}

/// Sends a mail; its server has taken it over when this returns well.
///
/// # Errors
/// Why it may not have been taken over, without any secret.
pub(crate) fn send(mail: &Mail<'_>) -> Result<(), String> {
    let (host, port) = mail
        .receiver
        .server
        .rsplit_once(':')
        .ok_or("its server is no `HOST:PORT`")?;
    let port = port.parse().map_err(|_| "its server is no `HOST:PORT`")?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let end = Instant::now() + WHOLE;
    let stream = TimedStream::connect(host, port, QUIET, Some(end)).map_err(|e| e.to_string())?;
    let stream = stream.held(mail.term.clone());
    let stream = match mail.receiver.tls {
        EmailTls::Implicit => Wire::Sealed(sealed(stream, host, mail.authorities)?),
        _ => Wire::Clear(stream),
    };
    let mut talk = Talk::new(stream);
    talk.expect("220")?;
    let mut offers = talk.hello()?;
    if mail.receiver.tls == EmailTls::StartTls {
        if !offers.iter().any(|offer| offer == "STARTTLS") {
            return Err("its server offers no STARTTLS".into());
        }
        talk.say("STARTTLS", "220")?;
        // What came before the encryption is not read after it.
        if !talk.read.is_empty() {
            return Err("its server sent something before it was encrypted".into());
        }
        let Wire::Clear(stream) = talk.wire else {
            return Err("it is encrypted already".into());
        };
        talk = Talk::new(Wire::Sealed(sealed(stream, host, mail.authorities)?));
        offers = talk.hello()?;
    }
    if let (Some(user), Some(password)) = (&mail.receiver.user, mail.password) {
        talk.sign_in(user, password, &offers)?;
    }
    talk.say(&format!("MAIL FROM:<{}>", mail.receiver.from), "250")?;
    let mut refused = Vec::new();
    for to in &mail.receiver.to {
        if let Err(problem) = talk.say(&format!("RCPT TO:<{to}>"), "25") {
            refused.push(problem);
        }
    }
    match refused.first() {
        Some(problem) if refused.len() == mail.receiver.to.len() => return Err(problem.clone()),
        // The others are not kept waiting, nor told once a minute.
        Some(problem) => tracing::warn!(
            problem,
            "a mail server refuses some of a receiver's addresses"
        ),
        None => {}
    }
    talk.say("DATA", "354")?;
    talk.say(&format!("{}\r\n.", message(mail)), "250")?;
    // It has the message; how the conversation ends does not matter any more.
    let _ = talk.say("QUIT", "221");
    Ok(())
}

fn sealed(
    stream: TimedStream,
    host: &str,
    authorities: Option<&Path>,
) -> Result<Box<StreamOwned<ClientConnection, TimedStream>>, String> {
    let config = client_tls(authorities).map_err(|error| error.to_string())?;
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| "its server's name can stand in no certificate")?;
    let session = ClientConnection::new(config, name).map_err(|error| error.to_string())?;
    Ok(Box::new(StreamOwned::new(session, stream)))
}

enum Wire {
    Clear(TimedStream),
    Sealed(Box<StreamOwned<ClientConnection, TimedStream>>),
}

impl Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Clear(stream) => stream.read(buffer),
            Wire::Sealed(stream) => stream.read(buffer),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Wire::Clear(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
            Wire::Sealed(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }
}

/// A conversation, command by command.
struct Talk {
    wire: Wire,
    /// What was read and not used yet.
    read: Vec<u8>,
}

impl Talk {
    fn new(wire: Wire) -> Self {
        let read = Vec::new();
        Self { wire, read }
    }

    /// Says something and reads the answer, whose code must begin so.
    fn say(&mut self, command: &str, code: &str) -> Result<Vec<String>, String> {
        let sent = self.wire.write(format!("{command}\r\n").as_bytes());
        sent.map_err(|error| error.to_string())?;
        self.expect(code)
    }

    /// The texts of an answer whose code begins so.
    fn expect(&mut self, code: &str) -> Result<Vec<String>, String> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        loop {
            let line = self.line()?;
            bytes += line.len();
            let is_last = line.get(3..4) != Some("-");
            let text = line.get(4..).unwrap_or_default().to_owned();
            if !line.starts_with(code) {
                // What servers say in full may hold addresses and hints; it helps whoever looks.
                let said: String = line.chars().filter(|c| !c.is_control()).take(200).collect();
                return Err(format!("its server said: {said}"));
            }
            texts.push(text);
            if is_last {
                return Ok(texts);
            }
            if bytes > ANSWER_BYTES_MAX {
                return Err("its server says too much".into());
            }
        }
    }

    fn line(&mut self) -> Result<String, String> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let line = String::from_utf8_lossy(&line);
                return Ok(line.trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.read.len() > ANSWER_BYTES_MAX {
                return Err("its server says too much".into());
            }
            let mut buffer = [0; 4096];
            match self
                .wire
                .read(&mut buffer)
                .map_err(|error| error.to_string())?
            {
                0 => return Err("its server ended the conversation".into()),
                count => self.read.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Greets; what the server offers, in capitals.
    fn hello(&mut self) -> Result<Vec<String>, String> {
        let texts = self.say("EHLO tidegate.invalid", "250")?;
        Ok(texts
            .into_iter()
            .skip(1)
            .map(|text| text.to_ascii_uppercase())
            .collect())
    }

    fn sign_in(&mut self, user: &str, password: &str, offers: &[String]) -> Result<(), String> {
        if matches!(self.wire, Wire::Clear(_)) {
            return Err("a password is not sent in clear".into());
        }
        let offers = |means: &str| {
            let words = offers
                .iter()
                .filter_map(|offer| offer.strip_prefix("AUTH "));
            words
                .flat_map(str::split_whitespace)
                .any(|word| word == means)
        };
        let hidden = |said: String| match said.find("said:") {
            // Never what was sent, should a server repeat it.
            Some(_) => "its server refuses the password".to_owned(),
            None => said,
        };
        if offers("PLAIN") || !offers("LOGIN") {
            let proof = STANDARD.encode(format!("\0{user}\0{password}"));
            return self
                .say(&format!("AUTH PLAIN {proof}"), "235")
                .map(drop)
                .map_err(hidden);
        }
        self.say("AUTH LOGIN", "334")?;
        self.say(&STANDARD.encode(user), "334").map_err(hidden)?;
        self.say(&STANDARD.encode(password), "235")
            .map(drop)
            .map_err(hidden)
    }
}

/// The message (RFC 5322): its lines end as they must, and none begins with a dot, because the text
/// is in base64.
fn message(mail: &Mail<'_>) -> String {
    let (subject, text) = mail.text.split_once("\n\n").unwrap_or((mail.text, ""));
    let date = http_date(mail.now).replace("GMT", "+0000");
    let mut out = String::new();
    let mut field = |name: &str, value: &str| {
        let _ = write!(out, "{name}: {value}\r\n");
    };
    field("From", &format!("<{}>", mail.receiver.from));
    let to: Vec<String> = mail
        .receiver
        .to
        .iter()
        .map(|to| format!("<{to}>"))
        .collect();
    field("To", &to.join(",\r\n "));
    field("Subject", &encoded(subject));
    field("Date", &date);
    field(
        "Message-ID",
        &format!("<{}@tidegate.invalid>", name(mail.key)),
    );
    let thread = format!("<thread-{}@tidegate.invalid>", name(mail.thread));
    field("References", &thread);
    field("Idempotency-Key", &name(mail.key));
    field("Auto-Submitted", "auto-generated");
    field("MIME-Version", "1.0");
    field("Content-Type", "text/plain; charset=utf-8");
    field("Content-Transfer-Encoding", "base64");
    let text = STANDARD.encode(text.replace('\n', "\r\n"));
    for line in text.as_bytes().chunks(76) {
        out.push_str("\r\n");
        out.push_str(&String::from_utf8_lossy(line));
    }
    out
}

/// A text as a header's words (RFC 2047), each within 75 characters.
fn encoded(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut part = String::new();
    for one in text.chars().filter(|one| !one.is_control()).take(500) {
        if part.len() + one.len_utf8() > 45 {
            words.push(std::mem::take(&mut part));
        }
        part.push(one);
    }
    words.push(part);
    let word = |part: &String| format!("=?utf-8?B?{}?=", STANDARD.encode(part));
    words.iter().map(word).collect::<Vec<_>>().join("\r\n ")
}

/// A key or thread as an atom (RFC 5322 section 3.2.3): other bytes in hexadecimal, and no longer
/// than a line may be.
fn name(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => out.push(char::from(byte)),
            other => {
                let _ = write!(out, "_{other:02x}");
            }
        }
    }
    out.truncate(400);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_the_standard_has_them() {
        let receiver = EmailReceiver {
            to: vec!["a@b.example".into(), "c@d.example".into()],
            from: "gateway@example.com".into(),
            server: "127.0.0.1:25".into(),
            tls: EmailTls::None,
            user: None,
            password: None,
            authorities: None,
        };
        let text = format!(
            "[1 on] Bücher\r\nBcc: x@y\n\n- on: é\n{}\n",
            "x".repeat(200)
        );
        let mail = Mail {
            receiver: &receiver,
            password: None,
            authorities: None,
            text: &text,
            key: "prod-page-0-1",
            thread: "8:incident=1:7;",
            now: Duration::from_secs(784_111_777),
            term: None,
        };
        let message = message(&mail);
        let (head, body) = message.split_once("\r\n\r\n").unwrap();
        assert!(!head.contains("\r\nBcc"), "{head}");
        assert!(
            head.contains("Date: Sun, 06 Nov 1994 08:49:37 +0000\r\n"),
            "{head}"
        );
        assert!(
            head.contains("Message-ID: <prod-page-0-1@tidegate.invalid>\r\n"),
            "{head}"
        );
        assert!(
            head.contains("To: <a@b.example>,\r\n <c@d.example>\r\n"),
            "{head}"
        );
        assert!(
            message.split("\r\n").all(|line| line.len() <= 78),
            "{message}"
        );
        assert!(
            message
                .split("\r\n")
                .all(|line| !line.starts_with('.') && !line.contains('\n'))
        );
        let decoded = STANDARD.decode(body.replace("\r\n", "")).unwrap();
        assert!(
            String::from_utf8(decoded)
                .unwrap()
                .starts_with("- on: é\r\nxxx")
        );
    }
}
