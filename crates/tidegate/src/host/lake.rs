//! Questions to the lake, as the admin API asks them, and what there is to ask about.
//!
//! One at a time: a query may take a core and some hundred megabytes, and the gateway has other work.

#![allow(
    clippy::result_large_err,
    reason = "a problem is made once, for an answer; nothing here is hot"
)]

use gate_api::problem::{Code, Problem};
use gate_api::types::{
    DataProductColumn, DataProductState, QueryAnswer, QueryInput, SavedQueryInput,
    SavedQueryParameter, SavedQueryState,
};
use gate_kit::clock::Clock;
use gate_lake::catalog::Catalog;
use gate_lake::scan::{Limits, QueryError};
use gate_lake::sql::{self, Answer, Format, SqlLimits, Value, iso};
use gate_model::resources::{QueryParameterType, QueryPlot, Resources};
use gate_proxy::process::Process;
use gate_proxy::products;
use gate_proxy::record::lake::Freshness;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, TryLockError};
use std::time::{Duration, Instant};

/// How long a query may take.
const TIME: Duration = Duration::from_secs(15);
/// Most rows of an answer.
const ROWS_MAX: u32 = 10_000;
/// Most bytes of an answer.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// A lake with what is known of it, and whoever asks it.
pub(super) struct Desk<'a> {
    catalog: Arc<Catalog>,
    resources: Arc<Resources>,
    /// Held by who asks.
    asking: &'a Mutex<()>,
    /// Whose rows are seen; everybody's when absent.
    teams: Option<&'a [String]>,
    /// Set once nobody waits for the answer: the query ends, and the next may be asked.
    gone: Arc<AtomicBool>,
}

impl<'a> Desk<'a> {
    /// The lake of a process.
    pub(super) fn of(
        process: &Process,
        asking: &'a Mutex<()>,
        teams: Option<&'a [String]>,
        gone: &Arc<AtomicBool>,
    ) -> Result<Self, Problem> {
        let catalog = process.lake().catalog().ok_or_else(|| {
            let message = "this gateway keeps no lake: set `gateway.lake`";
            Problem::new(Code::NotSupported, message)
        })?;
        Ok(Self {
            catalog,
            resources: process.shared().snapshot.load().resources.clone(),
            asking,
            teams,
            gone: gone.clone(),
        })
    }

    /// Asks the lake.
    pub(super) fn ask(&self, input: &QueryInput) -> Result<QueryAnswer, Problem> {
        self.run(&input.sql, input.rows_max.unwrap_or(ROWS_MAX), TIME)
    }

    /// Runs a saved query.
    pub(super) fn ask_saved(
        &self,
        name: &str,
        input: &SavedQueryInput,
    ) -> Result<QueryAnswer, Problem> {
        let query = self.resources.queries.get(name);
        let query = query.ok_or_else(|| {
            Problem::new(Code::NotFound, format!("there is no saved query `{name}`"))
        })?;
        let sql = products::filled(query, &input.parameters)
            .map_err(|message| Problem::new(Code::Invalid, message))?;
        let rows_max = input.rows_max.unwrap_or(ROWS_MAX).min(query.rows_max);
        self.run(&sql, rows_max, query.time_max.duration().min(TIME))
    }

    fn run(&self, text: &str, rows_max: u32, time: Duration) -> Result<QueryAnswer, Problem> {
        let _turn = match self.asking.try_lock() {
            Ok(turn) => turn,
            Err(TryLockError::Poisoned(held)) => held.into_inner(),
            Err(TryLockError::WouldBlock) => {
                let message = "another query is being answered; ask again in a moment";
                return Err(Problem::new(Code::RateLimited, message));
            }
        };
        let begun = Instant::now();
        let limits = SqlLimits {
            scan: Limits {
                time,
                ..Limits::default()
            },
            answer_rows: rows_max.min(ROWS_MAX) as usize,
            answer_bytes: BYTES_MAX,
            cancelled: self.gone.clone(),
        };
        let now_us = i64::try_from(Clock::System.unix().as_micros()).unwrap_or(i64::MAX);
        let tables = products::tables(&self.catalog, text, &self.resources, self.teams, now_us);
        let answer =
            sql::query(text, tables.map_err(problem)?, &limits, now_us).map_err(problem)?;
        let rows = answer.rows.iter();
        Ok(QueryAnswer {
            rows: rows
                .map(|row| row.iter().map(Value::json).collect())
                .collect(),
            columns: answer.columns,
            truncated: answer.truncated,
            rows_read: answer.rows_read,
            duration_ms: begun.elapsed().as_secs_f64() * 1e3,
        })
    }
}

fn problem(error: QueryError) -> Problem {
    let code = match &error {
        QueryError::Invalid(_) | QueryError::Limit { .. } => Code::Invalid,
        QueryError::File { .. } | QueryError::Cancelled => Code::Internal,
    };
    Problem::new(code, error.to_string())
}

