//! One question: what it takes, from the gateway's own secrets, and the thread that asks it.

use crate::values::Values;
use crate::vault::Token;
use crate::{aws, kubernetes, vault};
use gate_flow::SecretSource;
use gate_model::resources::{KubernetesStore, SecretPlace, SecretStore, VaultAuth};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

/// A path of a service; services are told apart by all of their settings.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) store: SecretStore,
    pub(crate) folder: PathBuf,
    pub(crate) path: String,
}

/// What came of a question, and the token to go on with.
pub(crate) type Answered = Result<(Values, Option<Token>), String>;

/// A question with all that it takes, so that a thread may own it.
pub(crate) struct Asker {
    key: Key,
    known: Option<Token>,
    /// What the store's own references came to, in the order of its settings.
    own: Vec<Option<String>>,
    authorities: Option<PathBuf>,
    namespace: String,
    address: String,
    now_s: u64,
}

impl Asker {
    /// What the service is asked with, from the gateway's own environment, files and store.
    ///
    /// # Errors
    /// What of it is missing.
    pub(crate) fn new(
        key: &Key,
        known: Option<Token>,
        source: &dyn SecretSource,
        now_s: u64,
    ) -> Result<Self, String> {
        let mut asker = Self {
            key: key.clone(),
            known,
            own: Vec::new(),
            authorities: None,
            namespace: String::new(),
            address: String::new(),
            now_s,
        };
        let secret = |place: &SecretPlace| match place {
            SecretPlace::Env(name) => source.env(name),
            SecretPlace::File(file) => source.file(&key.folder.join(file)),
            SecretPlace::Stored(name) => source.stored(name),
            SecretPlace::From(_) => Err("what a service is asked with cannot come from one".into()),
        };
        let file = |file: &Path| source.file(&key.folder.join(file));
        match &key.store {
            SecretStore::Vault(vault) => {
                asker.own.push(Some(match &vault.auth {
                    VaultAuth::Token(place) => secret(place)?,
                    VaultAuth::AppRole { secret_id, .. } => secret(secret_id)?,
                    VaultAuth::Kubernetes { token, .. } => file(token)?,
                }));
                let authorities = vault.authorities.as_ref();
                asker.authorities = authorities.map(|file| key.folder.join(file));
            }
            SecretStore::AwsSecretsManager(aws) => {
                asker.own.push(Some(secret(&aws.access_key_id)?));
                asker.own.push(Some(secret(&aws.secret_access_key)?));
                asker
                    .own
                    .push(aws.session_token.as_ref().map(secret).transpose()?);
            }
            SecretStore::Kubernetes(store) => {
                asker.own.push(Some(file(&store.token)?));
                asker.cluster(store, source)?;
            }
        }
        Ok(asker)
    }

    /// Where the cluster is, and which namespace is meant.
    fn cluster(
        &mut self,
        store: &KubernetesStore,
        source: &dyn SecretSource,
    ) -> Result<(), String> {
        self.authorities = Some(self.key.folder.join(&store.authorities));
        self.namespace = match &store.namespace {
            Some(namespace) => namespace.clone(),
            None => source.file(Path::new(kubernetes::NAMESPACE))?,
        };
        self.address = match &store.address {
            Some(address) => address.clone(),
            None => {
                let host = source.env("KUBERNETES_SERVICE_HOST")?;
                let port = source.env("KUBERNETES_SERVICE_PORT")?;
                match host.contains(':') {
                    true => format!("https://[{host}]:{port}"),
                    false => format!("https://{host}:{port}"),
                }
            }
        };
        Ok(())
    }

    fn own(&self, index: usize) -> Option<&str> {
        self.own.get(index).and_then(Option::as_deref)
    }

    /// Asks; blocks for as long as the service lets it.
    fn ask(&self) -> Answered {
        let (path, now_s) = (&*self.key.path, self.now_s);
        let first = self.own(0).unwrap_or_default();
        match &self.key.store {
            SecretStore::Vault(vault) => {
                let question = vault::Question {
                    vault,
                    credential: first,
                    authorities: self.authorities.as_deref(),
                    path,
                    now_s,
                };
                let (values, token) = vault::read(&question, self.known.clone())?;
                Ok((values, Some(token)))
            }
            SecretStore::AwsSecretsManager(aws) => {
                let question = aws::Question {
                    aws,
                    access_key_id: first,
                    secret: self.own(1).unwrap_or_default(),
                    session_token: self.own(2),
                    path,
                    now_s,
                };
                Ok((aws::read(&question)?, None))
            }
            SecretStore::Kubernetes(_) => {
                let question = kubernetes::Question {
                    token: first,
                    namespace: &self.namespace,
                    address: &self.address,
                    authorities: self.authorities.as_deref().unwrap_or(Path::new("")),
                    path,
                };
                Ok((kubernetes::read(&question)?, None))
            }
        }
    }

    /// Asks on a thread of its own, which `questions` counts until it ends.
    pub(crate) fn on_a_thread(
        self,
        questions: &Arc<AtomicUsize>,
    ) -> Result<mpsc::Receiver<Answered>, String> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let counted = Counted::new(questions);
        let thread = std::thread::Builder::new().name("secret".into());
        let started = thread.spawn(move || {
            let _counted = counted;
            // Nobody waits any more when the deadline is over.
            let _ = sender.send(self.ask());
        });
        match started {
            Ok(_) => Ok(receiver),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// One in a count, for as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
