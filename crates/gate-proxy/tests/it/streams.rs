//! Providers that misbehave, in every dialect, heard by callers of every dialect: whatever happens,
//! the caller gets a well-formed end in its own dialect, the record says what it was, and nothing is
//! left behind. Details of single faults are in `misbehaviour`, `failures` and `resuming`.

mod speakers;

use crate::cassettes::Caller;
use crate::misbehaviour::nothing_is_open;
use crate::routing::Rows;
use crate::support::{Gateway, Upstream, eventually, read_request};
use gate_ai::Dialect;
use serde_json::{Value, json};
use speakers::{Heard, Listener, SPEAKERS, Speaker, listeners};
use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What a provider does after the head of its answer.
#[derive(Debug, Clone)]
enum Step {
    /// Sends a chunk.
    Send(Vec<u8>),
    /// Sends bytes that are no chunk.
    Raw(&'static [u8]),
    /// Waits until what was sent has been read.
    Pause,
    /// Ends the body in order.
    End,
    /// Says nothing more until the gateway goes.
    Silence,
    /// Sends this chunk until the gateway goes.
    Forever(Vec<u8>),
}

/// A provider of one dialect that does as it is told; each call has a connection.
struct Scripted {
    upstream: Upstream,
    steps: Arc<Mutex<Vec<Step>>>,
    /// Answers with this instead of a stream: status, header fields, body.
    refusal: Arc<Mutex<Option<(u16, &'static str, String)>>>,
}

impl Scripted {
    fn start(dialect: Dialect) -> Self {
        let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
        let refusal: Arc<Mutex<Option<(u16, &'static str, String)>>> = Arc::default();
        let (play, refuse) = (steps.clone(), refusal.clone());
        let upstream = Upstream::raw(move |mut stream, _| {
            if read_request(&mut stream).0.is_empty() {
                return;
            }
            if let Some((status, headers, body)) = refuse.lock().unwrap().clone() {
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status} No\r\ncontent-type: application/json\r\nconnection: close\r\n\
                     {headers}content-length: {length}\r\n\r\n{body}"
                );
                let _ = stream.write_all(answer.as_bytes());
                return;
            }
            let kind = dialect.stream_content_type();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\
                 transfer-encoding: chunked\r\n\r\n"
            );
            let _ = stream.write_all(head.as_bytes());
            let steps = play.lock().unwrap().clone();
            let _ = steps.iter().try_for_each(|step| perform(&mut stream, step));
        });
        Self {
            upstream,
            steps,
            refusal,
        }
    }

    fn plays(&self, steps: Vec<Step>) {
        *self.steps.lock().unwrap() = steps;
    }
}

fn perform(stream: &mut TcpStream, step: &Step) -> std::io::Result<()> {
    match step {
        Step::Send(bytes) => send(stream, bytes),
        Step::Raw(bytes) => stream.write_all(bytes),
        Step::Pause => {
            std::thread::sleep(Duration::from_millis(50));
            Ok(())
        }
        Step::End => stream.write_all(b"0\r\n\r\n"),
        Step::Silence => stream.read(&mut [0; 1]).map(drop),
        Step::Forever(bytes) => loop {
            send(stream, bytes)?;
            std::thread::sleep(Duration::from_millis(2));
        },
    }
}

fn send(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
    chunk.extend_from_slice(bytes);
    chunk.extend_from_slice(b"\r\n");
    stream.write_all(&chunk)
}

/// A gateway with a model for each dialect, named as it, served by a provider of that dialect.
struct Stage {
    providers: Vec<Scripted>,
    gateway: Gateway,
    rows: Rows,
    /// Calls so far, each of which has a row in the end.
    calls: Cell<usize>,
}

impl Stage {
    /// `settings` are those of each model.
    fn set(settings: &str) -> Self {
        let providers: Vec<Scripted> = SPEAKERS
            .iter()
            .map(|s| Scripted::start(s.dialect))
            .collect();
        let (mut list, mut models, mut names) = (String::new(), String::new(), Vec::new());
        for (speaker, provider) in SPEAKERS.iter().zip(&providers) {
            let name = speaker.dialect.as_str();
            let own = (speaker.settings)(provider.upstream.address);
            list += &format!("  p_{name}: {{ {own} }}\n");
            models += &format!(
                "  {name}: {{ targets: [{{ provider: p_{name}, model: p }}], {settings} }}\n"
            );
            names.push(name);
        }
        let yaml = format!(
            "gateway: {{ workers: 1 }}\nlisteners: {{ main: {{ address: '127.0.0.1:0' }} }}\n\
             providers:\n{list}models:\n{models}\
             routes: {{ ai: {{ target: {{ models: [{}] }} }} }}\n",
            names.join(", ")
        );
        let (gateway, rows) = Rows::of(&yaml);
        Self {
            providers,
            gateway,
            rows,
            calls: Cell::new(0),
        }
    }

