//! What a client's certificate says of its holder (RFC 5280). Whether it was issued by somebody who
//! may issue it, is valid now and not revoked, the TLS handshake has decided before.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use std::fmt::Write as _;

/// A certificate's names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Certificate {
    /// The subject as RFC 4514 writes it: `CN=web,OU=shop,O=Example`.
    pub subject: String,
    /// The most specific common name of the subject.
    pub common_name: Option<String>,
    /// The issuer's name, likewise.
    pub issuer: String,
    /// DNS names in subjectAltName, in lower case.
    pub dns_names: Vec<String>,
    /// URIs in subjectAltName.
    pub uris: Vec<String>,
    /// The serial number in lower-case hexadecimal.
    pub serial: String,
    /// SHA-256 of the whole certificate in lower-case hexadecimal.
    pub sha256: String,
}

impl Certificate {
    /// Reads a certificate in DER; none when it is not one.
    #[must_use]
    pub fn parse(der: &[u8]) -> Option<Self> {
        let der = CertificateDer::from(der);
        let certificate = webpki::EndEntityCert::try_from(&der).ok()?;
        let subject = names(certificate.subject())?;
        let common_name = subject
            .iter()
            .flatten()
            .find(|(kind, _)| kind == "CN")
            .map(|(_, value)| value.clone());
        Some(Self {
            common_name,
            subject: text(&subject),
            issuer: text(&names(certificate.issuer())?),
            dns_names: certificate
                .valid_dns_names()
                .map(str::to_ascii_lowercase)
                .collect(),
            uris: certificate.valid_uri_names().map(str::to_owned).collect(),
            serial: hex(certificate.serial()),
            sha256: hex(digest(&SHA256, &der).as_ref()),
        })
    }

    /// Its SPIFFE ID: exactly one URI, of that scheme (SPIFFE X.509-SVID, section 2).
    #[must_use]
    pub fn spiffe_id(&self) -> Option<&str> {
        match &self.uris[..] {
            [only] if only.starts_with("spiffe://") => Some(only),
            _ => None,
        }
    }
}

/// Whether a name fits a pattern of segments between slashes: `*` stands for one whole segment, `**`
/// at the end for any number.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut segments = name.split('/');
    for wanted in pattern.split('/') {
        if wanted == "**" {
            return true;
        }
        match segments.next() {
            Some(segment) if wanted == segment || wanted == "*" && !segment.is_empty() => {}
            _ => return false,
        }
    }
    segments.next().is_none()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        // Writing to a String cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// One relative name: usually one pair, rarely several.
type Relative = Vec<(String, String)>;

/// A name's parts, the most specific first, as RFC 4514 section 2.1 orders them.
fn names(mut der: &[u8]) -> Option<Vec<Relative>> {
    let mut parts = Vec::new();
    while !der.is_empty() {
        let mut set = take(&mut der, 0x31)?;
        let mut relative = Relative::new();
        while !set.is_empty() {
            let mut pair = take(&mut set, 0x30)?;
            let kind = take(&mut pair, 0x06)?;
            let (tag, value) = any(&mut pair)?;
            relative.push((kind_name(kind)?, value_text(tag, value)));
        }
        parts.push(relative);
    }
    parts.reverse();
    Some(parts)
}

/// The next element, which has to have this tag.
fn take<'a>(der: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    any(der)
        .filter(|(found, _)| *found == tag)
        .map(|(_, value)| value)
}

/// The next element: its tag and contents (X.690 section 8.1, definite lengths).
fn any<'a>(der: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if length >= 0x80 {
        let (digits, behind) = rest.split_at_checked(length - 0x80)?;
        if digits.is_empty() || digits.len() > 3 {
            return None;
        }
        length = digits
            .iter()
            .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
        rest = behind;
    }
    let (value, behind) = rest.split_at_checked(length)?;
    *der = behind;
    Some((*tag, value))
}

/// The short name of an attribute (RFC 4514 section 3, RFC 4519), else its numbers.
fn kind_name(oid: &[u8]) -> Option<String> {
    let known = match oid {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "STREET",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 100, 1, 25] => "DC",
        [9, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 100, 1, 1] => "UID",
        [42, 0x86, 0x48, 0x86, 0xf7, 13, 1, 9, 1] => "emailAddress",
        _ => return numbers(oid),
    };
    Some(known.to_owned())
}

