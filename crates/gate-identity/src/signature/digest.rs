//! Digests of a message's content (RFC 9530).

use super::fields::{self, Bare, Item, Member};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Algorithm, SHA256, SHA512, digest};

/// Why a body is not what its digest says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestError {
    /// The field is no dictionary of bytes.
    Malformed,
    /// It names no algorithm that counts.
    Unknown,
    /// The body is another.
    Different,
}

/// The value of `Content-Digest` for a body.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    let value = Bare::Bytes(digest(&SHA256, body).as_ref().to_vec());
    let parameters = Vec::new();
    let member = Member::Item(Item { value, parameters });
    fields::dictionary_text(&[("sha-256".to_owned(), member)])
}

/// Whether a body is what `Content-Digest` says: every digest that counts has to fit, and one has to.
/// Only `sha-256` and `sha-512` count (section 5).
///
/// # Errors
/// Why not.
pub fn check_digest(field: &str, body: &[u8]) -> Result<(), DigestError> {
    let members = fields::dictionary(field).map_err(|_| DigestError::Malformed)?;
    let mut counted = 0;
    for (name, member) in &members {
        let algorithm: &'static Algorithm = match name.as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        let Member::Item(Item {
            value: Bare::Bytes(said),
            ..
        }) = member
        else {
            return Err(DigestError::Malformed);
        };
        if verify_slices_are_equal(digest(algorithm, body).as_ref(), said).is_err() {
            return Err(DigestError::Different);
        }
        counted += 1;
    }
    match counted {
        0 => Err(DigestError::Unknown),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_fits_its_body_only() {
        // RFC 9530 appendix D, the content of RFC 9421's test request.
        let body = br#"{"hello": "world"}"#;
        let sha512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:";
        assert_eq!(check_digest(sha512, body), Ok(()));
        let both = format!("{sha512}, {}", content_digest(body));
        assert_eq!(check_digest(&both, body), Ok(()));
        assert_eq!(check_digest(&both, b"x"), Err(DigestError::Different));
        let mixed = format!("{sha512}, {}", content_digest(b"x"));
        assert_eq!(check_digest(&mixed, body), Err(DigestError::Different));
        assert_eq!(check_digest("md5=:aGk=:", body), Err(DigestError::Unknown));
        assert_eq!(check_digest("sha-256=x", body), Err(DigestError::Malformed));
        assert_eq!(check_digest("", body), Err(DigestError::Unknown));
    }
}
