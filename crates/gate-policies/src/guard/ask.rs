//! Guards elsewhere that are asked about a text.

use super::config::{FindConfig, GuardAction, GuardRule, HttpConfig, OnFailure, points};
use super::judge::Judge;
use super::watch::{Watch, refusal};
use crate::ask_model;
use gate_ai::endpoint::Operation;
use gate_ai::guard::{Point, Side, texts};
use gate_flow::{CompileContext, Fault, FetchError, FetchPost, FetchRequest, Fetched};
use gate_model::fault::FaultCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// Most bytes of an answer.
const ANSWER_MAX: usize = 64 * 1024;
/// Text before a stream's window that goes along, so that what spans two windows is seen.
pub(super) const CONTEXT: usize = 1024;

/// A guard elsewhere.
pub(super) struct Ask {
    name: Arc<str>,
    points: Vec<Point>,
    blocks: bool,
    timeout: Duration,
    on_failure: OnFailure,
    text_max: usize,
    /// Of a stream, text it is asked about at a time.
    pub(super) window: usize,
    whom: Whom,
}

/// Who is asked.
enum Whom {
    Http {
        route: Box<str>,
        url: String,
        headers: Vec<(String, String)>,
        allow_private: Vec<String>,
    },
    Model(Judge),
}

#[derive(Serialize)]
struct Question<'a> {
    rule: &'a str,
    point: &'a str,
    route: &'a str,
    text: &'a str,
}

#[derive(Deserialize)]
struct Verdict {
    verdict: Word,
    #[serde(default)]
    reason: String,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Word {
    Pass,
    Block,
}

impl Ask {
    pub(super) fn new(
        rule: &GuardRule,
        observes: bool,
        context: &CompileContext<'_>,
    ) -> Result<Self, String> {
        let blocks = match rule.action {
            GuardAction::Block => !observes,
            GuardAction::Observe => false,
            GuardAction::Mask | GuardAction::Redact => {
                return Err("a guard elsewhere can only be observed or block".into());
            }
        };
        let (word, whom, timeout, on_failure, text, window) = match &rule.find {
            FindConfig::Http(http) => {
                let whom = over_http(http, context)?;
                (
                    "http",
                    whom,
                    http.timeout,
                    http.on_failure,
                    http.text,
                    http.window,
                )
            }
            FindConfig::Judge(judge) => {
                let whom = Whom::Model(Judge::new(judge, context)?);
                (
                    "judge",
                    whom,
                    judge.timeout,
                    judge.on_failure,
                    judge.text,
                    judge.window,
                )
            }
            _ => return Err("only `http` and `judge` are asked elsewhere".into()),
        };
        if timeout.is_zero() {
            return Err("`timeout: 0s` would let no guard answer".into());
        }
        Ok(Self {
            name: rule.name.as_deref().unwrap_or(word).into(),
            points: points(rule),
            blocks,
            timeout: timeout.duration(),
            on_failure,
            text_max: text.len(),
            window: window.len().max(1),
            whom,
        })
    }

    /// Whether it is asked about anything on this side.
    pub(super) fn looks_at(&self, side: Side) -> bool {
        self.points.iter().any(|point| is_on(*point, side))
    }

    /// Whether it is asked about this point.
    pub(super) fn is_at(&self, point: Point) -> bool {
        self.points.contains(&point)
    }

    /// Asks about a whole body, point by point.
    ///
    /// # Errors
    /// A refusal, or `policy_failed` when it cannot be asked and must be.
    pub(super) async fn whole(
        &self,
        watch: &Watch,
        operation: Operation,
        side: Side,
        body: &[u8],
    ) -> Result<(), Fault> {
        for point in self.points.iter().filter(|point| is_on(**point, side)) {
            let text = texts(
                operation,
                side,
                body,
                *point,
                self.text_max.saturating_add(1),
            )
            .map_err(|error| Fault::new(FaultCode::InvalidBody).message(error.to_string()))?;
            if !text.is_empty() {
                self.text(watch, *point, &text).await?;
            }
        }
        Ok(())
    }

