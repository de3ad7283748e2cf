//! The settled files as tables of Apache Iceberg (version 2 of the format), so that others read the
//! lake without knowing its catalog.
//!
//! A table per data set, under `iceberg/`, made anew from a version of the catalog: a manifest for
//! each day, a list of manifests, and metadata with this one snapshot. Older snapshots are not
//! offered, since the files of theirs go. Manifests hold no values of rows but times and teams.
//! Source: <https://iceberg.apache.org/spec/>.

mod avro;
mod schema;

use crate::catalog::{Catalog, DayList, FileEntry, Version, hour_of};
use crate::objects::{made_at, name};
use crate::schema::Dataset;
use avro::{Values, container};
use aws_lc_rs::digest::{SHA256, digest};
use serde_json::json;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long files of tables stay that the newest metadata does not name.
const LINGER: Duration = Duration::from_secs(120);
/// Metadata that is kept behind the newest.
const METADATA_KEPT: u64 = 3;

/// A manifest that has been written.
#[derive(Debug, Clone)]
struct Manifest {
    path: String,
    length: usize,
    sequence: u64,
    files: u64,
    rows: u64,
}

/// Publishes versions of a catalog. Whoever calls holds the lock of the lake.
#[derive(Default)]
pub struct Publisher {
    /// Manifests by the list of the day that they are made of, for each data set.
    written: [BTreeMap<String, Manifest>; 2],
    /// The version that was published.
    published: Option<u64>,
}

/// Where the newest metadata of a data set's table lie, as a path in the lake.
#[must_use]
pub fn metadata_path(dataset: Dataset, version: u64) -> String {
    format!("{}v{version}.metadata.json", folder(dataset))
}

fn folder(dataset: Dataset) -> String {
    format!("iceberg/{}/metadata/", dataset.name())
}

impl Publisher {
    /// Publishes the newest version of the catalog, unless it is published already.
    ///
    /// # Errors
    /// When the place does not answer; the tables are as they were before then.
    pub fn publish(&mut self, catalog: &Catalog, unix: Duration) -> io::Result<bool> {
        let version = catalog.newest()?;
        if version.number == 0 || self.published == Some(version.number) {
            return Ok(false);
        }
        for (index, dataset) in Dataset::ALL.into_iter().enumerate() {
            self.publish_one(catalog, &version, (index, dataset), unix)?;
        }
        self.published = Some(version.number);
        Ok(true)
    }

    fn publish_one(
        &mut self,
        catalog: &Catalog,
        version: &Version,
        (index, dataset): (usize, Dataset),
        unix: Duration,
    ) -> io::Result<()> {
        let mut manifests = BTreeMap::new();
        for day in version.days_of(dataset) {
            let manifest = match self.written[index].get(&day.path) {
                Some(manifest) => manifest.clone(),
                None => write_manifest(catalog, version, dataset, day, unix)?,
            };
            manifests.insert(day.path.clone(), manifest);
        }
        let objects = catalog.objects();
        let list = format!("{}{}-list.avro", folder(dataset), name(unix));
        let records: Vec<Values> = manifests
            .values()
            .map(|manifest| list_record(manifest, &objects.location(&manifest.path)))
            .collect();
        let snapshot = version.number.to_string();
        let sequence = version.number.to_string();
        let more = [
            ("snapshot-id", &*snapshot),
            ("sequence-number", &*sequence),
            ("format-version", "2"),
        ];
        objects.put_new(&list, &container(&schema::list(), &more, &records))?;
        let metadata = metadata(catalog, version, dataset, &list, &manifests, unix);
        let text = serde_json::to_vec(&metadata).map_err(io::Error::other)?;
        // Already there when an earlier try was not answered: of the same version, so as good.
        objects.put(&metadata_path(dataset, version.number), &text)?;
        let hint = format!("{}version-hint.text", folder(dataset));
        objects.put(&hint, version.number.to_string().as_bytes())?;
        self.written[index] = manifests;
        self.sweep(catalog, version, (index, dataset), &list, unix)
    }

    /// Deletes what the newest metadata do not name, when nobody reads it any more.
    fn sweep(
        &self,
        catalog: &Catalog,
        version: &Version,
        (index, dataset): (usize, Dataset),
        list: &str,
        unix: Duration,
    ) -> io::Result<()> {
        for object in catalog.objects().list(&folder(dataset))? {
            let file = object.path.rsplit('/').next().unwrap_or_default();
            let number = file
                .strip_prefix('v')
                .and_then(|rest| rest.strip_suffix(".metadata.json")?.parse::<u64>().ok());
            let is_old = number.is_some_and(|number| number + METADATA_KEPT < version.number);
            let is_named = object.path == list
                || self.written[index]
                    .values()
                    .any(|manifest| manifest.path == object.path);
            let age = made_at(&object.path).map(|at| unix.saturating_sub(at));
            let is_left = !is_named && age.is_some_and(|age| age > LINGER);
            if is_old || is_left {
                catalog.objects().delete(&object.path)?;
            }
        }
        Ok(())
    }
}

