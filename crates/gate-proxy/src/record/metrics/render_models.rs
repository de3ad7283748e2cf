//! Families of model calls: names, units, help texts, labels.
//!
//! Names are OpenTelemetry's GenAI conventions as its Prometheus translation spells them (dots
//! become underscores, units a suffix), see
//! <https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/>.

use super::detours::DETOURS;
use super::exposition::{Exposition, Kind};
use super::histogram::{FIRST_TOKEN, OPERATION, TOKENS};
use super::series::{AiSeries, Ending, PayerSeries, Shard};

/// Families by model and provider.
pub(super) fn models(page: &mut Exposition, sum: &Shard) {
    let models = sum.models.sorted();
    let rows = || {
        models
            .iter()
            .flat_map(|(model, all)| all.iter().map(|series| (*model, series)))
    };
    let help = "Tokens of a call, input with cached ones included.";
    page.family("gen_ai_client_token_usage", Kind::Histogram, "", help);
    for (model, series) in rows() {
        for (kind, histogram) in [("input", &series.input), ("output", &series.output)] {
            if histogram.count() > 0 {
                page.histogram(
                    &ai_labels(model, series, &[("gen_ai_token_type", kind)]),
                    &TOKENS,
                    histogram,
                );
            }
        }
    }
    let help = "Duration of calls to models.";
    page.family(
        "gen_ai_client_operation_duration_seconds",
        Kind::Histogram,
        "seconds",
        help,
    );
    for (model, series) in rows() {
        for (ending, histogram) in &series.durations {
            let error = ending.map(error_type).unwrap_or_default();
            page.histogram(
                &ai_labels(model, series, &[("error_type", &error)]),
                &OPERATION,
                histogram,
            );
        }
    }
    let help = "From an exchange's start to the first token of its answer.";
    page.family(
        "gen_ai_server_time_to_first_token_seconds",
        Kind::Histogram,
        "seconds",
        help,
    );
    for (model, series) in rows().filter(|(_, series)| series.first_token.count() > 0) {
        page.timed(
            &ai_labels(model, series, &[]),
            &FIRST_TOKEN,
            &series.first_token,
        );
    }
    let help = "Cost of calls in US dollars, where prices are known.";
    page.family("tidegate_ai_cost_dollars", Kind::Counter, "dollars", help);
    for (model, series) in rows() {
        page.sample(&ai_labels(model, series, &[]), series.cost);
    }
    payers(page, sum);
    let counters: [(&'static str, &str, fn(&AiSeries) -> u64); 7] = [
        (
            "tidegate_ai_cached_tokens",
            "Input tokens that came from a provider's prompt cache.",
            |series| series.cached,
        ),
        (
            "tidegate_ai_cache_written_tokens",
            "Input tokens written to a provider's prompt cache.",
            |series| series.cache_written,
        ),
        (
            "tidegate_ai_reasoning_tokens",
            "Output tokens spent on reasoning.",
            |series| series.reasoning,
        ),
        (
            "tidegate_ai_streams",
            "Calls answered as a stream.",
            |series| series.streams,
        ),
        (
            "tidegate_ai_translated",
            "Calls translated between dialects.",
            |series| series.translated,
        ),
        (
            "tidegate_ai_estimated",
            "Calls whose tokens were estimated, because the provider did not say.",
            |series| series.estimated,
        ),
        (
            "tidegate_ai_losses",
            "Fields that a provider's dialect could not express.",
            |series| series.losses,
        ),
    ];
    for (name, help, pick) in counters {
        page.family(name, Kind::Counter, "", help);
        for (model, series) in rows() {
            page.sample(&ai_labels(model, series, &[]), pick(series));
        }
    }
}

/// Families by who pays.
fn payers(page: &mut Exposition, sum: &Shard) {
    let families: [(&'static str, Kind, &str, &str, fn(&PayerSeries) -> String); 4] = [
        (
            "tidegate_ai_payer_cost_dollars",
            Kind::Counter,
            "dollars",
            "Cost of calls in US dollars, each by consumer, team, key and tag.",
            |payer| payer.cost.to_string(),
        ),
        (
            "tidegate_ai_payer_calls",
            Kind::Counter,
            "",
            "Calls to models, each by consumer, team, key and tag.",
            |payer| payer.calls.to_string(),
        ),
        (
            "tidegate_ai_payer_input_tokens",
            Kind::Counter,
            "",
            "Input tokens, each by consumer, team, key and tag.",
            |payer| payer.input.to_string(),
        ),
        (
            "tidegate_ai_payer_output_tokens",
            Kind::Counter,
            "",
            "Output tokens, each by consumer, team, key and tag.",
            |payer| payer.output.to_string(),
        ),
    ];
    let payers = [
        ("consumer", sum.consumers.sorted()),
        ("team", sum.teams.sorted()),
        ("tag", sum.tags.sorted()),
    ];
    let keys = sum.keys.sorted();
    let keys = keys.iter().flat_map(|(consumer, keys)| {
        keys.iter()
            .map(move |(key, series)| (format!("{consumer}/{key}"), series))
    });
    let keys: Vec<(String, &PayerSeries)> = keys.collect();
    for (name, kind, unit, help, pick) in families {
        page.family(name, kind, unit, help);
        for (label, rows) in &payers {
            for (payer, series) in rows.iter().filter(|(_, series)| series.calls > 0) {
                page.sample(&[(label, payer)], pick(series));
            }
        }
        for (key, series) in &keys {
            page.sample(&[("key", key)], pick(series));
        }
    }
}

/// What calls did besides one plain try.
pub(super) fn detours(page: &mut Exposition, sum: &Shard) {
    let models = sum.models.sorted();
    for (index, (name, help, _)) in DETOURS.iter().enumerate() {
        page.family(name, Kind::Counter, "", help);
        for (model, all) in &models {
            for series in *all {
                page.sample(&ai_labels(model, series, &[]), series.detours[index]);
            }
        }
    }
}

/// OpenTelemetry's `error.type`: the fault's code, else the status.
fn error_type(ending: Ending) -> String {
    ending.fault.map_or_else(
        || ending.status.to_string(),
        |code| code.as_str().to_owned(),
    )
}

pub(super) fn ai_labels<'a>(
    model: &'a str,
    series: &'a AiSeries,
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut labels = vec![
        ("gen_ai_operation_name", series.operation),
        ("gen_ai_provider_name", series.provider_kind),
        (
            "gen_ai_request_model",
            series.provider_model.as_deref().unwrap_or_default(),
        ),
        ("tidegate_model", model),
        (
            "tidegate_provider",
            series.provider.as_deref().unwrap_or_default(),
        ),
    ];
    labels.extend_from_slice(more);
    labels
}
