//! Byte buffers lent by a per-thread pool for as long as bytes are in flight.
//!
//! An idle connection owns no buffer: it borrows one when its socket turns readable and gives it
//! back (by dropping it) when the bytes have left. Buffers are always initialised, so reading into
//! them needs no `unsafe`; they are zeroed once when made and never again.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// Size of an ordinary buffer: one read of a head with a small body.
pub const SMALL: usize = 16 * 1024;
/// Size of a buffer for bulk bytes, used after a read has filled a small one.
pub const LARGE: usize = 64 * 1024;
/// Spare buffers of each size kept per thread. 64 x 16 KiB + 16 x 64 KiB = 2 MiB per worker.
const KEEP: [usize; 2] = [64, 16];
/// Room of a fresh [`scratch`]: a head and a small body.
const SCRATCH: usize = 8 * 1024;
/// Most room of a scratch that is kept, and most of them per thread: 64 x 16 KiB = 1 MiB.
const SCRATCH_KEPT: (usize, usize) = (SMALL, 64);

thread_local! {
    static SCRATCHES: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static POOL: RefCell<[Vec<Box<[u8]>>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

/// A uniquely owned buffer with a window `start..end` of bytes that count.
///
/// Dereferences to that window. Dropping it returns the memory to this thread's pool.
pub struct PooledBuf {
    memory: Box<[u8]>,
    start: usize,
    end: usize,
}

impl PooledBuf {
    /// Lends an ordinary, empty buffer of [`SMALL`] bytes.
    #[must_use]
    #[inline]
    pub fn small() -> Self {
        Self::lend(0)
    }

    /// Lends an empty bulk buffer of [`LARGE`] bytes.
    #[must_use]
    pub fn large() -> Self {
        Self::lend(1)
    }

    /// A pooled buffer holding a copy of `bytes`.
    ///
    /// Longer contents than [`LARGE`] get memory of their own, which is freed instead of pooled.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = if bytes.len() <= SMALL {
            Self::small()
        } else if bytes.len() <= LARGE {
            Self::large()
        } else {
            Self {
                memory: vec![0; bytes.len()].into_boxed_slice(),
                start: 0,
                end: 0,
            }
        };
        buffer.memory[..bytes.len()].copy_from_slice(bytes);
        buffer.end = bytes.len();
        buffer
    }

    #[inline]
    fn lend(class: usize) -> Self {
        let spare = POOL
            .try_with(|pool| pool.borrow_mut()[class].pop())
            .ok()
            .flatten();
        let size = [SMALL, LARGE][class];
        let memory = spare.unwrap_or_else(|| vec![0; size].into_boxed_slice());
        Self {
            memory,
            start: 0,
            end: 0,
        }
    }

    /// The free space behind the window, for a read to fill; follow with [`Self::filled`].
    #[inline]
    pub fn spare(&mut self) -> &mut [u8] {
        &mut self.memory[self.end..]
    }

    /// Counts `n` bytes just written into [`Self::spare`] as contents.
    ///
    /// # Panics
    /// When `n` exceeds the spare space, which would be a caller's arithmetic error.
    #[inline]
    pub fn filled(&mut self, n: usize) {
        assert!(
            n <= self.memory.len() - self.end,
            "filled more than the spare space"
        );
        self.end += n;
    }

    /// Drops the first `n` bytes of the window without moving anything.
    ///
    /// # Panics
    /// When `n` exceeds the window.
    #[inline]
    pub fn advance(&mut self, n: usize) {
        assert!(n <= self.end - self.start, "advanced past the window");
        self.start += n;
    }

    /// Shortens the window to its first `n` bytes; does nothing when it is shorter already.
    pub fn truncate(&mut self, n: usize) {
        self.end = self.end.min(self.start + n);
    }

    /// Moves the window to the front of the memory, so that all free space lies behind it.
    pub fn compact(&mut self) {
        self.memory.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
    }

    /// Copies a part of the window down to `to`, both relative to the window's start.
    ///
    /// Chunked decoding uses it to squeeze framing out in place.
    pub fn copy_within(&mut self, from: std::ops::Range<usize>, to: usize) {
        let start = self.start;
        self.memory[..self.end].copy_within(start + from.start..start + from.end, start + to);
    }

    /// Bytes of memory behind this buffer, window and free space together.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.memory.len()
    }
}

impl Deref for PooledBuf {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        &self.memory[self.start..self.end]
    }
}

impl DerefMut for PooledBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.end]
    }
}

impl AsRef<[u8]> for PooledBuf {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl std::fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PooledBuf({} of {} bytes)", self.len(), self.capacity())
    }
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        let class = match self.memory.len() {
            SMALL => 0,
            LARGE => 1,
            _ => return,
        };
        let memory = std::mem::take(&mut self.memory);
        // The pool is gone while its thread is being torn down; the memory is then simply freed.
        let _ = POOL.try_with(|pool| {
            let spares = &mut pool.borrow_mut()[class];
            if spares.len() < KEEP[class] {
                spares.push(memory);
            }
        });
    }
}

/// Lends an empty vector with room for a head and a small body; give it back with [`give_back`].
#[must_use]
pub fn scratch() -> Vec<u8> {
    let spare = SCRATCHES.try_with(|spares| spares.borrow_mut().pop());
    spare
        .ok()
        .flatten()
        .unwrap_or_else(|| Vec::with_capacity(SCRATCH))
}

/// Takes a vector from [`scratch`] back into this thread's pool; overgrown ones are freed.
pub fn give_back(mut scratch: Vec<u8>) {
    let (most, count) = SCRATCH_KEPT;
    if !(SCRATCH..=most).contains(&scratch.capacity()) {
        return;
    }
    scratch.clear();
    // As for buffers, the pool may be gone already.
    let _ = SCRATCHES.try_with(|spares| {
        let mut spares = spares.borrow_mut();
        if spares.len() < count {
            spares.push(scratch);
        }
    });
}

/// Frees every spare buffer of this thread; workers call it when they have been idle for a while,
/// so that memory falls back after a burst.
pub fn trim() {
    let _ = POOL.try_with(|pool| {
        for spares in pool.borrow_mut().iter_mut() {
            spares.clear();
            spares.shrink_to_fit();
        }
    });
    let _ = SCRATCHES.try_with(|spares| *spares.borrow_mut() = Vec::new());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_returns_to_the_pool_and_is_lent_again() {
        trim();
        let buffer = PooledBuf::small();
        let address = buffer.memory.as_ptr();
        drop(buffer);
        assert_eq!(PooledBuf::small().memory.as_ptr(), address);
    }

    #[test]
    fn window_arithmetic_keeps_the_right_bytes() {
        let mut buffer = PooledBuf::copy_of(b"0123456789");
        buffer.advance(2);
        buffer.truncate(5);
        assert_eq!(&*buffer, b"23456");
        buffer.copy_within(3..5, 1);
        assert_eq!(&*buffer, b"25656");
        buffer.compact();
        assert_eq!(&*buffer, b"25656");
        assert_eq!(buffer.spare().len(), SMALL - 5);
    }

    #[test]
    fn oversized_copies_are_not_pooled() {
        trim();
        drop(PooledBuf::copy_of(&vec![7; LARGE + 1]));
        POOL.with(|pool| assert!(pool.borrow().iter().all(Vec::is_empty)));
    }

    #[test]
    #[should_panic(expected = "advanced past the window")]
    fn advancing_past_the_window_is_refused() {
        PooledBuf::copy_of(b"ab").advance(3);
    }
}
