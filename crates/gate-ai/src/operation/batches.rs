//! Where Anthropic's batches say that their results are.
//!
//! A batch has the address of its results at Anthropic, and clients follow it with the credential
//! that they have, which is the gateway's. It becomes a path of the gateway's, which clients put
//! behind their base address (<https://docs.claude.com/en/api/retrieving-message-batches>).

use memchr::memmem;

const KEY: &[u8] = b"\"results_url\"";
const PATH: &[u8] = b"/messages/batches/";

/// An answer about batches whose results are at the gateway; `None` where nothing changes.
#[must_use]
pub fn with_own_results(body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut done = 0;
    for key in memmem::find_iter(body, KEY) {
        let mut at = key + KEY.len();
        while body
            .get(at)
            .is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b':'))
        {
            at += 1;
        }
        let Some(value) = body.get(at..).and_then(|rest| rest.strip_prefix(b"\"")) else {
            continue;
        };
        let end = memchr::memchr(b'"', value).unwrap_or(0);
        let Some(path) = memmem::find(&value[..end], PATH) else {
            continue;
        };
        out.extend_from_slice(&body[done..=at]);
        out.extend_from_slice(b"/v1");
        done = at + 1 + path;
    }
    (done > 0).then(|| {
        out.extend_from_slice(&body[done..]);
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_results_become_paths_and_nothing_else_changes() {
        let of =
            |body: &str| with_own_results(body.as_bytes()).map(|b| String::from_utf8(b).unwrap());
        let url = "https://api.example/v1/messages/batches/b_1/results";
        let list = format!(
            r#"{{"data":[{{"id":"b_1","results_url": "{url}","x":1}},{{"results_url":null}},{{"results_url":"{url}"}}]}}"#
        );
        let own = list.replace("https://api.example", "");
        assert_eq!(of(&list).unwrap(), own);
        for same in [
            r#"{"results_url":null}"#,
            r#"{"results_url":"https://api.example/elsewhere"}"#,
            r#"{"results_url":"#,
            r#"{"results_url":"open"#,
            "",
        ] {
            assert_eq!(of(same), None, "{same}");
        }
    }
}
