//! `multipart/form-data`, with a flag for everything that another parser could read otherwise.

use super::disposition::{self, Disposition};
use super::flags::{self, Flags};
use crate::transaction::Transaction;
use crate::variables::{Scalar, Set};

/// Longest line of a part's head.
const LINE_MAX: usize = 4096;
/// Most lines of a part's head: each is held against those before it.
const LINES_MAX: usize = 64;
/// Most parts.
const PARTS_MAX: usize = 4096;

/// Reads a body; `no_files` is the most bytes that it may have besides files.
pub(crate) fn parse(
    transaction: &mut Transaction,
    body: &[u8],
    no_files: usize,
) -> Result<(), String> {
    let content_type = transaction
        .store
        .first(Set::RequestHeaders, b"content-type");
    let content_type = content_type.unwrap_or_default().to_vec();
    let mut reader = Reader::default();
    match flags::boundary(&content_type, &mut reader.flags) {
        Ok(boundary) => {
            reader.boundary = boundary;
            reader.read(body);
        }
        Err(reason) => {
            reader.flags.error = true;
            reader.fail(format!("Multipart: {reason}"));
        }
    }
    reader.flags.store(transaction);
    reader.store(transaction);
    if reader.besides_files > no_files && reader.error.is_none() {
        transaction.store.set(Scalar::InboundDataError, b"1");
        reader.fail("Request body excluding files is bigger than the maximum expected.".into());
    }
    reader.error.map_or(Ok(()), Err)
}

#[derive(Debug, Default)]
struct Part {
    disposition: Disposition,
    /// Lines of the head, folded ones joined.
    lines: Vec<Vec<u8>>,
    is_file: bool,
    value: Vec<u8>,
    size: usize,
}

#[derive(Debug, Default)]
struct Reader {
    flags: Flags,
    error: Option<String>,
    boundary: Vec<u8>,
    parts: Vec<Part>,
    part: Option<Part>,
    in_data: bool,
    data_seen: bool,
    /// The end of the last line of data, which belongs to it only if more comes.
    line_end: &'static [u8],
    boundaries: usize,
    complete: bool,
    besides_files: usize,
}

impl Reader {
    /// Keeps the first mistake: later ones follow from it.
    fn fail(&mut self, message: String) {
        self.error.get_or_insert(message);
    }

    fn read(&mut self, body: &[u8]) {
        let mut rest = body;
        let mut after_line = true;
        let mut last_was_lf = false;
        while !rest.is_empty() {
            if self.complete {
                self.flags.data_after = true;
                break;
            }
            let end = memchr::memchr(b'\n', rest);
            let Some(end) = end else {
                self.unfinished(rest, after_line, last_was_lf);
                break;
            };
            let line = &rest[..=end];
            rest = &rest[end + 1..];
            if self.parts.len() > PARTS_MAX {
                self.flags.error = true;
                return self.fail("Multipart: too many parts.".into());
            }
            if !self.line(line, after_line, last_was_lf) {
                self.flags.error = true;
                return;
            }
            after_line = true;
            last_was_lf = !line.ends_with(b"\r\n");
        }
        if !body.is_empty() && !self.complete {
            self.fail(match self.boundaries {
                0 => "Multipart: No boundaries found in payload.".into(),
                _ => "Multipart: Final boundary missing.".into(),
            });
        }
    }

    /// The last line has no end: it may be the last boundary.
    fn unfinished(&mut self, line: &[u8], after_line: bool, last_was_lf: bool) {
        let last = [b"--".as_slice(), &self.boundary, b"--"].concat();
        if after_line && line == last && self.boundaries > 0 {
            self.flags.lf_line |= last_was_lf;
            self.flags.invalid_part |= !self.data_seen;
            self.finish_part();
            self.complete = true;
        } else if self.in_data {
            self.data(line);
        }
    }

