//! Segments: files of zstd frames, each of some lines, so that a torn tail costs one frame.
//!
//! Numbers only rise. When all segments together exceed the limit, the oldest goes. `zstdcat` reads
//! them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use zstd::zstd_safe;

/// Most bytes of lines in one frame.
pub(super) const FRAME_BYTES: usize = 512 * 1024;
/// Most bytes of lines that a frame may decompress to; a frame ends at the first line beyond
/// [`FRAME_BYTES`].
const FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Into how many segments the limit is divided.
const SEGMENTS: u64 = 16;
/// Least bytes of a segment.
const SEGMENT_BYTES_MIN: u64 = 64 * 1024;
/// Most bytes of a segment that is read.
const SEGMENT_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Measured on rows of an API: level 3 keeps a row in about a seventh of its bytes.
const LEVEL: i32 = 3;

/// Every segment of a folder, oldest first: number and path.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("records-"))
            .and_then(|name| name.strip_suffix(".jsonl.zst"))
            .and_then(|number| number.parse().ok());
        found.extend(number.map(|number| (number, path.clone())));
    }
    found.sort_unstable();
    Ok(found)
}

/// Where a frame stands in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FramePlace {
    pub(super) offset: usize,
    length: usize,
}

/// A segment's bytes with the places of its whole frames.
pub(super) struct Segment {
    bytes: Vec<u8>,
    pub(super) frames: Vec<FramePlace>,
}

impl Segment {
    /// Reads a segment; what is torn or damaged at its end is left out.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(SEGMENT_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        let (mut frames, mut offset) = (Vec::new(), 0);
        while offset < bytes.len()
            && let Ok(length) = zstd_safe::find_frame_compressed_size(&bytes[offset..])
            && length > 0
        {
            frames.push(FramePlace { offset, length });
            offset += length;
        }
        Ok(Self { bytes, frames })
    }

    /// Whether all its bytes belong to frames.
    pub(super) fn is_whole(&self) -> bool {
        let frames = self.frames.last();
        frames.map_or(0, |frame| frame.offset + frame.length) == self.bytes.len()
    }

    /// The lines of a frame; none when it is damaged.
    pub(super) fn lines(&self, place: FramePlace) -> Option<String> {
        let frame = &self.bytes[place.offset..place.offset + place.length];
        let lines = zstd::bulk::decompress(frame, FRAME_BYTES_MAX).ok()?;
        String::from_utf8(lines).ok()
    }
}

/// What makes frames.
pub(super) fn compressor() -> io::Result<zstd::bulk::Compressor<'static>> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    compressor.include_checksum(true)?;
    Ok(compressor)
}

/// Writes segments of a folder within a limit.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    /// Bytes of all segments together.
    limit: u64,
    open: Option<(File, u64)>,
}

impl Segments {
    pub(super) fn new(folder: PathBuf, limit: u64) -> Self {
        Self {
            folder,
            limit: limit.max(2 * SEGMENT_BYTES_MIN),
            open: None,
        }
    }

    /// Whether the next frame begins a segment, which has to say again what its rows keep.
    pub(super) fn begins(&self) -> bool {
        let full = (self.limit / SEGMENTS).clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX / 2);
        self.open.as_ref().is_none_or(|(_, bytes)| *bytes >= full)
    }

    /// Appends lines as one frame.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.begins() {
            self.open = None;
            self.open = Some((self.create()?, 0));
        }
        let frame = compressor()?.compress(lines)?;
        let Some((file, bytes)) = &mut self.open else {
            return Ok(());
        };
        match file.write_all(&frame) {
            Ok(()) => {
                *bytes += frame.len() as u64;
                Ok(())
            }
            // Half a frame may stand there, behind which nothing would be found.
            Err(error) => {
                self.open = None;
                Err(error)
            }
        }
    }

    /// Lets go of the segment that is open, which is not written to again; the next frame begins another.
    pub(super) fn seal(&mut self) {
        self.open = None;
    }

    fn create(&self) -> io::Result<File> {
        let known = list(&self.folder)?;
        let mut number = known.last().map_or(1, |(number, _)| number + 1);
        let mut total: u64 = 0;
        for (_, path) in known.iter().rev() {
            total += fs::metadata(path).map_or(0, |about| about.len());
            // Room for the one that begins now.
            if total > self.limit - self.limit / SEGMENTS {
                fs::remove_file(path)?;
            }
        }
        loop {
            let path = self.folder.join(format!("records-{number:010}.jsonl.zst"));
            let file = OpenOptions::new()
                .append(true)
                .create_new(true)
                .mode(0o600)
                .open(path);
            match file {
                // A successor may have made it at the same time.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                made => return made,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_tail_costs_one_frame() {
        let folder = tempfile::tempdir().unwrap();
        let mut segments = Segments::new(folder.path().into(), 1 << 20);
        for line in ["one\n", "two\n", "three\n"] {
            segments.append(line.as_bytes()).unwrap();
        }
        let (_, path) = list(folder.path()).unwrap().remove(0);
        let whole = fs::read(&path).unwrap();
        let mut seen = Vec::new();
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let segment = Segment::read(&path).unwrap();
            let lines: Vec<_> = segment
                .frames
                .iter()
                .filter_map(|&place| segment.lines(place))
                .collect();
            assert!("one\ntwo\nthree\n".starts_with(&lines.concat()), "{length}");
            seen.push(lines.len());
        }
        assert_eq!((seen[0], *seen.last().unwrap()), (0, 3));
        assert!(seen.is_sorted());
    }

    #[test]
    fn the_oldest_goes_when_the_limit_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let limit = 4 * SEGMENT_BYTES_MIN;
        let mut segments = Segments::new(folder.path().into(), limit);
        let noise: Vec<u8> = (0..40_000)
            .flat_map(|_| gate_kit::random::bits().to_le_bytes())
            .collect();
        for _ in 0..20 {
            segments
                .append(&noise[..SEGMENT_BYTES_MIN as usize])
                .unwrap();
        }
        let known = list(folder.path()).unwrap();
        let total: u64 = known
            .iter()
            .map(|(_, path)| fs::metadata(path).unwrap().len())
            .sum();
        assert!(
            total <= limit + SEGMENT_BYTES_MIN + 1024,
            "{total} of {limit}"
        );
        assert!(
            known.len() >= 3 && known.last().unwrap().0 == 20,
            "{known:?}"
        );
    }
}
