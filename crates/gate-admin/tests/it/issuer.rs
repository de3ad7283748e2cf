//! An identity provider for tests: it signs real tokens, and serves its keys and its description on
//! loopback. Its sign-in page lets everybody in as `ada`.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What signs.
pub(crate) enum Key {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    pub(crate) fn rsa() -> Self {
        Key::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
    }

    pub(crate) fn ec() -> Self {
        Key::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// As a JWK Set shows it (RFC 7518 section 6).
    fn public(&self, id: &str) -> Value {
        match self {
            Key::Rsa(pair) => {
                let parts = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({
                    "kty": "RSA", "use": "sig", "alg": "RS256", "kid": id,
                    "n": encode(&parts.n), "e": encode(&parts.e),
                })
            }
            Key::Ec(pair) => {
                // An uncompressed point: 4, x, y.
                let point = pair.public_key().as_ref();
                json!({
                    "kty": "EC", "crv": "P-256", "kid": id,
                    "x": encode(&point[1..33]), "y": encode(&point[33..]),
                })
            }
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Key::Rsa(_) => "RS256",
            Key::Ec(_) => "ES256",
        }
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let signed = pair.sign(&RSA_PKCS1_SHA256, &random, text.as_bytes(), &mut signature);
                signed.unwrap();
                signature
            }
            Key::Ec(pair) => pair
                .sign(&random, text.as_bytes())
                .unwrap()
                .as_ref()
                .to_vec(),
        }
    }

    /// A token under this name of a key.
    pub(crate) fn token(&self, id: &str, claims: &Value) -> String {
        let header = json!({ "alg": self.algorithm(), "kid": id, "typ": "JWT" });
        let text = unsigned(&header, claims);
        format!("{text}.{}", encode(&self.sign(&text)))
    }
}

/// Header and claims of a token (RFC 7515 section 3.1).
pub(crate) fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| encode(value.to_string().as_bytes());
    format!("{}.{}", part(header), part(claims))
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn now_s() -> u64 {
    gate_kit::clock::Clock::System.unix().as_secs()
}

/// What the provider is made to do wrong.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// ID tokens carry another nonce.
    Nonce,
    /// ID tokens are for another client.
    Audience,
    /// ID tokens name another party that may use them.
    Party,
    /// Somebody else's claims come from the userinfo endpoint.
    Subject,
}

/// What a provider knows.
struct Book {
    url: String,
    keys: Vec<(String, Key)>,
    /// Requests for the keys so far.
    asked: usize,
    /// Challenge, nonce and redirection by code.
    codes: HashMap<String, [String; 3]>,
    fault: Fault,
}

/// A running provider.
#[derive(Clone)]
pub(crate) struct Issuer {
    pub(crate) url: String,
    book: Arc<Mutex<Book>>,
}

impl Issuer {
    /// With an RSA key `r` and an elliptic one `e`.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Mutex::new(Book {
            url: url.clone(),
            keys: vec![("r".into(), Key::rsa()), ("e".into(), Key::ec())],
            asked: 0,
            codes: HashMap::new(),
            fault: Fault::None,
        }));
        let served = book.clone();
        // It ends with the process; nothing else is asked of it.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                serve(stream, &served);
            }
        });
        Self { url, book }
    }

    /// A token of one of its keys.
    pub(crate) fn token(&self, id: &str, claims: &Value) -> String {
        let book = self.book.lock().unwrap();
        let key = book.keys.iter().find(|(known, _)| known == id);
        key.unwrap().1.token(id, claims)
    }

    /// How often its keys were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.book.lock().unwrap().asked
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.book.lock().unwrap().fault = fault;
    }
}

fn serve(stream: TcpStream, book: &Mutex<Book>) {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim().split_once(": ") else {
            break;
        };
        match &*name.to_ascii_lowercase() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut form = vec![0; length];
    reader.read_exact(&mut form).unwrap();
    let target = first.split(' ').nth(1).unwrap().to_owned();
    let (status, location, body) = book.lock().unwrap().answer(&target, &form, &authorization);
    let location = location.map_or(String::new(), |to| format!("Location: {to}\r\n"));
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\n{location}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    reader.get_mut().write_all(answer.as_bytes()).unwrap();
}

impl Book {
    fn answer(
        &mut self,
        target: &str,
        form: &[u8],
        authorization: &str,
    ) -> (u16, Option<String>, String) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let answer = match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": self.url,
                "authorization_endpoint": format!("{}/authorize", self.url),
                "token_endpoint": format!("{}/token", self.url),
                "jwks_uri": format!("{}/keys", self.url),
                "userinfo_endpoint": format!("{}/me", self.url),
            }),
            "/keys" => {
                self.asked += 1;
                let keys = self.keys.iter().map(|(id, key)| key.public(id));
                json!({ "keys": keys.collect::<Vec<_>>() })
            }
            "/authorize" => {
                return (
                    302,
                    Some(self.authorize(&pairs(query.as_bytes()))),
                    String::new(),
                );
            }
            "/token" => match self.redeem(&pairs(form), authorization) {
                Some(tokens) => tokens,
                None => return (400, None, json!({ "error": "invalid_grant" }).to_string()),
            },
            "/me" if authorization == "Bearer access" => {
                let subject = if self.fault == Fault::Subject {
                    "eve"
                } else {
                    "ada"
                };
                json!({ "sub": subject, "groups": ["deploy"] })
            }
            _ => return (404, None, String::new()),
        };
        (200, None, answer.to_string())
    }

    /// Lets `ada` in, and leads the browser back.
    fn authorize(&mut self, query: &HashMap<String, String>) -> String {
        assert_eq!(query["response_type"], "code");
        assert_eq!(query["client_id"], "tidegate");
        assert_eq!(query["code_challenge_method"], "S256");
        assert!(query["scope"].starts_with("openid"));
        let code = format!("code{}", self.codes.len());
        let kept = ["code_challenge", "nonce", "redirect_uri"].map(|name| query[name].clone());
        self.codes.insert(code.clone(), kept);
        let back = &query["redirect_uri"];
        format!(
            "{back}?code={code}&state={}&session_state=x.y",
            query["state"]
        )
    }

    /// Tokens for a code, once (RFC 7636 section 4.6).
    fn redeem(&mut self, form: &HashMap<String, String>, authorization: &str) -> Option<Value> {
        // `tidegate:shhh`
        assert_eq!(authorization, "Basic dGlkZWdhdGU6c2hoaA==");
        assert_eq!(form["grant_type"], "authorization_code");
        let [challenge, nonce, back] = self.codes.remove(&form["code"])?;
        let made = encode(digest(&SHA256, form["code_verifier"].as_bytes()).as_ref());
        if made != challenge || form["redirect_uri"] != back {
            return None;
        }
        let wrong = |fault: Fault, right: &str| match self.fault == fault {
            true => "another".to_owned(),
            false => right.to_owned(),
        };
        let claims = json!({
            "iss": self.url, "aud": wrong(Fault::Audience, "tidegate"), "sub": "ada",
            "azp": wrong(Fault::Party, "tidegate"), "nonce": wrong(Fault::Nonce, &nonce),
            "exp": now_s() + 60, "iat": now_s(),
        });
        let (id, key) = &self.keys[0];
        Some(json!({ "id_token": key.token(id, &claims), "access_token": "access" }))
    }
}

fn pairs(text: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(text).into_owned().collect()
}
