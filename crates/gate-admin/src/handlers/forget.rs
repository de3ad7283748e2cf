//! Forgetting a consumer, which a person has a right to ask for.

use super::{bounded, page_of};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::ForgetInput;

/// Most bytes of a consumer's name.
const NAME_MAX: usize = 1_024;

/// What is forgotten belongs to whoever may see all of it.
fn everybody(call: &Call) -> Result<(), Problem> {
    match call.who.teams {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            Code::Forbidden,
            "a caller that sees some teams alone forgets nobody",
        )),
    }
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    everybody(call)?;
    Reply::json(&page_of(call, inner.host.forgotten())?)
}

pub(super) fn begin(inner: &Inner, call: &Call) -> Answer {
    everybody(call)?;
    let input: ForgetInput = call.json()?;
    bounded("consumer", &input.consumer, NAME_MAX)?;
    if input.consumer.is_empty() || input.consumer.chars().any(char::is_control) {
        return Err(Problem::new(Code::Invalid, "a consumer has a name"));
    }
    let (actor, role) = (&*call.who.actor, call.who.role.as_str());
    Reply::json(&inner.host.forget(&input.consumer, actor, role)?)
}
