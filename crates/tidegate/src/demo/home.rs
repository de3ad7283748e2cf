//! Where a demo keeps things: a folder of its own, with the files that it runs on and the first
//! revision in its store, removed with everything in it at the end.

use super::Place;
use crate::config;
use crate::control::document::plain;
use crate::follow;
use crate::keys::NewKey;
use gate_api::types::Document;
use gate_kit::clock::Clock;
use gate_kit::order::Gather;
use gate_kit::random;
use gate_model::document::Document as Located;
use gate_model::resources::Resources;
use gate_store::control::{Cause, Change, Edit, Expected, NewAudit, NewRevision, Set, Target};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The environment that the gateway follows.
pub(super) const ENVIRONMENT: &str = "production";
/// Who owns the first revision's resources: the name that `tidegate apply shop.yaml` goes by.
const MANAGER: &str = "file:shop";
/// Who made the first revision.
const AUTHOR: &str = "demo";

/// A demo's folder.
pub(super) struct Home {
    folder: PathBuf,
}

impl Home {
    /// Makes one that only this user can read.
    ///
    /// # Errors
    /// One sentence that names the folder.
    pub(super) fn new() -> Result<Self, String> {
        let name = format!("tidegate-demo-{:016x}", random::bits());
        let folder = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        Ok(Self { folder })
    }

    /// Where a file in it is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a file; returns where it is.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf, String> {
        let path = self.path(name);
        let written = std::fs::write(&path, text);
        written.map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        Ok(path)
    }

    /// Makes the environment with its first revision, before a gateway looks for it.
    ///
    /// # Errors
    /// What is wrong with the files, or what the store says.
    pub(super) fn begin(&self, gateway: &Path, shop: &Path) -> Result<(), String> {
        let settings = Resources::read(&read(gateway)?).map_err(|findings| lines(&findings))?;
        let document = plain(&read(shop)?).map_err(|findings| lines(&findings))?;
        let open = follow::opener(&settings.gateway, &self.folder);
        let open = open.ok_or("the demo's gateway has no store")?;
        let mut store = open().map_err(|error| error.to_string())?;
        let managers = serde_json::json!(managers(&document)).to_string();
        let now_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
        let change = Change {
            id: &format!("{:016x}{:016x}", random::bits(), random::bits()),
            environment: ENVIRONMENT,
            expected: Expected::Absent,
            revision: Some(NewRevision {
                document: &document.canonical(),
                managers: &managers,
                files: None,
                parent: None,
                author: AUTHOR,
                cause: Cause::Apply,
                message: "What the demo starts with",
                source_commit: None,
                plan: None,
                checks: "{}",
            }),
            edit: Edit {
                revision: Set::To(Target::New),
                stable: Set::To(Target::New),
                ..Edit::default()
            },
            rollout: None,
            lease: None,
            despite_lock: false,
            audit: NewAudit {
                actor: AUTHOR,
                role: "system",
                action: "apply",
                subject: &format!("environments/{ENVIRONMENT}"),
                outcome: "done",
                detail: "{}",
            },
            now_ms,
        };
        let changed = store.change(&change);
        changed.map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // What cannot be removed stays in the folder for such things, which others clear.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn read(file: &Path) -> Result<Located, String> {
    let bytes = config::read(file)?;
    Located::parse(&bytes, &file.display().to_string()).map_err(|findings| lines(&findings))
}

fn lines(findings: &[gate_model::finding::Finding]) -> String {
    let lines: Vec<_> = findings.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// All resources as one owner's.
fn managers(document: &Document) -> BTreeMap<String, &'static str> {
    let resources = document.resources();
    resources
        .map(|(kind, name, _)| (format!("{kind}/{name}"), MANAGER))
        .into_map()
}

/// The files of a demo with what is known at its start.
pub(super) struct Files {
    /// The gateway's own.
    pub(super) gateway: String,
    /// The first revision.
    pub(super) shop: String,
}

impl Files {
    /// Fills the files in.
    pub(super) fn of(
        ports: (u16, u16),
        keys: (&NewKey, &NewKey),
        place: &Place,
        credential: &Path,
    ) -> Self {
        let gateway = include_str!("gateway.yaml");
        let shop = include_str!("shop.yaml");
        Self {
            gateway: gateway.replace("{admin_port}", &ports.1.to_string()),
            shop: shop
                .replace("{port}", &ports.0.to_string())
                .replace("{visitor}", &keys.0.sha256.to_string())
                .replace("{caller}", &keys.1.sha256.to_string())
                .replace("{orders_v1}", &place.orders_v1)
                .replace("{orders_v2}", &place.orders_v2)
                .replace("{models}", &place.models)
                .replace("{credential}", &credential.display().to_string()),
        }
    }
}
