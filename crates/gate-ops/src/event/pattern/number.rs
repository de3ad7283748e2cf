//! Numbers as the pattern language compares them: as IEEE 754 doubles, where the double says exactly
//! what was written. Others (18 digits, 1e400) are no numbers to a pattern but text.

/// The double that a JSON number says exactly (its shortest spelling is the same number), never
/// `-0.0`. None for what is no number or has too many digits.
#[inline]
pub(super) fn comparable(text: &[u8]) -> Option<f64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // Fifteen digits fit every double, with a point among them or not; that is nearly all there is.
    if digits.len() <= 16 && !digits.is_empty() {
        let (mut whole, mut point) = (0_u64, digits.len());
        for (at, &byte) in digits.iter().enumerate() {
            let digit = byte.wrapping_sub(b'0');
            if digit <= 9 {
                whole = whole * 10 + u64::from(digit);
            } else if byte == b'.' && point == digits.len() && at > 0 && at + 1 < digits.len() {
                point = at;
            } else {
                return other(text);
            }
        }
        let behind = digits.len().saturating_sub(point + 1);
        if point == 16 {
            return other(text);
        }
        // Both are whole numbers that doubles say exactly, so that the quotient is the double nearest
        // to what was written; and no two numbers of fifteen digits have the same nearest double.
        #[allow(clippy::cast_precision_loss, reason = "below 10^15")]
        let number = whole as f64 / POWERS[behind];
        return Some(if negative && whole != 0 {
            -number
        } else {
            number
        });
    }
    other(text)
}

/// Powers of ten, which doubles say exactly.
const POWERS: [f64; 15] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
];

#[cold]
fn other(text: &[u8]) -> Option<f64> {
    let written = Decimal::of(text)?;
    let number: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    if !number.is_finite() {
        return None;
    }
    let spelled = format!("{number:e}");
    (Decimal::of(spelled.as_bytes())? == written).then_some(if number == 0.0 {
        0.0
    } else {
        number
    })
}

/// A decimal number in one spelling: digits without zeros at either end, and the power of ten of the
/// last one.
#[derive(PartialEq)]
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// None when it is not spelled as JSON spells a number (leading zeros are let pass).
    fn of(text: &[u8]) -> Option<Self> {
        let (mut negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut exponent = 0_i64;
        if let Some(at) = rest.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            let power = std::str::from_utf8(&rest[at + 1..]).ok()?;
            exponent = i64::from(power.parse::<i32>().ok()?);
            rest = &rest[..at];
        }
        let (whole, part) = match rest.iter().position(|byte| *byte == b'.') {
            Some(at) if at + 1 < rest.len() => (&rest[..at], &rest[at + 1..]),
            Some(_) => return None,
            None => (rest, &[][..]),
        };
        let figures = |text: &[u8]| text.iter().all(u8::is_ascii_digit);
        if whole.is_empty() || !figures(whole) || !figures(part) {
            return None;
        }
        let mut digits: Vec<u8> = [whole, part].concat();
        exponent -= i64::try_from(part.len()).ok()?;
        while digits.last() == Some(&b'0') {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        if digits.is_empty() {
            (negative, exponent) = (false, 0);
        }
        Some(Decimal {
            negative,
            digits,
            exponent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{comparable, other};
    use gate_kit::random::{self, below};

    #[test]
    fn the_short_way_says_what_the_long_way_says() {
        random::seed(3);
        for _ in 0..200_000 {
            let mut text: String = (0..1 + below(17))
                .map(|_| char::from(b"0123456789012345678999000.."[below(27)]))
                .collect();
            if below(4) == 0 {
                text.insert(0, '-');
            }
            let bits = |number: Option<f64>| number.map(f64::to_bits);
            let (short, long) = (comparable(text.as_bytes()), other(text.as_bytes()));
            assert_eq!(bits(short), bits(long), "{text}");
        }
    }

    #[test]
    fn a_number_is_one_in_every_spelling() {
        for (text, number) in [
            ("5", 5.0),
            ("5.0", 5.0),
            ("50e-1", 5.0),
            ("0.5E+1", 5.0),
            ("-0", 0.0),
            ("-0.0", 0.0),
            ("3.018e2", 301.8),
            ("0.1", 0.1),
            ("-12.25", -12.25),
            ("9007199254740992", 9_007_199_254_740_992.0),
            ("1e300", 1e300),
            ("2.2250738585072014e-308", f64::MIN_POSITIVE),
        ] {
            let found = comparable(text.as_bytes()).unwrap();
            assert_eq!(found.to_bits(), number.to_bits(), "{text}");
        }
    }

    #[test]
    fn what_no_double_says_exactly_is_no_number() {
        for text in [
            "9007199254740993",
            "12345678901234567890",
            "0.12345678901234567890",
            "1e400",
            "1e99999999999",
            "",
            "-",
            "abc",
            "1.",
            ".5",
            "1e",
            "--1",
            "true",
            "1_0",
        ] {
            assert_eq!(comparable(text.as_bytes()), None, "{text}");
        }
    }
}
