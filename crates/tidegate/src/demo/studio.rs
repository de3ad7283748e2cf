//! The demo's studio: it keeps pictures that are uploaded, says whether they are any, and shows galleries
//! of them with what was said of each.
//!
//! Everything is in memory and bounded; the oldest upload goes when another comes. It knows nothing of the
//! gateway: it answers requests, as a service does that somebody else wrote.

use super::server::{json, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_kit::http::{Method, RequestHead, Response};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;

/// Most uploads that are kept.
const UPLOADS_MAX: usize = 20;
/// Most parts of an upload.
const PARTS_MAX: usize = 50;
/// Most bytes of a part.
const PART_BYTES_MAX: usize = 256 << 10;
/// Longest name of an upload or a part.
const NAME_MAX: usize = 64;

/// The bytes that pictures begin with, and what they are then.
const KINDS: [(&[u8], &str); 4] = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
];

/// What is kept of an upload.
#[derive(Debug, Default)]
struct Upload {
    name: String,
    parts: BTreeMap<String, Vec<u8>>,
    /// Parts that were found to be pictures, by their place in the gallery.
    pictures: BTreeMap<u64, String>,
    /// What was said of each picture, in their order.
    captions: Vec<String>,
    is_refused: bool,
}

/// The studio.
#[derive(Debug, Default)]
pub(crate) struct Studio {
    uploads: RefCell<VecDeque<Upload>>,
}

impl Studio {
    /// Answers a request.
    pub(crate) fn answer(&self, head: &RequestHead, body: &[u8]) -> Response {
        let path = head.path();
        let steps: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let is_name = |name: &&str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(plain)
        };
        if !steps.iter().all(is_name) {
            return refused(400, "names have letters, digits, `-`, `_` and `.`");
        }
        match (&head.method, steps.as_slice()) {
            (Method::Put, ["uploads", upload, part]) => self.keep(upload, part, body),
            (Method::Get, ["uploads", upload, part]) => self.picture(upload, part),
            (Method::Post, ["checks"]) => self.check(body),
            (Method::Put, ["galleries", upload]) => self.publish(upload, body),
            (Method::Post, ["refusals"]) => self.refuse(body),
            (Method::Get, ["galleries", upload]) => self.gallery(upload),
            _ => refused(404, "there is no such thing in the studio"),
        }
    }

    /// Does something with an upload that is there.
    fn of<T>(&self, name: &str, act: impl FnOnce(&mut Upload) -> T) -> Option<T> {
        let mut uploads = self.uploads.borrow_mut();
        uploads.iter_mut().find(|one| one.name == name).map(act)
    }

    fn keep(&self, upload: &str, part: &str, body: &[u8]) -> Response {
        if body.len() > PART_BYTES_MAX {
            return refused(413, "a part has 256 KiB at most");
        }
        if self.of(upload, |_| ()).is_none() {
            let mut uploads = self.uploads.borrow_mut();
            if uploads.len() >= UPLOADS_MAX {
                uploads.pop_front();
            }
            uploads.push_back(Upload {
                name: upload.to_owned(),
                ..Upload::default()
            });
        }
        let kept = self.of(upload, |one| {
            let has_room = one.parts.len() < PARTS_MAX || one.parts.contains_key(part);
            if has_room {
                one.parts.insert(part.to_owned(), body.to_vec());
            }
            has_room
        });
        match kept {
            Some(true) => json(
                201,
                &json!({ "upload": upload, "part": part, "bytes": body.len() }),
            ),
            _ => refused(409, "an upload has 50 parts at most"),
        }
    }

    fn picture(&self, upload: &str, part: &str) -> Response {
        let found = self
            .of(upload, |one| one.parts.get(part).cloned())
            .flatten();
        match found.as_ref().and_then(|bytes| Some((kind(bytes)?, bytes))) {
            Some((kind, bytes)) => Response::full(200, kind, bytes.clone()),
            None => refused(404, "there is no such picture"),
        }
    }

    /// Says whether a part is a picture, and notes its place in the gallery.
    fn check(&self, body: &[u8]) -> Response {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let word = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let (upload, part) = (word("upload"), word("part"));
        let place = asked["place"].as_u64().unwrap_or_default();
        let found = self.of(&upload, |one| {
            let bytes = one.parts.get(&part)?.clone();
            let kind = kind(&bytes)?;
            one.pictures.insert(place, part.clone());
            Some((kind, bytes))
        });
        match found.flatten() {
            Some((kind, bytes)) => {
                let image = format!("data:{kind};base64,{}", STANDARD.encode(&bytes));
                let said =
                    json!({ "part": part, "type": kind, "bytes": bytes.len(), "image": image });
                json(200, &said)
            }
            None => refused(422, "this is no picture"),
        }
    }

    /// Takes what a model said of each picture, as it said it.
    fn publish(&self, upload: &str, body: &[u8]) -> Response {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let caption = |answer: &Value| {
            let text = answer["choices"][0]["message"]["content"].as_str();
            text.map(str::to_owned)
        };
        let answers = match &said["answers"] {
            Value::Array(answers) => answers.iter().map(caption).collect(),
            one => Some(caption(one).into_iter().collect()),
        };
        let Some(captions) = answers.filter(|captions: &Vec<String>| !captions.is_empty()) else {
            return refused(400, "`answers` are those of a model, one for each picture");
        };
        match self.of(upload, |one| one.captions = captions) {
            Some(()) => json(200, &json!({ "gallery": format!("/galleries/{upload}") })),
            None => refused(404, "there is no such upload"),
        }
    }

    /// Notes that an upload is none of pictures; told by the event of its check.
    fn refuse(&self, body: &[u8]) -> Response {
        let said: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = said["name"].as_str().unwrap_or_default();
        match self.of(name, |one| one.is_refused = true) {
            Some(()) => json(200, &json!({ "refused": name })),
            None => refused(404, "there is no such upload"),
        }
    }

    fn gallery(&self, upload: &str) -> Response {
        let page = self.of(upload, |one| page(one));
        match page {
            Some(page) => Response::full(200, "text/html; charset=utf-8", page),
            None => text(404, "there is no such gallery\n"),
        }
    }
}

