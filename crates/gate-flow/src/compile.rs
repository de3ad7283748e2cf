//! From a component as written to an object that works.

use crate::{Policy, Quotas, Snapshot};
use gate_kit::clock::Clock;
use gate_kit::order::Order;
use gate_model::document::{Document, Node, Path, from_node};
use gate_model::finding::Finding;
use gate_model::resources::{ApiDocument, Resources, SecretPlace, SecretStore};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// A kind of policy: the type that its file defines and the registry lists.
pub trait PolicyKind: 'static {
    /// Name in documents, in snake case; also the file's name.
    const NAME: &'static str;
    /// Whether it judges what requests say about their connection, which is put aside for it where
    /// some route has it ([`gate_kit::http::Headers::of_connection`]).
    const SEES_CONNECTION: bool = false;
    /// Its settings. Unknown fields must be refused.
    type Config: DeserializeOwned + JsonSchema;

    /// Makes a policy from its settings.
    ///
    /// # Errors
    /// One sentence on what is wrong with the settings, and where inside them (as a field name)
    /// if that is known.
    fn compile(
        config: Self::Config,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)>;
}

/// What compiling a component may use.
pub struct CompileContext<'a> {
    /// Everything that is configured.
    pub resources: &'a Resources,
    /// Name of the route the policy belongs to.
    pub route: &'a str,
    /// Position of the policy in the route, so that state has a stable identity.
    pub position: usize,
    /// State that outlives snapshots.
    pub state: &'a SharedState,
    /// What policies of this one compilation share, such as a contract that many routes hold to.
    pub shared: &'a SharedState,
    /// Where secrets come from.
    pub secrets: &'a dyn SecretSource,
    /// The clock of the process.
    pub clock: &'a Clock,
    /// Where quotas are kept; none where there is no store, and where a document is only checked.
    pub quotas: Option<Arc<dyn Quotas>>,
    /// Folder that relative paths in the document start from.
    pub folder: &'a std::path::Path,
}

impl CompileContext<'_> {
    /// A path from the document, made absolute.
    #[must_use]
    pub fn resolve(&self, path: &std::path::Path) -> PathBuf {
        self.folder.join(path)
    }

    /// A secret from where it is kept.
    ///
    /// # Errors
    /// A sentence that names the place, never the value.
    pub fn secret(&self, place: &SecretPlace) -> Result<String, String> {
        resolve_secret(self.secrets, self.resources, self.folder, place)
    }

    /// The same for a secret whose form matters: none where a configuration is only checked and the
    /// secret is not there, so that nothing can be said of its form.
    ///
    /// # Errors
    /// As [`Self::secret`].
    pub fn secret_if_there(&self, place: &SecretPlace) -> Result<Option<String>, String> {
        let secret = self.secret(place)?;
        let stands_in = self.secrets.placeholder() == Some(&*secret);
        Ok((!stands_in).then_some(secret))
    }

    /// The identity of this policy's state: route, kind and position.
    #[must_use]
    pub fn identity(&self, kind: &str) -> String {
        format!("{}/{}/{}", self.route, self.position, kind)
    }
}

/// Resolves references to secrets. Values are never logged or echoed.
pub trait SecretSource {
    /// The value of an environment variable.
    ///
    /// # Errors
    /// A sentence naming the variable, when it is not set or empty.
    fn env(&self, name: &str) -> Result<String, String>;

    /// The trimmed contents of a file.
    ///
    /// # Errors
    /// A sentence naming the file, when it cannot be read or is empty.
    fn file(&self, path: &std::path::Path) -> Result<String, String>;

    /// The trimmed contents of a file that is no secret, such as public keys: it has to be there
    /// also where a configuration is only checked.
    ///
    /// # Errors
    /// As [`Self::file`].
    fn public_file(&self, path: &std::path::Path) -> Result<String, String> {
        self.file(path)
    }

    /// The contents of a file that is no secret and need not be text, as they are: of `most` bytes
    /// at most.
    ///
    /// # Errors
    /// As [`Self::file`], and when it is larger.
    fn public_bytes(&self, path: &std::path::Path, most: u64) -> Result<Vec<u8>, String> {
        let bytes = self.public_file(path)?.into_bytes();
        match bytes.len() as u64 > most {
            true => Err(format!("{} has more than {most} bytes", path.display())),
            false => Ok(bytes),
        }
    }

    /// A secret that the gateway's own store keeps. Blocks, with a limit.
    ///
    /// # Errors
    /// A sentence naming the secret, when there is none or no store.
    fn stored(&self, name: &str) -> Result<String, String> {
        Err(format!(
            "the stored secret `{name}` cannot be read: no store of secrets is open"
        ))
    }

    /// A secret that a service keeps. Blocks, at most for the service's `timeout`.
    ///
    /// # Errors
    /// A sentence naming service and path, when it cannot be had and was never had before.
    fn ask(&self, ask: &Ask<'_>) -> Result<String, String> {
        Err(format!(
            "`{}` of `{}` cannot be read: no service is asked here",
            ask.path, ask.name
        ))
    }

    /// What is handed out for secrets that are not there, where a configuration is only checked.
    fn placeholder(&self) -> Option<&str> {
        None
    }

