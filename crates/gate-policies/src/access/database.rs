//! Files in MaxMind's format (<https://maxmind.github.io/MaxMind-DB/>): where an address belongs.
//!
//! A file is supplied by the operator and read whole into memory, once per process however many
//! routes name it. While requests come it is looked at every five seconds, on the pool for heavy
//! work, and read again when it is another one; what was read before stays when the new one cannot
//! be. The layout is that of MaxMind's own databases (`country.iso_code`, `continent.code`,
//! `autonomous_system_number`), which other vendors follow.

use arc_swap::ArcSwapOption;
use gate_flow::{Services, SharedState};
use gate_kit::clock::Moment;
use maxminddb::Reader;
use serde::Deserialize;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Between two looks at a file.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Largest file in bytes. The largest that MaxMind sells has about 130 MB.
const FILE_BYTES_MAX: u64 = 1 << 30;

/// Where an address belongs, as far as the databases say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// ISO 3166-1 alpha-2.
    pub(super) country: Option<[u8; 2]>,
    /// `AF`, `AN`, `AS`, `EU`, `NA`, `OC` or `SA`.
    pub(super) continent: Option<[u8; 2]>,
    /// Number of the autonomous system.
    pub(super) network: Option<u32>,
}

/// A row, of which everything else is skipped.
#[derive(Deserialize)]
struct Row<'a> {
    #[serde(borrow)]
    country: Option<Country<'a>>,
    #[serde(borrow)]
    registered_country: Option<Country<'a>>,
    #[serde(borrow)]
    continent: Option<Continent<'a>>,
    autonomous_system_number: Option<u32>,
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Continent<'a> {
    code: Option<&'a str>,
}

/// The files of one policy, in order.
pub(super) struct Databases(Vec<Arc<File>>);

impl Databases {
    /// Opens the files, or finds them open. Blocks on the file system.
    pub(super) fn open(paths: &[PathBuf], state: &SharedState) -> Result<Self, String> {
        let open = |path: &PathBuf| {
            let file = state.get_or_insert(&path.display().to_string(), || File::new(path));
            file.refresh().map(|()| file)
        };
        paths.iter().map(open).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where an address belongs: what the first file says that knows.
    pub(super) fn place(&self, address: IpAddr) -> Place {
        let mut place = Place::default();
        for file in &self.0 {
            if let Some(reader) = &*file.current.load() {
                place.complete(reader, address);
            }
        }
        place
    }

    /// Has files looked at that were not for some seconds, beside the exchange.
    pub(super) fn look(&self, services: &Rc<dyn Services>, now: Moment) {
        for file in &self.0 {
            if !file.is_due(now) {
                continue;
            }
            let (file, worker) = (file.clone(), services.clone());
            services.spawn(Box::pin(async move {
                let look = move || {
                    if let Err(problem) = file.refresh() {
                        tracing::warn!(%problem, "the database stays as it was");
                    }
                };
                // A full pool means that the next look comes five seconds later.
                let _ = worker.offload(Box::new(look)).await;
            }));
        }
    }
}

impl Place {
    fn complete(&mut self, reader: &Reader<Vec<u8>>, address: IpAddr) {
        // An address that the file has no room for (IPv6 in an IPv4 file) is one it knows nothing of.
        let row = reader
            .lookup(address)
            .and_then(|found| found.decode::<Row<'_>>());
        let Ok(Some(row)) = row else {
            return;
        };
        let code = |country: Option<Country<'_>>| letters(country?.iso_code?);
        let country = code(row.country).or_else(|| code(row.registered_country));
        self.country = self.country.or(country);
        let continent = row.continent.and_then(|continent| letters(continent.code?));
        self.continent = self.continent.or(continent);
        self.network = self.network.or(row.autonomous_system_number);
    }
}

/// Two letters, in upper case.
pub(super) fn letters(text: &str) -> Option<[u8; 2]> {
    let bytes: [u8; 2] = text.as_bytes().try_into().ok()?;
    bytes
        .iter()
        .all(u8::is_ascii_alphabetic)
        .then(|| bytes.map(|byte| byte.to_ascii_uppercase()))
}

/// What tells two files at one path apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

/// One file, shared by every policy that names it.
pub(super) struct File {
    path: PathBuf,
    current: ArcSwapOption<Reader<Vec<u8>>>,
    stamp: Mutex<Option<Stamp>>,
    looked: AtomicU64,
}

impl File {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            current: ArcSwapOption::empty(),
            stamp: Mutex::new(None),
            looked: AtomicU64::new(0),
        }
    }

    /// Whether nobody has looked for a while; whoever is told so looks.
    fn is_due(&self, now: Moment) -> bool {
        let looked = self.looked.load(Ordering::Relaxed);
        now.since(Moment(looked)) >= LOOK_EVERY
            && self
                .looked
                .compare_exchange(looked, now.0, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Reads the file if it is another one than was read. Blocks.
    fn refresh(&self) -> Result<(), String> {
        let problem = |error: &dyn std::fmt::Display| {
            format!("{} cannot be read: {error}", self.path.display())
        };
        // Held over the reading, so that a file is never read twice at once; no worker takes it.
        let mut known = self.stamp.lock().unwrap_or_else(PoisonError::into_inner);
        let found = std::fs::metadata(&self.path).map_err(|error| problem(&error))?;
        let stamp = Stamp {
            inode: found.ino(),
            bytes: found.len(),
            changed: (found.mtime(), found.mtime_nsec()),
        };
        if *known == Some(stamp) {
            return Ok(());
        }
        if stamp.bytes > FILE_BYTES_MAX {
            return Err(problem(&"it has more than 1 GiB"));
        }
        let bytes = std::fs::read(&self.path).map_err(|error| problem(&error))?;
        let reader = Reader::from_source(bytes).map_err(|error| problem(&error))?;
        self.current.store(Some(Arc::new(reader)));
        *known = Some(stamp);
        Ok(())
    }
}