    /// Takes a line; says whether to go on.
    fn line(&mut self, line: &[u8], after_line: bool, last_was_lf: bool) -> bool {
        if let (true, Some(rest)) = (after_line, line.strip_prefix(b"--")) {
            if let Some(behind) = rest.strip_prefix(self.boundary.as_slice()) {
                self.flags.lf_line |= last_was_lf && self.boundaries > 0;
                if self.data_seen || self.boundaries == 0 {
                    return self.at_boundary(behind, line);
                }
                // A boundary where a part's data should begin.
                self.flags.invalid_part = true;
            } else if !self.like_boundary(rest) {
                return false;
            }
        } else if memchr::memmem::find(line, &[b"--".as_slice(), &self.boundary].concat()).is_some()
        {
            self.flags.unmatched_boundary = 1;
        }
        match (self.part.is_some(), self.in_data) {
            (false, _) => self.flags.data_before = true,
            (true, true) => self.data(line),
            (true, false) => {
                if line.len() > LINE_MAX {
                    self.fail(format!(
                        "Multipart: Part header line over {LINE_MAX} bytes long"
                    ));
                    return false;
                }
                self.head(line);
            }
        }
        true
    }

    fn at_boundary(&mut self, behind: &[u8], line: &[u8]) -> bool {
        if self.boundaries > 0 {
            self.flags.unmatched_boundary = 2;
        }
        let (last, behind) = match behind.strip_prefix(b"--") {
            Some(behind) => (true, behind),
            None => (false, behind),
        };
        match behind {
            b"\r\n" => self.flags.crlf_line = true,
            b"\n" => self.flags.lf_line = true,
            _ => {
                self.fail(format!(
                    "Multipart: Invalid boundary: {}",
                    String::from_utf8_lossy(line)
                ));
                return false;
            }
        }
        self.finish_part();
        if last {
            self.complete = true;
        } else {
            self.part = Some(Part::default());
        }
        self.boundaries += 1;
        true
    }

    /// A line that begins like a boundary, but is none; says whether to go on.
    fn like_boundary(&mut self, rest: &[u8]) -> bool {
        let quoted = rest.strip_prefix(b"\"");
        if self.flags.boundary_quoted && quoted.is_some_and(|rest| rest.starts_with(&self.boundary))
        {
            self.fail("Multipart: Invalid boundary (quotes).".into());
            return false;
        }
        let bare = rest.trim_ascii_start();
        if bare.len() < rest.len() && bare.starts_with(&self.boundary) {
            self.fail("Multipart: Invalid boundary (whitespace).".into());
            return false;
        }
        self.flags.unmatched_boundary = 1;
        true
    }

    fn finish_part(&mut self) {
        self.in_data = false;
        self.data_seen = false;
        self.line_end = b"";
        let Some(part) = self.part.take() else {
            return;
        };
        if part.disposition.name.is_empty() {
            self.flags.invalid_part = true;
        }
        self.parts.push(part);
    }

    fn data(&mut self, line: &[u8]) {
        self.data_seen = true;
        let (text, end): (_, &'static [u8]) = match line {
            [text @ .., b'\r', b'\n'] => (text, b"\r\n"),
            [text @ .., b'\n'] => (text, b"\n"),
            text => (text, b""),
        };
        let before = std::mem::replace(&mut self.line_end, end);
        let Some(part) = &mut self.part else { return };
        part.size += before.len() + text.len();
        if !part.is_file {
            self.besides_files += before.len() + text.len();
            part.value.extend_from_slice(before);
            part.value.extend_from_slice(text);
        }
    }

