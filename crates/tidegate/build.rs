//! How the release is linked: functions that run lie together, in the order of `order.txt`.
//!
//! Without it the functions that a request needs are strewn over the whole program, and the kernel
//! maps 64 KiB around each (decision 0015). The file names symbols, so that only the linker can
//! make use of it, and only LLD knows the option; rustc brings it for this platform. A name that
//! no longer exists is passed over. `cargo xtask order` writes the file.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=order.txt");
    println!("cargo::rerun-if-env-changed=TIDEGATE_KEEP_SYMBOLS");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    println!("cargo::rerun-if-env-changed=CARGO_ENCODED_RUSTFLAGS");
    if variable("PROFILE") != "release"
        || variable("TARGET") != "x86_64-unknown-linux-gnu"
        || another_linker()
    {
        return;
    }
    let order = Path::new(&variable("CARGO_MANIFEST_DIR")).join("order.txt");
    println!(
        "cargo::rustc-link-arg-bins=-Wl,--symbol-ordering-file={}",
        order.display()
    );
    println!("cargo::rustc-link-arg-bins=-Wl,--no-warn-symbol-ordering");
    // One copy of functions that are the same machine code, of which generics make many.
    println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    if env::var_os("TIDEGATE_KEEP_SYMBOLS").is_some() {
        // Comes behind the profile's `--strip-all`; the last one counts.
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-debug");
    }
}

/// Whether somebody chose a linker, which may not know the option.
fn another_linker() -> bool {
    env::var_os("RUSTC_LINKER").is_some()
        || ["linker", "fuse-ld", "linker-features"]
            .iter()
            .any(|word| variable("CARGO_ENCODED_RUSTFLAGS").contains(word))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
