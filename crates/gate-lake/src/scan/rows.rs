//! Batches of rows that fulfil all conditions, of the columns that are asked for.

use super::cursor::Cursor;
use super::filter::Filter;
use super::known;
use super::prune;
use super::source::Source;
use super::vector::Vector;
use super::{Allowance, Key, QueryError};
use crate::schema::Dataset;
use parquet::file::metadata::ParquetMetaData;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// Bits of a row's number that say which row of a file it is; the others say which file.
const FILE_BITS: u32 = 40;
/// Rows that are decoded together.
const BATCH: usize = 8192;

/// Reads files one after the other.
pub struct Scanner {
    dataset: Dataset,
    sources: VecDeque<Source>,
    filters: Vec<Filter>,
    wanted: Vec<usize>,
    spans: Vec<Key>,
    allowance: Allowance,
    read: u64,
    /// How many files were begun, whether they were opened or not.
    begun: i64,
    open: Option<OpenFile>,
}

/// A file that is being read.
struct OpenFile {
    source: Source,
    footer: Arc<ParquetMetaData>,
    /// The place in the file of each column of the data set; none where the file is older than it.
    places: Vec<Option<usize>>,
    next_group: usize,
    /// The number of the next row group's first row.
    next_row: i64,
    group: Option<OpenGroup>,
}

struct OpenGroup {
    ranges: VecDeque<Range<usize>>,
    /// Rows up to here were read or are to be skipped by every cursor.
    at: usize,
    /// Columns with conditions.
    tested: Vec<(usize, Cursor)>,
    others: Vec<Other>,
    source: Source,
    footer: Arc<ParquetMetaData>,
    number: usize,
    /// How many rows there are in `ranges`.
    rows: usize,
    /// The number of its first row.
    first_row: i64,
    /// Conditions that not all its rows are known to fulfil.
    filters: Vec<Filter>,
    /// Columns that are not read, with a number that has the key of all their numbers.
    constants: Vec<(usize, i64)>,
}

/// A column without conditions, which is begun where the first row is found that fulfils those of others.
struct Other {
    column: usize,
    /// Its place in the file.
    place: usize,
    cursor: Option<Cursor>,
}

impl OpenGroup {
    fn skip(&mut self, rows: usize) {
        let others = self.others.iter_mut();
        let others = others.filter_map(|other| other.cursor.as_mut());
        let tested = self.tested.iter_mut().map(|(_, cursor)| cursor);
        tested.chain(others).for_each(|cursor| cursor.skip(rows));
    }
}

/// Rows with the columns that were asked for.
#[derive(Debug)]
pub struct Batch {
    /// How many.
    pub rows: usize,
    columns: Vec<Option<Vector>>,
    constants: Vec<(usize, i64)>,
    first_row: i64,
    /// Places of the rows behind the first; empty where all are there.
    kept: Vec<u32>,
}

impl Batch {
    /// The number of a row: the same in every scan of the same files, whatever the conditions.
    #[must_use]
    pub fn number(&self, row: usize) -> i64 {
        let place = self
            .kept
            .get(row)
            .map_or(row as i64, |place| i64::from(*place));
        self.first_row + place
    }

    /// A column, by its place in the data set; none where the file has none, or none was asked for.
    #[must_use]
    pub fn column(&self, column: usize) -> Option<&Vector> {
        self.columns.get(column)?.as_ref()
    }

    /// A number that has the key of every row's number, where [`Scanner::with_spans`] asked for it.
    pub(super) fn constant(&self, column: usize) -> Option<i64> {
        let found = self.constants.iter().find(|(place, _)| *place == column);
        found.map(|(_, number)| *number)
    }
}

impl Scanner {
    /// Reads these files of a data set.
    #[must_use]
    pub fn new(
        dataset: Dataset,
        sources: Vec<Source>,
        filters: Vec<Filter>,
        wanted: &[usize],
        allowance: Allowance,
    ) -> Self {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        Self {
            dataset,
            sources: sources.into(),
            filters,
            wanted,
            spans: Vec::new(),
            allowance,
            read: 0,
            begun: 0,
            open: None,
        }
    }

