//! What a YAML scalar means: the core schema of YAML 1.2.2, section 10.3.2.
//!
//! Only plain (unquoted) text resolves to null, booleans and numbers; `yes`, `no`, `on` and `off`
//! are text, as YAML 1.2 has it. Infinities, NaN and integers beyond 64 bits are refused, because
//! JSON and the types of the configuration cannot hold them.

use super::node::NodeKind;

/// Why a scalar has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarError {
    /// A whole number beyond `i64::MIN..=u64::MAX`.
    Range,
    /// `.inf`, `.nan`, or a number beyond the range of `f64`.
    NotFinite,
    /// An explicit tag whose type the text is not; names the type.
    NotA(&'static str),
    /// A tag outside YAML's core schema.
    UnknownTag,
}

/// The value of plain text.
pub(super) fn plain(text: &str) -> Result<NodeKind, ScalarError> {
    if let Some(kind) = word(text) {
        return Ok(kind);
    }
    // Most scalars are names; one look at the first byte spares them the number grammars.
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(NodeKind::String(text.to_owned()));
    }
    if let Some(number) = integer(text) {
        return number.map(NodeKind::Integer);
    }
    if let Some(number) = float(text) {
        return number.map(NodeKind::Float);
    }
    Ok(NodeKind::String(text.to_owned()))
}

/// The value of text under an explicit core tag such as `!!str`; `suffix` is the type's name.
pub(super) fn tagged(suffix: &str, text: &str) -> Result<NodeKind, ScalarError> {
    match suffix {
        "str" => Ok(NodeKind::String(text.to_owned())),
        "null" => match word(text) {
            Some(NodeKind::Null) => Ok(NodeKind::Null),
            _ => Err(ScalarError::NotA("null")),
        },
        "bool" => match word(text) {
            Some(NodeKind::Bool(value)) => Ok(NodeKind::Bool(value)),
            _ => Err(ScalarError::NotA("a boolean")),
        },
        "int" => integer(text)
            .ok_or(ScalarError::NotA("a whole number"))?
            .map(NodeKind::Integer),
        "float" => match (float(text), integer(text)) {
            (Some(value), _) => value.map(NodeKind::Float),
            (None, Some(value)) => value.map(|value| NodeKind::Float(value as f64)),
            (None, None) => Err(ScalarError::NotA("a number")),
        },
        _ => Err(ScalarError::UnknownTag),
    }
}

fn word(text: &str) -> Option<NodeKind> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(NodeKind::Null),
        "true" | "True" | "TRUE" => Some(NodeKind::Bool(true)),
        "false" | "False" | "FALSE" => Some(NodeKind::Bool(false)),
        _ => None,
    }
}

/// `[-+]?[0-9]+`, `0o[0-7]+`, `0x[0-9a-fA-F]+`.
fn integer(text: &str) -> Option<Result<i128, ScalarError>> {
    let (digits, radix) = if let Some(octal) = text.strip_prefix("0o") {
        (octal, 8)
    } else if let Some(hexadecimal) = text.strip_prefix("0x") {
        (hexadecimal, 16)
    } else {
        (text.strip_prefix(['-', '+']).unwrap_or(text), 10)
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let signed = if radix == 10 { text } else { digits };
    let range = i128::from(i64::MIN)..=i128::from(u64::MAX);
    let value = i128::from_str_radix(signed, radix)
        .ok()
        .filter(|value| range.contains(value));
    Some(value.ok_or(ScalarError::Range))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, and `.inf` and `.nan` to refuse them.
fn float(text: &str) -> Option<Result<f64, ScalarError>> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let name =
        matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    if name {
        return Some(Err(ScalarError::NotFinite));
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_valid = digits(whole)
        && fraction.is_none_or(digits)
        && (!whole.is_empty() || fraction.is_some_and(|fraction| !fraction.is_empty()));
    let exponent_valid = exponent.is_none_or(|exponent| {
        let power = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !power.is_empty() && digits(power)
    });
    if !mantissa_valid || !exponent_valid {
        return None;
    }
    let value: f64 = text.parse().ok()?;
    Some(if value.is_finite() {
        Ok(value)
    } else {
        Err(ScalarError::NotFinite)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, expected) in [
            ("", "Ok(Null)"),
            ("~", "Ok(Null)"),
            ("null", "Ok(Null)"),
            ("nULL", "Ok(String(\"nULL\"))"),
            ("True", "Ok(Bool(true))"),
            ("yes", "Ok(String(\"yes\"))"),
            ("off", "Ok(String(\"off\"))"),
            ("0", "Ok(Integer(0))"),
            ("-17", "Ok(Integer(-17))"),
            ("+5", "Ok(Integer(5))"),
            ("007", "Ok(Integer(7))"),
            ("0o17", "Ok(Integer(15))"),
            ("0x1F", "Ok(Integer(31))"),
            ("-0x1F", "Ok(String(\"-0x1F\"))"),
            ("0x+1", "Ok(String(\"0x+1\"))"),
            ("1_000", "Ok(String(\"1_000\"))"),
            ("18446744073709551615", "Ok(Integer(18446744073709551615))"),
            ("18446744073709551616", "Err(Range)"),
            ("-9223372036854775809", "Err(Range)"),
            ("1.", "Ok(Float(1.0))"),
            (".5", "Ok(Float(0.5))"),
            ("1e3", "Ok(Float(1000.0))"),
            ("-1.5E-3", "Ok(Float(-0.0015))"),
            (".", "Ok(String(\".\"))"),
            ("1e", "Ok(String(\"1e\"))"),
            ("1.2.3", "Ok(String(\"1.2.3\"))"),
            ("-", "Ok(String(\"-\"))"),
            ("1e999", "Err(NotFinite)"),
            (".inf", "Err(NotFinite)"),
            ("-.INF", "Err(NotFinite)"),
            (".nan", "Err(NotFinite)"),
            ("2001-12-14", "Ok(String(\"2001-12-14\"))"),
            ("12:30:45", "Ok(String(\"12:30:45\"))"),
            ("99.9 %", "Ok(String(\"99.9 %\"))"),
        ] {
            assert_eq!(format!("{:?}", plain(text)), expected, "{text:?}");
        }
    }

    #[test]
    fn explicit_tags_decide_or_refuse() {
        for (suffix, text, expected) in [
            ("str", "1", "Ok(String(\"1\"))"),
            ("int", "0x10", "Ok(Integer(16))"),
            ("int", "x", "Err(NotA(\"a whole number\"))"),
            ("float", "3", "Ok(Float(3.0))"),
            ("float", "x", "Err(NotA(\"a number\"))"),
            ("bool", "true", "Ok(Bool(true))"),
            ("bool", "yes", "Err(NotA(\"a boolean\"))"),
            ("null", "", "Ok(Null)"),
            ("binary", "aGk=", "Err(UnknownTag)"),
        ] {
            assert_eq!(
                format!("{:?}", tagged(suffix, text)),
                expected,
                "{suffix} {text:?}"
            );
        }
    }
}
