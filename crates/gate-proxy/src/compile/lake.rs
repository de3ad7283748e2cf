//! What of the lake's settings can be known to be impossible before anything is opened.

use super::Work;
use gate_lake::redact::Redaction;
use gate_lake::schema::Dataset;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::LakePlace;

/// Checks columns that are to be redacted and the name of a bucket.
pub(super) fn check(work: &mut Work<'_>) {
    let Some(lake) = work.resources.gateway.lake.clone() else {
        return;
    };
    let path = Path::root().key("gateway").key("lake");
    // Only whether there is one counts here; what it is stays where it is kept.
    let key = lake.hash_key.as_ref().map(|_| &b"any"[..]);
    let sets = [
        (Dataset::Records, Some(&lake.records)),
        (Dataset::Bodies, lake.bodies.as_ref()),
    ];
    for (dataset, set) in sets {
        let Some(set) = set else { continue };
        if let Err(error) = Redaction::new(dataset, &set.drop, &set.hash, key) {
            let path = path.clone().key(dataset.name());
            work.report(Finding::error("invalid_lake", path, error.to_string()));
        }
    }
    if let LakePlace::S3(bucket) = &lake.to
        && let Err(message) = crate::record::lake::check_bucket(bucket)
    {
        let path = path.key("to").key("s3");
        work.report(Finding::error("invalid_lake", path, message));
    }
}
