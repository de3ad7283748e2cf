//! What everybody is told of a job: that it is done, as a CloudEvent in the journal.

use crate::events::entry;
use gate_kit::clock::Clock;
use gate_ops::event::own::{self, JobDone};
use gate_ops::job::Progress;
use gate_store::journal::NewEvent;

/// The end of a job, of which environment, id, name and queue are given. Its source and id are the same
/// whichever gateway tells of it. The name is the owner's own words, so the event is forgotten with it.
pub(super) fn done(
    [environment, job, name, queue]: [&str; 4],
    owner: Option<&str>,
    items: u32,
    progress: &Progress,
) -> NewEvent {
    let data = JobDone {
        job: job.to_owned(),
        name: name.to_owned(),
        queue: queue.to_owned(),
        state: progress.state.as_str().to_owned(),
        items: u64::from(items),
        failed: progress.failed.into(),
    };
    let at_ms = i64::try_from(Clock::System.unix().as_millis()).unwrap_or(i64::MAX);
    let source = format!("jobs/{environment}");
    NewEvent {
        consumer: owner.unwrap_or_default().into(),
        ..entry(&own::event(&source, job, job, at_ms, &data), environment)
    }
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
        let event = done(
            ["our site", "job-1", "parts", "night"],
            Some("ada"),
            7,
            &progress,
        );
        assert_eq!(&*event.consumer, "ada");
        let read = read_structured(&event.payload, &Limits::default()).unwrap();
        assert_eq!(read.source, "urn:tidegate:jobs/our%20site");
        assert_eq!((&*read.id, &*read.kind), ("job-1", "tidegate.job.done"));
        assert_eq!(&*event.key, "our site\turn:tidegate:jobs/our%20site job-1");
    }
}
