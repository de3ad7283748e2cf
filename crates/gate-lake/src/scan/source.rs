//! Files of the lake as the scan sees them: bytes at places, with what is known of them beforehand.

use super::QueryError;
use super::known::Known;
use crate::file::FileError;
use crate::schema::{VERSION, VERSION_KEY};
use bytes::{Buf, Bytes};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// How much is read ahead when a page's header is looked for.
const HEADER_BYTES: usize = 8 * 1024;
/// How much of a file's end is read for its footer: most footers of one row group.
const TAIL_BYTES: u64 = 24 * 1024;
/// Longest single read: longer than any column chunk that the lake writes.
const READ_BYTES_MAX: usize = 1 << 30;

/// Something that bytes can be read from, at any place.
pub trait Blob: Send + Sync + std::fmt::Debug {
    /// How many there are.
    fn length(&self) -> u64;

    /// Reads exactly so many from a place.
    ///
    /// # Errors
    /// When there are fewer, or the medium fails.
    fn read(&self, at: u64, length: usize) -> io::Result<Bytes>;
}

/// A file.
#[derive(Debug)]
pub struct FileBlob {
    file: File,
    length: u64,
}

impl FileBlob {
    /// Opens it.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { file, length })
    }
}

impl Blob for FileBlob {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes.into())
    }
}

/// A file that is in memory: rows that are not written yet, or an object that was fetched whole.
#[derive(Debug, Clone)]
pub struct MemoryBlob(pub Bytes);

impl Blob for MemoryBlob {
    fn length(&self) -> u64 {
        self.0.len() as u64
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let range = usize::try_from(at)
            .ok()
            .and_then(|at| at.checked_add(length).map(|end| at..end))
            .filter(|range| range.end <= self.0.len());
        let range = range.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(self.0.slice(range))
    }
}

/// What values a column of a file has, known without reading it: its partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Numbers from one to another, both included.
    Numbers(i64, i64),
    /// This text alone; or none, where every row lacks it.
    Text(Option<Arc<str>>),
}

/// A file to read. Clones share the footer once it is read, and what is remembered of it.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name, for messages.
    pub name: Arc<str>,
    /// What is known of columns beforehand, by the columns' names.
    pub bounds: Vec<(&'static str, Bound)>,
    pub(super) known: Arc<Known>,
    blob: Arc<dyn Blob>,
    footer: Arc<OnceLock<Arc<ParquetMetaData>>>,
    indexed: Arc<OnceLock<Arc<ParquetMetaData>>>,
}

impl Source {
    /// A file.
    #[must_use]
    pub fn new(name: &str, blob: Arc<dyn Blob>, bounds: Vec<(&'static str, Bound)>) -> Self {
        Self {
            name: name.into(),
            bounds,
            known: Arc::default(),
            blob,
            footer: Arc::default(),
            indexed: Arc::default(),
        }
    }

    /// The same with what other queries remember of the file, and with what they are to.
    #[must_use]
    pub(crate) fn knowing(mut self, known: Arc<Known>) -> Self {
        self.known = known;
        self
    }

    /// A file of this machine.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, QueryError> {
        let name = path.display().to_string();
        let blob = FileBlob::open(path).map_err(|error| QueryError::file(&name, error))?;
        Ok(Self::new(&name, Arc::new(blob), Vec::new()))
    }

    /// Its footer without the indexes of pages, read once.
    pub(crate) fn footer(&self) -> Result<Arc<ParquetMetaData>, QueryError> {
        if let Some(footer) = self.footer.get() {
            return Ok(footer.clone());
        }
        let tail = TAIL_BYTES.min(self.blob.length());
        let reader = self.reader().ahead(self.blob.length() - tail, tail);
        let reader = reader.map_err(|error| QueryError::file(&self.name, error))?;
        let read = ParquetMetaDataReader::new().parse_and_finish(&reader);
        let read = read.map_err(|error| QueryError::file(&self.name, error))?;
        let told = read.file_metadata().key_value_metadata();
        let version = told.and_then(|told| told.iter().find(|told| told.key == VERSION_KEY));
        let version = version.and_then(|version| version.value.as_ref()?.parse::<u32>().ok());
        if let Some(newer) = version.filter(|version| *version > VERSION) {
            return Err(QueryError::file(&self.name, FileError::Newer(newer)));
        }
        let read = Arc::new(read);
        Ok(self.footer.get_or_init(|| read).clone())
    }

    /// Its footer with the indexes of pages, read once: for those who do not read all pages.
    pub(crate) fn indexed(&self) -> Result<Arc<ParquetMetaData>, QueryError> {
        if let Some(indexed) = self.indexed.get() {
            return Ok(indexed.clone());
        }
        let footer = ParquetMetaData::clone(&*self.footer()?);
        let mut reader = ParquetMetaDataReader::new_with_metadata(footer)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let read = reader.read_page_indexes(&self.reader());
        let read = read.and_then(|()| reader.finish());
        let read = Arc::new(read.map_err(|error| QueryError::file(&self.name, error))?);
        Ok(self.indexed.get_or_init(|| read).clone())
    }

    pub(crate) fn reader(&self) -> Reader {
        Reader {
            blob: self.blob.clone(),
            ahead: None,
        }
    }
}

/// A blob as the `parquet` crate reads it, with a part that was read ahead.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    blob: Arc<dyn Blob>,
    ahead: Option<(u64, Bytes)>,
}

impl Reader {
    /// The same with a range in memory.
    pub(crate) fn ahead(mut self, at: u64, length: u64) -> io::Result<Self> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.ahead = Some((at, self.blob.read(at, length.min(READ_BYTES_MAX))?));
        Ok(self)
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        if length > READ_BYTES_MAX || at + length as u64 > self.blob.length() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some((from, bytes)) = &self.ahead
            && let Some(skipped) = at.checked_sub(*from)
            && skipped + length as u64 <= bytes.len() as u64
        {
            let skipped = skipped as usize;
            return Ok(bytes.slice(skipped..skipped + length));
        }
        self.blob.read(at, length)
    }
}

impl Length for Reader {
    fn len(&self) -> u64 {
        self.blob.length()
    }
}

impl ChunkReader for Reader {
    type T = Following;

    fn get_read(&self, start: u64) -> Result<Following, ParquetError> {
        Ok(Following {
            reader: self.clone(),
            at: start,
            held: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        Ok(self.read(start, length)?)
    }
}

/// Reads on from a place.
pub(crate) struct Following {
    reader: Reader,
    at: u64,
    held: Bytes,
}

impl Read for Following {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() {
            let left = self.reader.blob.length().saturating_sub(self.at);
            let length = left.min(HEADER_BYTES as u64) as usize;
            self.held = self.reader.read(self.at, length)?;
            self.at += length as u64;
        }
        let length = into.len().min(self.held.len());
        self.held.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
