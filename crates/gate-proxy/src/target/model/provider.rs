//! Providers, from configuration to what a call needs.

use super::service_account::{ServiceAccount, is_key};
use super::state::Bench;
use crate::compile::Work;
use crate::target::place::Place;
use crate::upstream::Upstream;
use crate::upstream::trouble::Trouble;
use gate_ai::provider::registry::{self, PROVIDERS, find};
use gate_ai::provider::{
    CredentialPlace, MissingSetting, ProviderConfig, ProviderKind, Quirks, ReadConfig, SecretRef,
    StreamUsage,
};
use gate_ai::{Operation, TranslateOptions};
use gate_flow::{Fault, Services};
use gate_model::document::{Node, Path, from_node};
use gate_model::finding::Finding;
use gate_model::resources::{self, SecretPlace};
use gate_model::suggest::nearest;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A provider account, ready to be called.
pub struct Provider {
    /// Its name.
    pub name: Arc<str>,
    /// What sets the vendor apart.
    pub kind: &'static ProviderKind,
    /// Its service, balanced and pooled like any other.
    pub upstream: Arc<Upstream>,
    /// Host (and port) to name in requests.
    pub authority: String,
    /// What its configuration says, for the addresses of operations.
    pub config: ProviderConfig,
    /// Fields added to every request.
    pub headers: BTreeMap<String, String>,
    /// Choices for translations.
    pub options: TranslateOptions,
    /// Its credentials; one without a secret where the service asks for none.
    pub(super) credentials: Vec<Credential>,
    next: AtomicUsize,
}

/// A credential, and until when it is passed over.
pub(super) struct Credential {
    /// What identifies it in state and logs: where its secret comes from, never the secret.
    pub(super) name: String,
    /// The secret itself.
    pub(super) secret: Option<String>,
    /// What exchanges it for tokens, where it is the key of a service account.
    pub(super) account: Option<Arc<ServiceAccount>>,
    /// Passed over because it is wrong, or its account has nothing left.
    pub(super) bench: Arc<Bench>,
    /// When it was refused last, and how, for people who look.
    pub(super) trouble: Arc<Trouble>,
}

impl Provider {
    /// The token to show for a secret that is the key of a service account; none for any other
    /// secret, which is shown itself.
    ///
    /// # Errors
    /// When no token could be had.
    pub(super) async fn token(
        &self,
        services: &Rc<dyn Services>,
        secret: Option<&str>,
    ) -> Result<Option<Arc<str>>, Fault> {
        let own = |credential: &&Credential| credential.secret.as_deref() == secret;
        let credential = self.credentials.iter().find(own);
        match credential.and_then(|credential| credential.account.as_ref()) {
            Some(account) => account.token(services).await.map(Some),
            None => Ok(None),
        }
    }

    /// Where to begin looking for a credential: several are used in turn.
    pub(super) fn turn(&self) -> usize {
        match self.credentials.len() {
            0 | 1 => 0,
            several => self.next.fetch_add(1, Ordering::Relaxed) % several,
        }
    }

    /// Whether streams of Chat Completions are asked for usage.
    #[must_use]
    pub fn asks_for_usage(&self) -> bool {
        self.quirks().stream_usage == StreamUsage::OnRequest
    }

    /// Whether errors inside streams may stand behind other members of a chunk.
    #[must_use]
    pub fn hides_errors(&self) -> bool {
        self.quirks().hides_errors
    }

    fn quirks(&self) -> &Quirks {
        self.config.quirks.as_ref().unwrap_or(&self.kind.quirks)
    }
}

/// Compiles one provider; what is wrong with it goes into the findings.
pub(super) fn provider(
    work: &mut Work<'_>,
    name: &str,
    component: &resources::Component,
    path: &Path,
) -> Option<Provider> {
    let [(key, settings)] = component.0.entries() else {
        let message = "a provider is a mapping from its kind to its settings";
        let finding = Finding::error("wrong_type", path.clone(), message);
        work.report(
            finding.expected("such as `{ openai: { credentials: [{ env: OPENAI_API_KEY }] } }`"),
        );
        return None;
    };
    let path = path.key(&*key.text);
    let Some(kind) = find(&key.text) else {
        let known: Vec<&str> = PROVIDERS.iter().map(|kind| kind.name).collect();
        let message = format!("there is no kind of provider `{}`", key.text);
        let mut finding = Finding::error("unknown_provider", path, message)
            .expected(format!("one of {}", known.join(", ")))
            .locate_key(work.document);
        if let Some(near) = nearest(&key.text, known) {
            finding = finding.help(format!("did you mean `{near}`?"));
        }
        work.findings.push(finding);
        return None;
    };
    let config = match registry::read(kind, Written(settings, &path)) {
        Ok(config) => config,
        Err(finding) => {
            work.findings.push(finding.in_file(&work.document.file));
            return None;
        }
    };
    let mut credentials = credentials(work, name, &config, &path);
    open_accounts(work, name, config.place(kind), &mut credentials, &path);
    let url = match kind
        .base(&config)
        .and_then(|base| checked(kind, &config, base))
    {
        Ok(url) => url,
        Err(missing) => {
            let message = missing.to_string();
            work.report(Finding::error("missing_setting", path, message));
            return None;
        }
    };
    let Some(place) = Place::parse(&url) else {
        let message = "the address must be `http://host[:port][/path]` or `https://...`";
        work.report(Finding::error("invalid_url", path.key("base_url"), message));
        return None;
    };
    let upstream = work.upstream(&format!("provider/{name}"), &place.upstream(), &path)?;
    Some(Provider {
        name: name.into(),
        kind,
        upstream,
        authority: place.authority,
        headers: config.headers.clone(),
        options: kind.translate_options(&config),
        config,
        credentials,
        next: AtomicUsize::new(0),
    })
}