    /// Sends the call of one pair.
    fn call(&self, speaker: &Speaker, listener: Listener) -> (Caller, String) {
        let mut caller = Caller::new(&self.gateway);
        let (path, body) = listener.request(speaker.dialect.as_str());
        caller.send(&path, &body);
        self.calls.set(self.calls.get() + 1);
        (caller, path)
    }

    /// Waits until every call has its row; how many there are.
    fn settle(&self) -> usize {
        let calls = self.calls.get();
        eventually("every call has its row", || self.rows.count() == calls);
        calls
    }

    /// Every pair of a provider and a caller; Google's list is asked of others only.
    fn pairs(&self) -> Vec<(&'static Speaker, &Scripted, Listener)> {
        let mut pairs = Vec::new();
        for (speaker, provider) in SPEAKERS.iter().zip(&self.providers) {
            for listener in listeners() {
                if !(listener.as_list && speaker.dialect == listener.dialect) {
                    pairs.push((speaker, provider, listener));
                }
            }
        }
        pairs
    }

    /// One call of each pair whose provider plays `steps`; what each caller heard, and its record.
    fn play(
        &self,
        steps: impl Fn(&Speaker) -> Vec<Step>,
        check: impl Fn(&str, bool, &Heard, &Value),
    ) {
        for (speaker, provider) in SPEAKERS.iter().zip(&self.providers) {
            provider.plays(steps(speaker));
        }
        let pairs = self.pairs();
        let before = self.settle();
        let callers = pairs
            .iter()
            .map(|(speaker, _, listener)| self.call(speaker, *listener));
        let callers: Vec<_> = callers.collect();
        let answers: Vec<_> = callers
            .into_iter()
            .map(|(mut caller, path)| (caller.receive(), path))
            .collect();
        self.settle();
        let rows = self.rows.after(before);
        for ((speaker, _, listener), (answer, path)) in pairs.iter().zip(answers) {
            let name = format!("{} to {path}", speaker.dialect.as_str());
            assert_eq!(answer.status, 200, "{name}: {answer:?}");
            let heard = listener.hear(&answer);
            let is_row = |row: &&Value| {
                row["ai"]["model"] == speaker.dialect.as_str()
                    && row["path"].as_str().is_some_and(|p| path.starts_with(p))
            };
            let matching: Vec<&Value> = rows.iter().filter(is_row).collect();
            let native = speaker.dialect == listener.dialect;
            // Both forms of Google's stream have the same path.
            assert!((1..=2).contains(&matching.len()), "{name}: {matching:?}");
            for row in matching {
                check(&name, native, &heard, row);
            }
        }
        eventually("nothing is open", || nothing_is_open(&self.gateway));
    }
}

/// Asserts that a caller heard what came before the fault, and then of the fault.
fn broke_off(name: &str, heard: &Heard) {
    assert_eq!(heard.text, "one two ", "{name}");
    assert!(heard.error.is_some() && !heard.ended, "{name}: {heard:?}");
}

const PLAIN: &str = "retry: { attempts: 0 }, idle: 300ms";

#[test]
fn whole_streams_are_heard_by_everybody() {
    let stage = Stage::set(PLAIN);
    stage.play(
        |speaker| {
            vec![
                Step::Send([speaker.begun(), speaker.ending()].concat()),
                Step::End,
            ]
        },
        |name, _, heard, row| {
            let expected = Heard {
                text: "one two ".into(),
                ended: true,
                ..Heard::default()
            };
            assert_eq!(*heard, expected, "{name}");
            assert_eq!(row["outcome"], "complete", "{name}: {row}");
            let counts = (&row["ai"]["input_tokens"], &row["ai"]["output_tokens"]);
            assert_eq!(counts, (&json!(3), &json!(2)), "{name}: {row}");
        },
    );
}

#[test]
fn cut_streams_end_with_an_error_in_every_dialect() {
    let stage = Stage::set(PLAIN);
    for inside in [false, true] {
        stage.play(
            |speaker| {
                let mut bytes = speaker.begun();
                let piece = speaker.piece("never whole");
                if inside {
                    bytes.extend_from_slice(&piece[..piece.len() / 2]);
                }
                vec![Step::Send(bytes)]
            },
            |name, _, heard, row| {
                broke_off(name, heard);
                assert_eq!(row["fault"], "upstream_reset", "{name}: {row}");
                assert_ne!(row["outcome"], "complete", "{name}: {row}");
            },
        );
    }
}

