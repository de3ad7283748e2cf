//! Lines of a file that comes in pieces.

/// A line, or what is known of one that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// Its bytes, without its end; never blank.
    Whole(&'a [u8]),
    /// It has more bytes than a line may have.
    TooLong,
}

/// Cuts what comes in pieces into lines. Blank lines are counted and passed over; a byte order mark
/// before the first is no part of it. Holds at most one line.
#[derive(Debug)]
pub struct Lines {
    held: Vec<u8>,
    most: usize,
    number: u64,
    skipping: bool,
}

impl Lines {
    /// Lines of at most `most` bytes.
    #[must_use]
    pub const fn new(most: usize) -> Self {
        Self {
            held: Vec::new(),
            most,
            number: 0,
            skipping: false,
        }
    }

    /// Reads the next piece; `each` gets every line that ends in it, with its number from 1.
    pub fn push(&mut self, mut piece: &[u8], mut each: impl FnMut(u64, Line<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', piece) {
            let (line, rest) = piece.split_at(end);
            self.take(line, &mut each);
            piece = &rest[1..];
        }
        if self.skipping {
            return;
        }
        if self.held.len() + piece.len() > self.most {
            self.held = Vec::new();
            self.skipping = true;
            self.number += 1;
            each(self.number, Line::TooLong);
            return;
        }
        self.held.extend_from_slice(piece);
    }

    /// The file has ended: a line without an end is one all the same.
    pub fn finish(&mut self, mut each: impl FnMut(u64, Line<'_>)) {
        if !self.held.is_empty() {
            self.take(b"", &mut each);
        }
    }

    /// The end of a line, which begins with what is held.
    fn take(&mut self, end: &[u8], each: &mut impl FnMut(u64, Line<'_>)) {
        if std::mem::take(&mut self.skipping) {
            return;
        }
        self.number += 1;
        let too_long = self.held.len() + end.len() > self.most;
        let mut held = std::mem::take(&mut self.held);
        if too_long {
            each(self.number, Line::TooLong);
            return;
        }
        let mut line = end;
        if !held.is_empty() {
            held.extend_from_slice(end);
            line = &held;
        }
        if self.number == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let line = line.trim_ascii();
        if !line.is_empty() {
            each(self.number, Line::Whole(line));
        }
        // The memory of a usual line is used again, that of a long one is not kept.
        if held.capacity() <= 64 * 1024 {
            held.clear();
            self.held = held;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]], most: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut lines = Lines::new(most);
        let mut found = Vec::new();
        let mut keep = |number, line: Line<'_>| {
            found.push((
                number,
                match line {
                    Line::Whole(line) => Some(line.to_vec()),
                    Line::TooLong => None,
                },
            ));
        };
        for piece in pieces {
            lines.push(piece, &mut keep);
        }
        lines.finish(&mut keep);
        found
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let file = b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n{\"b\":22222222222222222}\nlast";
        let whole = read(&[file], 16);
        assert_eq!(
            whole,
            [
                (1, Some(b"{\"a\":1}".to_vec())),
                (4, None),
                (5, Some(b"last".to_vec()))
            ]
        );
        for cut in 0..file.len() {
            assert_eq!(read(&[&file[..cut], &file[cut..]], 16), whole, "{cut}");
        }
        let single: Vec<&[u8]> = file.chunks(1).collect();
        assert_eq!(read(&single, 16), whole);
    }
}
