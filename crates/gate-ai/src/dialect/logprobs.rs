//! Likelihoods of tokens in the form that both of OpenAI's dialects share:
//! <https://platform.openai.com/docs/api-reference/chat/object>.

use crate::DialectError;
use crate::conversation::TokenLogprob;
use crate::json::object::{Object, Raw, list, number};
use crate::json::write::Writer;

/// Most alternatives read per token; OpenAI gives 20.
const TOP_MAX: usize = 64;

/// Reads a list of tokens.
pub(super) fn read(raw: Raw<'_>) -> Result<Vec<TokenLogprob<'_>>, DialectError> {
    let token = |item| -> Result<_, DialectError> {
        let object = Object::of(item, "logprobs")?;
        let mut token = plain(&object)?;
        if let Some(raw) = object.get("top_logprobs") {
            for item in list(raw, "top_logprobs")?.into_iter().take(TOP_MAX) {
                token.top.push(plain(&Object::of(item, "top_logprobs")?)?);
            }
        }
        Ok(token)
    };
    list(raw, "logprobs")?.into_iter().map(token).collect()
}

fn plain<'a>(object: &Object<'a>) -> Result<TokenLogprob<'a>, DialectError> {
    Ok(TokenLogprob {
        token: object.text("token").unwrap_or_default(),
        logprob: match object.get("logprob") {
            Some(raw) => number(raw, "logprob")?,
            None => 0.0,
        },
        // What is written in an event must not have lines of its own.
        bytes: object
            .get("bytes")
            .map(|raw| raw.get().into())
            .filter(|json: &crate::conversation::Text<'_>| !json.contains(['\n', '\r'])),
        top: Vec::new(),
    })
}

/// Writes a list of tokens.
pub(super) fn write(w: &mut Writer<'_>, tokens: &[TokenLogprob<'_>]) {
    w.open_list();
    for token in tokens {
        write_plain(w, token);
        w.key("top_logprobs").open_list();
        for token in &token.top {
            write_plain(w, token);
            w.close();
        }
        w.close_list().close();
    }
    w.close_list();
}

fn write_plain(w: &mut Writer<'_>, token: &TokenLogprob<'_>) {
    w.open().member("token", &token.token);
    w.key("logprob").number(token.logprob).key("bytes");
    match &token.bytes {
        Some(bytes) => w.raw(bytes),
        None => w.raw(&bytes_of(&token.token)),
    };
}

/// A token's bytes, which SDKs require where the provider gave none.
fn bytes_of(token: &str) -> String {
    let bytes: Vec<String> = token.bytes().map(|byte| byte.to_string()).collect();
    format!("[{}]", bytes.join(","))
}
