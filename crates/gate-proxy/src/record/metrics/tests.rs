//! Records in, pages out; every page is read by the strict checker.

use super::checker::{Samples, check};
use super::*;
use crate::record::tests::{ai_record, attempt, record};
use gate_model::fault::FaultCode;

fn page_of(metrics: &Metrics) -> Samples {
    let text = metrics.page(Format::OpenMetrics, &SinkCounts::default(), |_| {});
    let text = String::from_utf8(text).expect("text");
    check(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn metrics() -> Metrics {
    Metrics::new(Clock::manual().0)
}

#[test]
fn an_empty_page_is_valid() {
    assert_eq!(page_of(&metrics())["tidegate_connections_open{}"], 0.0);
}

#[test]
fn requests_attempts_and_faults_are_counted() {
    let metrics = metrics();
    metrics.observe(&record(), &Method::Get, Version::Http11);
    let mut failed = record();
    failed.status = 502;
    failed.fault = Some(FaultCode::UpstreamReset);
    failed
        .attempts
        .insert(0, attempt("10.0.0.2:80", 0, Some(FaultCode::UpstreamReset)));
    metrics.observe(&failed, &Method::Other("BREW".into()), Version::Http2);
    let page = page_of(&metrics);
    for (series, value) in [
        (
            "tidegate_requests_total{method=GET,route=orders,status=200,version=1.1}",
            1.0,
        ),
        (
            "tidegate_requests_total{method=other,route=orders,status=502,version=2}",
            1.0,
        ),
        (
            "tidegate_request_outcomes_total{outcome=complete,route=orders}",
            2.0,
        ),
        (
            "tidegate_faults_total{code=upstream_reset,route=orders,source=upstream}",
            1.0,
        ),
        ("tidegate_request_duration_seconds_count{route=orders}", 2.0),
        ("tidegate_request_duration_seconds_sum{route=orders}", 0.024),
        ("tidegate_response_body_bytes_sum{route=orders}", 2468.0),
        (
            "tidegate_upstream_attempts_total{endpoint=10.0.0.1:80,fault=,status=200,upstream=backend}",
            2.0,
        ),
        (
            "tidegate_upstream_attempts_total{endpoint=10.0.0.2:80,fault=upstream_reset,status=0,upstream=backend}",
            1.0,
        ),
        ("tidegate_upstream_retries_total{upstream=backend}", 1.0),
        (
            "tidegate_upstream_duration_seconds_count{upstream=backend}",
            3.0,
        ),
    ] {
        assert_eq!(page.get(series), Some(&value), "{series}\n{page:#?}");
    }
}

#[test]
fn model_calls_carry_opentelemetry_names() {
    let metrics = metrics();
    metrics.observe(&ai_record(), &Method::Post, Version::Http11);
    let page = page_of(&metrics);
    let labels =
        "gen_ai_operation_name=chat,gen_ai_provider_name=anthropic,gen_ai_request_model=claude-x";
    let more = "tidegate_model=assistant,tidegate_provider=claude";
    for (name, token_type, value) in [
        (
            "gen_ai_client_token_usage_sum",
            "gen_ai_token_type=input,",
            100.0,
        ),
        (
            "gen_ai_client_token_usage_sum",
            "gen_ai_token_type=output,",
            20.0,
        ),
        ("gen_ai_server_time_to_first_token_seconds_sum", "", 0.005),
        ("tidegate_ai_cached_tokens_total", "", 60.0),
    ] {
        let series = format!("{name}{{{labels},{token_type}{more}}}");
        assert_eq!(page.get(&series), Some(&value), "{series}\n{page:#?}");
    }
    let series =
        format!("gen_ai_client_operation_duration_seconds_count{{error_type=,{labels},{more}}}");
    assert_eq!(page.get(&series), Some(&1.0), "{series}");
}

#[test]
fn names_asked_for_by_callers_are_no_labels() {
    let metrics = metrics();
    for n in 0..100 {
        let mut asked = ai_record();
        let ai = asked.ai.as_mut().expect("an AI record");
        ai.model = format!("guess-{n}").into();
        ai.provider = None;
        ai.provider_model = None;
        metrics.observe(
            &asked,
            &Method::Other(format!("M{n}").into()),
            Version::Http11,
        );
    }
    let page = page_of(&metrics);
    assert!(
        !page
            .keys()
            .any(|series| series.contains("guess") || series.contains("=M"))
    );
    assert_eq!(
        page["tidegate_requests_total{method=other,route=ai,status=200,version=1.1}"],
        100.0
    );
}

#[test]
fn cardinality_is_bounded_and_what_is_folded_is_counted() {
    const NAMES_MAX: usize = 300;
    let shard = |_| Slot(Mutex::new(Shard::with_room(NAMES_MAX)));
    let metrics = Metrics {
        shards: std::array::from_fn(shard),
        ..metrics()
    };
    let extra = 50;
    for n in 0..NAMES_MAX + extra {
        let mut named = record();
        named.route = Some(format!("route-{n}").into());
        named.attempts[0].endpoint = format!("10.0.0.1:{n}").into();
        metrics.observe(&named, &Method::Get, Version::Http11);
    }
    for status in 0..2000 {
        let mut odd = record();
        odd.status = status;
        metrics.observe(&odd, &Method::Get, Version::Http11);
    }
    let page = page_of(&metrics);
    let series = |start: &str| {
        page.keys()
            .filter(|series| series.starts_with(start))
            .count()
    };
    assert!(series("tidegate_request_duration_seconds_count") <= NAMES_MAX);
    assert!(series("tidegate_upstream_attempts_total") <= super::series::ENDPOINTS_MAX);
    assert!(page["tidegate_metrics_folded_total{}"] > extra as f64);
    let other = "tidegate_requests_total{method=_other,route=_other,status=_other,version=_other}";
    assert!(page[other] > 0.0, "statuses beyond the cap are folded");
    let total: f64 = page
        .iter()
        .filter(|(series, _)| series.starts_with("tidegate_requests_total"))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(total, (NAMES_MAX + extra + 2000) as f64, "nothing is lost");
}

#[test]
fn workers_counts_are_summed() {
    let metrics = metrics();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    metrics.observe(&ai_record(), &Method::Post, Version::Http11);
                }
            });
        }
    });
    let page = page_of(&metrics);
    assert_eq!(
        page["tidegate_requests_total{method=POST,route=ai,status=200,version=1.1}"],
        8000.0
    );
    assert_eq!(
        page["tidegate_request_duration_seconds_count{route=ai}"],
        8000.0
    );
}

