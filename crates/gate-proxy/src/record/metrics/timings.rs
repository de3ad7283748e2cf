//! Histograms of durations for whoever exports them by another way than the metrics page.

use super::render_models::ai_labels;
use super::series::Shard;
use super::table::NONE;
use gate_kit::durations::Durations;

/// A histogram with its name, as OpenTelemetry's conventions have it, and its attributes.
#[derive(Debug, Clone, PartialEq)]
pub struct Timing {
    /// The metric.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// What it is about.
    pub attributes: Vec<(&'static str, String)>,
    /// The durations.
    pub durations: Durations,
}

/// What durations are of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Requests of a route, from head to end; of all routes without one.
    Route(Option<String>),
    /// First tokens of a model by the name that callers ask for; of all models without one.
    FirstToken(Option<String>),
}

/// Adds what a worker saw of a subject. Requests that found no route are of none.
pub(super) fn add(sum: &mut Durations, shard: &Shard, of: &Subject) {
    match of {
        Subject::Route(Some(route)) => {
            let series = shard.routes.get(route);
            series
                .into_iter()
                .for_each(|one| sum.merge(&one.duration.native));
        }
        Subject::Route(None) => {
            let routes = shard.routes.sorted().into_iter();
            let routed = routes.filter(|(name, _)| *name != NONE);
            routed.for_each(|(_, one)| sum.merge(&one.duration.native));
        }
        Subject::FirstToken(Some(model)) => {
            let all = shard.models.get(model).into_iter().flatten();
            all.for_each(|one| sum.merge(&one.first_token.native));
        }
        Subject::FirstToken(None) => {
            let models = shard.models.sorted().into_iter();
            let all = models.flat_map(|(_, all)| all);
            all.for_each(|one| sum.merge(&one.first_token.native));
        }
    }
}

/// Those of routes and models that have any.
pub(super) fn of(sum: &Shard) -> Vec<Timing> {
    let routes = sum.routes.sorted().into_iter();
    let requests = routes.map(|(route, series)| Timing {
        name: "http.server.request.duration",
        help: "From a request's head to the end of its exchange.",
        attributes: vec![("tidegate.route", route.to_owned())],
        durations: series.duration.native.clone(),
    });
    let models = sum.models.sorted().into_iter();
    let tokens = models.flat_map(|(model, all)| {
        all.iter().map(move |series| Timing {
            name: "gen_ai.server.time_to_first_token",
            help: "From an exchange's start to the first token of its answer.",
            attributes: ai_labels(model, series, &[])
                .into_iter()
                .map(|(name, value)| (dotted(name), value.to_owned()))
                .collect(),
            durations: series.first_token.native.clone(),
        })
    });
    let all = requests.chain(tokens);
    all.filter(|one| one.durations.count() > 0).collect()
}

/// A label as OpenTelemetry spells it.
fn dotted(label: &str) -> &'static str {
    match label {
        "gen_ai_operation_name" => "gen_ai.operation.name",
        "gen_ai_provider_name" => "gen_ai.provider.name",
        "gen_ai_request_model" => "gen_ai.request.model",
        "tidegate_provider" => "tidegate.provider",
        _ => "tidegate.model",
    }
}
