//! When a certificate holds, and what it is called at its authority, out of its DER (RFC 5280 section
//! 4.1): elements are stepped over, nothing else is understood. What is verified is the chain's matter
//! elsewhere.

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

/// What a certificate is called when its renewal is talked about (RFC 9773 section 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    /// The key identifier of its authority.
    pub(crate) authority: Vec<u8>,
    /// The contents of its serial number, a leading zero included.
    pub(crate) serial: Vec<u8>,
}

/// When the certificate in this DER holds; none where it is none.
#[must_use]
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let (_, inner) = serial(certificate)?;
    let inner = skip(inner, &[0x30, 0x30])?;
    let (times, _) = element(inner, 0x30)?;
    let (begins, rest) = time(times)?;
    let (ends, _) = time(rest)?;
    Some(Validity { begins, ends })
}

/// What the certificate in this DER is called; none where it names no key of its authority.
pub(crate) fn identity(certificate: &[u8]) -> Option<Identity> {
    let (serial, inner) = serial(certificate)?;
    // Signature, issuer, validity, subject and key; then what is optional: two unique identifiers.
    let mut inner = skip(inner, &[0x30; 5])?;
    for tag in [0x81, 0x82] {
        if inner.first() == Some(&tag) {
            inner = element(inner, tag)?.1;
        }
    }
    let (extensions, _) = element(inner, 0xa3)?;
    let (mut extensions, _) = element(extensions, 0x30)?;
    while !extensions.is_empty() {
        let (extension, rest) = element(extensions, 0x30)?;
        extensions = rest;
        let (kind, mut value) = element(extension, 0x06)?;
        if value.first() == Some(&0x01) {
            value = element(value, 0x01)?.1;
        }
        // authorityKeyIdentifier (section 4.2.1.1), whose key identifier is the implicit [0].
        if kind == [0x55, 0x1d, 0x23] {
            let (value, _) = element(value, 0x04)?;
            let (value, _) = element(value, 0x30)?;
            let (authority, _) = element(value, 0x80)?;
            return Some(Identity {
                authority: authority.to_vec(),
                serial: serial.to_vec(),
            });
        }
    }
    None
}

/// The serial number of a certificate, and what follows it.
fn serial(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (outer, _) = element(certificate, 0x30)?;
    let (mut inner, _) = element(outer, 0x30)?;
    // The version is optional, explicit [0].
    if inner.first() == Some(&0xa0) {
        inner = element(inner, 0xa0)?.1;
    }
    element(inner, 0x02)
}

/// What follows elements with these tags.
fn skip<'a>(mut bytes: &'a [u8], tags: &[u8]) -> Option<&'a [u8]> {
    for tag in tags {
        bytes = element(bytes, *tag)?.1;
    }
    Some(bytes)
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
            assert_eq!(identity(&der[..end]), None, "{end}");
        }
        for at in 0..der.len() {
            let mut other = der.to_vec();
            other[at] ^= 0xff;
            let _ = (validity(&other), identity(&other));
        }
    }

    #[test]
    fn a_certificate_is_called_by_its_authoritys_key_and_its_serial_number() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(["a.test".to_owned()]).unwrap();
        // RFC 9773 section 4.1 has this serial number: the sign's zero belongs to it.
        parameters.serial_number = Some(vec![0x87, 0x65, 0x43, 0x21].into());
        let plain = parameters.self_signed(&key).unwrap();
        assert_eq!(identity(plain.der()), None, "it names no authority's key");
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.self_signed(&key).unwrap();
        let identity = identity(certificate.der()).unwrap();
        assert_eq!(identity.serial, [0, 0x87, 0x65, 0x43, 0x21]);
        assert_eq!(identity.authority, parameters.key_identifier(&key));
    }
}
