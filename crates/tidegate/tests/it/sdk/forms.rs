//! Files that are a provider's, in whichever order their forms have it.

use super::batches::KEY;
use super::relayed::relaying;
use crate::support::{Reply, Upstream};
use serde_json::json;

/// Clients send `file` before `purpose` as well: what is no batch's file goes to the provider all the same,
/// byte for byte, and what is one stays here.
#[test]
fn a_file_goes_to_its_provider_whatever_stands_first_in_its_form() {
    let upstream = Upstream::start(|_| {
        let file = json!({"id": "file-theirs", "object": "file", "purpose": "assistants"});
        Reply::text(file.to_string()).header("content-type", "application/json")
    });
    let gateway = relaying(&upstream, "openai", "gpt-4o-mini");
    let file = gateway.path().join("book.txt");
    // More than is gathered before it is written.
    std::fs::write(&file, "A line of a book.\n".repeat(40_000)).unwrap();
    let part = format!("file=@{}", file.display());
    let sent = |fields: &[&str]| {
        let mut arguments = vec!["-H", KEY];
        for field in fields {
            arguments.extend(["-F", field]);
        }
        let answer = gateway.curl("/v1/files", &arguments).expect(200).json();
        answer["id"].as_str().unwrap().to_owned()
    };
    for fields in [
        ["purpose=assistants", &*part],
        [&*part, "purpose=assistants"],
    ] {
        let before = upstream.seen().len();
        assert_eq!(sent(&fields), "file-theirs", "{fields:?}");
        let seen = upstream.seen();
        assert_eq!(seen.len(), before + 1);
        let form = String::from_utf8_lossy(&seen[before].body).into_owned();
        assert_eq!(form.matches("A line of a book.\n").count(), 40_000);
        assert!(form.contains("\r\n\r\nassistants\r\n"));
    }
    let before = upstream.seen().len();
    for fields in [["purpose=batch", &*part], [&*part, "purpose=batch"]] {
        let id = sent(&fields);
        assert!(id != "file-theirs", "{id}");
        let kept = gateway.curl(&format!("/v1/files/{id}/content"), &["-H", KEY]);
        assert_eq!(kept.expect(200).body, "A line of a book.\n".repeat(40_000));
    }
    assert_eq!(upstream.seen().len(), before);
    let left = std::fs::read_dir(gateway.path().join("kept/incoming")).unwrap();
    assert_eq!(left.count(), 0, "what was not kept is gone");
}
