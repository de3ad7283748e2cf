//! What callers prove themselves with: tokens, signed messages, certificates, cookies, password files.

use gate_identity::certificate::Certificate;
use gate_identity::claims::Claims;
use gate_identity::jose::{JwtAlgorithm, KeySet, Token};
use gate_identity::password::read_users;
use gate_identity::seal::Seal;
use gate_identity::signature::fields::{dictionary, dictionary_text, list, list_text};
use gate_identity::signature::{Message, signatures};
use gate_kit::http::Headers;
use std::sync::LazyLock;

static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let set = r#"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#;
    KeySet::read(set.as_bytes(), true).expect("a constant")
});
static SEAL: LazyLock<Seal> = LazyLock::new(|| Seal::new(&[[7; 32]]).expect("a constant"));

/// Nothing that is not signed counts as signed; what is read as structured fields is written so that
/// it reads the same; nothing panics.
pub fn identity(bytes: &[u8]) {
    if let Ok(token) = Token::parse(bytes, &JwtAlgorithm::SYMMETRIC) {
        let _ = token.claimed_issuer();
        assert!(token.verify(&KEYS).is_err(), "a token out of nothing");
    }
    let _ = Claims::parse(bytes);
    let _ = KeySet::read(bytes, false);
    let _ = Certificate::parse(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    assert!(SEAL.open("fuzz", text).is_none(), "a cookie out of nothing");
    let _ = read_users(text);
    if let Ok(members) = dictionary(text) {
        assert_eq!(dictionary(&dictionary_text(&members)), Ok(members));
    }
    if let Ok(members) = list(text) {
        assert_eq!(list(&list_text(&members)), Ok(members));
    }
    message(text);
}

/// The text as the two fields of a signature, over a request with itself as a third.
fn message(text: &str) {
    let mut headers = Headers::new();
    for name in ["signature-input", "signature", "x-text"] {
        if headers
            .try_append(name.as_bytes(), text.as_bytes())
            .is_err()
        {
            return;
        }
    }
    let message = Message {
        method: "GET",
        scheme: "https",
        authority: "example.com",
        target: "/a?b=c",
        headers: &headers,
        content_length: None,
        response: None,
    };
    for signature in signatures(&headers).unwrap_or_default() {
        if let Ok(base) = signature.base(&message) {
            let lines = signature.components.len() + 1;
            assert_eq!(base.lines().count(), lines, "a component wrote a line");
        }
    }
}
