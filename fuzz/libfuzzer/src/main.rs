//! libFuzzer over one target, which `FUZZ_TARGET` names: `cargo xtask fuzz TARGET` builds this with the
//! compiler's coverage counters and runs it. All targets are in one program, because each of its own
//! would be the whole gateway linked once more.
#![no_main]

use std::sync::OnceLock;
use tidegate_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn target() -> Target {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    let Some((_, target)) = found else {
        let names: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
        eprintln!("FUZZ_TARGET=`{name}` is none of {}", names.join(", "));
        std::process::exit(2);
    };
    *target
}

libfuzzer_sys::fuzz_target!(
    init: {
        // libFuzzer's own hook would end a panic that the product catches: descriptors' reader has some.
        // One that nobody catches ends the run all the same.
        drop(std::panic::take_hook());
        TARGET.get_or_init(target);
    },
    |bytes: &[u8]| TARGET.get_or_init(target)(bytes)
);
