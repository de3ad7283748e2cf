//! The answer of a query as a Parquet file: columns get the kind that all their values fit.

use crate::sql::Value;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::sync::Arc;

/// What all values of a column fit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fits {
    Integer,
    Real,
    Text,
    Bytes,
}

/// Rows as a file.
///
/// # Errors
/// When two columns have one name, or the encoder fails.
pub fn table(columns: &[String], rows: &[Vec<Value>]) -> Result<Vec<u8>, String> {
    let doubled = columns
        .iter()
        .enumerate()
        .find(|(at, name)| columns[..*at].contains(name));
    if let Some((_, name)) = doubled {
        return Err(format!(
            "two columns have the name `{name}`; give one another with AS"
        ));
    }
    written(columns, rows).map_err(|error| error.to_string())
}

fn written(columns: &[String], rows: &[Vec<Value>]) -> Result<Vec<u8>, ParquetError> {
    let kinds: Vec<Fits> = (0..columns.len()).map(|at| fits(rows, at)).collect();
    let mut fields = Vec::new();
    for (name, kind) in columns.iter().zip(&kinds) {
        let (physical, logical) = match kind {
            Fits::Integer => (Physical::INT64, None),
            Fits::Real => (Physical::DOUBLE, None),
            Fits::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Fits::Bytes => (Physical::BYTE_ARRAY, None),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL)
            .build()?;
        fields.push(Arc::new(field));
    }
    let schema = Type::group_type_builder("answer")
        .with_fields(fields)
        .build()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_created_by("tidegate".into())
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (at, kind) in kinds.iter().enumerate() {
        let Some(mut to) = group.next_column()? else {
            break;
        };
        let there = rows.iter().map(|row| i16::from(row[at] != Value::Null));
        let levels: Vec<i16> = there.collect();
        let values = rows
            .iter()
            .map(|row| &row[at])
            .filter(|it| **it != Value::Null);
        match kind {
            Fits::Integer => {
                let values: Vec<i64> = values.filter_map(integer).collect();
                to.typed::<Int64Type>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            Fits::Real => {
                let values: Vec<f64> = values.map(real).collect();
                to.typed::<DoubleType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
            Fits::Text | Fits::Bytes => {
                let values: Vec<ByteArray> = values.map(bytes).collect();
                to.typed::<ByteArrayType>()
                    .write_batch(&values, Some(&levels), None)?;
            }
        }
        to.close()?;
    }
    group.close()?;
    writer.into_inner()
}

fn fits(rows: &[Vec<Value>], at: usize) -> Fits {
    let values = rows.iter().map(|row| &row[at]);
    let mut found: Option<Fits> = None;
    for value in values {
        let kind = match value {
            Value::Null => continue,
            Value::Integer(_) => Fits::Integer,
            Value::Real(_) => Fits::Real,
            Value::Text(_) => Fits::Text,
            Value::Bytes(_) => Fits::Bytes,
        };
        found = Some(match (found, kind) {
            (None, kind) => kind,
            (Some(before), kind) if before == kind => kind,
            (Some(Fits::Bytes), _) | (_, Fits::Bytes) => Fits::Bytes,
            (Some(Fits::Text), _) | (_, Fits::Text) => Fits::Text,
            _ => Fits::Real,
        });
    }
    found.unwrap_or(Fits::Text)
}

const fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(*number),
        _ => None,
    }
}

fn real(value: &Value) -> f64 {
    match value {
        Value::Integer(number) => *number as f64,
        Value::Real(number) => *number,
        _ => 0.0,
    }
}

fn bytes(value: &Value) -> ByteArray {
    match value {
        Value::Bytes(bytes) => bytes.clone().into(),
        other => other.text().into_bytes().into(),
    }
}
