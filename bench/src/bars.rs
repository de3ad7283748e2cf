//! The bars that the product must clear, beside what a run measured.

use crate::results::Table;
use crate::subject::Kind;

/// What a bar compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    /// The gateway's median over nginx's, at most.
    RatioMax,
    /// The gateway's median over nginx's, at least.
    RatioMin,
    /// The gateway's median, at most.
    Max,
    /// The gateway's median goes into that of this peer so many times, at least.
    TimesLess(Kind),
}

struct Bar {
    scenario: &'static str,
    figure: &'static str,
    measure: Measure,
    limit: f64,
}

const fn bar(scenario: &'static str, figure: &'static str, measure: Measure, limit: f64) -> Bar {
    Bar {
        scenario,
        figure,
        measure,
        limit,
    }
}

const BARS: &[Bar] = &[
    bar("json-1k", "cpu_us", Measure::RatioMax, 0.95),
    bar("json-1k", "rps", Measure::RatioMin, 1.0),
    bar("cache-hit-1k", "cpu_us", Measure::RatioMax, 1.0),
    bar("cache-hit-64k", "cpu_us", Measure::RatioMax, 1.0),
    bar("json-1k-full", "cpu_us", Measure::RatioMax, 1.15),
    bar("chat", "cpu_us", Measure::RatioMax, 1.0),
    bar("chat-translated", "cpu_us", Measure::RatioMax, 2.0),
    bar("chat-budget", "cpu_us", Measure::RatioMax, 1.05),
    bar(
        "chat-budget",
        "cpu_us",
        Measure::TimesLess(Kind::Litellm),
        300.0,
    ),
    bar(
        "chat-budget",
        "cpu_us",
        Measure::TimesLess(Kind::Portkey),
        50.0,
    ),
    bar("chat-translated-16k", "cpu_us", Measure::RatioMax, 6.0),
    bar("stream-coalesced", "cpu_us", Measure::RatioMax, 0.75),
    bar("stream-burst", "cpu_us", Measure::RatioMax, 1.1),
    bar("stream-paced", "cpu_us_per_event", Measure::RatioMax, 1.0),
    bar("stream-paced", "first_event_p50_us", Measure::RatioMax, 1.0),
    bar(
        "waf",
        "cpu_us",
        Measure::TimesLess(Kind::NginxModsecurity),
        5.0,
    ),
    bar("latency-2k", "added_p50_us", Measure::RatioMax, 1.1),
    bar("idle-10k", "memory_mib", Measure::Max, 60.0),
    bar("memory", "idle_mib", Measure::Max, 15.0),
    bar("memory", "loaded_mib", Measure::Max, 40.0),
    bar("start", "start_ms", Measure::Max, 100.0),
    bar("size", "mib", Measure::Max, 20.0),
    bar("syscalls", "syscalls_per_request", Measure::Max, 4.3),
    bar("polls", "p999_us", Measure::Max, 200.0),
    bar("batch-hosted", "p99_ratio", Measure::Max, 1.05),
    bar("batch-small", "p99_ratio", Measure::Max, 1.05),
    bar("lake", "added_worker_us", Measure::Max, 1.0),
    bar(
        "instructions-chat",
        "instructions_per_request",
        Measure::Max,
        35_000.0,
    ),
];

/// One bar's answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The bar in words.
    pub bar: String,
    /// What was measured.
    pub measured: f64,
    /// Whether it clears the bar.
    pub cleared: bool,
}

/// The bars that this run measured; none for scenarios or subjects that did not run.
#[must_use]
pub fn judge(tables: &[Table]) -> Vec<Verdict> {
    BARS.iter()
        .filter_map(|bar| {
            let table = tables.iter().find(|table| table.scenario == bar.scenario)?;
            let measured = match bar.measure {
                Measure::Max => table.row(Kind::Tidegate)?.median(bar.figure)?,
                Measure::TimesLess(peer) => {
                    let ours = table.row(Kind::Tidegate)?.median(bar.figure)?;
                    table.row(peer)?.median(bar.figure)? / ours
                }
                Measure::RatioMax | Measure::RatioMin => table.ratio(Kind::Tidegate, bar.figure)?,
            };
            let (words, cleared) = match bar.measure {
                Measure::RatioMax => ("at most {} x nginx's", measured <= bar.limit),
                Measure::RatioMin => ("at least {} x nginx's", measured >= bar.limit),
                Measure::Max => ("at most {}", measured <= bar.limit),
                Measure::TimesLess(_) => ("at least {} times less than", measured >= bar.limit),
            };
            let mut words = words.replace("{}", &bar.limit.to_string());
            if let Measure::TimesLess(peer) = bar.measure {
                words = format!("{words} {}'s", peer.name());
            }
            Some(Verdict {
                bar: format!("{} {} {words}", bar.scenario, bar.figure),
                measured,
                cleared,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Row;
    use crate::scenario;

    #[test]
    fn judges_what_ran_and_nothing_else() {
        let mut nginx = Row::new(Kind::Nginx);
        nginx.add("cpu_us", 20.0);
        nginx.add("rps", 100.0);
        let mut tidegate = Row::new(Kind::Tidegate);
        tidegate.add("cpu_us", 18.0);
        tidegate.add("rps", 99.0);
        let table = Table {
            scenario: "json-1k",
            about: "",
            rows: vec![nginx, tidegate],
        };
        let verdicts = judge(&[table]);
        let seen: Vec<_> = verdicts
            .iter()
            .map(|one| (one.measured, one.cleared))
            .collect();
        assert_eq!(seen, [(0.9, true), (0.99, false)]);
    }

    #[test]
    fn every_bar_names_a_scenario() {
        for bar in BARS {
            assert_eq!(scenario::find(bar.scenario).len(), 1, "{}", bar.scenario);
        }
    }
}
