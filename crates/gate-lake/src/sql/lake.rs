//! The tables of a lake as its catalog has them at this moment.

use super::Table;
use crate::catalog::{Catalog, FileEntry};
use crate::objects::Objects;
use crate::scan::{Blob, Bound, QueryError, Source};
use crate::schema::Dataset;
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// Both data sets whole, of the files that count now. A data set that the query does not name has no
/// files, so that nothing is asked for it.
///
/// # Errors
/// When the place of the lake does not answer.
pub fn tables(catalog: &Catalog, sql: &str) -> Result<Vec<Table>, QueryError> {
    let sql = sql.to_ascii_lowercase();
    tables_of(catalog, |dataset| sql.contains(dataset.name()))
}

/// Both data sets whole, with the files that count now of those that are wanted.
///
/// # Errors
/// When the place of the lake does not answer.
pub fn tables_of(
    catalog: &Catalog,
    wanted: impl Fn(Dataset) -> bool,
) -> Result<Vec<Table>, QueryError> {
    let mut tables = Vec::new();
    for dataset in Dataset::ALL {
        let mut sources = Vec::new();
        if wanted(dataset) {
            let listing = catalog.look(dataset, i64::MIN..i64::MAX);
            let listing = listing.map_err(|error| QueryError::file("the lake", error))?;
            let files = listing.files.iter();
            sources.extend(files.map(|file| source(catalog, file)));
        }
        tables.push(Table::whole(dataset, sources));
    }
    Ok(tables)
}

fn source(catalog: &Catalog, file: &FileEntry) -> Source {
    let mut bounds = vec![("time", Bound::Numbers(file.start_us, file.end_us))];
    if let Some(team) = &file.team {
        let team = (!team.is_empty()).then(|| team.as_str().into());
        bounds.push(("team", Bound::Text(team)));
    }
    let blob = ObjectBlob {
        objects: catalog.objects().clone(),
        path: file.path.clone(),
        bytes: file.bytes,
    };
    Source::new(&file.path, Arc::new(blob), bounds).knowing(catalog.known(&file.path))
}

/// An object of the lake's place.
struct ObjectBlob {
    objects: Arc<dyn Objects>,
    path: String,
    bytes: u64,
}

impl std::fmt::Debug for ObjectBlob {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str(&self.path)
    }
}

impl Blob for ObjectBlob {
    fn length(&self) -> u64 {
        self.bytes
    }

    fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
        let read = self.objects.get(&self.path, Some(at..at + length as u64))?;
        match read.len() == length {
            true => Ok(read),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
