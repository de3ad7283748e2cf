//! When two answers are the same.
//!
//! Answers of models are compared by their bodies only where the request asks for the same answer
//! every time (a temperature of 0) and the answer is one JSON value. What differs between any two
//! answers (ids, times, counts) is left out.

use super::print::Print;
use serde_json::Value;

/// What of two answers with the same status has to be the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Same {
    /// Nothing else.
    Statuses,
    /// Their bytes.
    Bytes,
    /// What a model said, where it says the same each time.
    Model,
}

/// Fields of an answer's top that no two answers share, or that a change of the model is bound to
/// change: those of OpenAI's, Anthropic's, Google's and Amazon's dialects.
const FLEETING: &[&str] = &[
    "id",
    "created",
    "created_at",
    "completed_at",
    "model",
    "system_fingerprint",
    "service_tier",
    "usage",
    "responseId",
    "createTime",
    "modelVersion",
    "usageMetadata",
    "metrics",
];
/// Places of the temperature in those dialects.
const TEMPERATURES: &[&str] = &[
    "/temperature",
    "/generationConfig/temperature",
    "/inferenceConfig/temperature",
];

impl Same {
    /// Whether two answers with the same status differ all the same.
    pub(super) fn differs(
        self,
        request: &[u8],
        ours: Option<&Print>,
        theirs: Option<&Print>,
    ) -> bool {
        match (self, ours, theirs) {
            (Same::Statuses, ..) => false,
            // The copy's answer broke off.
            (_, _, None) => true,
            (_, None, _) => false,
            (Same::Bytes, Some(ours), Some(theirs)) => ours != theirs,
            (Same::Model, Some(ours), Some(theirs)) => {
                is_deterministic(request)
                    && said(ours).zip(said(theirs)).is_some_and(|(a, b)| a != b)
            }
        }
    }
}

fn is_deterministic(request: &[u8]) -> bool {
    let Ok(request) = serde_json::from_slice::<Value>(request) else {
        return false;
    };
    let is_streamed = request["stream"] == Value::Bool(true);
    let mut temperatures = TEMPERATURES.iter().filter_map(|at| request.pointer(at));
    !is_streamed && temperatures.any(|it| it.as_f64() == Some(0.0))
}

/// What an answer says; `None` where it is not one JSON object, or too long.
fn said(print: &Print) -> Option<Value> {
    let mut answer = serde_json::from_slice::<Value>(print.kept.as_ref()?).ok()?;
    let fields = answer.as_object_mut()?;
    fields.retain(|name, _| !FLEETING.contains(&name.as_str()));
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(text: &str) -> Print {
        Print {
            bytes: text.len() as u64,
            hash: text.len() as u64,
            kept: Some(text.to_owned().into()),
        }
    }

    #[test]
    fn answers_of_models_are_compared_by_what_they_say_where_that_is_the_same_each_time() {
        let one = print(r#"{"id":"a","created":1,"choices":[{"text":"x"}],"usage":{"n":1}}"#);
        let same = print(r#"{"choices":[{"text":"x"}],"id":"bb","created":2,"usage":{"n":7}}"#);
        let other = print(r#"{"id":"a","created":1,"choices":[{"text":"y"}]}"#);
        let cut = Print {
            kept: None,
            ..other.clone()
        };
        let differs =
            |request: &str, theirs| Same::Model.differs(request.as_bytes(), Some(&one), theirs);
        let sure = r#"{"temperature":0}"#;
        assert!(!differs(sure, Some(&same)));
        assert!(differs(sure, Some(&other)));
        assert!(differs(
            r#"{"generationConfig":{"temperature":0.0}}"#,
            Some(&other)
        ));
        assert!(differs("{}", None), "it broke off");
        for (request, theirs) in [
            ("{}", &other),
            (r#"{"temperature":0.7}"#, &other),
            (r#"{"temperature":0,"stream":true}"#, &other),
            ("nonsense", &other),
            (sure, &cut),
        ] {
            assert!(!differs(request, Some(theirs)), "{request}");
        }
        assert!(Same::Bytes.differs(b"", Some(&one), Some(&same)));
        assert!(!Same::Statuses.differs(b"", None, None));
    }
}