#[test]
fn reloads_and_the_configuration_are_shown() {
    let metrics = metrics();
    metrics.config_applied(1, "abc");
    metrics.config_refused();
    metrics.config_applied(2, "def");
    let page = page_of(&metrics);
    assert_eq!(page["tidegate_config_info{digest=def,revision=2}"], 1.0);
    assert_eq!(page["tidegate_config_revision{}"], 2.0);
    assert_eq!(page["tidegate_config_reloads_total{result=ok}"], 1.0);
    assert_eq!(page["tidegate_config_reloads_total{result=failed}"], 1.0);
}

#[test]
fn prometheus_text_names_counters_as_their_samples() {
    let metrics = metrics();
    metrics.observe(&record(), &Method::Get, Version::Http11);
    let text = metrics.page(Format::Prometheus, &SinkCounts::default(), |page| {
        page.single("tidegate_extra", Kind::Gauge, "", "Added by others.", 3);
    });
    let text = String::from_utf8(text).expect("text");
    assert!(
        text.contains("# TYPE tidegate_requests_total counter\n"),
        "{text}"
    );
    assert!(text.contains("# TYPE tidegate_build_info gauge\n"));
    assert!(text.contains("\ntidegate_extra 3\n"));
    assert!(!text.contains("# UNIT") && !text.contains("# EOF"));
}

#[test]
fn a_name_is_one_row_wherever_it_lies_in_memory() {
    let metrics = metrics();
    let mut kept = Vec::new();
    for n in 0..1000 {
        let mut reloaded = record();
        reloaded.route = Some(format!("route-{}", n % 7).into());
        reloaded.target = Some(format!("upstream-{}", n % 3).into());
        metrics.observe(&reloaded, &Method::Get, Version::Http11);
        // Some names live on and some leave their memory to the next.
        if n % 2 == 0 {
            kept.push(reloaded);
        }
    }
    let page = page_of(&metrics);
    for n in 0..7 {
        let series = format!("tidegate_request_duration_seconds_count{{route=route-{n}}}");
        assert_eq!(page[&series], f64::from((1000 - n + 6) / 7), "{series}");
    }
}
