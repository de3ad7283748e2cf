//! What everybody is told of a job: that it is done, as a CloudEvent in the journal.

use gate_kit::clock::Clock;
use gate_model::units::Timestamp;
use gate_ops::job::Progress;
use gate_store::journal::NewEvent;
use serde_json::json;

/// The event's type, and the version of its data.
const KIND: &str = "tidegate.job.done";
const SCHEMA: &str = "urn:tidegate:event:tidegate.job.done:1";

/// The end of a job. Its source and id are the same whichever gateway tells of it.
pub(super) fn done(
    environment: &str,
    (job, queue): (&str, &str),
    items: u32,
    progress: &Progress,
) -> NewEvent {
    let source = format!("urn:tidegate:jobs/{}", encoded(environment));
    let event = json!({
        "specversion": "1.0",
        "id": job,
        "source": source,
        "type": KIND,
        "subject": job,
        "time": Timestamp::from_unix_s(Clock::System.unix().as_secs()).to_string(),
        "datacontenttype": "application/json",
        "dataschema": SCHEMA,
        "data": {
            "job": job,
            "queue": queue,
            "state": progress.state.as_str(),
            "items": items,
            "failed": progress.failed,
        },
    });
    NewEvent {
        key: format!("{source} {job}").into(),
        kind: KIND.into(),
        consumer: "".into(),
        payload: event.to_string().into_bytes().into(),
    }
}

/// A name without what a URI may not have.
fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let mut text = String::new();
    for byte in name.bytes() {
        match plain(byte) {
            true => text.push(char::from(byte)),
            false => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_ops::event::cloud::{Limits, read_structured};

    #[test]
    fn the_end_of_a_job_is_a_cloud_event() {
        let progress = Progress {
            failed: 2,
            ..Progress::default()
        };
        let event = done("our site", ("job-1", "night"), 7, &progress);
        let read = read_structured(&event.payload, &Limits::default()).unwrap();
        assert_eq!(read.source, "urn:tidegate:jobs/our%20site");
        assert_eq!((&*read.id, &*read.kind), ("job-1", KIND));
        assert_eq!(&*event.key, "urn:tidegate:jobs/our%20site job-1");
    }
}
