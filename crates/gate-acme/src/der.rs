//! When a certificate holds, out of its DER (RFC 5280 section 4.1.2.5): five elements are stepped
//! over, nothing else is understood. What is verified is the chain's matter elsewhere.

use gate_kit::date::days;
use std::time::Duration;

/// When a certificate holds, as UNIX time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From then on.
    pub begins: Duration,
    /// Until then.
    pub ends: Duration,
}

/// When the certificate in this DER holds; none where it is none.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let (outer, _) = element(certificate, 0x30)?;
    let (mut inner, _) = element(outer, 0x30)?;
    // The version is optional, explicit [0]; then come serial, signature and issuer.
    if inner.first() == Some(&0xa0) {
        inner = element(inner, 0xa0)?.1;
    }
    for tag in [0x02, 0x30, 0x30] {
        inner = element(inner, tag)?.1;
    }
    let (times, _) = element(inner, 0x30)?;
    let (begins, rest) = time(times)?;
    let (ends, _) = time(rest)?;
    Some(Validity { begins, ends })
}

/// The contents of an element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    if found != tag {
        return None;
    }
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        // Longer forms than four bytes are no certificate.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .fold(0, |length, digit| length << 8 | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

/// A UTCTime or a GeneralizedTime, in the one form that certificates may have.
fn time(bytes: &[u8]) -> Option<(Duration, &[u8])> {
    let (text, rest, year_digits) = match *bytes.first()? {
        0x17 => element(bytes, 0x17).map(|(text, rest)| (text, rest, 2))?,
        _ => element(bytes, 0x18).map(|(text, rest)| (text, rest, 4))?,
    };
    let number = |from: usize, digits: usize| -> Option<u64> {
        let text = std::str::from_utf8(text.get(from..from + digits)?).ok()?;
        text.bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| text.parse().ok())?
    };
    let mut year = number(0, year_digits)?;
    if year_digits == 2 {
        year += if year < 50 { 2000 } else { 1900 };
    }
    let at = |index: usize| number(year_digits + 2 * index, 2);
    let (month, day, hour, minute, second) = (at(0)?, at(1)?, at(2)?, at(3)?, at(4)?);
    let valid = text.len() == year_digits + 11
        && text.last() == Some(&b'Z')
        && year >= 1970
        && (1..=12).contains(&month)
        && (1..=31).contains(&day);
    let time = hour * 3600 + minute * 60 + second;
    valid.then(|| {
        (
            Duration::from_secs(days(year, month, day) * 86_400 + time),
            rest,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_is_what_the_certificate_says() {
        let mut parameters = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2026, 2, 28);
        parameters.not_after = rcgen::date_time_ymd(2055, 3, 1);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let validity = validity(certificate.der()).unwrap();
        assert_eq!(validity.begins.as_secs(), 1_772_236_800);
        assert_eq!(validity.ends.as_secs(), 2_687_472_000);
    }

    #[test]
    fn every_cut_certificate_is_none_and_none_panics() {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        let der: &[u8] = certificate.der();
        for end in 0..der.len() {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
        for at in 0..der.len().min(200) {
            let mut other = der.to_vec();
            other[at] ^= 0xff;
            let _ = validity(&other);
        }
    }
}
