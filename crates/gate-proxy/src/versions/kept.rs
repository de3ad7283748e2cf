//! The files of APIs' documents as they are in force.
//!
//! A configuration names such a file, and whoever overwrites it changes what callers were promised without
//! changing the configuration. So what is in force is remembered, by the process and with each revision:
//! a change in place is compared like any other, and one that breaks callers under a compatible number is
//! not put into force while the process runs.

use super::{Side, refused};
use gate_flow::{Ask, SecretSource};
use gate_kit::order::Gather;
use gate_model::finding::Finding;
use gate_model::resources::{Api, ApiDocument, Resources};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Texts of files by their names as the configuration writes them.
pub type Files = BTreeMap<String, String>;

/// Most bytes of all files together that are remembered.
pub const FILES_MAX: usize = 8 << 20;

/// The documents of an API that lie in files.
fn documents(api: &Api) -> impl Iterator<Item = &Path> {
    let listed = api.versions.iter().flat_map(|versions| &versions.list);
    let listed = listed.filter_map(|(_, version)| version.document.as_ref());
    let all = std::iter::once(&api.openapi).chain(listed);
    all.filter_map(|document| match document {
        ApiDocument::File(path) => Some(path.as_path()),
        ApiDocument::Inline(_) => None,
    })
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// Every file that holds a document of an API; `None` where they are larger than [`FILES_MAX`] together.
/// What cannot be read is left out: compiling tells that.
#[must_use]
pub fn files(source: &dyn SecretSource, folder: &Path, resources: &Resources) -> Option<Files> {
    let mut found = Files::new();
    let mut bytes = 0;
    for path in resources.apis.values().flat_map(documents) {
        if found.contains_key(&name(path)) {
            continue;
        }
        if let Ok(text) = source.public_file(&folder.join(path)) {
            bytes += text.len();
            found.insert(name(path), text);
        }
    }
    (bytes <= FILES_MAX).then_some(found)
}

/// Reads files as they were kept, and all else from where it is.
pub struct KeptFiles<'a> {
    files: BTreeMap<std::path::PathBuf, &'a str>,
    otherwise: &'a dyn SecretSource,
}

impl<'a> KeptFiles<'a> {
    /// Files of a configuration in `folder`.
    #[must_use]
    pub fn new(files: &'a Files, folder: &Path, otherwise: &'a dyn SecretSource) -> Self {
        let placed = |(name, text): (&String, &'a String)| (folder.join(name), text.as_str());
        Self {
            files: files.iter().map(placed).into_map(),
            otherwise,
        }
    }
}

impl SecretSource for KeptFiles<'_> {
    fn env(&self, name: &str) -> Result<String, String> {
        self.otherwise.env(name)
    }

    fn file(&self, path: &Path) -> Result<String, String> {
        self.otherwise.file(path)
    }

    fn public_file(&self, path: &Path) -> Result<String, String> {
        // Read in any case, so that whoever watches files goes on to watch this one.
        let now = self.otherwise.public_file(path);
        match self.files.get(path) {
            Some(text) => Ok((*text).to_owned()),
            None => now,
        }
    }

    fn public_bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, String> {
        self.otherwise.public_bytes(path, most)
    }

    fn stored(&self, name: &str) -> Result<String, String> {
        self.otherwise.stored(name)
    }

    fn ask(&self, ask: &Ask<'_>) -> Result<String, String> {
        self.otherwise.ask(ask)
    }

    fn placeholder(&self) -> Option<&str> {
        self.otherwise.placeholder()
    }

    fn changed(&self) -> bool {
        self.otherwise.changed()
    }
}

/// The files that have to stay as they are in force, because what they hold now breaks callers of a
/// document that the configuration still names, with what they break.
pub(crate) fn held(
    source: &dyn SecretSource,
    folder: &Path,
    in_force: (&Resources, &Files),
    wanted: (&Arc<str>, &Resources),
    now_s: u64,
) -> (Files, Vec<Finding>) {
    let (mut held, mut findings) = (Files::new(), Vec::new());
    let kept = KeptFiles::new(in_force.1, folder, source);
    let before = Side {
        file: wanted.0,
        resources: in_force.0,
        files: &kept,
    };
    let after = Side {
        file: wanted.0,
        resources: wanted.1,
        files: source,
    };
    for (api, wanted) in &wanted.1.apis {
        let known = in_force.0.apis.get(api);
        if !known.is_some_and(|known| documents(known).eq(documents(wanted))) {
            continue;
        }
        let mut found = refused(folder, &before, &after, api, now_s);
        if found.is_empty() {
            continue;
        }
        findings.append(&mut found);
        for path in documents(wanted) {
            if let Some(text) = in_force.1.get(&name(path)) {
                held.insert(name(path), text.clone());
            }
        }
    }
    (held, findings)
}
