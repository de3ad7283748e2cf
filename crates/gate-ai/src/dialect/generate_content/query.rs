//! What a caller's query says about the form of the answer, and what of it goes to the provider.
//!
//! `alt=sse` asks for server-sent events, anything else for one JSON list; `$alt` is its other name
//! (<https://cloud.google.com/apis/docs/system-parameters>). The caller's key may stand in the query
//! and stays here, as does whatever else is no parameter of the form.

/// Parameters that only choose the form of an answer.
const FORM: [&str; 4] = ["alt", "$alt", "%24alt", "prettyPrint"];

fn pairs(query: Option<&str>) -> impl Iterator<Item = (&str, &str)> {
    let split = |pair| str::split_once(pair, '=').unwrap_or((pair, ""));
    query.unwrap_or_default().split('&').map(split)
}

/// Whether a streamed answer is to be one JSON list instead of server-sent events.
#[must_use]
pub fn wants_json_list(query: Option<&str>) -> bool {
    !pairs(query).any(|(name, value)| FORM[..3].contains(&name) && value == "sse")
}

/// The path of a provider with the caller's own choice of form, for answers that pass unchanged:
/// `target` has the provider's usual one.
#[must_use]
pub fn target_in_form(target: &str, query: Option<&str>) -> String {
    let path = target.split('?').next().unwrap_or_default();
    let mut made = path.to_owned();
    for (name, value) in pairs(query).filter(|(name, _)| FORM.contains(name)) {
        made.push(if made.len() == path.len() { '?' } else { '&' });
        made.push_str(name);
        made.push('=');
        made.push_str(value);
    }
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_goes_on_and_the_key_stays() {
        let usual = "/v1beta/models/m:streamGenerateContent?alt=sse";
        for (query, list, target) in [
            (None, true, "/v1beta/models/m:streamGenerateContent"),
            (Some("alt=sse"), false, usual),
            (Some("key=secret&alt=sse"), false, usual),
            (
                Some("key=secret"),
                true,
                "/v1beta/models/m:streamGenerateContent",
            ),
            (
                Some("$alt=json;enum-encoding=int&x=1&prettyPrint=false"),
                true,
                "/v1beta/models/m:streamGenerateContent?$alt=json;enum-encoding=int&prettyPrint=false",
            ),
        ] {
            assert_eq!(wants_json_list(query), list, "{query:?}");
            assert_eq!(target_in_form(usual, query), target, "{query:?}");
        }
    }
}
