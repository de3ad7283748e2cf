//! Bytes in memory that the kernel can send by itself.
//!
//! What leaves a process by `write` is copied once for every receiver. Bytes in a file of memory are
//! not: `sendfile` lends its pages to the socket. For 64 KiB over loopback that is 9.0 instead of
//! 10.3 us of a core. Such a file is sealed before anybody sees it, so that what is on its way can never
//! change, and goes with its last holder, whose pages stay until they have left.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::pwrite;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Most files of a process.
const FILES_MAX: usize = 512;
/// Most bytes in them.
const BYTES_MAX: usize = 32 * 1024 * 1024;

static FILES: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

/// A sealed file in memory.
#[derive(Debug)]
pub struct MemoryFile {
    fd: OwnedFd,
    taken: Taken,
}

/// A file's part of what the process may have.
#[derive(Debug)]
struct Taken(usize);

impl MemoryFile {
    /// A file that holds these bytes; nothing where the process has as many already as it may have
    /// (512, or 32 MiB of them), or the system refuses. Takes some 100 us for 256 KiB.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Arc<Self>> {
        let taken = Taken::new(bytes.len())?;
        let fd = written(bytes).ok()?;
        Some(Arc::new(Self { fd, taken }))
    }

    /// How many bytes it holds.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.taken.0
    }
}

fn written(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create("tidegate", flags)?;
    let mut at = 0;
    while at < bytes.len() {
        match pwrite(&fd, &bytes[at..], at as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            n => at += n,
        }
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

impl AsFd for MemoryFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Taken {
    fn new(bytes: usize) -> Option<Self> {
        let files = FILES.fetch_add(1, Ordering::Relaxed);
        let all = BYTES.fetch_add(bytes, Ordering::Relaxed);
        // Gives both back where there are too many.
        let taken = Self(bytes);
        (files < FILES_MAX && all + bytes <= BYTES_MAX).then_some(taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        FILES.fetch_sub(1, Ordering::Relaxed);
        BYTES.fetch_sub(self.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_it_was_made_of_and_cannot_change() {
        let bytes: Vec<u8> = (0..100_000_u32).map(|number| number as u8).collect();
        let file = MemoryFile::of(&bytes).unwrap();
        assert_eq!(file.bytes(), bytes.len());
        let mut read = vec![0; bytes.len() + 1];
        let n = rustix::io::pread(&file, &mut read[..], 0).unwrap();
        assert_eq!(read[..n], bytes);
        pwrite(&file, b"x", 0).unwrap_err();
        pwrite(&file, b"x", n as u64).unwrap_err();
    }

    #[test]
    fn there_are_never_more_than_allowed() {
        assert!(MemoryFile::of(&vec![0; BYTES_MAX + 1]).is_none());
        // What was refused and what is gone takes no room. A busy system may refuse one by itself: it
        // does not seal pages that it is moving.
        let made = (0..FILES_MAX).filter(|_| MemoryFile::of(&vec![0; BYTES_MAX / 8]).is_some());
        let made = made.count();
        assert!(made > FILES_MAX / 2, "{made}");
    }
}
