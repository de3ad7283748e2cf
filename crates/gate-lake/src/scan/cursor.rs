//! A column chunk, read forward: so many rows, or past so many, without touching the pages between.

use super::QueryError;
use super::decode::Shape;
use super::source::{Reader, Source};
use super::vector::{Data, NONE, Vector};
use parquet::column::page::{Page, PageReader};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use std::sync::Arc;

/// Shortest share of a chunk's rows that are wanted for the chunk to be read at once.
const WHOLE_SHARE: usize = 2;

/// Reads a column of one row group.
pub(crate) struct Cursor {
    file: Arc<str>,
    pages: SerializedPageReader<Reader>,
    shape: Shape,
    page: Option<Vector>,
    /// The next row within the page, and the rows of it.
    at: usize,
    rows: usize,
    skip: usize,
    /// Whether the page of the dictionary, if any, was asked for.
    begun: bool,
    has_dictionary: bool,
}

impl Cursor {
    /// Of row group `group`, column `column`; `wanted` is about how many rows are going to be read.
    pub(crate) fn new(
        source: &Source,
        footer: &ParquetMetaData,
        group: usize,
        column: usize,
        wanted: usize,
    ) -> Result<Self, QueryError> {
        let failed = |problem: String| QueryError::file(&source.name, problem);
        let group_data = footer.row_group(group);
        let chunk = group_data.column(column);
        let described = chunk.column_descr();
        let flat = described.max_rep_level() == 0 && described.max_def_level() <= 1;
        let length = usize::try_from(described.type_length()).unwrap_or(0);
        let shape = Shape::new(chunk.column_type(), length, described.max_def_level() == 1);
        let shape = shape
            .filter(|_| flat)
            .ok_or_else(|| failed(format!("column `{}` has an unknown type", described.name())))?;
        let rows = usize::try_from(group_data.num_rows()).unwrap_or(0);
        let locations = footer
            .offset_index()
            .and_then(|index| index.get(group)?.get(column))
            .map(|index| index.page_locations().clone());
        let (start, bytes) = chunk.byte_range();
        let mut reader = source.reader();
        if locations.is_none() || wanted.saturating_mul(WHOLE_SHARE) >= rows {
            reader = reader
                .ahead(start, bytes)
                .map_err(|error| failed(error.to_string()))?;
        }
        let has_dictionary = chunk.dictionary_page_offset().is_some()
            || locations
                .as_ref()
                .and_then(|locations| locations.first())
                .is_some_and(|first| first.offset as u64 != start);
        let pages = SerializedPageReader::new(Arc::new(reader), chunk, rows, locations);
        Ok(Self {
            file: source.name.clone(),
            pages: pages.map_err(|error| failed(error.to_string()))?,
            shape,
            page: None,
            at: 0,
            rows: 0,
            skip: 0,
            begun: false,
            has_dictionary,
        })
    }

    /// An empty column of its kind.
    pub(crate) fn vector(&self) -> Vector {
        self.shape.vector()
    }

    /// Goes past rows, once the next are read.
    pub(crate) fn skip(&mut self, rows: usize) {
        self.skip += rows;
    }

    /// Reads the next rows into an empty column.
    pub(crate) fn read(&mut self, rows: usize, into: &mut Vector) -> Result<(), QueryError> {
        self.pass()?;
        let mut left = rows;
        while left > 0 {
            if self.at == self.rows && !self.load()? {
                return Err(QueryError::file(&self.file, "a column ends early"));
            }
            let here = left.min(self.rows - self.at);
            if let Some(page) = &self.page {
                append(page, self.at, here, into);
            }
            self.at += here;
            left -= here;
        }
        Ok(())
    }

    /// Does what `skip` has gathered.
    fn pass(&mut self) -> Result<(), QueryError> {
        while self.skip > 0 {
            let here = self.skip.min(self.rows - self.at);
            self.at += here;
            self.skip -= here;
            if self.skip == 0 {
                break;
            }
            self.begin()?;
            let failed = |error| QueryError::file(&self.file, error);
            let next = self.pages.peek_next_page().map_err(failed)?;
            let rows = next.and_then(|next| next.num_rows.or(next.num_levels));
            match rows {
                Some(rows) if rows <= self.skip => {
                    self.pages.skip_next_page().map_err(failed)?;
                    self.skip -= rows;
                }
                _ if !self.load()? => {
                    return Err(QueryError::file(&self.file, "a column ends early"));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), QueryError> {
        if !self.begun && self.has_dictionary {
            let failed = |error| QueryError::file(&self.file, error);
            if let Some(Page::DictionaryPage {
                buf, num_values, ..
            }) = self.pages.get_next_page().map_err(failed)?
            {
                let learnt = self.shape.learn(&buf, num_values as usize);
                learnt.map_err(|problem| QueryError::file(&self.file, problem))?;
            } else {
                return Err(QueryError::file(&self.file, "a dictionary is missing"));
            }
        }
        self.begun = true;
        Ok(())
    }

    /// Decodes the next page; false after the last.
    fn load(&mut self) -> Result<bool, QueryError> {
        self.begin()?;
        let page = self.pages.get_next_page();
        let Some(page) = page.map_err(|error| QueryError::file(&self.file, error))? else {
            return Ok(false);
        };
        let decoded = self.shape.page(&page);
        self.page = Some(decoded.map_err(|problem| QueryError::file(&self.file, problem))?);
        (self.at, self.rows) = (0, page.num_values() as usize);
        Ok(true)
    }
}

/// Adds rows of a page to a column of a batch.
fn append(page: &Vector, at: usize, rows: usize, into: &mut Vector) {
    match (&page.0, &mut into.0) {
        (Data::Numbers(page), Data::Numbers(into)) => {
            if !page.valid.is_empty() || !into.valid.is_empty() {
                into.valid.resize(into.values.len(), true);
                match page.valid.is_empty() {
                    true => into.valid.resize(into.values.len() + rows, true),
                    false => into.valid.extend_from_slice(&page.valid[at..at + rows]),
                }
            }
            into.values.extend_from_slice(&page.values[at..at + rows]);
        }
        (Data::Texts(page), Data::Texts(into)) => {
            if into.codes.is_empty() {
                into.dictionary = page.dictionary.clone();
            }
            let codes = &page.codes[at..at + rows];
            if page.local.len() == 0 {
                into.codes.extend_from_slice(codes);
                return;
            }
            let own = into.dictionary.len();
            let mut rest = codes;
            while let Some((&code, behind)) = rest.split_first() {
                if code == NONE || (code as usize) < own {
                    into.codes.push(code);
                    rest = behind;
                    continue;
                }
                // What is no dictionary's lies in the order of rows: many are taken at once.
                let follow = rest
                    .iter()
                    .zip(code..)
                    .take_while(|(code, next)| **code == *next);
                let count = follow.count();
                let (first, to) = (code as usize - own, own + into.local.len());
                match into.local.extend(&page.local, first..first + count) {
                    true => into.codes.extend((to..to + count).map(|code| code as u32)),
                    // A batch of texts of 4 GiB: bodies are at most 4 MiB and batches shorter.
                    false => into.codes.resize(into.codes.len() + count, NONE),
                }
                rest = &rest[count..];
            }
        }
        _ => unreachable!("a page and its column are of one kind"),
    }
}