    /// The same, not reading columns of which keys alone are wanted where a row group has one key.
    #[must_use]
    pub(super) fn with_spans(mut self, spans: Vec<Key>) -> Self {
        self.spans = spans;
        self
    }

    /// How many rows were looked at.
    #[must_use]
    pub fn rows_read(&self) -> u64 {
        self.read
    }

    /// The next rows, never none of them; nothing after the last.
    ///
    /// # Errors
    /// When a file cannot be read or the query may not go on.
    pub fn next_batch(&mut self) -> Result<Option<Batch>, QueryError> {
        loop {
            self.allowance.check()?;
            let Some(open) = &mut self.open else {
                match self.sources.pop_front() {
                    Some(source) => {
                        self.open = self.open_file(source)?;
                        self.begun += 1;
                    }
                    None => return Ok(None),
                }
                continue;
            };
            let Some(group) = &mut open.group else {
                match self.next_group()? {
                    true => {}
                    false => self.open = None,
                }
                continue;
            };
            let Some(range) = group.ranges.front().cloned() else {
                open.group = None;
                continue;
            };
            if group.at < range.start {
                group.skip(range.start - group.at);
                group.at = range.start;
            }
            let rows = BATCH.min(range.end - group.at);
            if group.at + rows == range.end {
                group.ranges.pop_front();
            }
            group.at += rows;
            self.read += rows as u64;
            self.allowance.rows(self.read)?;
            let width = self.dataset.columns().len();
            if let Some(batch) = read(group, rows, width)? {
                return Ok(Some(batch));
            }
        }
    }

    fn open_file(&self, source: Source) -> Result<Option<OpenFile>, QueryError> {
        let columns = self.dataset.columns();
        let name = |filter: &Filter| columns.get(filter.column).map_or("", |column| column.name);
        let may = |filter: &Filter| prune::partition_may(&source, name(filter), &filter.test);
        if !self.filters.iter().all(may) || !known::may(&source, &self.filters) {
            return Ok(None);
        }
        let footer = source.footer()?;
        let places: Vec<Option<usize>> = columns
            .iter()
            .map(|column| {
                let found = footer.file_metadata().schema_descr().columns();
                found.iter().position(|found| found.name() == column.name)
            })
            .collect();
        if known::learn(&source, &footer, &places, &self.filters)
            && !known::may(&source, &self.filters)
        {
            return Ok(None);
        }
        Ok(Some(OpenFile {
            source,
            footer,
            places,
            next_group: 0,
            next_row: self.begun << FILE_BITS,
            group: None,
        }))
    }

