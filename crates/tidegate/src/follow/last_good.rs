//! The last good revision on this machine's disk, from which a process serves without its store.
//!
//! One file, replaced as a whole: written beside, flushed, renamed, and the folder flushed, so that
//! a crash leaves the old one or the new one. It proves itself by the digest of its document; one
//! that does not is as good as none.

use super::Content;
use aws_lc_rs::digest::{SHA256, digest};
use gate_proxy::process::RevisionName;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The most bytes that are read: a document of the largest size, and its variables.
const BYTES_MAX: u64 = 40 << 20;
/// The form of the file.
const FORMAT: u32 = 1;

/// What stands in the file before the document.
#[derive(Serialize)]
struct Head<'a> {
    format: u32,
    environment: &'a str,
    revision: u64,
    digest: &'a str,
    variables: &'a BTreeMap<String, String>,
}

/// What is read back. Fields that are not known here are a later form's and do no harm.
#[derive(Deserialize)]
struct Kept {
    format: u32,
    environment: String,
    revision: u64,
    digest: String,
    variables: BTreeMap<String, String>,
    document: Box<RawValue>,
}

/// Replaces the file.
///
/// # Errors
/// What the file system says; the old file is there then, or the new one.
pub(super) fn write(path: &Path, environment: &str, content: &Content) -> io::Result<()> {
    let head = Head {
        format: FORMAT,
        environment,
        revision: content.revision.number,
        digest: &content.revision.digest,
        variables: &content.variables,
    };
    let head = serde_json::to_string(&head)?;
    let Some(head) = head.strip_suffix('}') else {
        return Err(io::Error::other("an object ends with a brace"));
    };
    let aside = aside(path);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&aside)?;
    file.write_all(head.as_bytes())?;
    file.write_all(b",\"document\":")?;
    file.write_all(content.document.as_bytes())?;
    file.write_all(b"}\n")?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&aside, path)?;
    File::open(folder(path))?.sync_all()
}

/// Reads the last good revision of an environment; `None` where there is no file.
///
/// # Errors
/// One sentence about a file that is there and cannot be used.
pub(super) fn read(path: &Path, environment: &str) -> Result<Option<Content>, String> {
    let wrong = |what: String| format!("{}: {what}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error.to_string())),
    };
    let mut bytes = Vec::new();
    let read = file.take(BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(wrong(format!("it is larger than {BYTES_MAX} bytes")));
    }
    let kept: Kept =
        serde_json::from_slice(&bytes).map_err(|error| wrong(format!("not readable: {error}")))?;
    if kept.format != FORMAT {
        return Err(wrong(format!(
            "its format is {}, not {FORMAT}",
            kept.format
        )));
    }
    if kept.environment != environment {
        let other = &kept.environment;
        return Err(wrong(format!("it belongs to the environment `{other}`")));
    }
    let document = kept.document.get();
    if hex(document) != kept.digest {
        return Err(wrong("its document does not have its digest".into()));
    }
    Ok(Some(Content {
        revision: RevisionName {
            number: kept.revision,
            digest: kept.digest,
        },
        variables: kept.variables,
        document: document.to_owned(),
    }))
}

fn hex(text: &str) -> String {
    let digest = digest(&SHA256, text.as_bytes());
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Where the file is written before it takes the other's place.
fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(document: &str) -> Content {
        Content {
            revision: RevisionName {
                number: 7,
                digest: hex(document),
            },
            variables: [("HOST".to_owned(), "a \"quoted\" one".to_owned())].into(),
            document: document.to_owned(),
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-good.json");
        assert_eq!(read(&path, "main"), Ok(None));
        for text in [r#"{"routes":{"a":{"x":1.50,"b":"\u0041"}}}"#, "{}"] {
            write(&path, "main", &content(text)).unwrap();
            assert_eq!(read(&path, "main"), Ok(Some(content(text))));
        }
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["last-good.json"]);
    }

    #[test]
    fn a_file_that_is_not_whole_or_not_ours_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last-good.json");
        write(&path, "main", &content(r#"{"routes":{}}"#)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let error = read(&path, "staging").unwrap_err();
        assert!(
            error.contains("belongs to the environment `main`"),
            "{error}"
        );
        for length in 0..whole.len() - 1 {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&path, "main").is_err(), "{length} bytes are no file");
        }
        let text = String::from_utf8(whole).unwrap();
        std::fs::write(&path, text.replace("routes", "models")).unwrap();
        let error = read(&path, "main").unwrap_err();
        assert!(error.contains("does not have its digest"), "{error}");
    }
}
