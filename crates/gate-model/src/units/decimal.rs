//! Decimal numbers with a unit behind them, read exactly into whole multiples of a smallest unit.

/// What may be wrong with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DecimalError {
    /// Not `digits` or `digits.digits`.
    Malformed,
    /// Finer than the smallest unit.
    TooFine,
    /// Beyond `u64`.
    TooLarge,
}

/// Splits `1.5 s` into number and unit; blanks between and around them are allowed.
pub(super) fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// `number` times `scale`, which must come out whole.
pub(super) fn scaled(number: &str, scale: u64) -> Result<u64, DecimalError> {
    let (whole, fraction) = match number.split_once('.') {
        Some((_, "")) => return Err(DecimalError::Malformed),
        Some(parts) => parts,
        None => (number, ""),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) {
        return Err(DecimalError::Malformed);
    }
    let fraction = fraction.trim_end_matches('0');
    // 10^18 is the largest power of ten in a u64; no unit here needs a finer fraction.
    let places = u32::try_from(fraction.len())
        .ok()
        .filter(|places| *places <= 18);
    let divisor = 10u128.pow(places.ok_or(DecimalError::TooFine)?);
    let whole: u64 = whole.parse().map_err(|_| DecimalError::TooLarge)?;
    let fraction: u64 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().unwrap_or(u64::MAX)
    };
    let part = u128::from(fraction) * u128::from(scale);
    if !part.is_multiple_of(divisor) {
        return Err(DecimalError::TooFine);
    }
    let total = u128::from(whole) * u128::from(scale) + part / divisor;
    u64::try_from(total).map_err(|_| DecimalError::TooLarge)
}
