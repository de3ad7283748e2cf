//! From a file to columns, a group of rows at a time.

use super::FileError;
use crate::columns::{Batch, NO_ID, NO_NUMBER, Texts, Values, Words};
use crate::schema::{Column, Dataset, Kind, VERSION, VERSION_KEY};
use bytes::Bytes;
use parquet::column::reader::ColumnReader;
use parquet::data_type::{ByteArray, FixedLenByteArray};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;

/// A file whose groups of rows can be read one by one.
pub struct Reader {
    file: SerializedFileReader<Bytes>,
    dataset: Dataset,
}

impl Reader {
    /// Opens a file that is in memory.
    ///
    /// # Errors
    /// When it is damaged, newer than this gateway, or no file of a lake.
    pub fn open(bytes: Bytes, dataset: Dataset) -> Result<Self, FileError> {
        let file = SerializedFileReader::new(bytes)?;
        check(file.metadata(), dataset)?;
        Ok(Self { file, dataset })
    }

    /// How many groups there are.
    #[must_use]
    pub fn groups(&self) -> usize {
        self.file.num_row_groups()
    }

    /// The rows of one group. Columns that the file does not have yet are empty.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn group(&self, index: usize) -> Result<Batch, FileError> {
        let group = self.file.get_row_group(index)?;
        let rows = usize::try_from(group.metadata().num_rows())
            .map_err(|_| FileError::Foreign("a group has a negative count of rows".into()))?;
        let held = group.num_columns();
        let mut columns = Vec::new();
        for (index, column) in self.dataset.columns().iter().enumerate() {
            let values = match index < held {
                true => read(group.as_ref(), index, column, rows)?,
                false => absent(column, rows),
            };
            columns.push(values);
        }
        Ok(Batch::from_columns(self.dataset, columns, rows))
    }
}

/// All rows of a file.
///
/// # Errors
/// As [`Reader::open`].
pub fn decode(bytes: Bytes, dataset: Dataset) -> Result<Batch, FileError> {
    let reader = Reader::open(bytes, dataset)?;
    let mut all = Batch::new(dataset);
    for index in 0..reader.groups() {
        let group = reader.group(index)?;
        if all.is_empty() {
            all = group;
        } else {
            all.extend(&group, &group.all_rows());
        }
    }
    Ok(all)
}

/// Whether this gateway may read the file.
fn check(metadata: &ParquetMetaData, dataset: Dataset) -> Result<(), FileError> {
    let file = metadata.file_metadata();
    let pairs = file.key_value_metadata().map_or(&[][..], Vec::as_slice);
    let version = pairs.iter().find(|pair| pair.key == VERSION_KEY);
    let version = version.and_then(|pair| pair.value.as_deref()?.parse::<u32>().ok());
    match version {
        None => return Err(FileError::Foreign("it says no version".into())),
        Some(version) if version > VERSION => return Err(FileError::Newer(version)),
        Some(_) => {}
    }
    let found = file.schema_descr().columns().iter();
    for (found, column) in found.zip(dataset.columns()) {
        if found.name() != column.name {
            let name = found.name();
            let expected = column.name;
            let cause = format!("it has the column `{name}` in the place of `{expected}`");
            return Err(FileError::Foreign(cause));
        }
    }
    Ok(())
}

fn absent(column: &Column, rows: usize) -> Values {
    match column.kind {
        Kind::Time | Kind::Integer => Values::Numbers(vec![NO_NUMBER; rows]),
        Kind::Id => Values::Ids(vec![NO_ID; rows]),
        Kind::Flag => Values::Flags(vec![false; rows]),
        Kind::Word => {
            let mut words = Words::default();
            (0..rows).for_each(|_| words.push(None));
            Values::Words(words)
        }
        Kind::Text | Kind::Content => {
            let mut texts = Texts::default();
            (0..rows).for_each(|_| texts.push(None));
            Values::Bytes(texts)
        }
    }
}

/// Puts values in the places where the levels say that there are some.
fn spread<V>(levels: &[i16], rows: usize, values: Vec<V>, mut put: impl FnMut(Option<V>)) {
    let mut values = values.into_iter();
    if levels.is_empty() {
        (0..rows).for_each(|_| put(values.next()));
        return;
    }
    for &level in levels {
        put(if level > 0 { values.next() } else { None });
    }
}

macro_rules! all {
    ($reader:expr, $rows:expr, $levels:expr, $values:expr) => {{
        let mut reader = $reader;
        let (records, _, _) = reader.read_records($rows, Some(&mut $levels), None, &mut $values)?;
        if records != $rows {
            return Err(FileError::Foreign("a column has too few rows".into()));
        }
    }};
}

fn read(
    group: &dyn RowGroupReader,
    index: usize,
    column: &Column,
    rows: usize,
) -> Result<Values, FileError> {
    let mut levels: Vec<i16> = Vec::new();
    match (column.kind, group.get_column_reader(index)?) {
        (Kind::Time | Kind::Integer, ColumnReader::Int64ColumnReader(reader)) => {
            let mut values: Vec<i64> = Vec::with_capacity(rows);
            all!(reader, rows, levels, values);
            if !column.optional {
                return Ok(Values::Numbers(values));
            }
            let mut numbers = Vec::with_capacity(rows);
            spread(&levels, rows, values, |value| {
                numbers.push(value.unwrap_or(NO_NUMBER));
            });
            Ok(Values::Numbers(numbers))
        }
        (Kind::Id, ColumnReader::FixedLenByteArrayColumnReader(reader)) => {
            let mut values: Vec<FixedLenByteArray> = Vec::with_capacity(rows);
            all!(reader, rows, levels, values);
            let mut ids = Vec::with_capacity(rows);
            spread(&levels, rows, values, |value| {
                let id = value.and_then(|value| value.data().try_into().ok());
                ids.push(id.unwrap_or(NO_ID));
            });
            Ok(Values::Ids(ids))
        }
        (Kind::Flag, ColumnReader::BoolColumnReader(reader)) => {
            let mut values: Vec<bool> = Vec::with_capacity(rows);
            all!(reader, rows, levels, values);
            Ok(Values::Flags(values))
        }
        (kind, ColumnReader::ByteArrayColumnReader(reader)) => {
            let mut values: Vec<ByteArray> = Vec::with_capacity(rows);
            all!(reader, rows, levels, values);
            if kind == Kind::Word {
                let mut words = Words::default();
                let put = |value: Option<ByteArray>| {
                    words.push(value.as_ref().map(ByteArray::data));
                };
                spread(&levels, rows, values, put);
                return Ok(Values::Words(words));
            }
            let mut texts = Texts::default();
            let put = |value: Option<ByteArray>| texts.push(value.as_ref().map(ByteArray::data));
            spread(&levels, rows, values, put);
            Ok(Values::Bytes(texts))
        }
        _ => {
            let cause = format!("the column `{}` has another type", column.name);
            Err(FileError::Foreign(cause))
        }
    }
}
