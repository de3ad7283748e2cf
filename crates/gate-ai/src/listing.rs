//! The list of models that a caller may use, in the shape its SDK expects.

use crate::json::write::Writer;

/// Whose shape the list has. Callers that send `anthropic-version` expect Anthropic's, callers of
/// another path Gemini's; the clients of Cohere and Mistral name themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListingShape {
    /// `GET /v1/models` of OpenAI.
    OpenAi,
    /// `GET /v1/models` of Anthropic.
    Anthropic,
    /// `GET /v1beta/models` of Gemini.
    Gemini,
    /// `GET /v1/models` of Cohere (<https://docs.cohere.com/reference/list-models>).
    Cohere,
    /// `GET /v1/models` of Mistral (<https://docs.mistral.ai/api/#tag/models>).
    Mistral,
}

impl ListingShape {
    /// The shape of OpenAI's path that a client expects which names itself so.
    #[must_use]
    pub fn of_agent(user_agent: &[u8]) -> Self {
        // `cohere/7.3.1`, `cohere-ai/8.0.0`; `mistral-client-python/3.7.0`.
        if user_agent.starts_with(b"cohere") {
            Self::Cohere
        } else if user_agent.starts_with(b"mistral") {
            Self::Mistral
        } else {
            Self::OpenAi
        }
    }
}

/// A model to list.
#[derive(Debug, Clone)]
pub struct ListedModel<'a> {
    /// The name that callers use.
    pub name: &'a str,
    /// When it was made, in seconds since 1970.
    pub created_unix_s: u64,
    /// Who owns it.
    pub owner: &'a str,
}

/// The body that lists these models, on one page.
#[must_use]
pub fn models_body<'a>(
    shape: ListingShape,
    models: impl Iterator<Item = ListedModel<'a>>,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    let mut w = Writer::new(&mut out);
    let (mut first, mut last) = (None, None);
    w.open();
    if matches!(shape, ListingShape::OpenAi | ListingShape::Mistral) {
        w.member("object", "list");
    }
    let key = match shape {
        ListingShape::Gemini | ListingShape::Cohere => "models",
        ListingShape::OpenAi | ListingShape::Anthropic | ListingShape::Mistral => "data",
    };
    w.key(key).open_list();
    for model in models {
        write_model(&mut w, shape, &model);
        first.get_or_insert(model.name);
        last = Some(model.name);
    }
    w.close_list();
    if shape == ListingShape::Anthropic {
        w.key("has_more").boolean(false);
        for (key, id) in [("first_id", first), ("last_id", last)] {
            w.key(key);
            match id {
                Some(id) => w.text(id),
                None => w.null(),
            };
        }
    }
    w.close();
    out
}

/// The body that describes one model.
#[must_use]
pub fn model_body(shape: ListingShape, model: &ListedModel<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    write_model(&mut Writer::new(&mut out), shape, model);
    out
}

fn write_model(w: &mut Writer<'_>, shape: ListingShape, model: &ListedModel<'_>) {
    w.open();
    match shape {
        ListingShape::OpenAi | ListingShape::Mistral => {
            w.member("id", model.name).member("object", "model");
            w.key("created").unsigned(model.created_unix_s);
            w.member("owned_by", model.owner);
            if shape == ListingShape::Mistral {
                w.member("type", "base").key("capabilities").open();
                w.key("completion_chat").boolean(true).close();
            }
        }
        ListingShape::Cohere => {
            w.member("name", model.name).key("endpoints").open_list();
            w.text("chat").close_list().key("finetuned").boolean(false);
        }
        ListingShape::Anthropic => {
            w.member("type", "model").member("id", model.name);
            w.member("display_name", model.name);
            w.member("created_at", &rfc3339(model.created_unix_s));
        }
        ListingShape::Gemini => {
            w.member("name", &format!("models/{}", model.name));
            w.member("version", "1").member("displayName", model.name);
            w.key("supportedGenerationMethods").open_list();
            for method in ["generateContent", "streamGenerateContent", "countTokens"] {
                w.text(method);
            }
            w.close_list();
        }
    }
    w.close();
}

/// A time in UTC, by the civil-from-days algorithm for the Gregorian calendar. Times after the
/// year 9999, which the format has no place for, are given as its last second.
fn rfc3339(unix_s: u64) -> String {
    let unix_s = unix_s.min(253_402_300_799);
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    // Days since 0000-03-01; eras of 400 years have 146,097 days.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_list_the_same_models() {
        let models = || {
            ["a\"", "b"].into_iter().map(|name| ListedModel {
                name,
                created_unix_s: 1_700_000_000,
                owner: "gpt",
            })
        };
        let openai = models_body(ListingShape::OpenAi, models());
        let expected = concat!(
            r#"{"object":"list","data":[{"id":"a\"","object":"model","created":1700000000,"#,
            r#""owned_by":"gpt"},{"id":"b","object":"model","created":1700000000,"#,
            r#""owned_by":"gpt"}]}"#
        );
        assert_eq!(String::from_utf8(openai).unwrap(), expected);
        let anthropic = models_body(ListingShape::Anthropic, models());
        let value: serde_json::Value = serde_json::from_slice(&anthropic).unwrap();
        assert_eq!(value["data"][0]["created_at"], "2023-11-14T22:13:20Z");
        assert_eq!(
            (&value["first_id"], &value["last_id"]),
            (&"a\"".into(), &"b".into())
        );
        let gemini = models_body(ListingShape::Gemini, models());
        let value: serde_json::Value = serde_json::from_slice(&gemini).unwrap();
        assert_eq!(value["models"][1]["name"], "models/b");
        let cohere = ListingShape::of_agent(b"cohere/7.3.1");
        let value: serde_json::Value =
            serde_json::from_slice(&models_body(cohere, models())).unwrap();
        assert_eq!(value["models"][1]["name"], "b");
        let mistral = ListingShape::of_agent(b"mistral-client-python/3.7.0");
        let value: serde_json::Value =
            serde_json::from_slice(&models_body(mistral, models())).unwrap();
        assert_eq!(value["data"][1]["type"], "base");
        assert_eq!(
            ListingShape::of_agent(b"OpenAI/Python"),
            ListingShape::OpenAi
        );
        let one = model_body(ListingShape::OpenAi, &models().next().unwrap());
        let value: serde_json::Value = serde_json::from_slice(&one).unwrap();
        assert_eq!(value["id"], "a\"");
        let empty = models_body(ListingShape::Anthropic, [].into_iter());
        let value: serde_json::Value = serde_json::from_slice(&empty).unwrap();
        assert!(value["first_id"].is_null());
    }

    #[test]
    fn times_are_right_around_leap_days() {
        for (unix_s, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (u64::MAX, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(unix_s), text);
        }
    }
}
