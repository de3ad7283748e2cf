//! The files that an imported one includes: those in its own folder and below, and no others.
//!
//! A configuration from elsewhere is not to make this command read what it likes: paths that lead
//! out of the folder, also by links, are refused, and what is read is bounded.

use gate_import::FILE_BYTES_MAX;
use gate_kit::order::Order;
use std::path::{Component, Path, PathBuf};

/// The most files that one pattern may name, and the most entries of a folder that are looked at.
const ENTRIES_MAX: usize = 4_096;

/// The folder of the imported file.
pub(super) struct Folder {
    /// As it was written.
    given: PathBuf,
    /// Without links; none when it cannot be found.
    real: Option<PathBuf>,
    bytes_left: usize,
}

impl Folder {
    /// The folder that this file is in.
    pub(super) fn of(file: &Path) -> Self {
        let parent = file.parent().filter(|parent| *parent != Path::new(""));
        let given = parent.unwrap_or(Path::new(".")).to_path_buf();
        Self {
            real: given.canonicalize().ok(),
            given,
            bytes_left: FILE_BYTES_MAX,
        }
    }

    /// The files that a pattern of `include` names, in the order of their names.
    pub(super) fn files(&mut self, pattern: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
        let real = self.real.clone().ok_or("its folder cannot be found")?;
        let inside = self.relative(&real, pattern)?;
        let mut found = vec![PathBuf::new()];
        for component in inside.components() {
            let Component::Normal(part) = component else {
                return Err(OUTSIDE.into());
            };
            let part = part.to_string_lossy();
            let mut next = Vec::new();
            for path in &found {
                match part.contains(['*', '?']) {
                    true => next.extend(matching(&real, path, &part)?),
                    false => next.push(path.join(&*part)),
                }
            }
            if next.len() > ENTRIES_MAX {
                return Err(format!("it names more than {ENTRIES_MAX} files"));
            }
            found = next;
        }
        let named = found.into_iter().map(|path| self.read(&real, &path));
        named.collect()
    }

    /// A pattern from the folder on.
    fn relative(&self, real: &Path, pattern: &str) -> Result<PathBuf, String> {
        let path = Path::new(pattern);
        if !path.is_absolute() {
            return Ok(path.to_path_buf());
        }
        let inside = path.strip_prefix(real).or(path.strip_prefix(&self.given));
        inside.map(Path::to_path_buf).map_err(|_| OUTSIDE.into())
    }

    fn read(&mut self, real: &Path, path: &Path) -> Result<(String, Vec<u8>), String> {
        let name = path.display().to_string();
        let failed = |error: std::io::Error| format!("`{name}` cannot be read: {error}");
        let file = real.join(path).canonicalize().map_err(failed)?;
        if !file.starts_with(real) {
            return Err(OUTSIDE.into());
        }
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return Err(format!("`{name}` is no file"));
        }
        let length = usize::try_from(about.len()).unwrap_or(usize::MAX);
        let left = self.bytes_left.checked_sub(length);
        self.bytes_left = left.ok_or(format!(
            "what is included is larger than {FILE_BYTES_MAX} bytes"
        ))?;
        let bytes = std::fs::read(&file).map_err(failed)?;
        Ok((name, bytes))
    }
}

const OUTSIDE: &str =
    "it is outside of the file's folder, where nothing is read; join files with `nginx -T`";

/// The entries of a folder below `real` that a pattern names.
fn matching(real: &Path, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let Ok(place) = real.join(folder).canonicalize() else {
        return Ok(Vec::new());
    };
    if !place.starts_with(real) {
        return Err(OUTSIDE.into());
    }
    let Ok(entries) = std::fs::read_dir(place) else {
        return Ok(Vec::new());
    };
    let names = entries.flatten().take(ENTRIES_MAX);
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    // As shells do it: what begins with a dot is named on purpose only.
    let shown = |name: &String| !name.starts_with('.') || pattern.starts_with('.');
    let mut names: Vec<String> = names
        .filter(|name| shown(name) && is_like(name.as_bytes(), pattern.as_bytes()))
        .collect();
    names.order();
    Ok(names.into_iter().map(|name| folder.join(name)).collect())
}

/// Whether a name is like a pattern of `*` and `?`. Takes at most the product of their lengths.
fn is_like(name: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut of, mut star) = (0, 0, None);
    while at < name.len() {
        match pattern.get(of) {
            Some(b'*') => {
                star = Some((of, at));
                of += 1;
            }
            Some(&one) if one == b'?' || one == name[at] => {
                at += 1;
                of += 1;
            }
            _ => match star {
                Some((from, taken)) => {
                    star = Some((from, taken + 1));
                    (at, of) = (taken + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[of..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_files() {
        for (name, pattern, like) in [
            ("a.conf", "*.conf", true),
            ("a.conf", "*", true),
            ("a.conf", "?.conf", true),
            ("ab.conf", "?.conf", false),
            ("a.conf.bak", "*.conf", false),
            ("aXbXc", "a*b*c", true),
            ("", "*", true),
            ("a", "", false),
        ] {
            assert_eq!(
                is_like(name.as_bytes(), pattern.as_bytes()),
                like,
                "{name} {pattern}"
            );
        }
    }

    #[test]
    fn nothing_outside_of_the_folder_is_read() {
        let whole = tempfile::tempdir().unwrap();
        let folder = whole.path().join("nginx");
        std::fs::create_dir_all(folder.join("conf.d")).unwrap();
        let write = |path: PathBuf| std::fs::write(path, "x;").unwrap();
        write(whole.path().join("secret.conf"));
        write(folder.join("conf.d/b.conf"));
        write(folder.join("conf.d/a.conf"));
        write(folder.join("conf.d/.hidden.conf"));
        std::os::unix::fs::symlink("../../secret.conf", folder.join("conf.d/z.link")).unwrap();
        let mut beside = Folder::of(&folder.join("nginx.conf"));
        let mut names = |pattern: &str| {
            let found = beside.files(pattern)?;
            Ok(found.into_iter().map(|(name, _)| name).collect::<Vec<_>>())
        };
        let both = vec!["conf.d/a.conf".to_owned(), "conf.d/b.conf".to_owned()];
        assert_eq!(names("conf.d/*.conf"), Ok(both.clone()));
        let absolute = folder.join("conf.d/*.conf");
        assert_eq!(names(absolute.to_str().unwrap()), Ok(both));
        assert_eq!(names("none/*.conf"), Ok(Vec::new()));
        for outside in [
            "../secret.conf",
            "conf.d/../../secret.conf",
            "conf.d/*.link",
            "/etc/passwd",
        ] {
            assert_eq!(names(outside), Err(OUTSIDE.to_owned()), "{outside}");
        }
        let missing = names("missing.conf").unwrap_err();
        assert!(
            missing.starts_with("`missing.conf` cannot be read"),
            "{missing}"
        );
        assert_eq!(names("conf.d"), Err("`conf.d` is no file".to_owned()));
    }
}
