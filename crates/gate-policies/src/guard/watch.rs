//! Noting what guards find, and checking bodies without holding a worker up.

use super::Guard;
use crate::heavy;
use bytes::Bytes;
use gate_ai::DialectError;
use gate_ai::endpoint::Operation;
use gate_ai::guard::{Findings, Guard as Session, Point, RuleSet, Side};
use gate_flow::{Beside, Consumed, Exchange, Fault, GuardFacts, GuardVerdict, Services};
use gate_model::fault::FaultCode;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

/// Where an exchange's findings go.
#[derive(Clone)]
pub(super) struct Watch {
    facts: Rc<RefCell<GuardFacts>>,
    rules: Arc<RuleSet>,
    names: Arc<[Arc<str>]>,
    observes: bool,
    /// For questions of the gateway's own.
    pub(super) beside: Beside,
}

impl Watch {
    pub(super) fn new(policy: &Guard, exchange: &mut Exchange) -> Self {
        Self {
            facts: exchange.guard.get_or_insert_default().clone(),
            rules: policy.rules.clone(),
            names: policy.names.clone(),
            observes: policy.observes,
            beside: exchange.beside(),
        }
    }

    /// Notes findings in the record.
    pub(super) fn note(&self, findings: &Findings) {
        for finding in findings.entries() {
            let action = match self.observes {
                true => "observe",
                false => self.rules.rules()[finding.rule].action.as_str(),
            };
            self.add(
                &self.names[finding.rule],
                finding.point,
                action,
                finding.count,
            );
        }
    }

    /// Notes one verdict.
    pub(super) fn add(&self, rule: &Arc<str>, point: Point, action: &'static str, count: u32) {
        self.facts.borrow_mut().add(GuardVerdict {
            rule: rule.clone(),
            point: point.as_str(),
            action,
            count,
        });
    }

    /// Notes what a model that judged has used.
    pub(super) fn judged(&self, consumed: Consumed) {
        let mut facts = self.facts.borrow_mut();
        facts.judge_tokens += consumed.tokens;
        if let Some(cost) = consumed.cost {
            facts.judge_cost = Some(facts.judge_cost.unwrap_or_default() + cost);
        }
    }

    /// Notes that a stream was ended.
    pub(super) fn cut(&self) {
        self.facts.borrow_mut().cut = true;
    }

    /// The fault for a rule that blocks.
    pub(super) fn refusal(&self, rule: usize, point: Point) -> Fault {
        refusal(&self.names[rule], point)
    }
}

/// The fault for a rule that blocks.
pub(super) fn refusal(rule: &str, point: Point) -> Fault {
    let what = match point {
        Point::Request => "request",
        Point::Response => "model's answer",
        Point::ToolCall => "tool call",
        Point::ToolResult => "tool's result",
    };
    Fault::new(FaultCode::GuardBlocked)
        .message(format!("The rule `{rule}` found something in the {what}."))
        .detail(format!("guard: `{rule}` at {}", point.as_str()))
}

/// A session with the body it has checked.
type Checked = (Session, Result<Bytes, DialectError>);

/// Checks a whole body, a large one off the worker; the session comes back with the body as it may
/// be sent on.
///
/// # Errors
/// When the pool for heavy work is full.
pub(super) async fn checked(
    services: &dyn Services,
    mut session: Session,
    operation: Operation,
    side: Side,
    body: Bytes,
) -> Result<Checked, Fault> {
    let length = body.len();
    let work = move || {
        let result = session.check(operation, side, &body);
        (
            session,
            result.map(|edited| edited.map_or(body, Bytes::from)),
        )
    };
    heavy::done(services, heavy::is_light(length), work).await
}
