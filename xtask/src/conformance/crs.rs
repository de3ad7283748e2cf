//! The OWASP CRS regression suite, in process and through a running gateway; `conformance/crs` says
//! what it is and where its data comes from.

use std::path::Path;

/// Runs both.
pub(super) fn run(root: &Path) -> Result<usize, String> {
    let mut engine = super::cargo(root);
    engine.args(["test", "--package", "gate-waf", "--test", "it", "crs"]);
    engine.args(["--", "--show-output"]);
    let mut gateway = super::cargo(root);
    gateway.args([
        "test",
        "--package",
        "gate-proxy",
        "--test",
        "it",
        "firewall",
    ]);
    gateway.args(["--", "--show-output"]);
    let engine = super::scored(&mut engine);
    let gateway = super::scored(gateway.env("TIDEGATE_SUITE", "all"));
    Ok(engine? + gateway?)
}
