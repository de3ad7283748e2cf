//! The schemas of tables and of the files that describe them. Field ids are the specification's.

use crate::schema::{Dataset, Kind};
use serde_json::{Value, json};

/// The table's schema. Columns have the ids that stand in the Parquet files.
pub(super) fn table(dataset: Dataset) -> Value {
    let columns = dataset.columns().iter().enumerate();
    let field = |(index, column): (usize, &crate::schema::Column)| {
        let kind = match column.kind {
            Kind::Time => "timestamptz",
            Kind::Integer => "long",
            Kind::Id => "uuid",
            Kind::Word | Kind::Text => "string",
            Kind::Content => "binary",
            Kind::Flag => "boolean",
        };
        json!({
            "id": index + 1,
            "name": column.name,
            "required": !column.optional,
            "type": kind,
            "doc": column.meaning,
        })
    };
    let fields: Vec<Value> = columns.map(field).collect();
    json!({ "type": "struct", "schema-id": 0, "fields": fields })
}

/// By the hour of the time, and by team.
pub(super) fn partition_fields(dataset: Dataset) -> Value {
    let columns = dataset.columns();
    let team = columns.iter().position(|column| column.name == "team");
    json!([
        { "source-id": 1, "field-id": 1000, "name": "time_hour", "transform": "hour" },
        { "source-id": team.map_or(0, |team| team + 1), "field-id": 1001, "name": "team", "transform": "identity" },
    ])
}

fn optional(name: &str, id: u32, kind: &Value) -> Value {
    json!({ "name": name, "type": ["null", kind], "default": null, "field-id": id })
}

fn required(name: &str, id: u32, kind: &Value) -> Value {
    json!({ "name": name, "type": kind, "field-id": id })
}

/// The schema of a manifest, as far as it is written.
pub(super) fn manifest() -> String {
    let (int, long, string) = (json!("int"), json!("long"), json!("string"));
    let bounds = |key: u32, value: u32| {
        json!({
            "type": "array",
            "logicalType": "map",
            "items": {
                "type": "record",
                "name": format!("k{key}_v{value}"),
                "fields": [required("key", key, &json!("int")), required("value", value, &json!("bytes"))],
            },
        })
    };
    let partition = json!({
        "type": "record",
        "name": "r102",
        "fields": [optional("time_hour", 1000, &int), optional("team", 1001, &string)],
    });
    let file = json!({
        "type": "record",
        "name": "r2",
        "fields": [
            required("content", 134, &int),
            required("file_path", 100, &string),
            required("file_format", 101, &string),
            required("partition", 102, &partition),
            required("record_count", 103, &long),
            required("file_size_in_bytes", 104, &long),
            optional("lower_bounds", 125, &bounds(126, 127)),
            optional("upper_bounds", 128, &bounds(129, 130)),
        ],
    });
    json!({
        "type": "record",
        "name": "manifest_entry",
        "fields": [
            required("status", 0, &int),
            optional("snapshot_id", 1, &long),
            optional("sequence_number", 3, &long),
            optional("file_sequence_number", 4, &long),
            required("data_file", 2, &file),
        ],
    })
    .to_string()
}

/// The schema of a list of manifests, as far as it is written.
pub(super) fn list() -> String {
    let (int, long, string) = (json!("int"), json!("long"), json!("string"));
    json!({
        "type": "record",
        "name": "manifest_file",
        "fields": [
            required("manifest_path", 500, &string),
            required("manifest_length", 501, &long),
            required("partition_spec_id", 502, &int),
            required("content", 517, &int),
            required("sequence_number", 515, &long),
            required("min_sequence_number", 516, &long),
            required("added_snapshot_id", 503, &long),
            required("added_files_count", 504, &int),
            required("existing_files_count", 505, &int),
            required("deleted_files_count", 506, &int),
            required("added_rows_count", 512, &long),
            required("existing_rows_count", 513, &long),
            required("deleted_rows_count", 514, &long),
        ],
    })
    .to_string()
}
