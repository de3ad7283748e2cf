//! Gives back the pages of the program that only its start needed.
//!
//! Starting runs much more of the program than serving does: the reader of documents, the compiler
//! of snapshots, the loader's relocations. The kernel keeps those pages mapped, and maps 64 KiB
//! around each, so that they count as resident for as long as the process lives. Dropped once, what
//! is still needed comes back from the page cache, a minor fault (about a microsecond) for each 64
//! KiB; the rest stays away (decision 0035).

#![allow(
    unsafe_code,
    reason = "madvise takes an address; see the proof at the call"
)]

use std::ops::Range;

/// Drops the mapped pages of program and libraries that are as they are on disk. Where the kernel
/// does not say which those are, nothing happens.
pub(crate) fn give_back() {
    let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for range in unchanged(&smaps) {
        // SAFETY: a private mapping of a file that cannot be written and of which no page was ever
        // changed; a page of it that is dropped reads the same when it is mapped again. Not even
        // this function's own code is an exception. The answer is of no use: a page that stays is
        // one that stays.
        unsafe {
            let start = std::ptr::with_exposed_provenance_mut(range.start);
            libc::madvise(start, range.len(), libc::MADV_DONTNEED);
        }
    }
}

/// Address ranges of private mappings of files that cannot be written and hold no page of the
/// process's own, in memory or swapped out (a page that was relocated before it was made read-only
/// is one), from the text of `/proc/PID/smaps` (proc_pid_smaps(5)).
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut current = None;
    let mut nones = 0;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Anonymous:" | "Swap:") => {
                nones += usize::from(words.next() == Some("0"));
                if nones == 2 {
                    found.extend(current.take());
                }
            }
            Some(key) if key.ends_with(':') => {}
            Some(range) => {
                nones = 0;
                current = private_file(range, words);
            }
            None => {}
        }
    }
    found
}

/// The range of a mapping by its line, if it is of a file, private and not writable.
fn private_file<'a>(range: &str, mut words: impl Iterator<Item = &'a str>) -> Option<Range<usize>> {
    let permissions = words.next()?.as_bytes();
    let inode = words.nth(2)?;
    if permissions.get(1) != Some(&b'-') || permissions.get(3) != Some(&b'p') || inode == "0" {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    let address = |digits: &str| usize::from_str_radix(digits, 16).ok();
    Some(address(start)?..address(end)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_files_without_changed_pages_are_given_back() {
        let mapping = |line: &str, anonymous: &str, swap: &str| {
            format!("{line}\nRss: 12 kB\nAnonymous: {anonymous} kB\nSwap: {swap} kB\nVmFlags: rd\n")
        };
        let smaps = [
            mapping("1000-2000 r-xp 00000000 fe:00 7 /bin/gate way", "0", "0"),
            mapping("2000-3000 r--p 00001000 fe:00 7 /bin/gate", "4", "0"),
            mapping("3000-4000 r--p 00002000 fe:00 7 /bin/gate", "0", "4"),
            mapping("4000-5000 rw-p 00003000 fe:00 7 /bin/gate", "0", "0"),
            mapping("5000-6000 r--s 00000000 fe:00 8 /var/store", "0", "0"),
            mapping("6000-7000 r-xp 00000000 00:00 0 [vdso]", "0", "0"),
            "7000-8000 r--p 00000000 fe:00 9 /lib/short\nAnonymous: 0 kB\n".to_owned(),
            mapping("8000-a000 r--p 00000000 fe:00 9 /lib/other", "0", "0"),
        ];
        assert_eq!(unchanged(&smaps.concat()), [0x1000..0x2000, 0x8000..0xa000]);
        assert!(unchanged("no such text\n\n: \n-").is_empty());
    }

    #[test]
    fn the_program_goes_on_after_its_pages_were_dropped() {
        let text = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(!unchanged(&text).is_empty(), "{text}");
        let resident = || {
            let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
            let line = rollup.lines().find(|line| line.starts_with("Rss:"));
            let words: Vec<&str> = line.unwrap().split_ascii_whitespace().collect();
            words[1].parse::<u64>().unwrap()
        };
        // Other tests take memory meanwhile.
        let shrinks = |_| {
            let before = resident();
            give_back();
            resident() < before
        };
        assert!((0..100).any(shrinks), "{} KiB stay resident", resident());
    }
}
