//! Under which names the catalogue lists what a provider calls its models, and dates in it.

/// What the catalogue calls a kind of provider, where it differs.
const FAMILIES: &[(&str, &[&str])] = &[
    ("azure", &["azure", "azure_ai"]),
    ("cloudflare", &["cloudflare"]),
    ("fireworks", &["fireworks_ai"]),
    ("nim", &["nvidia_nim"]),
    ("together", &["together_ai"]),
    ("vertex", &["vertex_ai", "gemini"]),
];

/// What OpenRouter calls vendors, where the catalogue differs. It sells at the vendors' own prices
/// (<https://openrouter.ai/docs/faq#how-are-rates-calculated>), so that theirs stand in.
const VENDORS: &[(&str, &str)] = &[
    ("google", "gemini"),
    ("mistralai", "mistral"),
    ("x-ai", "xai"),
    ("z-ai", "zai"),
];

/// Keys to look for, the best first.
pub(super) fn candidates(kind: &str, model: &str) -> Vec<String> {
    let families = FAMILIES.iter().find(|(known, _)| *known == kind);
    let mut keys = Vec::new();
    for family in families.map_or(&[kind][..], |(_, families)| *families) {
        with_and_without_date(&mut keys, family, model);
    }
    if kind == "openrouter"
        && let Some((vendor, name)) = model.split_once('/')
    {
        let known = VENDORS.iter().find(|(theirs, _)| *theirs == vendor);
        let vendor = known.map_or(vendor, |(_, ours)| ours);
        // A variant such as `:nitro` or `:free` is another offer with another price.
        if !name.contains(':') {
            with_and_without_date(&mut keys, vendor, name);
            if vendor == "anthropic" {
                with_and_without_date(&mut keys, vendor, &name.replace('.', "-"));
            }
        }
    }
    keys
}

fn with_and_without_date(keys: &mut Vec<String>, family: &str, model: &str) {
    keys.push(format!("{family}/{model}"));
    if let Some(undated) = without_date(model) {
        keys.push(format!("{family}/{undated}"));
    }
}

/// A name without `-20250929`, `@20250929` or `-2024-08-06` at its end.
fn without_date(model: &str) -> Option<&str> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (name, tail) = model.rsplit_once(['-', '@'])?;
    if tail.len() == 8 && digits(tail) && tail.starts_with("20") {
        return Some(name);
    }
    let (rest, month) = name.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    let dated = [(year, 4), (month, 2), (tail, 2)]
        .iter()
        .all(|(part, length)| part.len() == *length && digits(part));
    dated.then_some(rest)
}

/// The beginning of a day `2026-11-21` in UTC, as seconds of UNIX time.
#[must_use]
pub(crate) fn unix_of_date(text: &str) -> Option<u64> {
    let mut parts = text.splitn(3, '-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days since 0000-03-01 in the proleptic Gregorian calendar; 719,468 of them before 1970.
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_days_of_unix_time() {
        for (text, day) in [
            ("1970-01-01", Some(0)),
            ("2000-02-29", Some(11_016)),
            ("2026-11-21", Some(20_778)),
            ("", None),
            ("2026-13-01", None),
            ("2026-11", None),
        ] {
            assert_eq!(unix_of_date(text), day.map(|day| day * 86_400), "{text}");
        }
    }

    #[test]
    fn dates_at_the_end_of_names_are_left_out() {
        assert_eq!(without_date("gpt-4o-2024-08-06"), Some("gpt-4o"));
        assert_eq!(
            without_date("claude-sonnet-4-5@20250929"),
            Some("claude-sonnet-4-5")
        );
        assert_eq!(without_date("gpt-4o"), None);
        assert_eq!(without_date("model-12345678"), None);
    }
}
