//! Our CloudEvents against the Python SDK's: it reads what we write, in binary and structured mode,
//! writes each again in both, and we read that. Where pip cannot install it, the test says `skipped`.
//! The SDK knows no batches; an element of one is an event in structured mode.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_ops::event::cloud::{
    CloudEvent, Data, Extension, Limits, Mode, STRUCTURED, read_batch, read_binary,
    read_structured, write_batch, write_binary, write_structured,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The SDK at the version that the test was written with.
const PACKAGE: &str = "cloudevents==2.2.0";

fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloud-events");
    let (python, installed) = (folder.join("bin/python"), folder.join("installed"));
    if std::fs::read_to_string(&installed).is_ok_and(|found| found == PACKAGE) {
        return Some(python);
    }
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .output();
    let pip = [
        "-m",
        "pip",
        "install",
        "--no-compile",
        "--quiet",
        "--disable-pip-version-check",
        PACKAGE,
    ];
    let done = made.is_ok_and(|output| output.status.success())
        && Command::new(&python)
            .args(pip)
            .output()
            .is_ok_and(|output| output.status.success());
    if !done {
        println!("skipped: pip cannot install {PACKAGE} here");
        return None;
    }
    std::fs::write(installed, PACKAGE).unwrap();
    Some(python)
}

fn events() -> Vec<CloudEvent> {
    let plain = CloudEvent {
        id: "1".into(),
        source: "//shop.example/orders".into(),
        kind: "com.example.made".into(),
        // The SDK gives the time of its own clock to an event that has none.
        time: Some("2026-11-22T11:00:00+01:00".into()),
        ..CloudEvent::default()
    };
    let content_type = |media: &str| Some(media.to_owned());
    vec![
        CloudEvent {
            id: "a b \"c\" 100% é €".into(),
            subject: Some("orders/5?x=%20".into()),
            time: Some("2026-11-22T10:00:00.123Z".into()),
            content_type: content_type("application/json"),
            schema: Some("https://shop.example/schema#1".into()),
            extensions: vec![("partitionkey".into(), Extension::Text("é, k".into()))],
            data: Data::Json(r#"{"n":1.5,"list":[1,"é",null]}"#.into()),
            ..plain.clone()
        },
        CloudEvent {
            content_type: content_type("application/vnd.example+json"),
            data: Data::Json("[1,2]".into()),
            ..plain.clone()
        },
        CloudEvent {
            content_type: content_type("text/plain"),
            data: Data::Bytes("plain é".into()),
            ..plain.clone()
        },
        CloudEvent {
            content_type: content_type("application/octet-stream"),
            data: Data::Bytes(vec![0, 255, 7]),
            ..plain
        },
    ]
}

fn given(event: &CloudEvent, mode: Mode) -> Value {
    let (headers, body) = match mode {
        Mode::Binary => {
            let (fields, body) = write_binary(event);
            (
                json!(
                    fields
                        .into_iter()
                        .collect::<std::collections::BTreeMap<_, _>>()
                ),
                body.to_vec(),
            )
        }
        _ => {
            let mut body = Vec::new();
            write_structured(event, &mut body);
            (json!({"content-type": STRUCTURED}), body)
        }
    };
    json!({"headers": headers, "body": STANDARD.encode(body)})
}

fn read(message: &Value) -> CloudEvent {
    let headers = message["headers"].as_object().unwrap();
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_str().unwrap().as_bytes()));
    let body = STANDARD.decode(message["body"].as_str().unwrap()).unwrap();
    let content_type = headers.get("content-type").and_then(Value::as_str);
    let limits = Limits::default();
    match Mode::of(content_type).unwrap() {
        Mode::Binary => read_binary(fields, &body, &limits),
        Mode::Structured => read_structured(&body, &limits),
        Mode::Batch => panic!("the SDK knows no batches"),
    }
    .unwrap()
}

/// What an event says, whatever the spelling of its time and its JSON.
fn meaning(event: &CloudEvent) -> Value {
    let mut all: Vec<(String, String)> = event
        .attributes()
        .map(|(name, value)| match name {
            "time" => {
                let time: jiff::Timestamp = value.text().parse().unwrap();
                (name.to_owned(), time.to_string())
            }
            name => (name.to_owned(), value.text()),
        })
        .collect();
    all.sort();
    let data = match &event.data {
        Data::None => Value::Null,
        Data::Json(text) => serde_json::from_str(text).unwrap(),
        Data::Bytes(bytes) => json!(bytes),
    };
    json!([all, data])
}

#[test]
fn the_sdk_reads_what_we_write_and_we_what_it_writes() {
    let Some(python) = python() else {
        return;
    };
    let events = events();
    let batch = read_batch(&write_batch(&events), &Limits::default()).unwrap();
    assert_eq!(batch, events);
    let modes = [Mode::Binary, Mode::Structured];
    let pairs: Vec<(&CloudEvent, Mode)> = events
        .iter()
        .flat_map(|event| modes.map(|mode| (event, mode)))
        .collect();
    let job: Vec<Value> = pairs
        .iter()
        .map(|(event, mode)| given(event, *mode))
        .collect();
    let file =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("events-{}", std::process::id()));
    std::fs::write(&file, json!(job).to_string()).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cloud_events.py");
    let output = Command::new(python)
        .arg(script)
        .arg(&file)
        .output()
        .unwrap();
    std::fs::remove_file(file).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said.len(), pairs.len());
    for ((event, mode), said) in pairs.iter().zip(&said) {
        assert_eq!(said["id"], event.id, "{mode:?}");
        assert_eq!(said["source"], event.source);
        assert_eq!(said["type"], event.kind);
        assert_eq!(said["subject"].as_str(), event.subject.as_deref());
        let key = event.extensions.first().map(|(_, value)| value.text());
        assert_eq!(said["extension"].as_str(), key.as_deref());
        for written in ["binary", "structured"] {
            let read = read(&said[written]);
            assert_eq!(meaning(&read), meaning(event), "{mode:?} as {written}");
        }
    }
    println!("{} messages read and written again twice", said.len());
}