/// An answer in a format, with the type of its content.
pub(super) fn write(
    answer: &QueryAnswer,
    format: &str,
) -> Result<(&'static str, Vec<u8>), Problem> {
    let invalid = |message: String| Problem::new(Code::Invalid, message);
    let format = Format::named(format).ok_or_else(|| invalid("there is no such format".into()))?;
    let answer = Answer::from_json(answer.columns.clone(), answer.rows.clone());
    let bytes = answer.write(format).map_err(invalid)?;
    Ok((format.media_type(), bytes))
}

/// Saved queries by name.
pub(super) fn saved(resources: &Resources) -> Vec<SavedQueryState> {
    let queries = resources.queries.iter();
    let state = queries.map(|(name, query)| SavedQueryState {
        name: name.clone(),
        description: query.description.clone(),
        sql: query.sql.clone(),
        parameters: (query.parameters.iter())
            .map(|(name, parameter)| SavedQueryParameter {
                name: name.clone(),
                kind: match parameter.kind {
                    QueryParameterType::Text => "text".to_owned(),
                    QueryParameterType::Integer => "integer".to_owned(),
                },
                default: parameter.default.clone(),
                description: parameter.description.clone(),
            })
            .collect(),
        rows_max: query.rows_max,
        time_max_ms: millis(query.time_max.duration()),
        plot: query.plot.map(|plot| match plot {
            QueryPlot::Line => "line".to_owned(),
            QueryPlot::Bar => "bar".to_owned(),
        }),
    });
    state.collect()
}

/// Data products that callers of these teams may read.
pub(super) fn products(process: &Process, teams: Option<&[String]>) -> Vec<DataProductState> {
    let resources = process.shared().snapshot.load().resources.clone();
    let fresh = process.lake().freshness();
    let broken = products::broken(&resources);
    let states = resources
        .data_products
        .iter()
        .filter_map(|(name, product)| {
            let view = products::view(product, teams)?;
            let fresh = fresh.iter().find(|one| one.product == *name);
            let newest = fresh.and_then(|one| one.newest);
            let columns = products::columns(product, view).into_iter();
            let columns = columns.filter_map(|column| {
                let promised = product.columns.get(column.name)?;
                Some(DataProductColumn {
                    name: column.name.to_owned(),
                    kind: products::kind_name(promised.kind).to_owned(),
                    meaning: column.meaning.to_owned(),
                    required: promised.required,
                })
            });
            Some(DataProductState {
                name: name.clone(),
                table: products::table_name(name),
                owner: product.owner.clone(),
                description: product.description.clone(),
                from: products::dataset(product).name().to_owned(),
                columns: columns.collect(),
                readers: product.readers.keys().cloned().collect(),
                keep_ms: product.keep.map(|keep| millis(keep.duration())),
                fresh_within_ms: product.fresh_within.map(|within| millis(within.duration())),
                delay_ms: fresh.and_then(|one| one.delay).map(millis),
                late: fresh.is_some_and(Freshness::is_late),
                breaches: fresh.map_or(0, |one| one.breaches),
                newest: newest.map(|at| iso(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))),
                broken: (broken.iter())
                    .filter(|(broken, _)| broken == name)
                    .map(|(_, finding)| format!("{}: {}", finding.path, finding.message))
                    .collect(),
            })
        });
    states.collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_lake::columns::Batch;
    use gate_lake::file::{Effort, encode};
    use gate_lake::objects::{Directory, Objects};
    use gate_lake::schema::{Dataset, Row};
    use gate_model::document::Document;
    use std::collections::BTreeMap;

    const PRODUCTS: &str = "
data_products:
  shop-calls:
    owner: shop
    rows: { route: [orders] }
    columns: { time: { type: time }, team: { type: text }, status: { type: integer } }
    readers:
      search: { own_rows: true }
      sales: { rows: { status: ['200'] }, columns: [status] }
queries:
  by-team:
    sql: SELECT team, count(*) AS n FROM shop_calls WHERE status < :below GROUP BY team ORDER BY team
    parameters: { below: { type: integer, default: '1000' } }
    rows_max: 2
