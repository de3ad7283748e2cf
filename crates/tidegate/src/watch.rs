//! Notices that the file of configuration changed, by reading it twice a second.
//!
//! File events miss bind mounts and the symbolic links that Kubernetes swaps under a ConfigMap, so
//! the bytes themselves are compared.

use crate::config;
use std::path::{Path, PathBuf};

/// A file and what was last seen in it.
pub(crate) struct Watched {
    file: PathBuf,
    seen: Vec<u8>,
    unreadable: bool,
    told: Vec<String>,
}

/// What a look at the file found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing new.
    Same,
    /// New contents.
    Changed(Vec<u8>),
    /// It could be read before and cannot be read now; told once.
    Unreadable(String),
}

impl Watched {
    /// A file whose contents are known.
    pub(crate) fn new(file: &Path, seen: Vec<u8>) -> Self {
        Self {
            file: file.to_owned(),
            seen,
            unreadable: false,
            told: Vec::new(),
        }
    }

    /// Of what is wrong with certificates, what was not wrong at the last look, so that each is
    /// told once.
    pub(crate) fn new_failures(&mut self, failures: Vec<String>) -> Vec<String> {
        let new = failures
            .iter()
            .filter(|failure| !self.told.contains(failure))
            .cloned()
            .collect();
        self.told = failures;
        new
    }

    /// Looks at the file; blocks on the file system.
    pub(crate) fn look(&mut self) -> Look {
        match config::read(&self.file) {
            Ok(bytes) if bytes == self.seen => {
                self.unreadable = false;
                Look::Same
            }
            Ok(bytes) => {
                self.unreadable = false;
                self.seen.clone_from(&bytes);
                Look::Changed(bytes)
            }
            Err(_) if self.unreadable => Look::Same,
            Err(error) => {
                self.unreadable = true;
                Look::Unreadable(error)
            }
        }
    }

    /// Looks at the file and returns what it holds, changed or not.
    ///
    /// # Errors
    /// One sentence that names the file.
    pub(crate) fn read(&mut self) -> Result<Vec<u8>, String> {
        self.seen = config::read(&self.file)?;
        self.unreadable = false;
        Ok(self.seen.clone())
    }

    /// Whether it could be read at the last look.
    pub(crate) fn is_readable(&self) -> bool {
        !self.unreadable
    }

    /// What was last seen in it.
    pub(crate) fn seen(&self) -> &[u8] {
        &self.seen
    }

    /// The file.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_once() {
        let mut watched = Watched::new(Path::new("gate.yaml"), Vec::new());
        let wrong = || vec!["a is broken".to_owned()];
        assert_eq!(watched.new_failures(wrong()), wrong());
        assert_eq!(watched.new_failures(wrong()), [""; 0]);
        assert_eq!(watched.new_failures(Vec::new()), [""; 0]);
        assert_eq!(watched.new_failures(wrong()), wrong(), "it broke again");
    }

    #[test]
    fn only_other_contents_count_as_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("gate.yaml");
        std::fs::write(&file, "a: 1").unwrap();
        let mut watched = Watched::new(&file, b"a: 1".to_vec());
        std::fs::write(&file, "a: 1").unwrap();
        assert_eq!(watched.look(), Look::Same);
        std::fs::write(&file, "a: 2").unwrap();
        assert_eq!(watched.look(), Look::Changed(b"a: 2".to_vec()));
        assert_eq!(watched.look(), Look::Same);
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(watched.look(), Look::Unreadable(_)));
        assert_eq!(watched.look(), Look::Same, "told once");
        std::fs::write(&file, "a: 2").unwrap();
        assert_eq!(watched.look(), Look::Same);
    }
}
