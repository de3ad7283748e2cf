//! examples/upload-to-gallery as its README tells it: curl uploads, an event starts jobs, the page is there,
//! and the picture is drawn again from the lake and the journal.

mod timeline;

use crate::examples::folder;
use crate::support::gateway::command;
use crate::support::{Answer, Gateway, Running, curl, eventually_within};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;
use timeline::{Dot, Span};

/// What is waited for at most.
const LONG: Duration = Duration::from_secs(60);
/// The key of who uploads.
const CAMERA: &str = "authorization: Bearer tg_camera";
/// Redraws the picture that the README shows.
const DRAW: &str = "TIDEGATE_DRAW";

fn here() -> PathBuf {
    folder().join("upload-to-gallery")
}

struct Example {
    gateway: Gateway,
    samples: Running,
}

impl Example {
    /// The samples, and the example's file with other addresses.
    fn start() -> Self {
        let samples = Running::start(&mut command(&["demo", "--samples", "0"]));
        let address = |name: &str| {
            let line = samples.line_with(&format!("{name} "));
            let line = line.split("http://").nth(1).unwrap_or_default().to_owned();
            line.split(' ').next().unwrap_or_default().to_owned()
        };
        let text = std::fs::read_to_string(here().join("gate.yaml")).unwrap();
        let text = text
            .replace("\"127.0.0.1:8080\"", "\"127.0.0.1:0\"")
            .replace("\"127.0.0.1:9090\"", "\"127.0.0.1:0\"")
            .replace("127.0.0.1:9101", &address("model"))
            .replace("127.0.0.1:9102", &address("studio"));
        let home = Arc::new(tempfile::tempdir().unwrap());
        std::fs::write(home.path().join("gate.yaml"), text).unwrap();
        std::fs::copy(here().join("sample.key"), home.path().join("sample.key")).unwrap();
        let gateway = Gateway::run_in(home, &[], &[]);
        // Subscribers begin with what comes once they are there.
        eventually_within(LONG, "subscribers are there", || {
            let page = gateway.metrics();
            page.contains("tidegate_subscriber_lag{subscriber=\"validate\"}")
        });
        Self { gateway, samples }
    }

    /// Uploads a file as `curl -T` does.
    fn upload(&self, upload: &str, file: &str) -> Answer {
        let path = here().join("pictures").join(file).display().to_string();
        let url = self.gateway.url(&format!("/uploads/{upload}/{file}"));
        curl(&["-T", &path, "-H", CAMERA, &url])
    }

    /// Says that an upload is finished, as the README does.
    fn finish(&self, id: &str, data: &Value) -> Answer {
        let id = format!("ce-id: {id}");
        let data = data.to_string();
        let fields = [
            CAMERA,
            "ce-specversion: 1.0",
            "ce-source: /camera",
            "ce-type: com.example.upload.finished",
            "content-type: application/json",
            &id,
        ];
        let mut arguments = vec!["-d", &*data];
        arguments.extend(fields.iter().flat_map(|field| ["-H", field]));
        let url = self.gateway.url("/events");
        arguments.push(&url);
        curl(&arguments)
    }

    /// The gallery's page, once it says this.
    #[track_caller]
    fn page(&self, upload: &str, says: &str) -> String {
        let mut page = String::new();
        eventually_within(LONG, &format!("the page says {says:?}"), || {
            page = self.gateway.curl(&format!("/galleries/{upload}"), &[]).body;
            page.contains(says)
        });
        page
    }