/// Every way in which a provider ends its answer in order before it is whole: behind an event, and
/// in the middle of one.
#[test]
fn streams_that_end_in_order_too_early_end_with_an_error_in_every_dialect() {
    let stage = Stage::set(PLAIN);
    for inside in [false, true] {
        stage.play(
            |speaker| {
                let mut bytes = speaker.begun();
                let piece = speaker.piece("never whole");
                if inside {
                    bytes.extend_from_slice(&piece[..piece.len() / 2]);
                }
                vec![Step::Send(bytes), Step::End]
            },
            |name, _, heard, row| {
                broke_off(name, heard);
                assert_eq!(row["fault"], "upstream_reset", "{name}: {row}");
                assert_ne!(row["outcome"], "complete", "{name}: {row}");
            },
        );
    }
}

#[test]
fn a_reason_to_stop_is_an_end_where_vendors_leave_out_the_mark() {
    let stage = Stage::set(PLAIN);
    let (chat, listener) = (&SPEAKERS[0], listeners()[0]);
    let ending = String::from_utf8(chat.ending()).unwrap();
    let unmarked = ending.replace("data: [DONE]\n\n", "");
    assert!(unmarked.len() < ending.len() && listener.dialect == chat.dialect);
    let bytes = [chat.begun(), unmarked.into_bytes()].concat();
    stage.providers[0].plays(vec![Step::Send(bytes), Step::End]);
    let answer = stage.call(chat, listener).0.receive();
    assert!(answer.complete, "{answer:?}");
    let heard = listener.hear(&answer);
    assert_eq!((&*heard.text, heard.error), ("one two ", None));
    stage.settle();
}

#[test]
fn malformed_chunks_end_with_an_error_in_every_dialect() {
    let stage = Stage::set(PLAIN);
    stage.play(
        |speaker| {
            vec![
                Step::Send(speaker.begun()),
                Step::Pause,
                Step::Raw(b"zz\r\nnonsense"),
                Step::Silence,
            ]
        },
        |name, _, heard, row| {
            broke_off(name, heard);
            assert_eq!(row["fault"], "upstream_malformed", "{name}: {row}");
        },
    );
}

/// An event that is framed well and says nothing that could be read.
fn garbage(speaker: &Speaker) -> Vec<u8> {
    match speaker.dialect {
        Dialect::Converse => {
            let mut frame = Vec::new();
            let headers = [
                (":event-type", "contentBlockDelta"),
                (":message-type", "event"),
            ];
            gate_ai::event_stream::write_frame(&mut frame, &headers, b"{\"half\":");
            frame
        }
        _ => b"data: {\"half\":\n\n".to_vec(),
    }
}

#[test]
fn malformed_events_end_a_translated_stream_with_an_error() {
    let stage = Stage::set(PLAIN);
    for (speaker, provider, listener) in stage.pairs() {
        let events = [speaker.begun(), garbage(speaker), speaker.ending()];
        provider.plays(vec![Step::Send(events.concat()), Step::End]);
        let (mut caller, path) = stage.call(speaker, listener);
        let answer = caller.receive();
        let name = format!("{} to {path}", speaker.dialect.as_str());
        if speaker.dialect == listener.dialect {
            // What passes is not read; the caller sees what its provider said.
            assert!(answer.body == events.concat(), "{name}");
            continue;
        }
        broke_off(&name, &listener.hear(&answer));
    }
    eventually("nothing is open", || nothing_is_open(&stage.gateway));
}

