//! An order at an authority that others wrote: `acme2certifier` of PyPI, or any that
//! `ACME_DIRECTORY` names and that trusts this machine.

use crate::keeping::{Bench, now, wanted_of};
use gate_acme::validity;
use gate_model::resources::AcmeChallenge;

#[test]
#[ignore = "needs an authority in ACME_DIRECTORY; conformance/acme/README.md starts one"]
fn a_real_authority_issues() {
    let Ok(directory) = std::env::var("ACME_DIRECTORY") else {
        eprintln!("skipped: ACME_DIRECTORY names no authority");
        return;
    };
    let mut bench = Bench::start();
    let names = ["gateway.example.com", "other.example.com"];
    let wanted = wanted_of(directory, AcmeChallenge::Http {}, &names);
    for _ in names {
        bench
            .tick(&wanted, now())
            .unwrap_or_else(|error| panic!("{error}"));
    }
    for name in names {
        let leaf = bench
            .served(name)
            .unwrap_or_else(|| panic!("{name} is not served"));
        assert!(validity(&leaf).unwrap().ends > now(), "{name}");
    }
    // The account on the shelf is used again for a renewal.
    let due = bench.expiry();
    bench
        .tick(&wanted, due)
        .unwrap_or_else(|error| panic!("{error}"));
    eprintln!("SCORE acme, acme2certifier: 2 names ordered, 1 renewed with the same account");
}
