//! What is wrong with a subscriber's expressions.

use super::job::job_problems;
use super::{Filter, Shape, Template};
use gate_model::document::Path;
use gate_model::resources::{Subscriber, SubscriberProblem, SubscriberTarget};

/// What is wrong with the filter, the transformation and the templates of a subscriber.
#[must_use]
pub fn problems(subscriber: &Subscriber) -> Vec<SubscriberProblem> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, (path, problem): (Path, String)| {
        let below = path.segments().iter();
        let path = below.fold(Path::root().key(field), |mut path, segment| {
            path.push(segment.clone());
            path
        });
        problems.push((path, problem));
    };
    if let Err(error) = Filter::read(subscriber.filter.as_ref()) {
        wrong("filter", error);
    }
    if let Err(error) = Shape::read(subscriber.transform.as_ref()) {
        wrong("transform", error);
    }
    let template = match &subscriber.target {
        SubscriberTarget::Email(email) => Some(("email", &email.subject)),
        SubscriberTarget::Nats(nats) => Some(("nats", &nats.subject)),
        _ => None,
    };
    if let Some((kind, text)) = template
        && let Err(problem) = Template::read(text)
    {
        wrong("target", (Path::root().key(kind).key("subject"), problem));
    }
    if let SubscriberTarget::Job(job) = &subscriber.target {
        for (path, problem) in job_problems(job) {
            wrong("target", (path, problem));
        }
    }
    problems
}