    fn ask(&self, arguments: &[&str]) -> Output {
        let mut command = command(arguments);
        let server = format!("http://{}", self.gateway.address("admin"));
        command.env("TIDEGATE_SERVER", server);
        let output = command.output().expect("the binary runs");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Requests as the lake has them, in their order.
    fn spans(&self) -> Vec<Span> {
        let sql = "SELECT route, method, request_id, status, time, time + duration_us FROM records \
                   WHERE route IS NOT NULL ORDER BY time";
        let output = self.ask(&["query", "--format", "json", sql]);
        let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let rows = answer["rows"].as_array().expect("rows").iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        rows.map(|row| Span {
            route: text(&row[0]),
            method: text(&row[1]),
            item: row[2].as_str().and_then(item),
            status: row[3].as_u64().unwrap_or_default(),
            from_us: row[4].as_i64().unwrap_or_default(),
            until_us: row[5].as_i64().unwrap_or_default(),
        })
        .collect()
    }

    /// Events of uploads and jobs as the journal has them.
    fn dots(&self) -> Vec<Dot> {
        let output = self.ask(&["events", "list"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let events = text
            .lines()
            .map(|line| -> Value { serde_json::from_str(line).expect("JSON") });
        let told = events.filter_map(|event| {
            let label = match event["kind"].as_str()? {
                "com.example.upload.finished" => "upload.finished".to_owned(),
                "tidegate.job.done" => {
                    let data = &event["event"]["data"];
                    format!(
                        "job.done: {} {}",
                        data["queue"].as_str()?,
                        data["state"].as_str()?
                    )
                }
                _ => return None,
            };
            let at: jiff::Timestamp = event["at"].as_str()?.parse().expect("a time");
            Some(Dot {
                place: event["place"].as_u64()?,
                label,
                at_us: at.as_microsecond(),
            })
        });
        told.collect()
    }
}

/// The job and the item of a request of a job: `job/JOB/ITEM`.
fn item(request: &str) -> Option<(String, u32)> {
    let mut steps = request.strip_prefix("job/")?.split('/');
    let job = steps.next()?.to_owned();
    let number = steps.next()?.split('+').next()?;
    Some((job, number.parse().ok()?))
}

#[test]
fn an_upload_becomes_a_gallery_and_a_picture_of_how() {
    let mut example = Example::start();
    let parts = ["dawn.png", "noon.png", "dusk.png"];
    // The door: no key, no picture; what does not look like the event is refused.
    let url = example.gateway.url("/uploads/holiday/dawn.png");
    curl(&["-X", "PUT", "-d", "x", &url]).expect(401);
    let wrong = json!({ "upload": "../holiday", "parts": [] });
    let refused = example.finish("0", &wrong).expect(400);
    assert_eq!(refused.json()["code"], "event_invalid");
    // Nobody who may upload may call what jobs call.
    let model = example.gateway.url("/v1/chat/completions");
    curl(&["-d", "{}", "-H", CAMERA, &model]).expect(403);
    // The run.
    for part in parts {
        example.upload("holiday", part).expect(201);
    }
    let data = json!({ "upload": "holiday", "parts": parts });
    let first = example.finish("1", &data).expect(202).json();
    // Whoever is not sure publishes again: it is the same event.
    assert_eq!(example.finish("1", &data).expect(202).json(), first);
    let page = example.page("holiday", "figcaption");
    let captions: Vec<&str> = page.split("<figcaption>").skip(1).collect();
    assert_eq!(captions.len(), 3, "{page}");
    for (part, caption) in parts.iter().zip(&captions) {
        let said = format!("You said: Describe {part} in one sentence. (with 1 image)");
        assert!(caption.contains(&said), "{part}: {page}");
    }
    let picture = example.gateway.curl("/uploads/holiday/noon.png", &[]);
    assert_eq!(
        picture.expect(200).header("content-type"),
        Some("image/png")
    );
    drawn(&example);
    // Another upload has something else in it.
    example.upload("notes", "dawn.png").expect(201);
    example.upload("notes", "note.txt").expect(201);
    let data = json!({ "upload": "notes", "parts": ["dawn.png", "note.txt"] });
    example.finish("2", &data).expect(202);
    example.page("notes", "Refused");
    // Whose it was, and what it cost: three captions, each once.
    let spent = "SELECT consumer, team, count(*), sum(output_tokens) FROM records WHERE route = 'captions' \
                 AND status = 200 GROUP BY consumer, team";
    let output = example.ask(&["query", "--format", "csv", spent]);
    let spent = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(spent.contains("gallery,pictures,3,"), "{spent}");
    example.samples.signal(Signal::TERM);
    example.samples.ended();
}

/// Draws the run again, and holds it against the picture that the README shows.
fn drawn(example: &Example) {
    let wanted = [
        "uploads", "events", "checks", "captions", "publish", "gallery",
    ];
    let (mut spans, mut dots) = (Vec::new(), Vec::new());
    eventually_within(LONG, "the lake and the journal have the run", || {
        (spans, dots) = (example.spans(), example.dots());
        let is_there = |route: &&str| spans.iter().any(|span| span.route == **route);
        wanted.iter().all(is_there) && dots.len() == 4
    });
    // What the picture is about: not what was refused or asked twice, and of the looks the last one.
    spans.retain(|span| span.status < 300 && span.route != "pictures");
    let last = |route: &str| spans.iter().rposition(|span| span.route == route);
    let (look, again) = (last("gallery"), last("events"));
    let mut place = 0;
    spans.retain(|span| {
        place += 1;
        let index = Some(place - 1);
        index != again && (span.route != "gallery" || index == look)
    });
    let picture = timeline::draw(&spans, &dots);
    let place = here().join("timeline.svg");
    if std::env::var_os(DRAW).is_some() {
        std::fs::write(&place, &picture).unwrap();
    }
    let committed = std::fs::read_to_string(&place).unwrap();
    assert_eq!(
        timeline::shown(&picture),
        timeline::shown(&committed),
        "draw it again with {DRAW}=1"
    );
    // Each step began once the one before it had ended, and not before it was told.
    let order = ["uploads", "events", "checks", "captions", "publish"];
    let spans_of = |route: &str| -> Vec<&Span> {
        let all = spans.iter().filter(|span| span.route == route);
        all.collect()
    };
    for two in order.windows(2).skip(1) {
        let told = spans_of(two[0]).iter().map(|span| span.from_us).max();
        let began = spans_of(two[1]).iter().map(|span| span.from_us).min();
        assert!(began > told, "{two:?}: {spans:?}");
    }
    let items: Vec<u32> = spans_of("captions")
        .iter()
        .filter_map(|span| Some(span.item.as_ref()?.1))
        .collect();
    assert_eq!(items.iter().sum::<u32>(), 3, "{items:?}");
}
