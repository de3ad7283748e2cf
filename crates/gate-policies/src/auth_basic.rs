//! Lets callers in who present a name and a password (RFC 7617).
//!
//! Only hashes of passwords are known to the gateway: bcrypt, argon2 or sha-crypt, written here or in
//! files as `htpasswd` writes them. Verifying one takes long by design, so it runs on the pool for
//! heavy work; a password that was right is remembered for `remember`, by a tag that nobody outside
//! can compute. A name that does not exist costs as much as a wrong password. The credential is
//! removed from what is sent on unless `forward` says otherwise.
//!
//! Guessing is bounded by a `limit` in front of this policy.
//!
//! ```yaml
//! - auth_basic:
//!     realm: orders
//!     users: { ada: "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW" }
//!     name_header: x-user
//! ```

use crate::heavy;
use crate::holder::{UnknownConsumer, be};
use crate::places::HeaderName;
use crate::recent::Recent;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_flow::{CompileContext, Exchange, Fault, Identity, Policy, PolicyKind, Replay, Verdict};
use gate_identity::password::{Hash, PASSWORD_BYTES_MAX, read_users};
use gate_kit::clock::Moment;
use gate_kit::http::HeaderId;
use gate_model::fault::FaultCode;
use gate_model::resources::SecretPlace;
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Stands in for a file that is not there while a configuration is checked: no password fits.
const NOBODY: &str = "-:$2b$04$.....................................................";

/// Who may enter with a password.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthBasicConfig {
    /// Names with the hashes of their passwords.
    #[serde(default)]
    pub users: BTreeMap<String, String>,
    /// Files (or other places of secrets) with lines `name:hash`, as `htpasswd` writes them.
    #[serde(default)]
    pub files: Vec<SecretPlace>,
    /// What browsers show when they ask for the password.
    #[serde(default = "realm")]
    pub realm: String,
    /// How long a password that was right is taken without being verified again, by each worker.
    #[serde(default = "remember")]
    pub remember: Period,
    /// Whether a name is also the name of a consumer, which pays and is limited.
    #[serde(default)]
    pub consumer: bool,
    /// What happens with names that are no consumer's, where `consumer` is set.
    #[serde(default)]
    pub unknown_consumer: UnknownConsumer,
    /// Request header that tells the upstream the name.
    pub name_header: Option<String>,
    /// Whether the credential stays in the request that is sent on.
    #[serde(default)]
    pub forward: bool,
    /// Whether callers without a credential pass, unnamed. A wrong one is refused all the same.
    #[serde(default)]
    pub optional: bool,
}

fn realm() -> String {
    "tidegate".into()
}

fn remember() -> Period {
    Period::from_seconds(300)
}

/// The policy.
pub struct AuthBasic {
    /// Tells what is remembered for this policy from what others remember.
    scope: u64,
    users: HashMap<String, Hash>,
    /// What names that do not exist are verified against.
    decoy: Hash,
    challenge: String,
    remember: Duration,
    consumer: bool,
    unknown_consumer: UnknownConsumer,
    name_header: Option<HeaderName>,
    forward: bool,
    optional: bool,
}

impl PolicyKind for AuthBasic {
    const NAME: &'static str = "auth_basic";
    type Config = AuthBasicConfig;

    fn compile(
        config: AuthBasicConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let users = users(&config, context)?;
        let Some(decoy) = users.values().next().cloned() else {
            return Err((None, "nobody could enter: there is no user".to_owned()));
        };
        let plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if !config.realm.bytes().all(plain) || config.realm.contains(['"', '\\']) {
            let message = "a realm is plain text without quotes";
            return Err((Some("realm"), message.into()));
        }
        let header = config.name_header.as_deref().map(HeaderName::parse);
        Ok(Arc::new(Self {
            scope: NEXT.fetch_add(1, Ordering::Relaxed),
            users,
            decoy,
            // RFC 7617 section 2.1: passwords are UTF-8.
            challenge: format!("Basic realm=\"{}\", charset=\"UTF-8\"", config.realm),
            remember: config.remember.duration(),
            consumer: config.consumer,
            unknown_consumer: config.unknown_consumer,
            name_header: header.transpose().map_err(|e| (Some("name_header"), e))?,
            forward: config.forward,
            optional: config.optional,
        }))
    }
}

fn users(
    config: &AuthBasicConfig,
    context: &CompileContext<'_>,
) -> Result<HashMap<String, Hash>, (Option<&'static str>, String)> {
    let mut users = HashMap::new();
    for (name, hash) in &config.users {
        let wrong = |why: String| (Some("users"), format!("`{name}`: {why}"));
        if name.is_empty() || name.contains(':') || name.chars().any(char::is_control) {
            return Err(wrong("it is no name of a user".to_owned()));
        }
        users.insert(name.clone(), Hash::parse(hash).map_err(wrong)?);
    }
    for place in &config.files {
        let wrong = |message| (Some("files"), message);
        // A file that is not there is only told where the policy is only checked.
        let text = context.secret_if_there(place).map_err(wrong)?;
        let text = text.as_deref().unwrap_or(NOBODY);
        for (name, hash) in read_users(text).map_err(wrong)? {
            if users.contains_key(&name) {
                return Err(wrong(format!("`{name}` is there twice")));
            }
            users.insert(name, hash);
        }
    }
    Ok(users)
}

