//! `logprobsResult`: the likelihoods of the answer's tokens.
//!
//! Reference: <https://ai.google.dev/api/generate-content#LogprobsResult>. The chosen tokens and
//! the likeliest ones are two lists side by side here.

use crate::conversation::TokenLogprob;
use crate::json::object::{Object, Raw, list, number};
use crate::json::write::Writer;
use crate::{DialectError, Losses};

/// Most alternatives read per token; Google gives 20.
const TOP_MAX: usize = 64;

pub(super) fn read<'a>(
    raw: Raw<'a>,
    losses: &mut Losses,
) -> Result<Vec<TokenLogprob<'a>>, DialectError> {
    let result = Object::of(raw, "logprobsResult")?.camel()?;
    let mut tokens: Vec<TokenLogprob<'a>> = Vec::new();
    for item in items(&result, "chosenCandidates")? {
        tokens.push(plain(item, losses)?);
    }
    let tops = items(&result, "topCandidates")?;
    for (token, item) in tokens.iter_mut().zip(tops) {
        let top = Object::of(item, "topCandidates")?;
        for item in items(&top, "candidates")?.into_iter().take(TOP_MAX) {
            token.top.push(plain(item, losses)?);
        }
    }
    for (name, _) in result.iter() {
        if !matches!(name, "chosenCandidates" | "topCandidates") {
            losses.add(format!("candidates.logprobsResult.{name}"));
        }
    }
    Ok(tokens)
}

fn items<'a>(object: &Object<'a>, field: &'static str) -> Result<Vec<Raw<'a>>, DialectError> {
    object
        .get(field)
        .map_or(Ok(Vec::new()), |raw| list(raw, field))
}

fn plain<'a>(item: Raw<'a>, losses: &mut Losses) -> Result<TokenLogprob<'a>, DialectError> {
    let object = Object::of(item, "logprobsResult")?.camel()?;
    for (name, _) in object.iter() {
        if !matches!(name, "token" | "logProbability") {
            losses.add(format!("candidates.logprobsResult.{name}"));
        }
    }
    Ok(TokenLogprob {
        token: object.text("token").unwrap_or_default(),
        logprob: match object.get("logProbability") {
            Some(raw) => number(raw, "logProbability")?,
            None => 0.0,
        },
        bytes: None,
        top: Vec::new(),
    })
}

pub(super) fn write(w: &mut Writer<'_>, tokens: &[TokenLogprob<'_>]) {
    w.open();
    if tokens.iter().any(|token| !token.top.is_empty()) {
        w.key("topCandidates").open_list();
        for token in tokens {
            w.open().key("candidates").open_list();
            token.top.iter().for_each(|top| write_plain(w, top));
            w.close_list().close();
        }
        w.close_list();
    }
    w.key("chosenCandidates").open_list();
    tokens.iter().for_each(|token| write_plain(w, token));
    w.close_list().close();
}

fn write_plain(w: &mut Writer<'_>, token: &TokenLogprob<'_>) {
    w.open().member("token", &token.token);
    w.key("logProbability").number(token.logprob).close();
}