/// The base address, when every address of this account can be made.
fn checked(
    kind: &ProviderKind,
    config: &ProviderConfig,
    base: String,
) -> Result<String, MissingSetting> {
    for asked in Operation::all() {
        if let Some(row) = kind.serving(asked, "", config) {
            kind.url(config, row, "", false)?;
        }
    }
    Ok(base)
}

/// Settings where they stand in the document.
struct Written<'a>(&'a Node, &'a Path);

impl ReadConfig for Written<'_> {
    type Error = Finding;

    fn read<T: serde::de::DeserializeOwned>(self) -> Result<T, Finding> {
        from_node(self.0, self.1)
    }
}

fn credentials(
    work: &mut Work<'_>,
    provider: &str,
    config: &ProviderConfig,
    path: &Path,
) -> Vec<Credential> {
    let mut credentials = Vec::new();
    let state = work.compiler.state;
    let credential = |name: String, secret| Credential {
        bench: state.get_or_insert(&format!("credential/{provider}/{name}"), Bench::default),
        trouble: state.get_or_insert(&format!("credential/{provider}/{name}"), Trouble::default),
        name,
        secret,
        account: None,
    };
    for (index, reference) in config.credentials.iter().enumerate() {
        let (name, resolved) = (source(reference), secret(work, reference));
        match resolved {
            Ok(secret) => credentials.push(credential(name, Some(secret))),
            Err(message) => {
                let path = path.key("credentials").index(index);
                work.report(Finding::error("missing_secret", path, message));
            }
        }
    }
    if credentials.is_empty() {
        credentials.push(credential("none".to_owned(), None));
    }
    credentials
}

/// Where a secret comes from, as a name for its state.
fn source(reference: &SecretRef) -> String {
    match reference {
        SecretRef::Env(name) => format!("env:{name}"),
        SecretRef::File(file) => format!("file:{}", file.display()),
        SecretRef::Stored(name) => format!("stored:{name}"),
        SecretRef::From(from) => {
            let field = from.field.as_deref().unwrap_or_default();
            format!("from:{}/{}#{field}", from.store, from.path)
        }
        SecretRef::Joined(parts) => {
            let parts: Vec<String> = parts.iter().map(source).collect();
            parts.join("+")
        }
    }
}

/// A secret, from wherever it is kept.
fn secret(work: &Work<'_>, reference: &SecretRef) -> Result<String, String> {
    match reference {
        SecretRef::Env(name) => work.secret(&SecretPlace::Env(name.clone())),
        SecretRef::File(file) => work.secret(&SecretPlace::File(file.clone())),
        SecretRef::Stored(name) => work.secret(&SecretPlace::Stored(name.clone())),
        SecretRef::From(from) => work.secret(&SecretPlace::From(from.clone())),
        SecretRef::Joined(parts) => {
            let mut joined = String::new();
            for part in parts {
                let part = secret(work, part)?;
                // Each is one line, so that none can stand for another.
                if part.contains(['\n', '\r']) {
                    return Err("a part of the credential has several lines".into());
                }
                if !joined.is_empty() {
                    joined.push('\n');
                }
                joined.push_str(&part);
            }
            Ok(joined)
        }
    }
}

/// Gives credentials that are keys of service accounts what exchanges them for tokens, which
/// survives reloads.
fn open_accounts(
    work: &mut Work<'_>,
    provider: &str,
    place: &CredentialPlace,
    credentials: &mut [Credential],
    path: &Path,
) {
    let CredentialPlace::ServiceAccount(scope) = place else {
        return;
    };
    for credential in credentials {
        let Some(secret) = credential.secret.as_deref().filter(|secret| is_key(secret)) else {
            continue;
        };
        match ServiceAccount::parse(secret, scope) {
            Ok(account) => {
                let identity = format!("service-account/{provider}/{}", account.fingerprint());
                let state = work.compiler.state;
                credential.account = Some(state.get_or_insert(&identity, || account));
            }
            Err(message) => {
                let path = path.key("credentials");
                work.report(Finding::error("unusable_secret", path, message));
            }
        }
    }
}
