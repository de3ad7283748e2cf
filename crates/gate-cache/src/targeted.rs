//! Targeted Cache-Control (RFC 9213): what an answer says to this cache rather than to all.

use crate::control::{Control, SECONDS_MAX, Value};
use crate::structured::{Bare, dictionary};
use gate_kit::http::Headers;

/// The fields that this cache goes by, the nearest target first.
const TARGETED: [&str; 2] = ["tidegate-cache-control", "cdn-cache-control"];

/// The first targeted field that is there, parses and says anything. Cache-Control and Expires are
/// then not looked at (section 2.2).
pub(crate) fn targeted(headers: &Headers) -> Option<Control> {
    TARGETED.iter().find_map(|name| {
        headers.get_named(name)?;
        let members = dictionary(headers.all_named(name))?;
        if members.is_empty() {
            return None;
        }
        let mut control = Control::default();
        for (key, value) in &members {
            let value = match value {
                Bare::Integer(seconds) => {
                    let most = i64::from(SECONDS_MAX);
                    Value::Seconds(u32::try_from((*seconds).clamp(0, most)).unwrap_or(SECONDS_MAX))
                }
                Bare::Boolean(true) => Value::None,
                // Another type than the directive's is as if it were not there.
                Bare::Boolean(false) | Bare::Texts(_) | Bare::Other => continue,
            };
            let counts = matches!(
                key.as_str(),
                "max-age" | "s-maxage" | "stale-while-revalidate" | "stale-if-error"
            );
            if counts == matches!(value, Value::Seconds(_)) {
                control.set(key.as_bytes(), value);
            }
        }
        Some(control)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::headers;

    #[test]
    fn the_nearest_field_that_parses_counts() {
        let read = |fields: &[(&str, &str)]| targeted(&headers(fields));
        let of = |text| read(&[("CDN-Cache-Control", text)]);
        assert_eq!(of("foobar, max-age=3600").unwrap().max_age, Some(3600));
        assert_eq!(
            of("max-age=99999999999").unwrap().max_age,
            Some(SECONDS_MAX)
        );
        assert!(of("private").unwrap().private && of("no-store").unwrap().no_store);
        // A wrong type leaves the field in force and the directive out.
        assert_eq!(of("max-age=\"10000\"").unwrap().max_age, None);
        assert!(!of("no-store=5").unwrap().no_store);
        assert_eq!(of("max-age=10000, &&&&&"), None);
        assert_eq!(of(""), None);
        let nearer = read(&[
            ("cdn-cache-control", "no-store"),
            ("tidegate-cache-control", "a"),
        ]);
        assert!(!nearer.unwrap().no_store);
    }
}
