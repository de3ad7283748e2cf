//! How the release is linked: small, and functions that run lie together, in the order of `order.txt`.
//!
//! Without it the functions that a request needs are strewn over the whole program, and the kernel
//! maps 64 KiB around each (decision 0015). The file names symbols, so that only the linker can
//! make use of it, and only LLD knows the option; rustc brings it for this platform. A name that
//! no longer exists is passed over. `cargo xtask order` writes the file.

use std::env;
use std::path::Path;
use std::process::Command;

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
    // Addresses that the loader moves as bits of a map and not as 24 bytes each: 1.4 MiB. glibc knows
    // it since 2.36, and an older one refuses such a program in clear words.
    if variable("HOST") == variable("TARGET") && glibc().is_some_and(|known| known >= (2, 36)) {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
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

/// The version of this machine's C library, which the program will run with.
fn glibc() -> Option<(u32, u32)> {
    let asked = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let told = String::from_utf8(asked.stdout).ok()?;
    let (major, minor) = told.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_default()
}
