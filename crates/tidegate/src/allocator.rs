//! The process's allocator: mimalloc, called the short way.
//!
//! The `mimalloc` crate sends every request through mimalloc's *aligned* functions, which look at
//! the alignment again before they do what the plain ones do: 67 instructions an allocation
//! instead of 35 on average, by callgrind. All but a few of our allocations need no
//! more than the alignment that the plain functions promise.

#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; see the proof at each call"
)]

use libmimalloc_sys as mi;
use std::alloc::{GlobalAlloc, Layout};

/// What `mi_malloc` aligns every block to, blocks smaller than this excepted.
/// (`MI_MAX_ALIGN_SIZE` in mimalloc's `types.h`; the same as `max_align_t`.)
const NATURAL: usize = 16;

/// mimalloc as the global allocator.
pub(crate) struct Mimalloc;

/// Whether the plain functions' alignment is enough: blocks of at least 16 bytes lie on 16 bytes,
/// smaller ones on their size rounded up to a power of two, so on any alignment not above it.
const fn plain(layout: Layout) -> bool {
    layout.align() <= NATURAL && layout.align() <= layout.size()
}

// SAFETY: every block comes from mimalloc and goes back to it, whichever of its functions made it
// (`mi_free` and `mi_realloc_aligned` take blocks of all of them); a block has at least the size
// and the alignment asked for, as `plain` shows for the plain functions; none of them unwinds.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline(always)]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: any size and any power of two is allowed; null stands for failure in both.
        unsafe {
            match plain(layout) {
                true => mi::mi_malloc(layout.size()).cast(),
                false => mi::mi_malloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline(always)]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        unsafe {
            match plain(layout) {
                true => mi::mi_zalloc(layout.size()).cast(),
                false => mi::mi_zalloc_aligned(layout.size(), layout.align()).cast(),
            }
        }
    }

    #[inline(always)]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller hands over a block that this allocator made.
        unsafe { mi::mi_free(block.cast()) }
    }

    #[inline(always)]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the block is ours; shrinking below the alignment keeps to the aligned function,
        // which holds the block's alignment at any size.
        unsafe {
            match layout.align() <= NATURAL && layout.align() <= size {
                true => mi::mi_realloc(block.cast(), size).cast(),
                false => mi::mi_realloc_aligned(block.cast(), size, layout.align()).cast(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_alignment_asked_for_whatever_their_size() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in [
                1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 40, 100, 1000, 1025, 70_000,
            ] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the layout's size is not zero; each block is freed once, as it was made.
                unsafe {
                    let blocks: Vec<*mut u8> = (0..9).map(|_| Mimalloc.alloc(layout)).collect();
                    for block in blocks {
                        assert!(block.addr().is_multiple_of(align), "{size} on {align}");
                        block.write_bytes(7, size);
                        let grown = Mimalloc.realloc(block, layout, size * 3 + 1);
                        assert!(
                            grown.addr().is_multiple_of(align),
                            "{size} grown on {align}"
                        );
                        assert_eq!(grown.add(size - 1).read(), 7);
                        let layout = Layout::from_size_align(size * 3 + 1, align).unwrap();
                        Mimalloc.dealloc(grown, layout);
                    }
                    let zeroed = Mimalloc.alloc_zeroed(layout);
                    assert!(zeroed.addr().is_multiple_of(align));
                    assert!((0..size).all(|at| zeroed.add(at).read() == 0));
                    Mimalloc.dealloc(zeroed, layout);
                }
            }
        }
    }
}
