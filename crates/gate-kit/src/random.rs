//! Randomness, from one place: seedable for decisions, the operating system's for secrets.

use std::cell::RefCell;

thread_local! {
    static GENERATOR: RefCell<fastrand::Rng> = RefCell::new(fastrand::Rng::new());
}

/// Fixes this thread's sequence, so that a failing simulation is a number.
pub fn seed(seed: u64) {
    GENERATOR.with_borrow_mut(|generator| generator.seed(seed));
}

/// 64 random bits for decisions such as sampling and balancing; never for secrets.
#[must_use]
pub fn bits() -> u64 {
    GENERATOR.with_borrow_mut(|generator| generator.u64(..))
}

/// A number below `bound`, uniformly; zero when `bound` is zero.
#[must_use]
pub fn below(bound: usize) -> usize {
    if bound == 0 {
        0
    } else {
        GENERATOR.with_borrow_mut(|generator| generator.usize(..bound))
    }
}

/// A number in `0.0..1.0`, uniformly.
#[must_use]
pub fn fraction() -> f64 {
    GENERATOR.with_borrow_mut(fastrand::Rng::f64)
}

/// Bytes for keys, from the operating system.
///
/// # Errors
/// When the operating system has no randomness to give; no key may be made then.
pub fn secret<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sequence() {
        seed(42);
        let first: Vec<u64> = (0..8).map(|_| bits()).collect();
        seed(42);
        let second: Vec<u64> = (0..8).map(|_| bits()).collect();
        assert_eq!(first, second);
        assert!((0..100).all(|_| below(3) < 3));
        assert_eq!(below(0), 0);
    }

    #[test]
    fn secrets_differ() {
        assert_ne!(secret::<16>().unwrap(), secret::<16>().unwrap());
    }
}