    /// Asks about a text.
    ///
    /// # Errors
    /// As [`Self::whole`].
    pub(super) async fn text(&self, watch: &Watch, point: Point, text: &[u8]) -> Result<(), Fault> {
        let verdict = match text.len() <= self.text_max {
            true => self.asked(watch, point, text).await,
            false => Err(format!("the text is longer than {} bytes", self.text_max)),
        };
        match verdict {
            Ok(Verdict {
                verdict: Word::Pass,
                ..
            }) => Ok(()),
            Ok(Verdict { reason, .. }) => {
                let action = if self.blocks { "block" } else { "observe" };
                watch.add(&self.name, point, action, 1);
                let reason: String = reason.chars().take(200).collect();
                let fault = refusal(&self.name, point);
                let detail = format!("{}: {reason}", fault.detail);
                if self.blocks {
                    Err(fault.detail(detail))
                } else {
                    Ok(())
                }
            }
            Err(cause) => {
                watch.add(&self.name, point, "failed", 1);
                tracing::debug!(rule = &*self.name, cause, "a guard elsewhere failed");
                if !self.blocks || self.on_failure == OnFailure::Pass {
                    return Ok(());
                }
                let detail = format!("guard: `{}` could not be asked: {cause}", self.name);
                Err(Fault::new(FaultCode::PolicyFailed).detail(detail))
            }
        }
    }

    async fn asked(&self, watch: &Watch, point: Point, text: &[u8]) -> Result<Verdict, String> {
        let text = String::from_utf8_lossy(text);
        let services = watch.beside.services().clone();
        match &self.whom {
            Whom::Http {
                route,
                url,
                headers,
                allow_private,
            } => {
                let (rule, point) = (&*self.name, point.as_str());
                let question = Question {
                    rule,
                    point,
                    route,
                    text: &text,
                };
                let post = FetchPost {
                    content_type: "application/json",
                    body: serde_json::to_vec(&question).map_err(|error| error.to_string())?,
                    headers: headers.clone(),
                };
                let request = FetchRequest {
                    url: url.clone(),
                    timeout: self.timeout,
                    bytes_max: ANSWER_MAX,
                    allow_private: allow_private.clone(),
                    post: Some(post),
                };
                read(services.fetch(request).await)
            }
            Whom::Model(judge) => {
                let asked = judge.ask(watch, &text);
                let blocks = ask_model::within(&*services, self.timeout, asked).await?;
                let verdict = if blocks { Word::Block } else { Word::Pass };
                Ok(Verdict {
                    verdict,
                    reason: String::new(),
                })
            }
        }
    }
}

fn read(fetched: Result<Fetched, FetchError>) -> Result<Verdict, String> {
    let fetched = fetched.map_err(|error| error.to_string())?;
    if fetched.status != 200 {
        return Err(format!("it answered {}", fetched.status));
    }
    serde_json::from_slice(&fetched.body).map_err(|error| format!("its answer: {error}"))
}

fn over_http(http: &HttpConfig, context: &CompileContext<'_>) -> Result<Whom, String> {
    let host = host_of(&http.url)
        .ok_or("`url` must start with `http://` or `https://` and name a host")?;
    let mut headers = Vec::new();
    if let Some(token) = &http.token {
        let secret = context.secret(token)?;
        headers.push(("authorization".to_owned(), format!("Bearer {secret}")));
    }
    Ok(Whom::Http {
        route: context.route.into(),
        url: http.url.clone(),
        headers,
        allow_private: if http.allow_private {
            vec![host.to_owned()]
        } else {
            Vec::new()
        },
    })
}

const fn is_on(point: Point, side: Side) -> bool {
    match side {
        Side::Request => matches!(point, Point::Request | Point::ToolResult),
        Side::Response => matches!(point, Point::Response | Point::ToolCall),
    }
}

/// The host of a URL.
fn host_of(url: &str) -> Option<&str> {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        _ => authority,
    };
    (!host.is_empty() && !host.contains('@')).then_some(host)
}
