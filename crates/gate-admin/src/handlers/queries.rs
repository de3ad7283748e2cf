//! Questions to the lake, saved ones among them, and the data products that may be read.

use super::page_of;
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::types::{QueryAnswer, QueryInput, SavedQueryInput};

pub(super) fn query(inner: &Inner, call: &Call) -> Answer {
    let input: QueryInput = call.json()?;
    let answer = inner
        .host
        .query(&input, call.who.teams.as_deref(), &call.gone)?;
    written(inner, call, &answer)
}

pub(super) fn run(inner: &Inner, call: &Call) -> Answer {
    let input: SavedQueryInput = call.json()?;
    let teams = call.who.teams.as_deref();
    let answer = inner
        .host
        .run_query(call.value(0), &input, teams, &call.gone)?;
    written(inner, call, &answer)
}

pub(super) fn list(inner: &Inner, call: &Call) -> Answer {
    Reply::json(&page_of(call, inner.host.queries())?)
}

pub(super) fn products(inner: &Inner, call: &Call) -> Answer {
    let products = inner.host.data_products(call.who.teams.as_deref());
    Reply::json(&page_of(call, products)?)
}

/// An answer in the format that was asked for.
fn written(inner: &Inner, call: &Call, answer: &QueryAnswer) -> Answer {
    match call.owned("format").as_deref() {
        None | Some("json") => Reply::json(answer),
        Some(format) => {
            let (content_type, body) = inner.host.write_answer(answer, format)?;
            Ok(Reply {
                status: 200,
                content_type,
                body,
                ..Reply::default()
            })
        }
    }
}
