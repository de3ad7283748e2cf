//! Header fields as one arena of bytes and a list of 12-byte entries.
//!
//! The arena holds each field as HTTP/1.1 writes it, `Name: value` and CR LF, so that reading a
//! head costs one copy a field and writing it one copy for each run of fields that nobody removed.
//! Spelling and order survive: what is forwarded is what came, minus what was removed on purpose.

use super::HeaderId;
use std::fmt;
use std::ops::Range;

/// An ordered multimap of header fields.
#[derive(Clone, Default)]
pub struct Headers {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    pub(super) aside: Option<Box<Headers>>,
}

#[derive(Clone, Copy)]
struct Entry {
    /// Where the field begins; its value begins `name_len` and [`COLON`] behind.
    start: u32,
    value_len: u32,
    name_len: u16,
    id: HeaderId,
}

/// What stands between a name and its value.
const COLON: &[u8] = b": ";
/// What ends a field.
const END: &[u8] = b"\r\n";
/// Bytes that a field has besides its name and its value.
const AROUND: usize = COLON.len() + END.len();

/// A name or value that RFC 9110 section 5 forbids, so that it cannot be used to split a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidHeader;

impl fmt::Display for InvalidHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a header name must be a token and a value must not hold control characters")
    }
}

impl std::error::Error for InvalidHeader {}