";

    struct Lake {
        _folder: tempfile::TempDir,
        catalog: Arc<Catalog>,
        resources: Arc<Resources>,
        asking: Mutex<()>,
    }

    impl Lake {
        fn filled() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let objects = Directory::open(folder.path()).unwrap();
            let mut batch = Batch::new(Dataset::Records);
            let rows = [
                (Some("shop"), "orders", 200),
                (Some("search"), "orders", 503),
                (None, "orders", 200),
                (Some("shop"), "carts", 200),
            ];
            for (index, (team, route, status)) in rows.into_iter().enumerate() {
                batch.push(&Row {
                    time_us: 1_790_000_000_000_000 + index as i64,
                    exchange_id: [index as u8 + 1; 16],
                    node: "here",
                    method: "GET",
                    route: Some(route),
                    status,
                    team,
                    ..Row::default()
                });
            }
            let span = batch.span().unwrap();
            let path =
                gate_lake::catalog::fresh_path(Dataset::Records, span, 3, Duration::from_secs(1));
            objects
                .put_new(&path, &encode(batch, Effort::Quick).unwrap())
                .unwrap();
            let document = Document::parse(PRODUCTS.as_bytes(), "file").unwrap();
            Self {
                _folder: folder,
                catalog: Arc::new(Catalog::new(Arc::new(objects))),
                resources: Arc::new(Resources::read(&document).unwrap()),
                asking: Mutex::new(()),
            }
        }

        fn desk<'a>(&'a self, teams: Option<&'a [String]>) -> Desk<'a> {
            Desk {
                catalog: self.catalog.clone(),
                resources: self.resources.clone(),
                asking: &self.asking,
                teams,
                gone: Arc::default(),
            }
        }

        fn ask(&self, sql: &str, teams: Option<&[String]>) -> Result<QueryAnswer, Problem> {
            self.desk(teams).ask(&QueryInput {
                sql: sql.into(),
                rows_max: None,
            })
        }

        #[track_caller]
        fn number(&self, sql: &str, team: &str) -> u64 {
            let answer = self.ask(sql, Some(&[team.to_owned()])).unwrap();
            answer.rows[0][0].as_u64().unwrap()
        }
    }

    #[test]
    fn callers_see_their_teams_and_one_asks_at_a_time() {
        let lake = Lake::filled();
        let count = "SELECT count(*) FROM records";
        assert_eq!(lake.ask(count, None).unwrap().rows[0][0], 4);
        assert_eq!(lake.number(count, "shop"), 2);
        let others = "SELECT team FROM records WHERE team != 'shop' OR team IS NULL";
        let own = ["shop".to_owned()];
        assert!(lake.ask(others, Some(&own)).unwrap().rows.is_empty());
        assert_eq!(
            lake.ask("DROP TABLE records", None).unwrap_err().status,
            422
        );
        let held = lake.asking.lock().unwrap();
        assert_eq!(lake.ask(count, None).unwrap_err().status, 429);
        drop(held);
        assert!(lake.ask(count, None).is_ok());
    }

    #[test]
    fn products_show_each_team_what_its_policy_lets_it_see() {
        let lake = Lake::filled();
        let count = "SELECT count(*) FROM shop_calls";
        assert_eq!(lake.ask(count, None).unwrap().rows[0][0], 3);
        assert_eq!(lake.number(count, "shop"), 3, "its own, of all teams");
        assert_eq!(lake.number(count, "search"), 1, "its own rows");
        assert_eq!(lake.number(count, "sales"), 2, "those that went well");
        for (sql, team) in [
            (count, "stranger"),
            ("SELECT team FROM shop_calls", "sales"),
            ("SELECT route FROM shop_calls", "shop"),
        ] {
            let refused = lake.ask(sql, Some(&[team.to_owned()])).unwrap_err();
            assert_eq!(refused.status, 422, "{sql} as {team}");
        }
        // Whatever a query says, the scan leaves the rows out: also beside joins and without groups.
        let all = "SELECT count(*) FROM (SELECT a.status FROM shop_calls a, shop_calls b \
                   WHERE a.status >= 0 OR a.status IS NULL)";
        assert_eq!(lake.number(all, "search"), 1);
        assert_eq!(lake.number(all, "sales"), 4);
    }

    #[test]
    fn saved_queries_run_as_who_asks_with_the_values_that_are_given() {
        let lake = Lake::filled();
        let run = |values: &[(&str, &str)], teams: Option<&[String]>| {
            let values = values.iter();
            let parameters: BTreeMap<String, String> = values
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            lake.desk(teams).ask_saved(
                "by-team",
                &SavedQueryInput {
                    parameters,
                    rows_max: None,
                },
            )
        };
        let all = run(&[], None).unwrap();
        assert_eq!((all.rows.len(), all.truncated), (2, true), "{all:?}");
        let well = run(&[("below", "500")], None).unwrap();
        assert_eq!(well.rows.len(), 2, "{well:?}");
        let search = run(&[], Some(&["search".to_owned()])).unwrap();
        assert_eq!(
            search.rows,
            [[Value::Text("search".into()).json(), 1.into()]]
        );
        for wrong in [[("below", "1 OR 1")], [("colour", "red")]] {
            assert_eq!(run(&wrong, None).unwrap_err().status, 422, "{wrong:?}");
        }
        let none = lake
            .desk(None)
            .ask_saved("none", &SavedQueryInput::default());
        assert_eq!(none.unwrap_err().status, 404);
        let (kind, csv) = write(&well, "csv").unwrap();
        assert!(kind.starts_with("text/csv") && csv.starts_with(b"team,n\r\n"));
        assert!(write(&well, "parquet").unwrap().1.starts_with(b"PAR1"));
    }
}
