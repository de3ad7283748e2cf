//! The loop that runs a route's policies.

use crate::{Exchange, Fault, Inside, Step, Verdict};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;

/// Which steps a request has passed, as one bit each; the response goes back through these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Passed(u64);

/// Most steps of one route: the width of [`Passed`].
pub(crate) const STEPS_MAX: usize = 64;

/// Runs the request side. `Ok(None)` means: call the target.
///
/// `passed` is filled also when a step refuses, so that the steps before it see the answer.
///
/// # Errors
/// The fault of the step that refused.
pub async fn run_request(
    steps: &[Step],
    exchange: &mut Exchange,
    passed: &mut Passed,
) -> Result<Option<Response>, Fault> {
    assert!(
        steps.len() <= STEPS_MAX,
        "compiling a route bounds its steps"
    );
    let inside = exchange.client.inside.is_some();
    for (index, step) in steps.iter().enumerate() {
        if let Some(condition) = &step.when {
            match condition.holds(exchange) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(cause) => {
                    let detail =
                        format!("policy `{}`: its `when` has no value: {cause}", step.name);
                    return Err(Fault::new(FaultCode::PolicyFailed).detail(detail));
                }
            }
        }
        if inside && Inside::answers(step.name) {
            Inside::vouch(exchange)
                .inspect_err(|_| exchange.record.answered_by = Some(step.name))?;
            continue;
        }
        let mut waited = false;
        // Naming each case frees the exchange from the verdict's borrow.
        let verdict: Verdict<'static> = match step.policy.request(exchange) {
            Verdict::Next => Verdict::Next,
            Verdict::Reply(response) => Verdict::Reply(response),
            Verdict::Refuse(fault) => Verdict::Refuse(fault),
            Verdict::Wait(later) => {
                waited = true;
                later.await
            }
        };
        if waited {
            exchange.moment = exchange.services.clock().now();
        }
        match verdict {
            Verdict::Next => passed.0 |= 1 << index,
            Verdict::Reply(response) => {
                passed.0 |= 1 << index;
                exchange.record.answered_by = Some(step.name);
                return Ok(Some(*response));
            }
            Verdict::Refuse(fault) => {
                exchange.record.answered_by = Some(step.name);
                return Err(*fault);
            }
            Verdict::Wait(_) => {
                let detail = format!("policy `{}` waited for a wait", step.name);
                return Err(Fault::new(FaultCode::InternalError).detail(detail));
            }
        }
    }
    Ok(None)
}

/// Runs the response side: the steps that were passed, in reverse. `render` turns the fault of a
/// step into the response that the steps before it see.
pub async fn run_response(
    steps: &[Step],
    exchange: &mut Exchange,
    passed: Passed,
    response: &mut Response,
    render: impl Fn(&mut Exchange, Fault) -> Response,
) {
    let mut left = passed.0;
    while left != 0 {
        let index = 63 - left.leading_zeros() as usize;
        left &= !(1 << index);
        let step = &steps[index];
        let result = match step.policy.answer(exchange, response) {
            None => continue,
            Some(later) => later.await,
        };
        exchange.moment = exchange.services.clock().now();
        if let Err(fault) = result {
            exchange.record.answered_by = Some(step.name);
            *response = render(exchange, fault);
        }
    }
}
