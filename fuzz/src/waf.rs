//! The firewall: requests of any bytes, and rules of any text.

use gate_waf::{Engine, Loader, NoFiles, RECOMMENDED, Request, RuleSet, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};

/// Every operator and most transformations, on all that a request has.
const RULES: &str = r#"
SecRule ARGS|ARGS_NAMES|REQUEST_BODY|REQUEST_URI_RAW|XML:/*|XML://@*|FILES "@rx (?i)<script[^>]*>|\bunion\b.{0,9}select" "id:1,phase:2,pass,log,capture,t:none,t:utf8toUnicode,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode,t:cssDecode,t:removeNulls"
SecRule ARGS|REQUEST_BODY "@rx (?:[;{]|\|\|?)\s*(?:cat|id|ls)\b" "id:2,phase:2,pass,log,t:cmdLine,t:normalizePath"
SecRule ARGS|REQUEST_FILENAME "@pm passwd .php /etc/ <?" "id:3,phase:2,pass,log,t:normalizePathWin,multiMatch"
SecRule ARGS|ARGS_NAMES|XML:/* "@detectSQLi" "id:4,phase:2,pass,log,t:urlDecodeUni"
SecRule ARGS|ARGS_NAMES|XML:/* "@detectXSS" "id:5,phase:2,pass,log,t:htmlEntityDecode"
SecRule REQUEST_BODY|ARGS "@validateByteRange 9,10,13,32-126" "id:6,phase:2,pass,log,t:escapeSeqDecode"
SecRule ARGS "@validateUtf8Encoding" "id:7,phase:2,pass,log"
SecRule REQUEST_BODY "@validateUrlEncoding" "id:8,phase:2,pass,log,t:replaceComments,t:compressWhitespace"
SecRule ARGS "@contains -->" "id:9,phase:2,pass,log,t:base64Decode,t:removeWhitespace,t:removeCommentsChar"
SecRule MULTIPART_PART_HEADERS|FILES_NAMES "@rx [^\x21-\x7e][\x21-\x39]*:" "id:10,phase:2,pass,log,t:lowercase"
SecRule ARGS "@rx ^." "id:11,phase:2,pass,log,capture,setvar:'tx.seen_%{MATCHED_VAR_NAME}=+1',chain"
    SecRule TX:/^seen_/ "@gt 1" "setvar:tx.twice=+1"
"#;

fn rules(text: &str) -> Option<RuleSet> {
    let mut loader = Loader::new(&NoFiles);
    loader.add("recommended.conf", RECOMMENDED);
    loader.add("rules.conf", text);
    loader.finish().ok()
}

static FILTERED: LazyLock<Arc<RuleSet>> =
    LazyLock::new(|| Arc::new(rules(RULES).expect("constants")));
static UNFILTERED: LazyLock<Arc<RuleSet>> =
    LazyLock::new(|| Arc::new(rules(RULES).expect("constants").unfiltered()));

const TYPES: [&str; 5] = [
    "application/json",
    "text/xml",
    "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded",
    "text/plain",
];

/// The ids of the rules that match.
fn run(rules: &Arc<RuleSet>, kind: &str, target: &[u8], body: &[u8]) -> Vec<(u32, String)> {
    let mut transaction = Transaction::new(rules.clone(), None, Some(Engine::DetectionOnly));
    let local = (IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
    let request = Request {
        client: local,
        server: local,
        method: b"POST",
        uri: target,
        protocol: b"HTTP/1.1",
        id: b"1",
    };
    let headers = [(&b"Content-Type"[..], kind.as_bytes()), (b"Cookie", target)];
    transaction.request_headers(&request, headers.into_iter());
    transaction.request_body(body, false);
    transaction.response_headers(200, b"HTTP/1.1", headers.into_iter());
    transaction.response_body(body, false);
    transaction.finish();
    let matches = transaction.matches().iter();
    matches.map(|one| (one.id, one.variable.clone())).collect()
}

/// Any request is looked at without a panic, and the prefilter changes nothing about what is found.
pub fn waf(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(4096)];
    let (&choice, bytes) = bytes.split_first().unwrap_or((&0, &[]));
    let kind = TYPES[usize::from(choice) % TYPES.len()];
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(bytes.len());
    let (target, body) = bytes.split_at(end);
    let body = body.get(1..).unwrap_or_default();
    let filtered = run(&FILTERED, kind, target, body);
    assert_eq!(filtered, run(&UNFILTERED, kind, target, body));
}

/// Any text is rules or is refused, and rules that are accepted run.
pub fn seclang(bytes: &[u8]) {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4096)]);
    let mut loader = Loader::new(&NoFiles);
    loader.add("rules.conf", &text);
    match loader.finish() {
        Ok(rules) => {
            let rules = Arc::new(rules);
            run(&rules, TYPES[3], b"/a?a=b&ab=1", b"a=1&b=%41");
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            assert!(
                problems
                    .iter()
                    .all(|problem| problem.line > 0 && !problem.message.is_empty())
            );
        }
    }
}
