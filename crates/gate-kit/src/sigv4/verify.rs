//! Checking the signature of an incoming request.

use super::presigned::SIGNATURE;
use super::{ALGORITHM, DATE, Scope, Signable, canonical_request, parse_time, signature};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use std::fmt;

/// Most fields that a signature may cover; bounds the work for a hostile request.
const SIGNED_MAX: usize = 64;

/// Why a signature does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The field `authorization`, or the query, holds no signature in this form.
    Malformed,
    /// The field `host` is not signed.
    HostUnsigned,
    /// There is no `x-amz-date`, or it is no time, or not of the scope's day.
    Date,
    /// The time of signing is too far from now.
    Expired,
    /// The signature is for another region or service.
    Scope,
    /// A signed field is absent.
    FieldMissing,
    /// The signature is not that of the request with this secret.
    Signature,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "it is no AWS signature of version 4",
            Self::HostUnsigned => "the signature does not cover `host`",
            Self::Date => "`x-amz-date` is absent, no time, or not of the signature's day",
            Self::Expired => "the signature's time is too far from now",
            Self::Scope => "the signature is for another region or service",
            Self::FieldMissing => "a signed header field is absent",
            Self::Signature => "the signature does not match the request",
        })
    }
}

/// The signature of a request: its field `authorization`, or what stands in a presigned URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization<'a> {
    /// The id of the access key.
    pub access_key_id: &'a str,
    /// What the signature is good for.
    pub scope: Scope<'a>,
    day: &'a str,
    signed: Vec<&'a str>,
    signature: [u8; 32],
    /// Of a presigned URL: when it was signed, and for how many seconds it is good.
    presigned: Option<(&'a str, u64)>,
}

impl<'a> Authorization<'a> {
    /// Whether a value of `authorization` wants to be such a signature.
    #[must_use]
    pub fn is_one(value: &[u8]) -> bool {
        value.starts_with(ALGORITHM.as_bytes())
    }

    /// Reads the value of `authorization`.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for any other form, and [`Refusal::HostUnsigned`].
    pub fn parse(value: &'a str) -> Result<Self, Refusal> {
        let rest = value.strip_prefix(ALGORITHM).ok_or(Refusal::Malformed)?;
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Refusal::Malformed)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(Refusal::Malformed),
            };
            if place.replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature)
        else {
            return Err(Refusal::Malformed);
        };
        Self::of(credential, signed, signature, None)
    }

    /// A signature by its parts.
    pub(super) fn of(
        credential: &'a str,
        signed: &'a str,
        signature: &str,
        presigned: Option<(&'a str, u64)>,
    ) -> Result<Self, Refusal> {
        let mut parts = credential.rsplitn(5, '/');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        let terminated = part() == Some("aws4_request");
        let (Some(service), Some(region), Some(day), Some(access_key_id)) =
            (part(), part(), part(), part())
        else {
            return Err(Refusal::Malformed);
        };
        let signed: Vec<&str> = signed.split(';').take(SIGNED_MAX + 1).collect();
        let in_order = signed.windows(2).all(|pair| pair[0] < pair[1]);
        let lower =
            |name: &&str| !name.is_empty() && !name.bytes().any(|byte| byte.is_ascii_uppercase());
        if !terminated || signed.len() > SIGNED_MAX || !in_order || !signed.iter().all(lower) {
            return Err(Refusal::Malformed);
        }
        if !signed.contains(&"host") {
            return Err(Refusal::HostUnsigned);
        }
        Ok(Self {
            access_key_id,
            scope: Scope { region, service },
            day,
            signed,
            signature: bytes_of(signature).ok_or(Refusal::Malformed)?,
            presigned,
        })
    }

    /// Whether the signature covers this field, named in lower case.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.signed.contains(&name)
    }

    /// Checks the time of signing: at most `skew_s` seconds from `now_unix_s`, and of the scope's
    /// day. A presigned URL is good from then (or `skew_s` before) until its life ends.
    ///
    /// # Errors
    /// [`Refusal::Date`] or [`Refusal::Expired`].
    pub fn check_time(
        &self,
        request: &Signable<'a>,
        now_unix_s: u64,
        skew_s: u64,
    ) -> Result<(), Refusal> {
        let stamp = self.stamp(request)?;
        let signed = parse_time(stamp).ok_or(Refusal::Date)?;
        if !stamp.starts_with(self.day) || self.day.len() != 8 {
            return Err(Refusal::Date);
        }
        let until = match self.presigned {
            Some((_, life_s)) => signed.saturating_add(life_s),
            None => signed.saturating_add(skew_s),
        };
        match (signed.saturating_sub(skew_s)..=until).contains(&now_unix_s) {
            true => Ok(()),
            false => Err(Refusal::Expired),
        }
    }

    /// Checks the signature of a request whose body has this hash, in constant time.
    ///
    /// # Errors
    /// [`Refusal::FieldMissing`], [`Refusal::Date`] or [`Refusal::Signature`].
    pub fn check_signature(
        &self,
        request: &Signable<'a>,
        body_hash: &str,
        secret: &str,
    ) -> Result<(), Refusal> {
        let stamp = self.stamp(request)?;
        let without = self.presigned.map(|_| SIGNATURE);
        let canonical = canonical_request(request, &self.scope, &self.signed, body_hash, without)
            .ok_or(Refusal::FieldMissing)?;
        let expected = signature(secret, stamp, &self.scope, &canonical);
        verify_slices_are_equal(expected.as_ref(), &self.signature).map_err(|_| Refusal::Signature)
    }

    /// When it was signed.
    fn stamp(&self, request: &Signable<'a>) -> Result<&'a str, Refusal> {
        match self.presigned {
            Some((stamp, _)) => Ok(stamp),
            None => stamp_of(request),
        }
    }
}

/// The one time of signing.
fn stamp_of<'a>(request: &Signable<'a>) -> Result<&'a str, Refusal> {
    let mut stamps = request.headers.all_named(DATE);
    let stamp = stamps.next().filter(|_| stamps.next().is_none());
    stamp
        .and_then(|stamp| std::str::from_utf8(stamp).ok())
        .ok_or(Refusal::Date)
}

fn bytes_of(digits: &str) -> Option<[u8; 32]> {
    let digits = digits.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(value(pair[0])? * 16 + value(pair[1])?).ok()?;
    }
    Some(bytes)
}