    /// Opens the next row group of the open file that may have rows; false after the last.
    fn next_group(&mut self) -> Result<bool, QueryError> {
        let Some(open) = &mut self.open else {
            return Ok(false);
        };
        while open.next_group < open.footer.num_row_groups() {
            let number = open.next_group;
            open.next_group += 1;
            let mut footer = open.footer.clone();
            let group = open.footer.row_group(number);
            let first_row = open.next_row;
            open.next_row += group.num_rows();
            let mut placed = Vec::new();
            let mut may = true;
            for filter in &self.filters {
                match open.places.get(filter.column).copied().flatten() {
                    Some(place) => {
                        placed.push((place, filter));
                        let chunk = group.column(place);
                        may = may && prune::group_may(&open.source, chunk, &filter.test);
                    }
                    // The file is older than the column: all its rows lack it.
                    None => may = may && filter.test == super::Test::Missing,
                }
            }
            if !may {
                continue;
            }
            if !self.filters.is_empty() {
                footer = open.source.indexed()?;
            }
            let ranges = prune::pages_may(&footer, number, &placed);
            if ranges.is_empty() {
                continue;
            }
            let rows = ranges.iter().map(Range::len).sum();
            let span = |column: usize| {
                let place = open.places.get(column).copied().flatten()?;
                prune::span(group.column(place))
            };
            let surely = |filter: &&Filter| {
                let span = span(filter.column);
                !span.is_some_and(|(least, most)| filter.test.surely(least, most))
            };
            let filters: Vec<Filter> = self.filters.iter().filter(surely).cloned().collect();
            let is_tested = |column: usize| filters.iter().any(|it| it.column == column);
            let constants = self.spans.iter().filter_map(|key| {
                let (least, most) = span(key.column())?;
                let one = key.of(least).0 == key.of(most).0 && !is_tested(key.column());
                one.then_some((key.column(), least))
            });
            let constants: Vec<(usize, i64)> = constants.collect();
            let tested = filters.iter().map(|filter| filter.column);
            let mut columns: Vec<usize> = self.wanted.iter().copied().chain(tested).collect();
            columns.sort_unstable();
            columns.dedup();
            columns.retain(|column| !constants.iter().any(|(place, _)| place == column));
            let (mut tested, mut others) = (Vec::new(), Vec::new());
            for column in columns {
                let Some(place) = open.places.get(column).copied().flatten() else {
                    continue;
                };
                if is_tested(column) {
                    let cursor = Cursor::new(&open.source, &footer, number, place, rows)?;
                    tested.push((column, cursor));
                } else {
                    others.push(Other {
                        column,
                        place,
                        cursor: None,
                    });
                }
            }
            open.group = Some(OpenGroup {
                ranges: ranges.into(),
                at: 0,
                tested,
                others,
                source: open.source.clone(),
                footer,
                number,
                rows,
                first_row,
                filters,
                constants,
            });
            return Ok(true);
        }
        Ok(false)
    }
}

/// Reads rows of every column, those with conditions first; none where no row fulfils them.
fn read(group: &mut OpenGroup, rows: usize, width: usize) -> Result<Option<Batch>, QueryError> {
    let filters = &group.filters;
    let mut columns: Vec<Option<Vector>> = Vec::new();
    columns.resize_with(width, || None);
    let mut kept: Vec<u32> = (0..rows as u32).collect();
    for (column, cursor) in &mut group.tested {
        if kept.is_empty() {
            cursor.skip(rows);
            continue;
        }
        let mut vector = cursor.vector();
        cursor.read(rows, &mut vector)?;
        let tests = filters.iter().filter(|filter| filter.column == *column);
        tests.for_each(|filter| filter.test.sieve(&vector, &mut kept));
        columns[*column] = Some(vector);
    }
    let others = group.others.iter_mut();
    let (Some(first), Some(last)) = (kept.first().copied(), kept.last().copied()) else {
        let begun = others.filter_map(|other| other.cursor.as_mut());
        begun.for_each(|cursor| cursor.skip(rows));
        return Ok(None);
    };
    let all = kept.len() == rows;
    if !all {
        let tested = columns.iter_mut().flatten();
        tested.for_each(|vector| vector.select(&kept));
    }
    let (first, last) = (first as usize, last as usize);
    let inner: Vec<u32> = match all {
        true => Vec::new(),
        false => kept.iter().map(|row| row - first as u32).collect(),
    };
    // These rows were counted as done before.
    let start = group.at - rows;
    for other in others {
        let cursor = match &mut other.cursor {
            Some(cursor) => cursor,
            none => {
                // About as many as in this piece.
                let wanted = group.rows * kept.len() / rows;
                let (source, footer) = (&group.source, &group.footer);
                let cursor = Cursor::new(source, footer, group.number, other.place, wanted)?;
                let cursor = none.insert(cursor);
                cursor.skip(start);
                cursor
            }
        };
        let mut vector = cursor.vector();
        cursor.skip(first);
        cursor.read(last + 1 - first, &mut vector)?;
        cursor.skip(rows - last - 1);
        if !all {
            vector.select(&inner);
        }
        columns[other.column] = Some(vector);
    }
    Ok(Some(Batch {
        rows: kept.len(),
        columns,
        constants: group.constants.clone(),
        first_row: group.first_row + start as i64,
        kept: if all { Vec::new() } else { kept },
    }))
}
