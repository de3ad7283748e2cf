//! `cargo xtask order`: writes `crates/tidegate/order.txt`, the order in which the release's
//! functions lie (decision 0015), from what callgrind sees run under the benchmark's load.
//!
//! A function's place is its share of the instructions, added up over the scenarios: what every
//! request needs comes first, what runs once at the start comes last, and what never ran is not in
//! the file. Needs valgrind, and takes two links of the release.

use crate::bench::{execute, target_folder};
use crate::release;
use crate::repository::root;
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// What is run to see what runs: the usual ways of a request.
const SCENARIOS: &str =
    "json-1k-full,chat,chat-budget,chat-translated,stream-burst,stream-paced,tls";
/// Where the order is kept.
const ORDER: &str = "crates/tidegate/order.txt";

/// Runs the command.
pub(crate) fn run(_: &[String]) -> Result<(), String> {
    let target = target_folder(root());
    let scratch = target.join("order");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    for package in ["tidegate", "gate-bench"] {
        release::build_with_symbols(package)?;
    }

    let traced = scratch.join("traced");
    let script = format!(
        "#!/bin/sh\nexec valgrind --quiet --tool=callgrind --demangle=no \
         --callgrind-out-file={}/%p.callgrind {} \"$@\"\n",
        scratch.display(),
        target.join("release/tidegate").display()
    );
    fs::write(&traced, script).map_err(|error| format!("{}: {error}", traced.display()))?;
    let runs = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&traced, runs).map_err(|error| format!("{}: {error}", traced.display()))?;
    let mut bench = Command::new(target.join("release/gate-bench"));
    bench.current_dir(root()).arg("--scratch").arg(&scratch);
    bench.arg("--binary").arg(&traced);
    bench.args(["--scenario", SCENARIOS, "--peers", "", "--dry"]);
    execute(bench.args(["--rounds", "1", "--seconds", "3"]))?;

    let profiles = profiles(&scratch)?;
    let order = order(&profiles);
    let text: String = order.iter().map(|name| format!("{name}\n")).collect();
    fs::write(root().join(ORDER), text).map_err(|error| format!("{ORDER}: {error}"))?;
    println!("{ORDER}: {} functions; build again to use it", order.len());
    Ok(())
}

/// What each process under callgrind ran.
fn profiles(scratch: &Path) -> Result<Vec<HashMap<String, u64>>, String> {
    let entries =
        fs::read_dir(scratch).map_err(|error| format!("{}: {error}", scratch.display()))?;
    let mut profiles = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|end| end == "callgrind") {
            let text = fs::read_to_string(&path)
                .map_err(|error| format!("{}: {error}", path.display()))?;
            profiles.push(costs(&text));
        }
    }
    Ok(profiles)
}

/// The names of our own functions by their share of the instructions, most first.
fn order(profiles: &[HashMap<String, u64>]) -> Vec<&str> {
    let mut shares: HashMap<&str, f64> = HashMap::new();
    for profile in profiles {
        let total = profile.values().sum::<u64>().max(1) as f64;
        for (name, cost) in profile {
            *shares.entry(name).or_default() += *cost as f64 / total;
        }
    }
    let mut order: Vec<(&str, f64)> = shares.into_iter().collect();
    order.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(other.0)));
    order.into_iter().map(|(name, _)| name).collect()
}

/// The instructions of each function itself, out of a file in callgrind's format
/// (<https://valgrind.org/docs/manual/cl-format.html>). A name is spelled out once, as
/// `(number) name`, and a number afterwards; the line behind `calls=` is the callee's cost.
fn costs(text: &str) -> HashMap<String, u64> {
    let mut names: HashMap<&str, &str> = HashMap::new();
    let mut costs: HashMap<&str, u64> = HashMap::new();
    let (mut current, mut is_callee) = ("", false);
    for line in text.lines() {
        if let Some((key, name)) = line.split_once("fn=(") {
            let (number, name) = name.split_once(')').unwrap_or((name, ""));
            if !name.is_empty() {
                names.insert(number, name.trim());
            }
            if key.is_empty() {
                current = number;
            }
        } else if line.starts_with("calls=") {
            is_callee = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost: Option<u64> = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            if let (false, Some(cost)) = (is_callee, cost) {
                *costs.entry(current).or_default() += cost;
            }
            is_callee = false;
        }
    }
    let mut named: HashMap<String, u64> = HashMap::new();
    for (number, cost) in costs {
        let name = names.get(number).copied().unwrap_or_default();
        // A recursion's further levels are written as `name'2`.
        let name = name.split('\'').next().unwrap_or_default();
        if is_ours(name) {
            *named.entry(name.to_owned()).or_default() += cost;
        }
    }
    named
}

/// Whether a name can be of the program itself: not unknown, not a versioned one of the C library.
fn is_ours(name: &str) -> bool {
    !name.is_empty() && !name.starts_with("0x") && !name.contains(['@', ' '])
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "version: 1\nfl=(1) ???\nfn=(1) _ZN4gate5serve17h0E\n0 100\n\
        cfn=(2) _ZN4gate5parse17h1E\ncalls=3 0\n0 900\n+1 20\n\nfn=(2)\n0 900\n\n\
        fn=(3) _ZN4gate5parse17h1E'2\n0 5\n\nfn=(4) malloc@@GLIBC_2.2.5\n0 7\n";

    #[test]
    fn adds_up_what_a_function_cost_itself() {
        let expected = [("_ZN4gate5serve17h0E", 120), ("_ZN4gate5parse17h1E", 905)];
        let expected = expected.map(|(name, cost)| (name.to_owned(), cost));
        assert_eq!(costs(PROFILE), HashMap::from(expected));
    }

    #[test]
    fn puts_first_what_takes_most_of_any_scenario() {
        let small = HashMap::from([("a".to_owned(), 90), ("b".to_owned(), 10)]);
        let large = HashMap::from([("b".to_owned(), 600_000), ("c".to_owned(), 400_000)]);
        assert_eq!(order(&[small, large]), ["a", "b", "c"]);
    }
}