fn refused(status: u16, why: &str) -> Response {
    json(status, &json!({ "error": why }))
}

/// What kind of picture it is.
fn kind(bytes: &[u8]) -> Option<&'static str> {
    let kind = KINDS.iter().find(|(begin, _)| bytes.starts_with(begin));
    kind.map(|(_, kind)| *kind)
}

/// An upload's page.
fn page(upload: &Upload) -> String {
    let name = &upload.name;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{name}</title>\n\
         <style>body{{font-family:sans-serif;margin:2rem}}figure{{display:inline-block}}</style>\n\
         <h1>{name}</h1>\n"
    );
    let state = match (upload.is_refused, upload.captions.is_empty()) {
        (true, _) => "Refused: something in it is no picture.",
        (false, true) => "In the works.",
        (false, false) => "",
    };
    if !state.is_empty() {
        let _ = writeln!(page, "<p>{state}</p>");
        return page;
    }
    // Names have no letters that mean something here; what a model said may.
    for (part, caption) in upload.pictures.values().zip(&upload.captions) {
        let caption = caption
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('"', "&quot;");
        let _ = writeln!(
            page,
            "<figure><img src=\"/uploads/{name}/{part}\" alt=\"{part}\" width=\"192\">\
             <figcaption>{caption}</figcaption></figure>"
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_kit::http::{Body, Headers, Version};

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    fn ask(studio: &Studio, method: Method, path: &str, body: &[u8]) -> (u16, String) {
        let head = RequestHead {
            method,
            authority: "studio".into(),
            target: path.into(),
            version: Version::Http11,
            headers: Headers::new(),
            upgrade: None,
        };
        let response = studio.answer(&head, body);
        let body = match response.body {
            Body::Full(chunk) => String::from_utf8_lossy(&chunk).into_owned(),
            _ => panic!("it is whole"),
        };
        (response.head.status, body)
    }

    #[test]
    fn pictures_become_a_gallery_with_what_was_said_of_each() {
        let studio = Studio::default();
        let ask = |method, path: &str, body: &[u8]| ask(&studio, method, path, body);
        for part in ["a.png", "b.png"] {
            let path = format!("/uploads/one/{part}");
            assert_eq!(ask(Method::Put, &path, PNG).0, 201);
        }
        for (place, part) in ["b.png", "a.png"].iter().enumerate() {
            let check = json!({ "upload": "one", "part": part, "place": place }).to_string();
            let (status, said) = ask(Method::Post, "/checks", check.as_bytes());
            assert_eq!(status, 200);
            assert!(said.contains("data:image/png;base64,iVBOR"), "{said}");
        }
        assert!(
            ask(Method::Get, "/galleries/one", b"")
                .1
                .contains("In the works")
        );
        let answer = |text: &str| json!({ "choices": [{ "message": { "content": text } }] });
        let answers = json!({ "answers": [answer("<b>"), answer("A lake.")] }).to_string();
        assert_eq!(
            ask(Method::Put, "/galleries/one", answers.as_bytes()).0,
            200
        );
        let (status, page) = ask(Method::Get, "/galleries/one", b"");
        assert_eq!(status, 200);
        assert!(
            page.contains("alt=\"b.png\" width=\"192\"><figcaption>&lt;b>"),
            "{page}"
        );
        assert!(page.find("b.png") < page.find("a.png"), "{page}");
    }

    #[test]
    fn what_is_no_picture_is_refused_and_memory_is_bounded() {
        let studio = Studio::default();
        let ask = |method, path: &str, body: &[u8]| ask(&studio, method, path, body);
        assert_eq!(ask(Method::Put, "/uploads/one/note.txt", b"hello").0, 201);
        let check = json!({ "upload": "one", "part": "note.txt", "place": 0 }).to_string();
        assert_eq!(ask(Method::Post, "/checks", check.as_bytes()).0, 422);
        assert_eq!(ask(Method::Post, "/refusals", br#"{"name":"one"}"#).0, 200);
        assert!(
            ask(Method::Get, "/galleries/one", b"")
                .1
                .contains("Refused")
        );
        assert_eq!(ask(Method::Put, "/uploads/one/%2e%2e", PNG).0, 400);
        assert_eq!(ask(Method::Get, "/nothing", b"").0, 404);
        let large = vec![0; PART_BYTES_MAX + 1];
        assert_eq!(ask(Method::Put, "/uploads/one/a.png", &large).0, 413);
        for upload in 0..UPLOADS_MAX {
            let path = format!("/uploads/more-{upload}/a.png");
            assert_eq!(ask(Method::Put, &path, PNG).0, 201);
        }
        assert_eq!(ask(Method::Get, "/galleries/one", b"").0, 404);
    }
}
