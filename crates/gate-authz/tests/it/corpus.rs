//! The decisions of cedar-policy/cedar-integration-tests agree: a sample of more than 10,000.
//!
//! The corpus lies beside the repository (`../shared/vectors/cedar`). Sampled are the cases whose
//! name, which is a hash, begins with one of three digits of sixteen.

use cedar_policy::{
    AuthorizationError, Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request,
    Schema,
};
use flate2::read::GzDecoder;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

/// First digits of the names that are sampled, unless `TIDEGATE_CORPUS` is `all`.
const SAMPLED: &str = "17c";
/// All digits.
const ALL: &str = "0123456789abcdef";
/// Fewest decisions that have to be compared.
const DECISIONS_MIN: usize = 10_000;

#[test]
fn the_corpus_decides_the_same() {
    let place = "../../../shared/vectors/cedar/corpus-tests.tar.gz";
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join(place);
    let Ok(file) = std::fs::File::open(&place) else {
        eprintln!("skipped: {} is not there", place.display());
        return;
    };
    let all = std::env::var("TIDEGATE_CORPUS").is_ok_and(|which| which == "all");
    let files = unpack(GzDecoder::new(file), if all { ALL } else { SAMPLED });
    let is_case = |name: &&String| name.ends_with(".json") && !name.ends_with(".entities.json");
    let mut decisions = 0;
    for name in files.keys().filter(is_case) {
        decisions += compare(name, &files);
    }
    println!("SCORE cedar: {decisions} of {decisions} decisions agree");
    assert!(decisions >= DECISIONS_MIN, "{decisions}");
}

/// Puts every request of a case to its policies; how many.
fn compare(name: &str, files: &BTreeMap<String, String>) -> usize {
    let case: Value = serde_json::from_str(&files[name]).expect("a case is JSON");
    let file = |field: &str| {
        let path = case[field].as_str().expect("a path");
        files[path.rsplit('/').next().expect("a name")].as_str()
    };
    let (schema, _) = Schema::from_cedarschema_str(file("schema")).expect("a schema");
    let policies = PolicySet::from_str(file("policies")).expect("policies");
    let entities = Entities::from_json_str(file("entities"), Some(&schema)).expect("entities");
    let requests = case["requests"].as_array().expect("requests");
    for request in requests {
        let uid = |field: &str| EntityUid::from_json(request[field].clone()).expect("an entity");
        let action = uid("action");
        let context =
            Context::from_json_value(request["context"].clone(), Some((&schema, &action)));
        let asked = Request::new(
            uid("principal"),
            action,
            uid("resource"),
            context.expect("a context"),
            request["validateRequest"]
                .as_bool()
                .expect("a flag")
                .then_some(&schema),
        );
        let answer =
            Authorizer::new().is_authorized(&asked.expect("a request"), &policies, &entities);
        let decision = match answer.decision() {
            Decision::Allow => "allow",
            Decision::Deny => "deny",
        };
        let label = format!("{name}: {}", request["description"]);
        assert_eq!(Some(decision), request["decision"].as_str(), "{label}");
        let listed = |field: &str| -> BTreeSet<String> {
            let list = request[field].as_array().expect("a list").iter();
            list.map(|id| id.as_str().expect("an id").to_owned())
                .collect()
        };
        let diagnostics = answer.diagnostics();
        let reasons: BTreeSet<String> = diagnostics.reason().map(ToString::to_string).collect();
        assert_eq!(reasons, listed("reason"), "{label}");
        let errors = diagnostics
            .errors()
            .map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().to_string());
        assert_eq!(errors.collect::<BTreeSet<_>>(), listed("errors"), "{label}");
    }
    requests.len()
}

/// The files of an archive whose names begin with one of these, by their names (POSIX ustar: a block of 512 bytes names a file
/// and its length in octal digits, the file follows in whole blocks).
fn unpack(mut archive: impl Read, sampled: &str) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut head = [0; 512];
    while archive.read_exact(&mut head).is_ok() && head[0] != 0 {
        let text = |bytes: &[u8]| {
            let end = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).trim().to_owned()
        };
        let length = usize::from_str_radix(&text(&head[124..136]), 8).expect("a length");
        let mut content = vec![0; length.div_ceil(512) * 512];
        archive.read_exact(&mut content).expect("a whole archive");
        content.truncate(length);
        let name = text(&head[..100]);
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        if head[156] == b'0' && name.starts_with(|digit| sampled.contains(digit)) {
            files.insert(name, String::from_utf8(content).expect("text"));
        }
    }
    files
}
