//! Keys of the generator that could be factored (CVE-2017-15361, "ROCA").
//!
//! Its primes were `k * M + (65537^a mod M)`, with `M` a product of small primes, so that the modulus
//! leaves a power of 65537 as its remainder by each of them. A random modulus does so for all primes
//! below with a chance under 2^-27.

/// Small odd primes; with 65537 being a multiple of none.
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Whether a modulus, its most significant byte first, has the generator's fingerprint.
pub(super) fn is_weak(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let remainder = modulus
            .iter()
            .fold(0, |left, byte| (left * 256 + u32::from(*byte)) % prime);
        let step = 65537 % prime;
        let mut power = 1;
        loop {
            if power == remainder {
                return true;
            }
            power = power * step % prime;
            if power == 1 {
                return false;
            }
        }
    })
}