    /// Takes a line of a part's head.
    fn head(&mut self, line: &[u8]) {
        if line.contains(&0) {
            return self.fail("Multipart: Nul byte in part headers.".into());
        }
        self.besides_files += line.len();
        match line.ends_with(b"\r\n") {
            true => self.flags.crlf_line = true,
            false => self.flags.lf_line = true,
        }
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            return self.end_of_head();
        }
        if line[0].is_ascii_whitespace() || line[0] == 0x0b {
            return self.folded(text);
        }
        let Some(colon) = memchr::memchr(b':', text) else {
            let shown = String::from_utf8_lossy(text);
            return self.fail(format!(
                "Multipart: Invalid part header (colon missing): {shown}"
            ));
        };
        let name = &text[..colon];
        if name.is_empty() {
            return self.fail("Multipart: Invalid part header (header name missing).".into());
        }
        if name.iter().any(|byte| !(33..=126).contains(byte)) {
            return self
                .fail("Multipart: Invalid part header (contains invalid character).".into());
        }
        let Some(part) = &mut self.part else { return };
        if part.lines.len() >= LINES_MAX {
            return self.fail("Multipart: too many headers of a part.".into());
        }
        if !part
            .lines
            .iter()
            .any(|line| header_name(line).eq_ignore_ascii_case(name))
        {
            part.lines.push(text.to_vec());
        }
    }

    fn folded(&mut self, text: &[u8]) {
        self.flags.header_folding = true;
        let is_blank = |byte: &&u8| byte.is_ascii_whitespace() || **byte == 0x0b;
        let blank = text.iter().take_while(is_blank).count();
        if text[..blank]
            .iter()
            .any(|byte| !matches!(byte, b' ' | b'\t'))
        {
            self.flags.invalid_header_folding = true;
        }
        let last = self.part.as_mut().and_then(|part| part.lines.last_mut());
        match last {
            None => self.fail("Multipart: Invalid part header (folding error).".into()),
            Some(line) if line.len() + text.len() > LINE_MAX => {
                self.fail("Multipart: Part header too long.".into());
            }
            Some(line) => {
                line.push(b' ');
                line.extend_from_slice(&text[blank..]);
            }
        }
    }

    fn end_of_head(&mut self) {
        let Some(part) = &mut self.part else { return };
        let header = part
            .lines
            .iter()
            .find(|line| header_name(line).eq_ignore_ascii_case(b"content-disposition"));
        let Some(header) = header else {
            return self.fail("Multipart: Part missing Content-Disposition header.".into());
        };
        let value = header[header_name(header).len() + 1..]
            .trim_ascii()
            .to_vec();
        let result = disposition::parse(&value, &mut part.disposition);
        self.flags.invalid_quoting |= part.disposition.invalid_quoting;
        part.is_file = !part.disposition.filename.is_empty();
        let unnamed = part.disposition.name.is_empty();
        let hides_file = part.is_file && memchr::memmem::find(&value, b"filename=").is_none();
        let shown = String::from_utf8_lossy(&value);
        match result {
            Err(number) => {
                return self.fail(format!(
                    "Multipart: Invalid Content-Disposition header ({number}): {shown}"
                ));
            }
            Ok(()) if unnamed => {
                return self
                    .fail("Multipart: Content-Disposition header missing name field.".into());
            }
            Ok(()) if hides_file => {
                return self
                    .fail("Multipart: Invalid Content-Disposition header (filename).".into());
            }
            Ok(()) => {}
        }
        self.in_data = true;
    }

    /// Puts what was read into the transaction.
    fn store(&mut self, transaction: &mut Transaction) {
        let store = &mut transaction.store;
        let mut files_size = 0;
        for part in &self.parts {
            let Disposition { name, filename, .. } = &part.disposition;
            for line in &part.lines {
                store.add(Set::MultipartPartHeaders, name, line);
            }
            if name.is_empty() {
                continue;
            }
            store.add(Set::MultipartName, name, name);
            if part.is_file {
                store.add(Set::MultipartFileName, filename, filename);
                store.add(Set::Files, name, filename);
                store.add(Set::FilesNames, name, name);
                store.add(Set::FilesSizes, name, part.size.to_string().as_bytes());
                files_size += part.size;
            }
        }
        store.set(Scalar::FilesCombinedSize, files_size.to_string().as_bytes());
        for part in self
            .parts
            .iter()
            .filter(|part| !part.is_file && !part.disposition.name.is_empty())
        {
            transaction.argument(Some(Set::ArgsPost), &part.disposition.name, &part.value);
        }
    }
}

fn header_name(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b':').next().unwrap_or_default()
}
