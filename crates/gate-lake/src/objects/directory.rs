//! A folder as a place of objects.
//!
//! An object is written beside, synced, and then given its name by a link, which fails where the
//! name is taken, or by renaming, which replaces. What a crash leaves beside is removed when the
//! folder is opened again, once it is old enough to be nobody's.

use super::{Object, Objects};
use bytes::Bytes;
use gate_kit::order::Order;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where objects are written before they have a name.
const BESIDE: &str = ".writing";
/// How old something must be there to be nobody's.
const ABANDONED: Duration = Duration::from_secs(3600);

/// A folder.
#[derive(Debug, Clone)]
pub struct Directory {
    root: PathBuf,
}

impl Directory {
    /// Opens a folder and makes it if need be, for its owner only.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(root: &Path) -> io::Result<Self> {
        make(root)?;
        let root = root.canonicalize()?;
        make(&root.join(BESIDE))?;
        for entry in fs::read_dir(root.join(BESIDE))? {
            let entry = entry?;
            let age = entry.metadata().and_then(|data| data.modified());
            if age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(Self { root })
    }

    fn path(&self, path: &str) -> io::Result<PathBuf> {
        let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if !path.split('/').all(is_plain) {
            return Err(io::Error::new(
                ErrorKind::InvalidInput,
                "no path in the lake",
            ));
        }
        Ok(self.root.join(path))
    }

    /// Writes an object that has no name yet.
    fn beside(&self, bytes: &[u8]) -> io::Result<PathBuf> {
        let name = format!("{:016x}-{}", gate_kit::random::bits(), std::process::id());
        let path = self.root.join(BESIDE).join(name);
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        Ok(path)
    }

    fn parent(&self, path: &Path) -> io::Result<PathBuf> {
        let parent = path.parent().unwrap_or(&self.root);
        if !parent.is_dir() {
            make(parent)?;
        }
        Ok(parent.into())
    }
}

fn make(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

impl Objects for Directory {
    fn put_new(&self, path: &str, bytes: &[u8]) -> io::Result<bool> {
        let path = self.path(path)?;
        let parent = self.parent(&path)?;
        let beside = self.beside(bytes)?;
        let linked = fs::hard_link(&beside, &path);
        fs::remove_file(&beside)?;
        match linked {
            Ok(()) => sync(&parent).map(|()| true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn put(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.path(path)?;
        let parent = self.parent(&path)?;
        let beside = self.beside(bytes)?;
        fs::rename(&beside, &path)?;
        sync(&parent)
    }

    fn get(&self, path: &str, range: Option<Range<u64>>) -> io::Result<Bytes> {
        let mut file = File::open(self.path(path)?)?;
        let mut bytes = Vec::new();
        match range {
            None => {
                file.read_to_end(&mut bytes)?;
            }
            Some(range) => {
                let there = file.metadata()?.len().min(range.end);
                let length = there.saturating_sub(range.start);
                bytes.resize(length as usize, 0);
                file.read_exact_at(&mut bytes, range.start)?;
            }
        }
        Ok(bytes.into())
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<Object>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.join(prefix.trim_end_matches('/'))];
        while let Some(folder) = folders.pop() {
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            for entry in entries {
                let entry = entry?;
                let path = entry.path();
                if path.starts_with(self.root.join(BESIDE)) {
                    continue;
                }
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // Removed since the folder was read.
                    Err(error) if error.kind() == ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                if metadata.is_dir() {
                    folders.push(path);
                } else if let Ok(path) = path.strip_prefix(&self.root)
                    && let Some(path) = path.to_str()
                {
                    found.push(Object {
                        path: path.into(),
                        bytes: metadata.len(),
                    });
                }
            }
        }
        found.order_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    fn delete(&self, path: &str) -> io::Result<()> {
        let path = self.path(path)?;
        match fs::remove_file(&path) {
            Ok(()) => sync(&self.parent(&path)?),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn location(&self, path: &str) -> String {
        format!("file://{}", self.root.join(path).display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_once_read_in_parts_and_listed() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let objects = Directory::open(&folder.path().join("lake")).expect("it can be made");
        assert!(objects.put_new("a/one", b"0123456789").expect("written"));
        assert!(!objects.put_new("a/one", b"other").expect("refused"));
        objects.put("a/b/two", b"x").expect("written");
        objects.put("a/b/two", b"yy").expect("replaced");
        assert_eq!(objects.get("a/one", None).expect("there"), "0123456789");
        assert_eq!(objects.get("a/one", Some(7..99)).expect("there"), "789");
        assert_eq!(objects.get("a/one", Some(2..5)).expect("there"), "234");
        assert_eq!(objects.get("a/one", Some(10..12)).expect("there"), "");
        assert_eq!(objects.get("a/one", Some(20..99)).expect("there"), "");
        let listed = objects.list("a/").expect("complete");
        let listed: Vec<_> = listed.iter().map(|one| (&*one.path, one.bytes)).collect();
        assert_eq!(listed, [("a/b/two", 2), ("a/one", 10)]);
        assert!(objects.list("none/").expect("complete").is_empty());
        objects.delete("a/one").expect("removed");
        objects.delete("a/one").expect("removed already");
        let gone = objects.get("a/one", None).expect_err("it is gone");
        assert_eq!(gone.kind(), ErrorKind::NotFound);
        assert!(objects.put("../out", b"").is_err());
    }
}
