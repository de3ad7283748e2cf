//! JSON-RPC of tools and agents: what servers, agents and their callers may send.

use gate_ai::rpc::card::{Rewrite, Security, rewrite as rewrite_card};
use gate_ai::rpc::handshake::{Hello, Offer, answer};
use gate_ai::rpc::lists::{Listed, read_page, write_page};
use gate_ai::rpc::{Kind, Message, flatten, rewrite, write_event};
use gate_ai::{SseEvent, SseFramer};
use serde_json::Value;

/// Whatever the bytes are, nothing breaks; what is changed is changed in one place, is JSON, and
/// survives an event stream; ids find their way back; what is listed can be read again.
pub fn rpc(bytes: &[u8]) {
    let before: Option<Value> = serde_json::from_slice(bytes).ok();
    if let Ok(message) = Message::read(bytes) {
        let before = before.expect("what is read is JSON");
        let id = message.id.as_deref().unwrap_or("1");
        let public = rewrite::server_id("a:server", id);
        assert_eq!(
            rewrite::own_id(&public),
            Some(("a:server".to_owned(), id.to_owned()))
        );
        let mut changed = rewrite::with_id(bytes, &public).expect("it was read before");
        flatten(&mut changed);
        let again = Message::read(&changed).expect("only its id has changed");
        assert_eq!((again.kind, &again.method), (message.kind, &message.method));
        if message.kind == Kind::Request {
            assert_eq!(again.id.as_deref(), Some(&*public));
            let named = rewrite::with_name(bytes, &message.method, "n\"").expect("read before");
            let named: Value = serde_json::from_slice(&named).expect("our own JSON");
            assert_eq!(named["id"], before["id"]);
        }
        let mut stream = Vec::new();
        write_event(&mut stream, Some(b"1"), None, &changed);
        let mut seen = Vec::new();
        let keep = |event: SseEvent<'_>| {
            seen.push(event.data.map(std::borrow::Cow::into_owned));
            Ok(())
        };
        SseFramer::new(1 << 24).push(&stream, keep).expect("short");
        assert_eq!(seen, [Some(changed)]);
    }
    for listed in [Listed::Tools, Listed::Resources] {
        if let Ok(page) = read_page(bytes, listed, "p") {
            let texts = page.entries.iter().map(|entry| &*entry.json);
            let written = write_page("1", listed, texts, page.next.as_deref());
            let again = read_page(&written, listed, "").expect("our own list");
            assert_eq!(again.entries.len(), page.entries.len());
        }
    }
    let _ = Hello::read(bytes);
    if let Ok(offer) = Offer::read(bytes) {
        let said = answer("1", offer.version, [("s", &offer)].into_iter(), false);
        let again = Offer::read(&said).expect("our own offer");
        assert_eq!((again.tools, again.changes), (offer.tools, offer.changes));
    }
    let how = Rewrite {
        origin: "http://a",
        path: "",
        public: "https://g/x",
        security: Security::Gateways,
    };
    if let Ok(card) = rewrite_card(bytes, &how) {
        let card: Value = serde_json::from_slice(&card).expect("our own JSON");
        for interface in card["supportedInterfaces"].as_array().into_iter().flatten() {
            let url = interface["url"].as_str().expect("others are taken out");
            assert!(url.starts_with("https://g/x"), "{url}");
        }
    }
}
