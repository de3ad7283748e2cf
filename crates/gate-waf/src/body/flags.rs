//! What is odd about a multipart body, and its boundary.

use crate::transaction::Transaction;
use crate::variables::Scalar;

#[derive(Debug, Default)]
pub(super) struct Flags {
    pub(super) error: bool,
    pub(super) boundary_quoted: bool,
    pub(super) boundary_whitespace: bool,
    pub(super) data_before: bool,
    pub(super) data_after: bool,
    pub(super) header_folding: bool,
    pub(super) lf_line: bool,
    pub(super) crlf_line: bool,
    pub(super) missing_semicolon: bool,
    pub(super) invalid_quoting: bool,
    pub(super) invalid_part: bool,
    pub(super) invalid_header_folding: bool,
    pub(super) unmatched_boundary: u8,
}

impl Flags {
    pub(super) fn store(&self, transaction: &mut Transaction) {
        let strict = self.error
            || self.boundary_quoted
            || self.boundary_whitespace
            || self.data_before
            || self.data_after
            || self.header_folding
            || self.lf_line
            || self.missing_semicolon
            || self.invalid_quoting
            || self.invalid_part
            || self.invalid_header_folding;
        for (scalar, flag) in [
            (Scalar::MultipartBoundaryQuoted, self.boundary_quoted),
            (
                Scalar::MultipartBoundaryWhitespace,
                self.boundary_whitespace,
            ),
            (Scalar::MultipartCrlfLfLines, self.crlf_line && self.lf_line),
            (Scalar::MultipartDataAfter, self.data_after),
            (Scalar::MultipartDataBefore, self.data_before),
            (Scalar::MultipartFileLimitExceeded, false),
            (Scalar::MultipartHeaderFolding, self.header_folding),
            (
                Scalar::MultipartInvalidHeaderFolding,
                self.invalid_header_folding,
            ),
            (Scalar::MultipartInvalidPart, self.invalid_part),
            (Scalar::MultipartInvalidQuoting, self.invalid_quoting),
            (Scalar::MultipartLfLine, self.lf_line),
            (Scalar::MultipartMissingSemicolon, self.missing_semicolon),
            (Scalar::MultipartStrictError, strict),
        ] {
            transaction
                .store
                .set(scalar, if flag { b"1" } else { b"0" });
        }
        let unmatched = [b'0' + self.unmatched_boundary];
        transaction
            .store
            .set(Scalar::MultipartUnmatchedBoundary, &unmatched);
    }
}

/// The value of the parameter `boundary`, with its quotes.
fn parameter<'h>(header: &'h [u8], flags: &mut Flags) -> Result<&'h [u8], &'static str> {
    let Some(at) = memchr::memmem::find(header, b"boundary") else {
        return Err(match boundary_words(header) {
            0 => "Boundary not found in C-T.",
            _ => "Invalid boundary in C-T (case sensitivity).",
        });
    };
    let between = header.get(19..at).unwrap_or_default();
    let mut marks = between.iter().filter(|byte| !byte.is_ascii_whitespace());
    match (marks.next(), marks.next()) {
        (None, _) => flags.missing_semicolon = true,
        (Some(b';'), None) => {}
        _ => return Err("Invalid boundary in C-T (malformed)."),
    }
    let rest = &header[at + 8..];
    let equals = memchr::memchr(b'=', rest).ok_or("Invalid boundary in C-T (malformed).")?;
    if !rest[..equals].trim_ascii().is_empty() {
        return Err("Invalid boundary in C-T (parameter name).");
    }
    let value = &rest[equals + 1..];
    let blank = value.first().is_some_and(u8::is_ascii_whitespace);
    flags.boundary_whitespace = equals > 0 || blank;
    Ok(value)
}

/// Finds the boundary in the content type.
pub(super) fn boundary(header: &[u8], flags: &mut Flags) -> Result<Vec<u8>, &'static str> {
    if header.is_empty() {
        return Err("Content-Type header not available.");
    }
    if header.len() > 1024 {
        return Err("Invalid boundary in C-T (length).");
    }
    if boundary_words(header) > 1 {
        return Err("Multiple boundary parameters in C-T.");
    }
    let value = parameter(header, flags)?;
    let mut boundary = match value {
        [b'"', inner @ .., b'"'] => {
            flags.boundary_quoted = true;
            inner
        }
        [b'"', ..] | [_, .., b'"'] => return Err("Invalid boundary in C-T (quote)."),
        bare => bare,
    };
    if boundary_words(boundary) != 0 {
        return Err("Invalid boundary in C-T (content).");
    }
    if !is_boundary(boundary) {
        // A parameter behind the boundary is no error of its own.
        boundary = boundary
            .split(|byte| *byte == b';')
            .next()
            .unwrap_or_default();
    }
    if !is_boundary(boundary) {
        return Err("Invalid boundary in C-T (characters).");
    }
    if boundary.is_empty() {
        return Err("Invalid boundary in C-T (empty).");
    }
    Ok(boundary.to_vec())
}

/// How many parameters could be taken for the boundary.
fn boundary_words(header: &[u8]) -> usize {
    let lower = header.to_ascii_lowercase();
    let found = memchr::memmem::find_iter(&lower, b"boundary");
    found.filter(|at| lower[at + 8..].contains(&b'=')).count()
}

/// Whether RFC 2046 allows a boundary.
fn is_boundary(boundary: &[u8]) -> bool {
    let is = |byte: &u8| byte.is_ascii_alphanumeric() || b" '()+_,-./:=?".contains(byte);
    boundary.iter().all(is) && boundary.last() != Some(&b' ')
}
