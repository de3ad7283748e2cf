//! From columns to a file.

use super::words::{self, chunk};
use super::{FileError, GROUP_ROWS, PAGE_ROWS};
use crate::columns::{Batch, NO_ID, NO_NUMBER, NO_WORD, TIME, Values, Words};
use crate::schema::{Column, Dataset, Kind, VERSION, VERSION_KEY};
use parquet::basic::{
    Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Physical, ZstdLevel,
};
use parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, FixedLenByteArray, FixedLenByteArrayType, Int64Type,
};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, SchemaDescriptor, Type, TypePtr};
use std::sync::Arc;
use zstd::bulk::Compressor;

/// How hard to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effort {
    /// For files that are soon written anew.
    Quick,
    /// For files that stay.
    Small,
}

impl Effort {
    fn level(self) -> ZstdLevel {
        let level = match self {
            Effort::Quick => 1,
            Effort::Small => 3,
        };
        ZstdLevel::try_new(level).expect("levels 1 and 3 are zstd's own")
    }
}

/// The rows of a batch as a Parquet file. They are put in the order of time first.
///
/// # Errors
/// The encoder's own; none is known for batches that passed the door.
pub fn encode(batch: Batch, effort: Effort) -> Result<Vec<u8>, FileError> {
    encode_with(batch, effort, words::takes)
}

/// The same, saying which words are written by their codes.
pub(super) fn encode_with(
    batch: Batch,
    effort: Effort,
    by_codes: fn(&Words) -> bool,
) -> Result<Vec<u8>, FileError> {
    let batch = batch.sorted();
    let dataset = batch.dataset();
    let schema = schema(dataset)?;
    let described = SchemaDescriptor::new(schema.clone());
    let level = effort.level();
    let mut zstd = Compressor::new(level.compression_level()).map_err(words::failed)?;
    let properties = properties(dataset, level, batch.len().min(GROUP_ROWS));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties)?;
    let mut start = 0;
    while start < batch.len() {
        let rows = start..(start + GROUP_ROWS).min(batch.len());
        start = rows.end;
        let mut group = writer.next_row_group()?;
        for (index, column) in dataset.columns().iter().enumerate() {
            match batch.column(index) {
                Values::Words(words) if by_codes(words) => {
                    let place = described.column(index);
                    let (bytes, written) = chunk(&place, words, rows.clone(), level, &mut zstd)?;
                    group.append_column(&bytes, written)?;
                }
                values => {
                    let Some(mut to) = group.next_column()? else {
                        break;
                    };
                    write(&mut to, column, values, rows.clone())?;
                    to.close()?;
                }
            }
        }
        group.close()?;
    }
    Ok(writer.into_inner()?)
}

/// The file's schema. Field ids are the columns' places counted from one, as tables of Iceberg
/// refer to them.
pub(crate) fn schema(dataset: Dataset) -> Result<TypePtr, FileError> {
    let mut fields = Vec::new();
    for (index, column) in dataset.columns().iter().enumerate() {
        let (physical, logical) = match column.kind {
            Kind::Time => {
                let unit = TimeUnit::MICROS;
                let logical = LogicalType::timestamp(true, unit);
                (Physical::INT64, Some(logical))
            }
            Kind::Integer => (Physical::INT64, None),
            Kind::Id => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
            Kind::Word | Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Content => (Physical::BYTE_ARRAY, None),
            Kind::Flag => (Physical::BOOLEAN, None),
        };
        let repetition = match column.optional {
            true => Repetition::OPTIONAL,
            false => Repetition::REQUIRED,
        };
        let field = Type::primitive_type_builder(column.name, physical)
            .with_logical_type(logical)
            .with_length(if column.kind == Kind::Id { 16 } else { -1 })
            .with_repetition(repetition)
            .with_id(Some(index as i32 + 1))
            .build()?;
        fields.push(Arc::new(field));
    }
    let root = Type::group_type_builder(dataset.name())
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(root))
}