/// An object identifier in numbers (X.690 section 8.19).
fn numbers(oid: &[u8]) -> Option<String> {
    let mut out = String::new();
    let mut number = 0_u64;
    for byte in oid {
        number = number
            .checked_mul(128)?
            .checked_add(u64::from(byte & 127))?;
        if byte & 128 != 0 {
            continue;
        }
        if out.is_empty() {
            let first = (number / 40).min(2);
            out = format!("{first}.{}", number - first * 40);
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, ".{number}");
        }
        number = 0;
    }
    (!out.is_empty()).then_some(out)
}

/// A value as text: kinds of strings that hold ASCII or UTF-8, else `#` and hexadecimal.
fn value_text(tag: u8, value: &[u8]) -> String {
    const STRINGS: [u8; 4] = [0x0c, 0x13, 0x14, 0x16];
    match std::str::from_utf8(value) {
        Ok(text) if STRINGS.contains(&tag) => text.to_owned(),
        _ => format!("#{}", hex(value)),
    }
}

fn text(parts: &[Relative]) -> String {
    let relative = |pairs: &Relative| {
        let pairs = pairs
            .iter()
            .map(|(kind, value)| format!("{kind}={}", escaped(value)));
        pairs.collect::<Vec<_>>().join("+")
    };
    parts.iter().map(relative).collect::<Vec<_>>().join(",")
}

/// RFC 4514 section 2.4.
fn escaped(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, character) in value.chars().enumerate() {
        let edge =
            character == ' ' && (place == 0 || place == last) || character == '#' && place == 0;
        if edge || "\"+,;<>\\".contains(character) {
            out.push('\\');
        }
        if character.is_control() {
            let mut bytes = [0; 4];
            for byte in character.encode_utf8(&mut bytes).bytes() {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{byte:02X}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    fn certificate(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["Web.Example.com".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, "Example, Inc.");
        name.push(DnType::OrganizationalUnitName, "shop");
        name.push(DnType::CommonName, " web\n");
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        params.self_signed(&key).unwrap().der().to_vec()
    }

    fn uri(text: &str) -> SanType {
        SanType::URI(text.try_into().unwrap())
    }

    #[test]
    fn names_are_read_and_escaped() {
        let id = "spiffe://example.org/ns/shop/sa/web";
        let der = certificate(|params| params.subject_alt_names.push(uri(id)));
        let read = Certificate::parse(&der).unwrap();
        assert_eq!(read.subject, r"CN=\ web\0A,OU=shop,O=Example\, Inc.");
        assert_eq!(read.common_name.as_deref(), Some(" web\n"));
        assert_eq!(read.issuer, read.subject);
        assert_eq!(read.dns_names, ["web.example.com"]);
        assert_eq!(read.spiffe_id(), Some(id));
        assert_eq!(read.sha256.len(), 64);
        let der = certificate(|params| params.subject_alt_names.extend([uri(id), uri(id)]));
        assert_eq!(Certificate::parse(&der).unwrap().spiffe_id(), None);
    }

    #[test]
    fn broken_certificates_are_none() {
        let der = certificate(|_| {});
        for length in 0..der.len() {
            assert!(Certificate::parse(&der[..length]).is_none(), "{length}");
        }
        for place in 0..der.len() {
            let mut broken = der.clone();
            broken[place] ^= 0xff;
            // Whatever it says, it is read without a panic.
            let _ = Certificate::parse(&broken);
        }
        assert_eq!(numbers(&[0x55, 4, 3]).as_deref(), Some("2.5.4.3"));
        assert_eq!(numbers(&[0xff; 20]), None);
    }

    #[test]
    fn patterns_hold_segment_by_segment() {
        for (pattern, name, right) in [
            ("spiffe://a/ns/*/sa/web", "spiffe://a/ns/shop/sa/web", true),
            ("spiffe://a/ns/*/sa/web", "spiffe://a/ns/x/y/sa/web", false),
            ("spiffe://a/**", "spiffe://a/ns/shop", true),
            ("spiffe://a/**", "spiffe://ab/ns/shop", false),
            ("spiffe://a/ns", "spiffe://a/ns/shop", false),
            ("spiffe://a/*", "spiffe://a/", false),
            ("CN=web,O=x", "CN=web,O=x", true),
        ] {
            assert_eq!(fits(pattern, name), right, "{pattern} {name}");
        }
    }
}