fn write_manifest(
    catalog: &Catalog,
    version: &Version,
    dataset: Dataset,
    day: &DayList,
    unix: Duration,
) -> io::Result<Manifest> {
    let files = catalog.day(&day.path)?;
    let objects = catalog.objects();
    let entry =
        |file: &Arc<FileEntry>| entry_record(file, &objects.location(&file.path), version.number);
    let records: Vec<Values> = files.iter().map(entry).collect();
    let table = schema::table(dataset).to_string();
    let spec = schema::partition_fields(dataset).to_string();
    let more = [
        ("schema", &*table),
        ("schema-id", "0"),
        ("partition-spec", &*spec),
        ("partition-spec-id", "0"),
        ("format-version", "2"),
        ("content", "data"),
    ];
    let bytes = container(&schema::manifest(), &more, &records);
    let path = format!("{}{}-day.avro", folder(dataset), name(unix));
    objects.put_new(&path, &bytes)?;
    Ok(Manifest {
        path,
        length: bytes.len(),
        sequence: version.number,
        files: files.len() as u64,
        rows: day.rows,
    })
}

/// An entry of a manifest: the fields of [`schema::manifest`], in its order.
fn entry_record(file: &FileEntry, location: &str, snapshot: u64) -> Values {
    const ADDED: i64 = 1;
    const DATA: i64 = 0;
    let mut values = Values::default();
    values.long(ADDED).branch(1).long(snapshot as i64);
    // Sequence numbers are those of the list.
    values.branch(0).branch(0);
    values
        .long(DATA)
        .bytes(location.as_bytes())
        .bytes(b"PARQUET");
    values.branch(1).long(hour_of(file.start_us));
    match file.team.as_deref().filter(|team| !team.is_empty()) {
        Some(team) => values.branch(1).bytes(team.as_bytes()),
        None => values.branch(0),
    };
    values.long(file.rows as i64).long(file.bytes as i64);
    for bound in [file.start_us, file.end_us] {
        // Of the first column, which is the time.
        values.branch(1).items(1).long(1);
        values.bytes(&bound.to_le_bytes()).end();
    }
    values
}

/// An entry of a list: the fields of [`schema::list`], in its order.
fn list_record(manifest: &Manifest, location: &str) -> Values {
    let mut values = Values::default();
    values
        .bytes(location.as_bytes())
        .long(manifest.length as i64)
        .long(0)
        .long(0)
        .long(manifest.sequence as i64)
        .long(manifest.sequence as i64)
        .long(manifest.sequence as i64);
    values.long(manifest.files as i64).long(0).long(0);
    values.long(manifest.rows as i64).long(0).long(0);
    values
}

fn metadata(
    catalog: &Catalog,
    version: &Version,
    dataset: Dataset,
    list: &str,
    manifests: &BTreeMap<String, Manifest>,
    unix: Duration,
) -> serde_json::Value {
    let objects = catalog.objects();
    let location = objects.location(&format!("iceberg/{}", dataset.name()));
    let id = digest(&SHA256, location.as_bytes());
    let hex: String = id.as_ref()[..16]
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let uuid = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-");
    let now = unix.as_millis() as u64;
    let rows: u64 = manifests.values().map(|manifest| manifest.rows).sum();
    let files: u64 = manifests.values().map(|manifest| manifest.files).sum();
    let columns = dataset.columns().len();
    json!({
        "format-version": 2,
        "table-uuid": uuid,
        "location": location,
        "last-sequence-number": version.number,
        "last-updated-ms": now,
        "last-column-id": columns,
        "schemas": [schema::table(dataset)],
        "current-schema-id": 0,
        "partition-specs": [{ "spec-id": 0, "fields": schema::partition_fields(dataset) }],
        "default-spec-id": 0,
        "last-partition-id": 1001,
        "properties": { "tidegate.schema": crate::schema::VERSION.to_string() },
        "current-snapshot-id": version.number,
        "snapshots": [{
            "snapshot-id": version.number,
            "sequence-number": version.number,
            "timestamp-ms": now,
            "manifest-list": objects.location(list),
            "schema-id": 0,
            "summary": {
                "operation": "overwrite",
                "total-records": rows.to_string(),
                "total-data-files": files.to_string(),
            },
        }],
        "snapshot-log": [{ "snapshot-id": version.number, "timestamp-ms": now }],
        "metadata-log": [],
        "sort-orders": [{ "order-id": 0, "fields": [] }],
        "default-sort-order-id": 0,
        "refs": { "main": { "snapshot-id": version.number, "type": "branch" } },
    })
}