fn properties(dataset: Dataset, level: ZstdLevel, rows: usize) -> Arc<WriterProperties> {
    let version = KeyValue::new(VERSION_KEY.into(), VERSION.to_string());
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(level))
        .set_created_by("tidegate".into())
        .set_key_value_metadata(Some(vec![version]))
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: TIME as i32,
            descending: false,
            nulls_first: true,
        }]))
        .set_max_row_group_row_count(None)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_dictionary_enabled(false);
    for column in dataset.columns() {
        let path = || ColumnPath::from(column.name);
        builder = match (column.kind, column.name) {
            (Kind::Word, _) | (_, "status" | "attempts" | "revision") => {
                builder.set_column_dictionary_enabled(path(), true)
            }
            (Kind::Time | Kind::Integer, _) => {
                builder.set_column_encoding(path(), Encoding::DELTA_BINARY_PACKED)
            }
            (Kind::Id, "exchange_id") => {
                builder.set_column_encoding(path(), Encoding::DELTA_BYTE_ARRAY)
            }
            // Random bytes: nothing makes them smaller.
            (Kind::Id, _) => builder
                .set_column_encoding(path(), Encoding::PLAIN)
                .set_column_compression(path(), Compression::UNCOMPRESSED),
            (Kind::Text | Kind::Content, _) => {
                builder.set_column_encoding(path(), Encoding::DELTA_LENGTH_BYTE_ARRAY)
            }
            (Kind::Flag, _) => builder,
        };
        if column.kind == Kind::Id || column.name == "request_id" {
            builder = builder
                .set_column_bloom_filter_enabled(path(), true)
                .set_column_bloom_filter_fpp(path(), 0.01)
                .set_column_bloom_filter_max_ndv(path(), rows as u64);
        }
        // In no order: what lies between the least and the greatest says nothing.
        if matches!(column.name, "trace_id" | "request_id") {
            builder = builder.set_column_statistics_enabled(path(), EnabledStatistics::Chunk);
        }
        if column.kind == Kind::Content {
            builder = builder
                .set_column_statistics_enabled(path(), EnabledStatistics::None)
                .set_column_data_page_size_limit(path(), 256 * 1024);
        }
    }
    Arc::new(builder.build())
}

/// Levels and present values of some rows.
fn present<T, V>(
    column: &Column,
    rows: impl ExactSizeIterator<Item = T>,
    value: impl Fn(T) -> Option<V>,
) -> (Option<Vec<i16>>, Vec<V>) {
    let mut values = Vec::with_capacity(rows.len());
    if !column.optional {
        values.extend(rows.filter_map(value));
        return (None, values);
    }
    let mut levels = Vec::with_capacity(rows.len());
    for row in rows {
        let value = value(row);
        levels.push(i16::from(value.is_some()));
        values.extend(value);
    }
    (Some(levels), values)
}

fn write(
    to: &mut SerializedColumnWriter<'_>,
    column: &Column,
    values: &Values,
    rows: std::ops::Range<usize>,
) -> Result<(), FileError> {
    match values {
        Values::Numbers(numbers) => {
            let numbers = numbers[rows].iter().copied();
            let is_there = |number: i64| (number != NO_NUMBER).then_some(number);
            let (levels, values) = present(column, numbers, is_there);
            to.typed::<Int64Type>()
                .write_batch(&values, levels.as_deref(), None)?;
        }
        Values::Words(words) => {
            let known = words.known();
            let codes = words.codes()[rows].iter().copied();
            let word = |code: u32| (code != NO_WORD).then(|| known[code as usize].clone());
            let (levels, values) = present(column, codes, word);
            to.typed::<ByteArrayType>()
                .write_batch(&values, levels.as_deref(), None)?;
        }
        Values::Ids(ids) => {
            let all = bytes::Bytes::from(ids[rows.clone()].concat());
            let id = |place: usize| {
                let at = place * 16;
                let id = &all[at..at + 16];
                (id != NO_ID).then(|| {
                    let bytes = all.slice(at..at + 16);
                    FixedLenByteArray::from(ByteArray::from(bytes))
                })
            };
            let (levels, values) = present(column, 0..rows.len(), id);
            to.typed::<FixedLenByteArrayType>()
                .write_batch(&values, levels.as_deref(), None)?;
        }
        Values::Bytes(texts) => {
            let text = |row: usize| texts.get(row).map(|text| ByteArray::from(text.to_vec()));
            let (levels, values) = present(column, rows, text);
            to.typed::<ByteArrayType>()
                .write_batch(&values, levels.as_deref(), None)?;
        }
        Values::Flags(flags) => {
            to.typed::<BoolType>()
                .write_batch(&flags[rows], None, None)?;
        }
    }
    Ok(())
}