impl Headers {
    /// An empty list.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            entries: Vec::new(),
            aside: None,
        }
    }

    /// An empty list with room for `count` fields of `bytes` bytes altogether.
    #[must_use]
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes + count * AROUND),
            entries: Vec::with_capacity(count),
            aside: None,
        }
    }

    /// Number of fields.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Adds a field that a codec has validated, or a constant of ours; debug builds check it again.
    pub fn append(&mut self, name: &[u8], value: &[u8]) {
        self.append_id(HeaderId::of(name), name, value);
    }

    /// Adds a field under a constant name of ours that is no known one, which is not looked up;
    /// debug builds check that.
    pub fn append_unlisted(&mut self, name: &'static [u8], value: &[u8]) {
        debug_assert_eq!(HeaderId::of(name), HeaderId::Other);
        self.append_id(HeaderId::Other, name, value);
    }

    /// Adds a known field under its canonical lower-case name.
    pub fn append_known(&mut self, id: HeaderId, value: &[u8]) {
        debug_assert!(id != HeaderId::Other, "a known id is needed");
        self.append_id(id, id.name().as_bytes(), value);
    }

    /// Adds a field whose parts come from configuration or from a policy's computation.
    ///
    /// # Errors
    /// [`InvalidHeader`] when the name is no token or the value holds a control character.
    pub fn try_append(&mut self, name: &[u8], value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name) || !is_field_value(value) {
            return Err(InvalidHeader);
        }
        self.append(name, value);
        Ok(())
    }

    /// Adds a field whose value `write` appends; it must append a valid one. Debug builds check it.
    pub fn append_written(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.append_id(HeaderId::of(name), name, b"");
        self.write_last(write);
    }

    /// The same under a constant name of ours that is no known one, which is not looked up.
    pub fn append_unlisted_written(
        &mut self,
        name: &'static [u8],
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.append_unlisted(name, b"");
        self.write_last(write);
    }

    /// Writes the value of the last field, which is empty.
    fn write_last(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        self.bytes.truncate(self.bytes.len() - END.len());
        let value_start = self.bytes.len();
        write(&mut self.bytes);
        debug_assert!(is_field_value(&self.bytes[value_start..]));
        if let Some(entry) = self.entries.last_mut() {
            entry.value_len = offset(self.bytes.len() - value_start);
        }
        self.bytes.extend_from_slice(END);
    }

    /// Adds a field as a codec has it before it: one line, `Name: value`, validated, with the id
    /// that the codec's framing rules needed anyway. Costs one look-up and three copies less than
    /// [`Self::append`] when one space follows the colon.
    ///
    /// The name is `line[..name_len]`, the value is what `value` spans. Debug builds check both.
    #[inline]
    pub fn append_line(&mut self, id: HeaderId, line: &[u8], name_len: u16, value: Range<usize>) {
        debug_assert_eq!(id, HeaderId::of(&line[..usize::from(name_len)]));
        debug_assert!(is_token(&line[..usize::from(name_len)]));
        debug_assert!(is_field_value(&line[value.clone()]));
        let colon = usize::from(name_len);
        if value.start != colon + COLON.len() || line[colon..value.start] != *COLON {
            return self.append_id(id, &line[..colon], &line[value]);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&line[..value.end]);
        self.bytes.extend_from_slice(END);
        self.entries.push(Entry {
            start: offset(start),
            value_len: offset(value.end - value.start),
            name_len,
            id,
        });
    }

    /// Appends the fields to an HTTP/1.1 head, each with its line end, save those that `skip`
    /// names by their id.
    #[inline]
    pub fn write_lines(&self, out: &mut Vec<u8>, mut skip: impl FnMut(HeaderId) -> bool) {
        let mut run = 0..0;
        for entry in &self.entries {
            if skip(entry.id) {
                continue;
            }
            let start = entry.start as usize;
            if start != run.end {
                out.extend_from_slice(&self.bytes[run]);
                run = start..start;
            }
            run.end = start + usize::from(entry.name_len) + entry.value_len as usize + AROUND;
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// Room for a handful of fields at once instead of growing one by one.
    #[cold]
    fn reserve_first(&mut self) {
        self.entries.reserve(8);
        self.bytes.reserve(256);
    }

    fn append_id(&mut self, id: HeaderId, name: &[u8], value: &[u8]) {
        debug_assert!(
            is_token(name),
            "invalid header name {:?}",
            String::from_utf8_lossy(name)
        );
        debug_assert!(is_field_value(value), "invalid header value");
        if self.entries.capacity() == 0 {
            self.reserve_first();
        }
        let start = self.bytes.len();
        self.bytes.reserve(name.len() + value.len() + AROUND);
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(COLON);
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(END);
        self.entries.push(Entry {
            start: offset(start),
            value_len: offset(value.len()),
            name_len: u16::try_from(name.len()).expect("codecs bound names far below 64 KiB"),
            id,
        });
    }

    /// The first value of a known field.
    #[must_use]
    pub fn get(&self, id: HeaderId) -> Option<&[u8]> {
        debug_assert!(
            id != HeaderId::Other,
            "look unknown names up with get_named"
        );
        self.entries
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| self.value(entry))
    }

    /// The first value of a known field, when it is UTF-8.
    #[must_use]
    pub fn get_str(&self, id: HeaderId) -> Option<&str> {
        self.get(id)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// The first value of a field by name, in any case.
    #[must_use]
    pub fn get_named(&self, name: &str) -> Option<&[u8]> {
        let id = HeaderId::of(name.as_bytes());
        self.entries
            .iter()
            .find(|entry| self.is_named(entry, id, name))
            .map(|e| self.value(e))
    }

    /// Every value of a known field, in order.
    pub fn all(&self, id: HeaderId) -> impl Iterator<Item = &[u8]> {
        self.entries
            .iter()
            .filter(move |entry| entry.id == id)
            .map(|entry| self.value(entry))
    }

    /// Every value of a field by name, in any case, in order.
    pub fn all_named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.all_of(HeaderId::of(name.as_bytes()), name)
    }

    /// [`Self::all_named`] where the name's id is known: [`HeaderId::Other`] for an unknown name.
    pub fn all_of<'a>(&'a self, id: HeaderId, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.entries
            .iter()
            .filter(move |entry| self.is_named(entry, id, name))
            .map(|e| self.value(e))
    }

    /// Whether a known field is present.
    #[must_use]
    pub fn contains(&self, id: HeaderId) -> bool {
        self.entries.iter().any(|entry| entry.id == id)
    }

    /// Every field in order: id, name as spelt, value.
    pub fn iter(&self) -> impl Iterator<Item = (HeaderId, &[u8], &[u8])> {
        self.entries
            .iter()
            .map(|entry| (entry.id, self.name(entry), self.value(entry)))
    }

    /// Removes every occurrence of a known field.
    pub fn remove(&mut self, id: HeaderId) {
        debug_assert!(id != HeaderId::Other, "remove_named takes unknown names");
        self.entries.retain(|entry| entry.id != id);
    }

    /// Removes those occurrences of a known field whose value `goes`; where there is no such field,
    /// which is seen from the ids alone, nothing is touched.
    pub fn remove_where(&mut self, id: HeaderId, goes: impl Fn(&[u8]) -> bool) {
        debug_assert!(id != HeaderId::Other, "only known fields");
        if !self.entries.iter().any(|entry| entry.id == id) {
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| entry.id != id || !goes(self.value(entry)));
        self.entries = entries;
    }

    /// Removes every occurrence of several known fields in one pass.
    pub fn remove_any(&mut self, ids: &[HeaderId]) {
        debug_assert!(!ids.contains(&HeaderId::Other), "only known fields");
        self.entries.retain(|entry| !ids.contains(&entry.id));
    }

    /// Removes every occurrence of a field by name, in any case.
    pub fn remove_named(&mut self, name: &str) {
        let id = HeaderId::of(name.as_bytes());
        self.remove_with(id, name);
    }

    /// The same by a name whose id is known: [`HeaderId::Other`] for one that is not listed.
    pub fn remove_with(&mut self, id: HeaderId, name: &str) {
        debug_assert_eq!(id, HeaderId::of(name.as_bytes()));
        let is_it = |entry: &Entry| self.is_named(entry, id, name);
        if !self.entries.iter().any(is_it) {
            return;
        }
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| !self.is_named(entry, id, name));
        self.entries = entries;
    }

    /// Keeps only the fields for which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(HeaderId, &[u8], &[u8]) -> bool) {
        let mut entries = std::mem::take(&mut self.entries);
        entries.retain(|entry| keep(entry.id, self.name(entry), self.value(entry)));
        self.entries = entries;
    }

    /// Replaces every occurrence of a known field by one with this value.
    pub fn set(&mut self, id: HeaderId, value: &[u8]) {
        self.remove(id);
        self.append_known(id, value);
    }

    /// Replaces every occurrence of a field by name; the parts are validated.
    ///
    /// # Errors
    /// [`InvalidHeader`] as for [`Self::try_append`]; nothing is removed then.
    pub fn try_set(&mut self, name: &str, value: &[u8]) -> Result<(), InvalidHeader> {
        if !is_token(name.as_bytes()) || !is_field_value(value) {
            return Err(InvalidHeader);
        }
        self.remove_named(name);
        self.append(name.as_bytes(), value);
        Ok(())
    }

    /// Appends every field of `other`.
    pub fn extend(&mut self, other: &Headers) {
        let shift = offset(self.bytes.len());
        self.bytes.extend_from_slice(&other.bytes);
        self.entries.extend(other.entries.iter().map(|entry| Entry {
            start: entry.start + shift,
            ..*entry
        }));
    }

    /// Empties the list and keeps its memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
    }

    fn is_named(&self, entry: &Entry, id: HeaderId, name: &str) -> bool {
        entry.id == id
            && (id != HeaderId::Other || self.name(entry).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn name(&self, entry: &Entry) -> &[u8] {
        &self.bytes[entry.start as usize..][..usize::from(entry.name_len)]
    }

    fn value(&self, entry: &Entry) -> &[u8] {
        let start = entry.start as usize + usize::from(entry.name_len) + COLON.len();
        &self.bytes[start..][..entry.value_len as usize]
    }
}

impl fmt::Debug for Headers {
    /// Names only: values may be credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(
                self.entries
                    .iter()
                    .map(|e| String::from_utf8_lossy(self.name(e)).into_owned()),
            )
            .finish()
    }
}

