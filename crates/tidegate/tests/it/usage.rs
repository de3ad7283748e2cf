//! Whom and what spend is attributed to: through the program, under load, over a reload and a kill, and
//! held against the entries of the ledger that the journal carries.

use crate::support::{Gateway, Reply, Upstream, eventually, tidegate};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const CALLERS: usize = 6;
const CALLS: usize = 30;

/// Every column of `tidegate usage`, and where the journal has it in an entry.
const COLUMNS: [(&str, &str); 9] = [
    ("team", "/team"),
    ("consumer", "consumer"),
    ("key", "consumer/key_id"),
    ("model", "/model"),
    ("provider", "/provider"),
    ("provider_model", "provider/provider_model"),
    ("route", "/route"),
    ("tag", "/tag"),
    ("revision", "/revision"),
];

/// What was used under one name: calls and millionths of a millionth of a dollar.
type Sums = BTreeMap<String, (u64, i128)>;

/// A provider whose every answer costs something else.
fn provider() -> Upstream {
    let calls = AtomicU64::new(0);
    Upstream::start(move |_| {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let (input, output) = (number % 97 + 1, number % 41 + 1);
        Reply::text(format!(
            "{{\"id\":\"c\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\",\"choices\":[{{\
             \"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"hi\"}},\
             \"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":{input},\
             \"completion_tokens\":{output},\"total_tokens\":{}}}}}",
            input + output
        ))
        .header("content-type", "application/json")
    })
}

fn configuration(provider: &Upstream) -> String {
    // Of `one`, `two` and `three`.
    let keys = [
        "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed",
        "3fc4ccfe745870e2c0d99f71f30ff0656c8dedd41cc1d7d3d376b0dbe685e2f3",
        "8b5b9db0c13db24256c829aa364aa90c6d2eba318b9232a4ab9313b954d3555f",
    ];
    format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }}, store: {{ engine: {{ sqlite: {{ path: state.db }} }}, tag_header: x-tag }} }}\n\
         listeners: {{ public: {{ address: \"127.0.0.1:0\" }} }}\n\
         providers: {{ p: {{ openai: {{ base_url: \"http://{}/v1\", credentials: [{{ env: KEY }}] }} }} }}\n\
         models:\n\
         \x20 small: {{ targets: [{{ provider: p, model: gpt-4o-mini }}] }}\n\
         \x20 large: {{ targets: [{{ provider: p, model: gpt-4o }}] }}\n\
         consumers:\n\
         \x20 ada: {{ team: north, keys: [{{ id: a, sha256: \"{}\" }}, {{ id: b, sha256: \"{}\" }}] }}\n\
         \x20 bob: {{ team: south, keys: [{{ id: c, sha256: \"{}\" }}] }}\n\
         budgets: {{ month: {{ of: {{ team: north }}, limit: {{ usd: 500 }}, per: month }} }}\n\
         routes:\n\
         \x20 first: {{ match: {{ host: first.test }}, policies: [{{ auth_key: {{}} }}], target: {{ models: [small, large] }} }}\n\
         \x20 second: {{ match: {{ host: second.test }}, policies: [{{ auth_key: {{}} }}], target: {{ models: [small, large] }} }}\n",
        provider.address, keys[0], keys[1], keys[2]
    )
}

/// One call on a connection; false when the gateway is gone.
fn call(stream: &mut TcpStream, number: usize) -> bool {
    let key = ["one", "two", "three"][number % 3];
    let host = ["first", "second"][number / 3 % 2];
    let model = ["small", "large"][number / 6 % 2];
    let tag = match number / 12 % 4 {
        0 => String::new(),
        tag => format!("x-tag: job-{tag}\r\n"),
    };
    let body = format!(
        "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}"
    );
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}.test\r\nauthorization: Bearer {key}\r\n\
         {tag}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    if stream.write_all(request.as_bytes()).is_err() {
        return false;
    }
    let (mut answer, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(read) => answer.extend_from_slice(&piece[..read]),
        }
        let text = String::from_utf8_lossy(&answer);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.trim().parse::<usize>().ok())?
        });
        if rest.len() >= length.expect("the length of the answer") {
            return true;
        }
    }
}

