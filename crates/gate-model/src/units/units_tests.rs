//! Errors first, then canonical texts, then the round trip over all values.

use std::fmt::Debug;
use std::str::FromStr;

use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;

#[track_caller]
fn refused<T: FromStr<Err = UnitError> + Debug>(cases: &[(&str, &str)]) {
    for (text, found) in cases {
        let error = text.parse::<T>().expect_err(text);
        assert_eq!(error.found, *found, "{text:?}");
    }
}

#[track_caller]
fn accepted<T: FromStr<Err = UnitError> + ToString + Debug>(cases: &[(&str, &str)]) {
    for (text, canonical) in cases {
        let value: T = text
            .parse()
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(value.to_string(), *canonical, "{text:?}");
    }
}

#[test]
fn malformed_quantities_say_what_is_wrong() {
    refused::<Period>(&[
        ("", "``"),
        ("fast", "`fast`"),
        ("-1s", "`-1s`"),
        ("30", "`30`, which has no unit"),
        ("5 min", "`5 min`, whose unit `min` is unknown"),
        ("1h30m", "`1h30m`, whose unit `h30m` is unknown"),
        ("1.s", "`1.s`"),
        ("1.2.3s", "`1.2.3s`"),
        (".5s", "`.5s`"),
        ("0.5us", "`0.5us`, which is finer than a microsecond"),
        ("3651d", "`3651d`, which is longer than 3650d"),
        (
            "99999999999999999999d",
            "`99999999999999999999d`, which is longer than 3650d",
        ),
        (
            &"9".repeat(50),
            "a text of 50 characters, which has no unit",
        ),
        (
            "1s\u{1b}[31m",
            "`1s\\u{1b}[31m`, whose unit `s\\u{1b}[31m` is unknown",
        ),
    ]);
    refused::<ByteSize>(&[
        ("", "``"),
        ("-1", "`-1`"),
        ("10M", "`10M`, whose unit `M` is unknown"),
        ("10kib", "`10kib`, whose unit `kib` is unknown"),
        ("0.3KiB", "`0.3KiB`, which is no whole number of bytes"),
        ("2000TiB", "`2000TiB`, which is more than 1024TiB"),
    ]);
    refused::<Rate>(&[
        ("100", "`100`, which has no `/` and period"),
        ("x/s", "`x/s`, whose count is no whole number"),
        ("/s", "`/s`, whose count is no whole number"),
        ("1/", "`1/`, whose period is not understood"),
        (
            "1/fortnight",
            "`1/fortnight`, whose period is not understood",
        ),
        (
            "0/s",
            "`0/s`, which is not from 1 to 1000000000 per 1ms to 366d",
        ),
        (
            "1/0s",
            "`1/0s`, which is not from 1 to 1000000000 per 1ms to 366d",
        ),
        (
            "1/367d",
            "`1/367d`, which is not from 1 to 1000000000 per 1ms to 366d",
        ),
        (
            "9999999999/s",
            "`9999999999/s`, which is not from 1 to 1000000000 per 1ms to 366d",
        ),
    ]);
    refused::<Percent>(&[
        ("%", "`%`"),
        ("99.9", "`99.9`, which has no `%`"),
        ("99.9 percent", "`99.9 percent`"),
        ("100.1%", "`100.1%`, which is more than 100%"),
        (
            "1.0000001%",
            "`1.0000001%`, which has more than six decimals",
        ),
    ]);
    refused::<Sha256Text>(&[
        ("", "a text of 0 characters"),
        (&"a".repeat(63), "a text of 63 characters"),
        (
            &format!("{}g", "a".repeat(63)),
            "a character that is no hexadecimal digit",
        ),
        (&"é".repeat(64), "a character that is no hexadecimal digit"),
    ]);
}