#[test]
fn stalled_streams_are_cut_and_counted_in_every_dialect() {
    let stage = Stage::set(PLAIN);
    let began = Instant::now();
    stage.play(
        |speaker| vec![Step::Send(speaker.begun()), Step::Silence],
        |name, _, heard, row| {
            broke_off(name, heard);
            assert_eq!(row["fault"], "upstream_timeout", "{name}: {row}");
            assert_eq!(row["ai"]["detours"]["stalled"], true, "{name}: {row}");
        },
    );
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[test]
fn endless_streams_end_when_their_time_is_over() {
    let stage = Stage::set("retry: { attempts: 0 }, total: 500ms");
    stage.play(
        |speaker| {
            vec![
                Step::Send(speaker.begun()),
                Step::Forever(speaker.piece("x")),
            ]
        },
        |name, _, heard, row| {
            assert!(heard.text.starts_with("one two "), "{name}");
            assert!(heard.error.is_some() && !heard.ended, "{name}: {heard:?}");
            assert_eq!(row["fault"], "upstream_timeout", "{name}: {row}");
        },
    );
}

#[test]
fn errors_inside_a_stream_are_told_and_are_no_success() {
    let stage = Stage::set(PLAIN);
    stage.play(
        |speaker| {
            vec![
                Step::Send([speaker.begun(), speaker.error()].concat()),
                Step::End,
            ]
        },
        |name, native, heard, row| {
            assert_eq!(heard.text, "one two ", "{name}");
            assert!(!heard.ended, "{name}: {heard:?}");
            let error = heard.error.as_deref().unwrap_or_default();
            assert!(error.contains("busy") || !native, "{name}: {heard:?}");
            assert!(!error.is_empty(), "{name}: {heard:?}");
            assert_eq!(
                row["ai"]["detours"]["stream_error"], "overloaded",
                "{name}: {row}"
            );
            assert_eq!(row["fault"], "upstream_overloaded", "{name}: {row}");
        },
    );
}

#[test]
fn errors_before_the_first_token_fall_back_in_every_dialect() {
    let stage = Stage::set(
        "retry: { attempts: 0 }, first_token: 2s, fallback: [{ provider: p_messages, model: q }]",
    );
    let messages = &SPEAKERS[1];
    let whole = vec![
        Step::Send([messages.begun(), messages.ending()].concat()),
        Step::End,
    ];
    for (speaker, provider, listener) in stage.pairs() {
        // The one that everybody falls back to.
        if speaker.dialect == Dialect::Messages || listener.as_list {
            continue;
        }
        stage.providers[1].plays(whole.clone());
        provider.plays(vec![
            Step::Send([speaker.opening(), speaker.error()].concat()),
            Step::End,
        ]);
        let (mut caller, path) = stage.call(speaker, listener);
        let answer = caller.receive();
        let heard = listener.hear(&answer);
        assert_eq!(
            (heard.text.as_str(), heard.ended),
            ("one two ", true),
            "{path}: {answer:?}"
        );
    }
}

#[test]
fn wrong_usage_breaks_nothing_in_any_dialect() {
    let stage = Stage::set(PLAIN);
    for usage in [
        json!("many"),
        json!([1, 2]),
        json!({ "input_tokens": -5, "prompt_tokens": 1.5e99, "promptTokenCount": "7", "inputTokens": null }),
        json!({ "input_tokens": { "input_tokens": 1 }, "outputTokens": [], "candidatesTokenCount": {} }),
    ] {
        stage.play(
            |speaker| {
                let end = speaker.ending_with(&usage);
                vec![Step::Send([speaker.begun(), end].concat()), Step::End]
            },
            |name, _, heard, row| {
                assert_eq!(heard.text, "one two ", "{name}: {usage}");
                assert!(heard.error.is_none(), "{name}: {usage}: {heard:?}");
                assert_eq!(row["outcome"], "complete", "{name}: {usage}: {row}");
            },
        );
    }
}

#[test]
fn a_megabyte_of_arguments_arrives_whole_in_every_dialect() {
    let stage = Stage::set("retry: { attempts: 0 }");
    let argument = "a".repeat(1 << 20);
    stage.play(
        |speaker| {
            let bytes = speaker.calling(&argument);
            let pieces = bytes.chunks(60_013).map(|piece| Step::Send(piece.to_vec()));
            pieces.chain([Step::End]).collect()
        },
        |name, _, heard, row| {
            assert!(heard.error.is_none(), "{name}: {:?}", heard.error);
            assert_eq!(
                heard.arguments,
                argument.len() + r#"{"a":""}"#.len(),
                "{name}"
            );
            assert_eq!(row["outcome"], "complete", "{name}: {row}");
        },
    );
}

#[test]
fn a_storm_of_429_reaches_every_caller_in_its_own_words() {
    let stage = Stage::set("retry: { attempts: 2, backoff: { base: 1ms, most: 5ms } }");
    for (speaker, provider) in SPEAKERS.iter().zip(&stage.providers) {
        *provider.refusal.lock().unwrap() = Some((429, "retry-after: 7\r\n", speaker.limited()));
    }
    let pairs = stage.pairs();
    let each = 8;
    let callers = pairs
        .iter()
        .flat_map(|(speaker, _, listener)| (0..each).map(|_| stage.call(speaker, *listener)));
    let callers: Vec<_> = callers.collect();
    let calls = callers.len();
    for (mut caller, path) in callers {
        let answer = caller.receive();
        assert_eq!(answer.status, 429, "{path}: {answer:?}");
        assert_eq!(answer.header("retry-after"), Some("7"), "{path}");
        let said: Value = serde_json::from_slice(&answer.body).unwrap();
        let is_list_or_object = said["error"]["message"] == "slow" || said["message"] == "slow";
        assert!(is_list_or_object, "{path}: {said}");
    }
    // Whoever says how long to wait, longer than we would, is not asked again meanwhile.
    let accepted: usize = stage.providers.iter().map(|p| p.upstream.accepted()).sum();
    assert_eq!(accepted, calls);
    for provider in &stage.providers {
        *provider.refusal.lock().unwrap() = None;
    }
    stage.play(
        |speaker| {
            vec![
                Step::Send([speaker.begun(), speaker.ending()].concat()),
                Step::End,
            ]
        },
        |name, _, heard, _| assert!(heard.ended, "{name}: nobody is locked out by a storm"),
    );
}

#[test]
fn a_native_list_that_is_cut_is_a_list_all_the_same() {
    let stage = Stage::set(PLAIN);
    let google = &SPEAKERS[3];
    let listener = Listener {
        dialect: Dialect::GenerateContent,
        as_list: true,
    };
    let element = |bytes: Vec<u8>| {
        let text = String::from_utf8(bytes).unwrap();
        text.trim().trim_start_matches("data: ").to_owned()
    };
    let piece = element(google.piece("one "));
    for begun in [
        String::new(),
        format!("[{piece}"),
        format!("[{piece},\r\n{{\"cand"),
    ] {
        stage.providers[3].plays(vec![Step::Send(begun.clone().into_bytes())]);
        if begun.is_empty() {
            continue;
        }
        let answer = stage.call(google, listener).0.receive();
        let heard = listener.hear(&answer);
        assert_eq!(heard.text, "one ", "{answer:?}");
        assert!(heard.error.is_some(), "{answer:?}");
    }
}

/// Set in the process that is measured.
const CHILD: &str = "TIDEGATE_TEST_LEAKS";

fn kibibytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// All faults once, heard by everybody.
fn storm(stage: &Stage) {
    let error = |_: &str, _: bool, heard: &Heard, _: &Value| assert!(!heard.ended);
    stage.play(
        |speaker| {
            let piece = speaker.piece("never whole");
            let half = &piece[..piece.len() / 2];
            vec![Step::Send([&speaker.begun(), half].concat())]
        },
        error,
    );
    stage.play(
        |speaker| vec![Step::Send(speaker.begun()), Step::Raw(b"zz\r\n")],
        error,
    );
    stage.play(
        |speaker| vec![Step::Send(speaker.begun()), Step::Silence],
        error,
    );
    stage.play(
        |speaker| {
            vec![
                Step::Send([speaker.begun(), speaker.error()].concat()),
                Step::End,
            ]
        },
        error,
    );
    // Callers that leave in the middle.
    for (speaker, provider, listener) in stage.pairs() {
        provider.plays(vec![
            Step::Send(speaker.begun()),
            Step::Forever(speaker.piece("x")),
        ]);
        stage.call(speaker, listener).0.first_byte();
    }
    stage.settle();
    eventually("nothing is open", || nothing_is_open(&stage.gateway));
}

/// Not a test by itself: what the other one measures.
#[test]
fn the_measured_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let stage = Stage::set("retry: { attempts: 0 }, idle: 100ms");
    (0..3).for_each(|_| storm(&stage));
    let (memory, files) = (kibibytes(), open_files());
    (0..12).for_each(|_| storm(&stage));
    let grown = kibibytes().saturating_sub(memory);
    assert!(grown < 4 * 1024, "{grown} KiB more after 12 storms");
    assert!(
        open_files() <= files + 2,
        "{} files, before {files}",
        open_files()
    );
    // Every task has ended, or draining would wait for it.
    let began = Instant::now();
    stage.gateway.process.drain(Duration::from_secs(30));
    assert!(began.elapsed() < Duration::from_secs(5), "a task was left");
}

#[test]
fn faults_leak_neither_memory_nor_tasks_nor_connections() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "streams::the_measured_process", "--nocapture"])
        .env(CHILD, "1")
        // One heap, so that what is measured is not how threads share theirs.
        .env("MALLOC_ARENA_MAX", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