thread_local! {
    /// Until when a credential counts that was right, and whose it is.
    static RECENT: RefCell<Recent<(Arc<str>, Moment)>> = RefCell::new(Recent::new());
}

/// What a caller presents.
enum Presented {
    Nothing,
    Malformed,
    Pair(String, Vec<u8>),
}

impl Policy for AuthBasic {
    fn replay(&self) -> Replay {
        Replay::Unknown("the password")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let now = exchange.services.clock().now();
        if let Some(name) = self.remembered(exchange, now) {
            return self.admit(exchange, &name);
        }
        let (name, password) = match presented(exchange) {
            Presented::Nothing if self.optional => {
                self.clear(exchange);
                return Verdict::Next;
            }
            Presented::Nothing => return self.refuse(exchange, FaultCode::CredentialMissing),
            Presented::Malformed => return self.refuse(exchange, FaultCode::CredentialInvalid),
            Presented::Pair(name, password) => (name, password),
        };
        let known = self.users.get(&name);
        let hash = known.unwrap_or(&self.decoy).clone();
        let is_known = known.is_some();
        Verdict::Wait(Box::pin(async move {
            let services = exchange.services.clone();
            let fits = heavy::done(&*services, false, move || hash.fits(&password)).await;
            match fits {
                Ok(true) if is_known => {
                    let name: Arc<str> = name.into();
                    let until = services.clock().now().plus(self.remember);
                    self.remember(exchange, &name, until);
                    self.admit(exchange, &name)
                }
                Ok(_) => self.refuse(exchange, FaultCode::CredentialInvalid),
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }
}

/// The one `Authorization` field, when it is there once.
fn field(exchange: &Exchange) -> Option<&[u8]> {
    let mut values = exchange.request.head.headers.all(HeaderId::Authorization);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

fn presented(exchange: &Exchange) -> Presented {
    let mut values = exchange.request.head.headers.all(HeaderId::Authorization);
    let Some(value) = values.next() else {
        return Presented::Nothing;
    };
    let Some(rest) = basic(value) else {
        return Presented::Nothing;
    };
    if values.next().is_some() {
        return Presented::Malformed;
    }
    let decoded = STANDARD.decode(rest).unwrap_or_default();
    let colon = decoded.iter().position(|byte| *byte == b':');
    let Some((name, password)) = colon.map(|at| decoded.split_at(at)) else {
        return Presented::Malformed;
    };
    match std::str::from_utf8(name) {
        Ok(name) if password.len() <= PASSWORD_BYTES_MAX => {
            Presented::Pair(name.to_owned(), password[1..].to_vec())
        }
        _ => Presented::Malformed,
    }
}

/// What follows `Basic`.
fn basic(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked(6)?;
    scheme
        .eq_ignore_ascii_case(b"basic ")
        .then(|| rest.trim_ascii())
}

impl AuthBasic {
    fn remembered(&self, exchange: &Exchange, now: Moment) -> Option<Arc<str>> {
        let value = basic(field(exchange)?)?;
        let found = RECENT.with_borrow_mut(|recent| recent.get(self.scope, value, || None));
        let (name, until) = found?;
        (until > now).then_some(name)
    }

    fn remember(&self, exchange: &Exchange, name: &Arc<str>, until: Moment) {
        if let Some(value) = field(exchange).and_then(basic) {
            let found = (name.clone(), until);
            RECENT.with_borrow_mut(|recent| recent.put(self.scope, value, found));
        }
    }

    fn clear(&self, exchange: &mut Exchange) {
        if let Some(header) = &self.name_header {
            header.remove(&mut exchange.request.head.headers);
        }
    }

    fn admit(&self, exchange: &mut Exchange, name: &str) -> Verdict<'static> {
        self.clear(exchange);
        let headers = &mut exchange.request.head.headers;
        if !self.forward {
            headers.retain(|id, _, value| id != HeaderId::Authorization || basic(value).is_none());
        }
        if let Some(header) = &self.name_header {
            let added = headers.try_append(header.as_str().as_bytes(), name.as_bytes());
            if added.is_err() {
                return Verdict::refuse(FaultCode::CredentialInvalid);
            }
        }
        exchange.identify(Identity {
            subject: Some(name.into()),
            ..Identity::default()
        });
        let named = !self.consumer || be(exchange, name);
        if named || self.unknown_consumer == UnknownConsumer::Anonymous {
            return Verdict::Next;
        }
        let detail = "the user is no consumer";
        Verdict::refuse(Fault::new(FaultCode::Forbidden).detail(detail))
    }

    fn refuse(&self, exchange: &mut Exchange, code: FaultCode) -> Verdict<'static> {
        exchange
            .response_headers
            .append_known(HeaderId::WwwAuthenticate, self.challenge.as_bytes());
        Verdict::refuse(code)
    }
}

#[cfg(test)]
#[path = "auth_basic/tests.rs"]
mod tests;
