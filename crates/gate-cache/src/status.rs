//! Cache-Status (RFC 9211): what this cache did, for whoever reads the answer's head.

/// How the cache calls itself.
const NAME: &[u8] = b"tidegate";

/// Why a request went on to the target (RFC 9211 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarded {
    /// The cache was not asked.
    Bypass,
    /// The method is not answered from caches.
    Method,
    /// Nothing is kept of this place.
    UriMiss,
    /// Nothing is kept that this request selects.
    VaryMiss,
    /// What is kept is too old.
    Stale,
    /// The caller asked for it.
    Request,
    /// The part that is kept is another one.
    Partial,
}

impl Forwarded {
    /// The parameter's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Forwarded::Bypass => "bypass",
            Forwarded::Method => "method",
            Forwarded::UriMiss => "uri-miss",
            Forwarded::VaryMiss => "vary-miss",
            Forwarded::Stale => "stale",
            Forwarded::Request => "request",
            Forwarded::Partial => "partial",
        }
    }
}

/// Writes `tidegate; hit; ttl=N`, with a word of detail where there is one. `ttl` is negative for
/// what is stale.
pub fn hit(to: &mut Vec<u8>, ttl: i64, detail: &str) {
    to.extend_from_slice(NAME);
    to.extend_from_slice(b"; hit; ttl=");
    if ttl < 0 {
        to.push(b'-');
    }
    write_number(to, ttl.unsigned_abs());
    write_detail(to, detail);
}

/// Writes `tidegate; fwd=REASON`, with what became of it.
pub fn miss(to: &mut Vec<u8>, reason: Forwarded, status: Option<u16>, stored: bool, detail: &str) {
    to.extend_from_slice(NAME);
    to.extend_from_slice(b"; fwd=");
    to.extend_from_slice(reason.as_str().as_bytes());
    if let Some(status) = status {
        to.extend_from_slice(b"; fwd-status=");
        write_number(to, u64::from(status));
    }
    if stored {
        to.extend_from_slice(b"; stored");
    }
    write_detail(to, detail);
}

fn write_detail(to: &mut Vec<u8>, detail: &str) {
    if !detail.is_empty() {
        to.extend_from_slice(b"; detail=");
        to.extend_from_slice(detail.as_bytes());
    }
}

/// Digits without format machinery: this runs for every hit.
fn write_number(to: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    to.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_the_list() {
        let text = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut to = Vec::new();
            write(&mut to);
            String::from_utf8(to).expect("ASCII")
        };
        assert_eq!(text(&|to| hit(to, 3600, "")), "tidegate; hit; ttl=3600");
        assert_eq!(
            text(&|to| hit(to, -9, "error")),
            "tidegate; hit; ttl=-9; detail=error"
        );
        let miss = text(&|to| miss(to, Forwarded::UriMiss, Some(200), true, ""));
        assert_eq!(miss, "tidegate; fwd=uri-miss; fwd-status=200; stored");
    }
}