#[test]
fn quantities_have_one_canonical_text() {
    accepted::<Period>(&[
        ("0", "0s"),
        ("0d", "0s"),
        ("250ms", "250ms"),
        ("1.5s", "1500ms"),
        ("1.50 s", "1500ms"),
        ("60s", "1m"),
        ("90s", "90s"),
        ("24h", "1d"),
    ]);
    accepted::<ByteSize>(&[
        ("0", "0B"),
        ("65536", "64KiB"),
        ("64KiB", "64KiB"),
        ("1MB", "1MB"),
        ("1.5 MiB", "1536KiB"),
        ("1500", "1500B"),
        ("1024TiB", "1024TiB"),
    ]);
    accepted::<Rate>(&[
        ("100/s", "100/s"),
        ("6000/m", "6000/m"),
        ("10/30s", "10/30s"),
        ("10 / 60s", "10/m"),
        ("1000/1d", "1000/d"),
        ("1/10s", "1/10s"),
        ("5/100ms", "5/100ms"),
    ]);
    accepted::<Percent>(&[
        ("99.9 %", "99.9%"),
        ("100%", "100%"),
        ("0%", "0%"),
        ("0.000001%", "0.000001%"),
        ("099.90%", "99.9%"),
    ]);
    let upper = "AB".repeat(32);
    accepted::<Sha256Text>(&[(&upper, &upper.to_lowercase())]);
}

#[test]
fn bare_numbers_are_read_only_where_they_are_unambiguous() {
    #[track_caller]
    fn check<T: DeserializeOwned + Debug>(json: &str, expected: &str) {
        let shown = match serde_json::from_str::<T>(json) {
            Ok(value) => format!("{value:?}"),
            Err(error) => error.to_string(),
        };
        assert!(shown.starts_with(expected), "{json}: {shown}");
    }
    check::<Period>(
        "30",
        "invalid value: the number 30, which has no unit, expected a duration",
    );
    check::<Period>("0", "Period(0s)");
    check::<ByteSize>("1024", "ByteSize(1KiB)");
    check::<ByteSize>("-5", "invalid value: a negative number, expected a size");
    check::<ByteSize>(
        "1.5",
        "invalid value: the number 1.5, which is no whole number of bytes",
    );
    check::<Rate>("100", "invalid value: the number 100, which has no period");
    check::<Percent>("0.5", "invalid value: the number 0.5, which has no `%`");
    check::<Sha256Text>(
        "12345678",
        "invalid value: a number, expected a SHA-256 digest",
    );
    check::<Sha256Text>(
        "true",
        "invalid type: boolean `true`, expected a SHA-256 digest",
    );
}

#[test]
fn a_digest_is_not_shown_by_debug() {
    let digest: Sha256Text = "5f".repeat(32).parse().expect("64 digits");
    assert_eq!(format!("{digest:?}"), "Sha256Text(..)");
}

#[test]
fn schemas_carry_pattern_and_examples() {
    let schema = serde_json::to_value(schemars::schema_for!(Period)).expect("plain data");
    assert_eq!(schema["type"], "string");
    assert_eq!(schema["examples"][0], "250ms");
    assert!(
        schema["pattern"]
            .as_str()
            .is_some_and(|pattern| pattern.contains("ms")),
        "{schema}"
    );
    let schema = serde_json::to_value(schemars::schema_for!(ByteSize)).expect("plain data");
    assert_eq!(schema["type"], serde_json::json!(["string", "integer"]));
    assert_eq!(schema["minimum"], 0);
}

fn round_trip<T>(value: T) -> Result<(), TestCaseError>
where
    T: Serialize + DeserializeOwned + ToString + PartialEq + Debug,
{
    let json = serde_json::to_string(&value).expect("a text");
    prop_assert_eq!(&json, &format!("\"{}\"", value.to_string()));
    prop_assert_eq!(serde_json::from_str::<T>(&json).expect("canonical"), value);
    Ok(())
}

proptest! {
    #[test]
    fn canonical_text_reads_back(number in any::<u64>(), small in 0u64..1_000_000, digest in any::<[u8; 32]>()) {
        for number in [number, number >> 24, small * 1000, small * 60_000_000] {
            round_trip(Period::from_microseconds(number))?;
            round_trip(ByteSize::from_bytes(number))?;
            if let Some(rate) = Rate::new((number % 1000) as u32, Period::from_microseconds(number)) {
                round_trip(rate)?;
            }
        }
        round_trip(format!("{}.{:06}%", small % 100, small).parse::<Percent>().expect("in range"))?;
        round_trip(Sha256Text::from_bytes(digest))?;
    }

    #[test]
    fn no_text_panics(text in ".{0,60}", numeric in "[0-9./%KMiBsmhdu ]{0,24}") {
        for text in [&text, &numeric] {
            let _ = (text.parse::<Period>(), text.parse::<ByteSize>(), text.parse::<Rate>());
            let _ = (text.parse::<Percent>(), text.parse::<Sha256Text>());
        }
    }
}