/// Calls from several connections at once; `heard` counts those that were answered.
fn load(gateway: &Gateway, heard: &Arc<AtomicU64>) -> Vec<std::thread::JoinHandle<()>> {
    let caller = |first: usize| {
        let (address, heard) = (gateway.address("public").to_owned(), heard.clone());
        std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            for number in 0..CALLS {
                if !call(&mut stream, first * 7 + number) {
                    return;
                }
                heard.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    (0..CALLERS).map(caller).collect()
}

fn picodollars(text: &str) -> i128 {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    format!("{whole}{part:0<12}").parse().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = tidegate(arguments);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the command says of a column.
fn told(file: &str, column: &str) -> Sums {
    let by = column.replace('_', "-");
    let text = printed(&["usage", file, "--by", &by, "--json"]);
    let row = |line| {
        let row: Value = serde_json::from_str(line).unwrap();
        let name = row[column].as_str().unwrap().to_owned();
        let cost = picodollars(row["cost_usd"].as_str().unwrap());
        (name, (row["calls"].as_u64().unwrap(), cost))
    };
    text.lines().map(row).collect()
}

/// What the admin API says of a column.
fn shown(gateway: &Gateway, column: &str) -> Sums {
    let url = format!(
        "http://{}/api/v1/usage?by={column}&limit=1000",
        gateway.address("admin")
    );
    let page = crate::support::curl(&[&url]).expect(200).json();
    let row = |row: &Value| {
        let name = match &row[column] {
            Value::String(name) => name.clone(),
            // As the command says it.
            Value::Null if column == "key" => "/".to_owned(),
            Value::Null if column == "revision" => "0".to_owned(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let cost = picodollars(row["cost"].as_str().unwrap());
        (name, (row["calls"].as_u64().unwrap(), cost))
    };
    page["items"].as_array().unwrap().iter().map(row).collect()
}

/// The same of a column of the command, where the API has it: its `model` is the provider's, without
/// its provider.
fn shown_as(gateway: &Gateway, column: &str) -> Option<Sums> {
    match column {
        "provider_model" => None,
        "model" => Some(shown(gateway, "asked")),
        column => Some(shown(gateway, column)),
    }
}

/// Every entry of the ledger, as the journal carries it, with its consumer; what was charged for a call
/// of a dead gateway counts unless the call was settled or taken back later.
fn entries(file: &str) -> Vec<Value> {
    let (mut entries, mut place) = (Vec::new(), "0".to_owned());
    loop {
        let text = printed(&[
            "journal", "show", file, "--behind", &place, "--limit", "1000", "--json",
        ]);
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        let Some(last) = events.last() else {
            break;
        };
        place = last["place"].to_string();
        for event in events.iter().filter(|event| event["kind"] == "ledger") {
            for entry in event["payload"].as_array().unwrap() {
                let mut entry = entry.clone();
                entry["consumer"] = event["consumer"].clone();
                entries.push(entry);
            }
        }
    }
    let later: Vec<Value> = entries
        .iter()
        .filter(|entry| entry["kind"] != "unsettled")
        .map(|entry| entry["exchange"].clone())
        .collect();
    entries.retain(|entry| {
        entry["kind"] == "settle"
            || entry["kind"] == "unsettled" && !later.contains(&entry["exchange"])
    });
    entries
}

/// The sums of entries over a column.
fn sums(entries: &[Value], place: &str) -> Sums {
    let mut sums = Sums::new();
    for entry in entries {
        let text = |name: &str| match &entry[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let name = match place.strip_prefix('/') {
            Some(one) => text(one),
            None => place.split('/').map(text).collect::<Vec<_>>().join("/"),
        };
        let sum = sums.entry(name).or_default();
        sum.0 += entry["calls"].as_u64().unwrap();
        sum.1 += i128::from(entry["cost"].as_i64().unwrap_or(0));
    }
    sums
}

#[test]
fn every_column_of_usage_sums_up_to_the_ledger() {
    let provider = provider();
    let secrets = [("KEY", "sk")];
    let gateway = Gateway::run(&configuration(&provider), &[], &secrets);
    let (folder, file) = (gateway.folder.clone(), gateway.file().display().to_string());
    let heard = Arc::new(AtomicU64::new(0));
    let whole = |gateway: &Gateway| {
        load(gateway, &heard)
            .into_iter()
            .for_each(|one| one.join().unwrap());
    };
    whole(&gateway);
    // Another revision serves the same callers.
    gateway.rewrite(|text| {
        text + "  third: { match: { host: third.test }, target: { models: [small] } }\n"
    });
    let url = format!("http://{}/metrics", gateway.address("admin"));
    eventually("the second revision is in force", || {
        let text = crate::support::curl(&[&url]).body;
        text.lines()
            .any(|line| line.starts_with("tidegate_config_revision") && line.ends_with(" 2"))
    });
    whole(&gateway);
    let answered = heard.load(Ordering::Relaxed);
    assert_eq!(answered, (2 * CALLERS * CALLS) as u64);
    let all = |file: &str| -> u64 { told(file, "team").values().map(|sum| sum.0).sum() };
    eventually("all calls are in the ledger", || all(&file) == answered);
    let revisions = told(&file, "revision");
    assert_eq!(revisions.len(), 2, "{revisions:?}");
    assert!(revisions["1"].0 == answered / 2 && revisions["2"].0 == answered / 2);
    // It is killed in the midst of its work; the next one finds what it left.
    let callers = load(&gateway, &heard);
    eventually("some calls are answered", || {
        heard.load(Ordering::Relaxed) > answered + 20
    });
    gateway.process.signal(rustix::process::Signal::KILL);
    callers.into_iter().for_each(|one| one.join().unwrap());
    drop(gateway);
    let heir = Gateway::run_in(folder, &[], &secrets);
    whole(&heir);
    let after = (CALLERS * CALLS) as u64;
    eventually("what came after the kill is in the ledger", || {
        told(&file, "revision")["1"].0 >= answered / 2 + after
    });
    // What the dead gateway had reserved is charged within seconds: a look counts during which nothing
    // was added.
    let (mut entries, mut looks) = (Vec::new(), Vec::new());
    eventually("a look in which nothing is added", || {
        entries = self::entries(&file);
        let look = |(column, _): &(&str, &str)| (told(&file, column), shown_as(&heir, column));
        looks = COLUMNS.iter().map(look).collect();
        self::entries(&file) == entries
    });
    let total = sums(&entries, "/kind")
        .values()
        .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    assert!(total.0 > answered + after && total.1 > 0, "{total:?}");
    for ((column, place), (of, shown)) in COLUMNS.iter().zip(looks) {
        assert_eq!(of, sums(&entries, place), "{column}");
        let sum = of
            .values()
            .fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(sum, total, "{column}");
        if let Some(shown) = shown {
            assert_eq!(shown, of, "{column}");
        }
    }
    let tags = told(&file, "tag");
    let names: Vec<&str> = tags.keys().map(String::as_str).collect();
    assert_eq!(names, ["", "job-1", "job-2", "job-3"]);
    // Two columns at once are no other sum.
    let pairs = printed(&["usage", &file, "--by", "tag,revision", "--json"]);
    let pairs = pairs
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let sum: i128 = pairs
        .map(|row: Value| picodollars(row["cost_usd"].as_str().unwrap()))
        .sum();
    assert_eq!(sum, total.1);
}
