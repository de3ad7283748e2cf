//! What a request for a batch over a file asks for.

use gate_ai::batch::ENDPOINTS;
use gate_model::units::Period;
use serde_json::{Map, Value};

/// The longest window, in seconds.
const WINDOW_MAX_S: u64 = 7 * 86_400;
/// Most pairs of metadata, and most characters of a name and a value.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// What a body asks for.
pub(super) struct Wish {
    pub(super) input: String,
    pub(super) endpoint: String,
    pub(super) window: String,
    pub(super) window_ms: i64,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) output_expires_s: Option<u64>,
}

/// Reads what a body asks for.
pub(super) fn wish(value: &Value) -> Result<Wish, String> {
    let text = |name: &str| {
        let text = value[name].as_str().filter(|text| !text.is_empty());
        let missing = || format!("Missing required parameter: '{name}'.");
        text.map(str::to_owned).ok_or_else(missing)
    };
    let (input, endpoint) = (text("input_file_id")?, text("endpoint")?);
    if !ENDPOINTS.contains(&&*endpoint) {
        let known = ENDPOINTS.join(", ");
        return Err(format!(
            "Invalid value for 'endpoint': it is one of {known}."
        ));
    }
    let window = text("completion_window")?;
    let period: Option<Period> = window.parse().ok();
    let fits = |period: &Period| (1..=WINDOW_MAX_S).contains(&period.duration().as_secs());
    let period = period
        .filter(fits)
        .ok_or("Invalid value for 'completion_window': it is a time such as '24h', up to '7d'.")?;
    let metadata = match &value["metadata"] {
        Value::Null => None,
        Value::Object(pairs) => Some(metadata(pairs)?),
        _ => return Err("Invalid value for 'metadata': it is an object of texts.".into()),
    };
    let after = &value["output_expires_after"];
    let output_expires_s = match (after["anchor"].as_str(), after["seconds"].as_u64()) {
        (None, None) => None,
        (Some("created_at"), Some(seconds)) if (3_600..=2_592_000).contains(&seconds) => {
            Some(seconds)
        }
        _ => {
            return Err(
                "Invalid value for 'output_expires_after': anchor is created_at, \
                        seconds are from 3600 to 2592000."
                    .into(),
            );
        }
    };
    Ok(Wish {
        input,
        endpoint,
        window,
        window_ms: i64::try_from(period.duration().as_millis()).unwrap_or(i64::MAX),
        metadata,
        output_expires_s,
    })
}

fn metadata(pairs: &Map<String, Value>) -> Result<Map<String, Value>, String> {
    let (most, name_max, value_max) = METADATA;
    let fits = |(name, value): (&String, &Value)| {
        let value = value.as_str().map(|value| value.chars().count());
        name.chars().count() <= name_max && value.is_some_and(|value| value <= value_max)
    };
    match pairs.len() <= most && pairs.iter().all(fits) {
        true => Ok(pairs.clone()),
        false => Err(format!(
            "Invalid value for 'metadata': at most {most} texts of {value_max} characters, their \
             names of {name_max}."
        )),
    }
}
