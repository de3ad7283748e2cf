//! Signatures that stand in a URL's query, for a limited time:
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>.

use super::{ALGORITHM, Authorization, Refusal};

/// Longest life of a presigned URL in seconds: what AWS allows.
pub const LIFE_MAX_S: u64 = 604_800;

/// The parameter with the signature, which is no part of what is signed.
pub(super) const SIGNATURE: &str = "X-Amz-Signature";

/// What stands in a presigned URL, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presigned {
    credential: String,
    stamp: String,
    life_s: u64,
    signed: String,
    signature: String,
}

/// Parameters that a signature adds to a query.
const OWN: [&str; 8] = [
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    SIGNATURE,
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

impl Presigned {
    /// The signature in the query of a target, if there is one.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] where it is not whole, or a part stands there twice, and
    /// [`Refusal::Expired`] for a life that AWS would not give.
    pub fn find(target: &str) -> Result<Option<Self>, Refusal> {
        let Some((_, query)) = target.split_once('?') else {
            return Ok(None);
        };
        let mut found: [Option<&str>; OWN.len()] = [None; OWN.len()];
        for part in query.split('&') {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(at) = OWN.iter().position(|own| *own == name) else {
                continue;
            };
            if found[at].replace(value).is_some() {
                return Err(Refusal::Malformed);
            }
        }
        let [algorithm, credential, date, expires, signed, signature, ..] = found;
        if algorithm.is_none() && signature.is_none() {
            return Ok(None);
        }
        let text = |value: Option<&str>| value.and_then(decoded).ok_or(Refusal::Malformed);
        if text(algorithm)? != ALGORITHM {
            return Err(Refusal::Malformed);
        }
        let expires = text(expires)?;
        let plain = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
        let life_s = plain.then(|| expires.parse().unwrap_or(u64::MAX));
        let life_s = life_s.ok_or(Refusal::Malformed)?;
        if !(1..=LIFE_MAX_S).contains(&life_s) {
            return Err(Refusal::Expired);
        }
        Ok(Some(Self {
            credential: text(credential)?,
            stamp: text(date)?,
            life_s,
            signed: text(signed)?,
            signature: text(signature)?,
        }))
    }

    /// The signature itself.
    ///
    /// # Errors
    /// As [`Authorization::parse`].
    pub fn authorization(&self) -> Result<Authorization<'_>, Refusal> {
        let presigned = Some((&*self.stamp, self.life_s));
        Authorization::of(&self.credential, &self.signed, &self.signature, presigned)
    }

    /// How long the URL is good for, in seconds.
    #[must_use]
    pub fn life_s(&self) -> u64 {
        self.life_s
    }
}

/// A target without what a signature adds to it: nobody behind the gateway needs to see that.
#[must_use]
pub fn unsigned(target: &str) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let own = |part: &&str| !OWN.contains(&part.split('=').next().unwrap_or_default());
    let kept: Vec<&str> = query.split('&').filter(own).collect();
    match kept.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", kept.join("&")),
    }
}

/// A parameter's value; none where it is not encoded text.
fn decoded(value: &str) -> Option<String> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                out.push(u8::try_from(digit()? * 16 + digit()?).ok()?);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}
