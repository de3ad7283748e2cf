//! Subscribers: whether what they ask for can be read, and whether their targets can be spoken to.
//!
//! Nothing here is on the path of a request; the control side reads the same resources and delivers.

use super::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{JobTarget, SUBSCRIBERS_MAX, SubscriberTarget};

/// The queue that is there without being configured.
const QUEUE: &str = "default";

impl Work<'_> {
    /// Checks every subscriber.
    pub(super) fn subscribers(&mut self) {
        let resources = self.resources;
        let all = Path::root().key("subscribers");
        if resources.subscribers.len() > SUBSCRIBERS_MAX {
            let message = format!("there are at most {SUBSCRIBERS_MAX} subscribers");
            self.report(Finding::error("too_many", all, message));
            return;
        }
        if !resources.subscribers.is_empty() && resources.gateway.store.is_none() {
            let message = "subscribers need `gateway.store`, where events and positions are kept";
            self.report(Finding::error("missing_store", all.clone(), message));
        }
        for (name, subscriber) in &resources.subscribers {
            let path = all.key(name);
            let unsound = (self.compiler.registry.subscriber)(subscriber);
            for (below, problem) in subscriber.problems().into_iter().chain(unsound) {
                let at = below.segments().iter().fold(path.clone(), |mut at, step| {
                    at.push(step.clone());
                    at
                });
                self.report(Finding::error("invalid_subscriber", at, problem));
            }
            let target = path.key("target").key(subscriber.target.as_str());
            let below =
                |fields: &[&str]| fields.iter().fold(target.clone(), |at, one| at.key(*one));
            for (fields, place) in subscriber.target.secrets() {
                self.told(place, below(fields));
            }
            if let Some((fields, file)) = subscriber.target.authorities() {
                self.trusted(Some(file), &below(fields));
            }
            match &subscriber.target {
                SubscriberTarget::Route(route) => {
                    self.called(&target, &route.listener, route.consumer.as_ref());
                }
                SubscriberTarget::Job(job) => {
                    self.called(&target, &job.listener, job.consumer.as_ref());
                    self.queued(&target, job);
                }
                _ => {}
            }
        }
    }

    /// Whether what calls routes of this gateway names a listener and a consumer that are there.
    fn called(&mut self, target: &Path, listener: &str, consumer: Option<&String>) {
        let resources = self.resources;
        if !resources.listeners.contains_key(listener) {
            let known = resources.listeners.keys();
            self.unknown(target.key("listener"), "listener", listener, known);
        }
        if let Some(consumer) = consumer
            && !resources.consumers.contains_key(consumer)
        {
            let known = resources.consumers.keys();
            self.unknown(target.key("consumer"), "consumer", consumer, known);
        }
    }

    /// Whether the queue of a job is there.
    fn queued(&mut self, target: &Path, job: &JobTarget) {
        let resources = self.resources;
        if job.queue != QUEUE && !resources.queues.contains_key(&job.queue) {
            let known = resources.queues.keys();
            self.unknown(target.key("queue"), "queue", &job.queue, known);
        }
    }
}
