//! Files of other versions of the schema: older ones are read, newer ones are refused by name.

use crate::rate::rows;
use bytes::Bytes;
use gate_lake::columns::Batch;
use gate_lake::file::{Effort, FileError, decode, encode};
use gate_lake::scan::Source;
use gate_lake::schema::{Dataset, VERSION, VERSION_KEY};
use gate_lake::sql::{Answer, SqlLimits, Table, Value, query};
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Columns that a gateway did not know that is older by one version.
const LATER: usize = 3;

/// The same rows as another version of the schema would have them: the first so many columns.
fn as_of(bytes: &Bytes, columns: usize, version: u32) -> Vec<u8> {
    let file = SerializedFileReader::new(bytes.clone()).unwrap();
    let about = file.metadata();
    let root = about.file_metadata().schema_descr().root_schema();
    let schema = Type::group_type_builder(root.name())
        .with_fields(root.get_fields()[..columns].to_vec())
        .build();
    let told = KeyValue::new(VERSION_KEY.into(), version.to_string());
    let properties = WriterProperties::builder().set_key_value_metadata(Some(vec![told]));
    let (schema, properties) = (Arc::new(schema.unwrap()), Arc::new(properties.build()));
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for group in about.row_groups() {
        let mut to = writer.next_row_group().unwrap();
        for column in &group.columns()[..columns] {
            let close = ColumnCloseResult {
                bytes_written: u64::try_from(column.compressed_size()).unwrap(),
                rows_written: u64::try_from(group.num_rows()).unwrap(),
                metadata: column.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            to.append_column(bytes, close).unwrap();
        }
        to.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn asked(files: &[&Path], sql: &str) -> Result<Answer, String> {
    let sources = files.iter().map(|path| Source::open(path).unwrap());
    let tables = vec![Table::whole(Dataset::Records, sources.collect())];
    query(sql, tables, &SqlLimits::default(), 0).map_err(|error| error.to_string())
}

#[test]
fn older_files_are_read_and_newer_ones_are_refused() {
    let mut batch = Batch::new(Dataset::Records);
    rows(5_000, |row| batch.push(row));
    let bytes = Bytes::from(encode(batch, Effort::Small).unwrap());
    let all = Dataset::Records.columns();
    let older = Bytes::from(as_of(&bytes, all.len() - LATER, VERSION));
    let newer = Bytes::from(as_of(&bytes, all.len(), VERSION + 1));
    let folder = tempfile::tempdir().unwrap();
    let kept = |name: &str, bytes: &Bytes| -> PathBuf {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let (is, was, will) = (
        kept("is.parquet", &bytes),
        kept("was.parquet", &older),
        kept("will.parquet", &newer),
    );

    let (known, read) = (
        decode(bytes, Dataset::Records).unwrap(),
        decode(older, Dataset::Records).unwrap(),
    );
    assert_eq!(read.len(), known.len());
    for (column, about) in all.iter().enumerate().take(all.len() - LATER) {
        let told = [&read, &known].map(|batch| format!("{:?}", batch.column(column)));
        assert!(told[0] == told[1], "{}", about.name);
    }
    // Groups, rows one by one, and both kinds of files together: what was not known yet is no value.
    let last = all[all.len() - 1].name;
    let numbers = |files: &[&Path], sql: &str| -> Vec<Value> {
        let answer = asked(files, &sql.replace("LAST", last)).unwrap();
        answer.rows.into_iter().flatten().collect()
    };
    let sums = "SELECT count(*), sum(duration_us), count(LAST) FROM records";
    let (now, before) = (numbers(&[&is], sums), numbers(&[&was], sums));
    assert_eq!(before[..2], now[..2]);
    assert_eq!(before[2], Value::Integer(0));
    let none =
        "SELECT count(*) FROM (SELECT LAST AS one FROM records WHERE LAST IS NULL LIMIT 9000)";
    assert_eq!(numbers(&[&was], none), [Value::Integer(5_000)]);
    let both = numbers(&[&was, &is], sums);
    assert_eq!((&both[0], &both[2]), (&Value::Integer(10_000), &now[2]));
    let grouped = "SELECT LAST, count(*) AS n FROM records GROUP BY LAST ORDER BY n DESC LIMIT 1";
    assert!(numbers(&[&was, &is], grouped)[1] != Value::Integer(0));

    let refused = decode(newer, Dataset::Records).unwrap_err();
    assert!(matches!(refused, FileError::Newer(version) if version == VERSION + 1));
    let said = asked(&[&is, &will], &sums.replace("LAST", last)).unwrap_err();
    assert!(
        said.contains("will.parquet") && said.contains("version 2"),
        "{said}"
    );
}