    /// Whether a stored secret or one of a service is another than when it was handed out; told
    /// once. Asks no service; may look into the gateway's own store.
    fn changed(&self) -> bool {
        false
    }
}

/// A secret from where it is kept.
///
/// # Errors
/// A sentence that names the place, never the value.
pub fn resolve_secret(
    source: &dyn SecretSource,
    resources: &Resources,
    folder: &std::path::Path,
    place: &SecretPlace,
) -> Result<String, String> {
    match place {
        SecretPlace::Env(name) => source.env(name),
        SecretPlace::File(file) => source.file(&folder.join(file)),
        SecretPlace::Stored(name) => source.stored(name),
        SecretPlace::From(from) => match resources.secret_stores.get(&from.store) {
            None => Err(format!("there is no secret store `{}`", from.store)),
            Some(store) => source.ask(&Ask {
                name: &from.store,
                store,
                folder,
                path: &from.path,
                field: from.field.as_deref(),
            }),
        },
    }
}

/// The OpenAPI document of an API, read from where it is.
///
/// # Errors
/// Why it cannot be read, located.
pub fn read_api_document(
    source: &dyn SecretSource,
    folder: &std::path::Path,
    file: &Arc<str>,
    document: &ApiDocument,
) -> Result<Document, Vec<Finding>> {
    match document {
        ApiDocument::Inline(root) => Ok(Document {
            file: file.clone(),
            root: root.clone(),
        }),
        ApiDocument::File(path) => {
            let text = source.public_file(&folder.join(path)).map_err(|message| {
                vec![Finding::error("invalid_contract", Path::root(), message)]
            })?;
            Document::parse(text.as_bytes(), &path.display().to_string())
        }
    }
}

/// A question to a service that keeps secrets.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// The service's name in the document.
    pub name: &'a str,
    /// The service.
    pub store: &'a SecretStore,
    /// Folder that relative paths in its settings start from.
    pub folder: &'a std::path::Path,
    /// Where the secret is there.
    pub path: &'a str,
    /// Which of its values.
    pub field: Option<&'a str>,
}

/// State that outlives snapshots (limits, caches, key sets), by type and identity.
#[derive(Default)]
pub struct SharedState {
    slots: Mutex<HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>>,
}

impl SharedState {
    /// The state of this identity, made by `make` when it does not exist yet.
    pub fn get_or_insert<T: Any + Send + Sync>(
        &self,
        identity: &str,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = slots
            .entry((TypeId::of::<T>(), identity.to_owned()))
            .or_insert_with(|| Arc::new(make()))
            .clone();
        slot.downcast().expect("the key holds the type")
    }

    /// Everything of one type, by identity: for readers such as the metrics page.
    pub fn all<T: Any + Send + Sync>(&self) -> Vec<(String, Arc<T>)> {
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let of_type = slots
            .iter()
            .filter(|((kind, _), _)| *kind == TypeId::of::<T>());
        let mut all: Vec<_> = of_type
            .filter_map(|((_, name), slot)| Some((name.clone(), slot.clone().downcast().ok()?)))
            .collect();
        all.order_by(|(one, _), (other, _)| one.cmp(other));
        all
    }

    /// Forgets state that only this table still refers to; called after a swap, once the old
    /// snapshot is gone.
    pub fn sweep(&self) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
    }
}

/// One line of the registry: a policy by name, and how it is made.
pub struct PolicyDescriptor {
    /// Name in documents.
    pub name: &'static str,
    /// [`PolicyKind::SEES_CONNECTION`].
    pub sees_connection: bool,
    compile: fn(&Node, &Path, &CompileContext<'_>) -> Result<Arc<dyn Policy>, Finding>,
}

impl PolicyDescriptor {
    /// The descriptor of a kind.
    #[must_use]
    pub const fn of<K: PolicyKind>() -> Self {
        Self {
            name: K::NAME,
            sees_connection: K::SEES_CONNECTION,
            compile: |node, path, context| {
                let config: K::Config = from_node(node, path)?;
                K::compile(config, context).map_err(|(field, message)| {
                    let path = field.map_or_else(|| path.clone(), |field| path.key(field));
                    Finding::error("invalid_policy", path, message)
                })
            },
        }
    }

    /// Makes a policy from its settings as written.
    ///
    /// # Errors
    /// What is wrong with the settings, located.
    pub fn compile(
        &self,
        node: &Node,
        path: &Path,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, Finding> {
        (self.compile)(node, path, context)
    }
}

/// What a policy's file says of itself. The schema and the reference are derived from this; a gateway
/// carries the schema as it is committed, so that a release links none of it.
pub struct PolicyReference {
    /// Name in documents.
    pub name: &'static str,
    /// The file's header: what it is for, as Markdown.
    pub doc: &'static str,
    /// Example settings, as YAML, taken from the header.
    pub example: &'static str,
    /// JSON Schema of the settings.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
}

impl PolicyReference {
    /// The reference of a kind.
    #[must_use]
    pub const fn of<K: PolicyKind>(doc: &'static str, example: &'static str) -> Self {
        Self {
            name: K::NAME,
            doc,
            example,
            schema: |generator| generator.subschema_for::<K::Config>(),
        }
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Snapshot(revision {}, {} routes)",
            self.revision,
            self.routes.len()
        )
    }
}
