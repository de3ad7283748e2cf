//! NATS: the client protocol's few commands that publishing needs, and JetStream's acknowledgement.
//!
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>. A message without JetStream has
//! arrived when the server answers the PING behind it; with it, when the stream says that it has stored
//! it (or had before, by `Nats-Msg-Id`).

use super::link::Link;
use super::{Failure, Letter, Means, signs, written};
use crate::subscribers::work::now_s;
use gate_kit::random;
use gate_model::resources::NatsTarget;
use gate_ops::event::delivery::Template;
use serde_json::{Value, json};

/// Most bytes of a line of the server, and of an answer.
const LINE_MAX: usize = 64 << 10;
/// Most lines of the server before the one that is waited for.
const LINES_MAX: usize = 100;

pub(super) fn send(means: &Means, letter: &Letter<'_>, target: &NatsTarget) -> Result<(), Failure> {
    let parcel = letter.parcel;
    let password = means.optional(parcel, target.password.as_ref())?;
    let json = parcel.loaded.json.as_ref().ok_or("it was destroyed")?;
    let subject = Template::read(&target.subject).map_err(Failure::Never)?;
    let subject = subject_of(&subject.text(json)).map_err(Failure::Never)?;
    let mut link = Link::connect(&target.server, letter.timeout, letter.parcel.term.clone())?;
    let info = link.line(LINE_MAX)?;
    let info = info
        .strip_prefix("INFO ")
        .ok_or("its server does not speak NATS")?;
    let info: Value = serde_json::from_str(info).map_err(|_| "its server does not speak NATS")?;
    let is_sealed = target.tls || info["tls_required"] == true;
    if is_sealed {
        link.seal(means.file(target.authorities.as_ref()).as_deref())?;
    }
    if info["headers"] != true {
        return Err(Failure::from("its server knows no header fields"));
    }
    let mut connect = json!({
        "verbose": false, "pedantic": false, "tls_required": is_sealed, "headers": true,
        "no_responders": true, "name": "tidegate", "lang": "rust",
        "version": env!("CARGO_PKG_VERSION"), "protocol": 1,
    });
    match (&target.user, password) {
        (Some(user), Some(password)) => {
            (connect["user"], connect["pass"]) = (user.as_str().into(), password.into());
        }
        (None, Some(token)) => connect["auth_token"] = token.into(),
        _ => {}
    }
    let (mut fields, body) = written(&letter.event, target.mode);
    fields.extend(signs(parcel, now_s()));
    fields.push(("Nats-Msg-Id".into(), parcel.key.clone()));
    let most = info["max_payload"].as_u64().unwrap_or(u64::MAX);
    if body.len() as u64 > most {
        let reason = format!("its server takes {most} bytes, and it has {}", body.len());
        return Err(Failure::Never(reason));
    }
    let inbox = format!("_INBOX.{:016x}{:016x}", random::bits(), random::bits());
    let mut out = format!("CONNECT {connect}\r\nPING\r\n").into_bytes();
    if target.jetstream {
        out.extend_from_slice(format!("SUB {inbox} 1\r\nUNSUB 1 1\r\n").as_bytes());
    }
    link.write(&out)?;
    // An error of signing in comes before anything else, and says why.
    until(&mut link, "PONG")?;
    let reply = if target.jetstream { inbox.as_str() } else { "" };
    link.write(&published(&subject, reply, &fields, &body))?;
    match target.jetstream {
        false => {
            link.write(b"PING\r\n")?;
            until(&mut link, "PONG").map(drop)
        }
        true => stored(&mut link),
    }
}

/// A message with header fields (`HPUB`).
fn published(subject: &str, reply: &str, fields: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = String::from("NATS/1.0\r\n");
    for (name, value) in fields {
        // Attributes are encoded and other values are ours: none has a line break.
        let value: String = value.chars().filter(|c| !c.is_control()).collect();
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    let reply = if reply.is_empty() {
        String::new()
    } else {
        format!(" {reply}")
    };
    let whole = head.len() + body.len();
    let mut out = format!("HPUB {subject}{reply} {} {whole}\r\n{head}", head.len()).into_bytes();
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
    out
}

/// Waits for a line that begins so, and answers what the server asks meanwhile.
fn until(link: &mut Link, word: &str) -> Result<String, Failure> {
    for _ in 0..LINES_MAX {
        let line = link.line(LINE_MAX)?;
        if line.starts_with(word) {
            return Ok(line);
        }
        if line.starts_with("PING") {
            link.write(b"PONG\r\n")?;
        } else if let Some(problem) = line.strip_prefix("-ERR") {
            let problem: String = problem
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            return Err(format!("its server said:{problem}").into());
        }
    }
    Err("its server says something else".into())
}

/// Waits until a stream has stored the message.
fn stored(link: &mut Link) -> Result<(), Failure> {
    for _ in 0..LINES_MAX {
        let line = link.line(LINE_MAX)?;
        if line.starts_with("PING") {
            link.write(b"PONG\r\n")?;
            continue;
        }
        if let Some(problem) = line.strip_prefix("-ERR") {
            return Err(format!("its server said:{problem}").into());
        }
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let count = |word: Option<&&str>| word.and_then(|text| text.parse::<usize>().ok());
        let (head, whole) = match words.first() {
            Some(&"MSG") => (Some(0), count(words.last())),
            Some(&"HMSG") => (count(words.iter().rev().nth(1)), count(words.last())),
            _ => continue,
        };
        let (Some(head), Some(whole)) = (head, whole.filter(|whole| *whole <= LINE_MAX)) else {
            return Err("its server does not speak NATS".into());
        };
        let message = link.exactly(whole + 2)?;
        let answer = &message[head.min(whole)..whole];
        if answer.is_empty() {
            return Err("no stream stores its subject".into());
        }
        let answer: Value = serde_json::from_slice(answer).unwrap_or(Value::Null);
        if answer["seq"].is_u64() {
            return Ok(());
        }
        let problem = answer["error"]["description"]
            .as_str()
            .unwrap_or("nothing of use");
        let problem: String = problem
            .chars()
            .filter(|c| !c.is_control())
            .take(200)
            .collect();
        return Err(format!("its stream said: {problem}").into());
    }
    Err("its server says something else".into())
}

/// A subject that events cannot make into another: without wildcards and blanks, no part of it empty.
fn subject_of(text: &str) -> Result<String, String> {
    let clean = |letter: char| match letter {
        '*' | '>' => '_',
        letter if letter.is_whitespace() || letter.is_control() => '_',
        letter => letter,
    };
    let subject: String = text.chars().map(clean).collect();
    if subject.is_empty() || subject.split('.').any(str::is_empty) || subject.starts_with('$') {
        return Err(format!("`{subject}` is no subject to publish to"));
    }
    Ok(subject)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_how_long_they_are() {
        let fields = [("ce-id".to_owned(), "1".to_owned())];
        let text = published("a.b", "_INBOX.1", &fields, b"body");
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            text,
            "HPUB a.b _INBOX.1 22 26\r\nNATS/1.0\r\nce-id: 1\r\n\r\nbody\r\n"
        );
    }

    #[test]
    fn subjects_are_what_configuration_meant() {
        assert_eq!(
            subject_of("events.order placed").as_deref(),
            Ok("events.order_placed")
        );
        assert_eq!(subject_of("events.>.*").as_deref(), Ok("events._._"));
        for wrong in ["", "a..b", ".a", "a.", "$JS.API.STREAM.DELETE.x"] {
            assert!(subject_of(wrong).is_err(), "{wrong}");
        }
    }
}