fn offset(position: usize) -> u32 {
    u32::try_from(position).expect("codecs bound heads far below 4 GiB")
}

/// RFC 9110 section 5.6.2.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let allowed =
            b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut i = 0;
        while i < allowed.len() {
            table[allowed[i] as usize] = true;
            i += 1;
        }
        table
    };
    !bytes.is_empty() && bytes.iter().all(|&byte| TABLE[byte as usize])
}

/// RFC 9110 section 5.5: visible characters, space, tab and obs-text; never CR, LF or NUL.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .all(|&byte| byte == b'\t' || (byte >= 0x20 && byte != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        let mut headers = Headers::new();
        headers.append(b"Host", b"example.com");
        headers.append(b"X-Custom", b"1");
        headers.append(b"x-custom", b"2");
        headers.append(b"Cookie", b"a=b");
        headers
    }

    #[test]
    fn lookups_ignore_case_and_keep_order() {
        let headers = sample();
        assert_eq!(headers.get(HeaderId::Host), Some(&b"example.com"[..]));
        assert_eq!(
            headers.all_named("X-CUSTOM").collect::<Vec<_>>(),
            [b"1", b"2"]
        );
        assert_eq!(headers.get_named("cookie"), Some(&b"a=b"[..]));
        assert_eq!(headers.get_named("x-none"), None);
    }

    #[test]
    fn removing_one_name_leaves_the_others() {
        let mut headers = sample();
        headers.remove_named("X-custom");
        headers.remove(HeaderId::Cookie);
        let left: Vec<_> = headers.iter().map(|(_, name, _)| name.to_vec()).collect();
        assert_eq!(left, [b"Host".to_vec()]);
    }

    #[test]
    fn a_line_is_its_name_and_its_value() {
        let mut headers = sample();
        headers.append_line(HeaderId::Via, b"VIA: \t1.1 a  ", 3, 6..11);
        headers.append_line(HeaderId::Other, b"x-empty:", 7, 8..8);
        let last: Vec<_> = headers.iter().skip(4).map(|(_, n, v)| (n, v)).collect();
        assert_eq!(last, [(&b"VIA"[..], &b"1.1 a"[..]), (b"x-empty", b"")]);
    }

    #[test]
    fn fields_are_written_as_they_stand_minus_those_removed_or_skipped() {
        let written = |headers: &Headers| {
            let mut out = Vec::new();
            headers.write_lines(&mut out, |id| id == HeaderId::Cookie);
            String::from_utf8(out).unwrap()
        };
        let mut headers = sample();
        headers.append_line(HeaderId::Via, b"VIA:\t1.1 a", 3, 5..10);
        headers.append_written(b"x-made", |out| out.extend_from_slice(b"by hand"));
        headers.append_line(HeaderId::Other, b"x-empty:", 7, 8..8);
        assert_eq!(
            written(&headers),
            "Host: example.com\r\nX-Custom: 1\r\nx-custom: 2\r\nVIA: 1.1 a\r\n\
             x-made: by hand\r\nx-empty: \r\n"
        );
        headers.remove_named("x-custom");
        headers.remove(HeaderId::Via);
        assert_eq!(
            written(&headers),
            "Host: example.com\r\nx-made: by hand\r\nx-empty: \r\n"
        );
        assert_eq!(written(&Headers::new()), "");
    }

    #[test]
    fn splitting_a_message_through_a_value_is_refused() {
        let mut headers = Headers::new();
        assert_eq!(headers.try_append(b"x", b"a\r\nb: c"), Err(InvalidHeader));
        assert_eq!(headers.try_append(b"x y", b"a"), Err(InvalidHeader));
        assert_eq!(headers.try_set("", b"a"), Err(InvalidHeader));
        assert!(headers.is_empty());
    }

    #[test]
    fn debug_output_shows_no_values() {
        let mut headers = Headers::new();
        headers.append(b"authorization", b"Bearer secret");
        assert!(!format!("{headers:?}").contains("secret"));
    }
}
