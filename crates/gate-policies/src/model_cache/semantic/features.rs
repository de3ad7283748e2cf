//! The built-in way to compare questions: hashed words and pieces of words.
//!
//! A text becomes a vector of its words, pairs of neighbouring words and pieces of three letters,
//! each added at a place and with a sign that its hash says (Weinberger et al. 2009, "Feature
//! hashing for large scale multitask learning"); the cosine of two vectors says how alike they are.
//! This is **lexical**: it knows spelling, inflection and order a little, and nothing of meaning. "How
//! do I cancel?" and "I want to end my contract" are strangers to it, while "turn it on" and "turn it
//! off" are neighbours. What makes it usable is that each answer's threshold is learnt.

use rustc_hash::FxHasher;
use std::hash::Hasher;

/// Places of the vector.
pub(super) const PLACES: usize = 512;
/// Words that say little about what is asked.
const COMMON: [&str; 24] = [
    "a", "an", "and", "are", "be", "can", "could", "do", "does", "for", "i", "in", "is", "it",
    "me", "my", "of", "on", "please", "the", "to", "we", "would", "you",
];
/// Words that turn what is asked into its opposite.
const NEGATIONS: [&str; 6] = ["no", "not", "never", "without", "except", "off"];

/// The vector of a text, of length one; all zero for a text without words.
pub(super) fn vector(text: &str) -> Vec<f32> {
    let mut places = vec![0.0_f32; PLACES];
    let mut previous = String::new();
    let words = text.split(|c: char| !c.is_alphanumeric());
    for word in words.filter(|word| !word.is_empty()) {
        let word = word.to_lowercase();
        let weight = weight(&word);
        add(&mut places, 1, word.as_bytes(), weight);
        if !previous.is_empty() {
            let pair = format!("{previous} {word}");
            add(&mut places, 2, pair.as_bytes(), 0.5 * weight);
        }
        let letters: Vec<char> = format!("<{word}>").chars().collect();
        for piece in letters.windows(3) {
            let piece: String = piece.iter().collect();
            add(&mut places, 3, piece.as_bytes(), 0.3 * weight);
        }
        previous = word;
    }
    // A word that comes ten times does not say ten times as much.
    places
        .iter_mut()
        .for_each(|place| *place = place.signum() * place.abs().ln_1p());
    let length = super::dot(&places, &places).sqrt();
    if length > 0.0 {
        places.iter_mut().for_each(|place| *place /= length);
    }
    places
}

fn weight(word: &str) -> f32 {
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    if has_digit || NEGATIONS.contains(&word) {
        2.0
    } else if COMMON.contains(&word) {
        0.3
    } else {
        1.0
    }
}

fn add(places: &mut [f32], kind: u8, feature: &[u8], weight: f32) {
    let mut hasher = FxHasher::default();
    hasher.write_u8(kind);
    hasher.write(feature);
    let hash = hasher.finish().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let place = (hash >> 32) as usize % PLACES;
    places[place] += if hash & 1 == 0 { weight } else { -weight };
}

#[cfg(test)]
mod tests {
    use super::super::dot;
    use super::*;

    fn alike(one: &str, other: &str) -> f32 {
        dot(&vector(one), &vector(other))
    }

    #[test]
    fn spelling_counts_and_meaning_does_not() {
        let near = alike(
            "What is the capital of France?",
            "what's the capital of france",
        );
        let number = alike(
            "Set the timeout to 5 seconds",
            "Set the timeout to 50 seconds",
        );
        let far = alike("What is the capital of France?", "Sort a list in Rust");
        let meaning = alike("How do I cancel?", "I want to end my contract");
        assert!(near > 0.8, "{near}");
        assert!(number < near, "{number}");
        assert!(far.abs() < 0.25 && meaning < 0.4, "{far} {meaning}");
        assert!((alike("a b c", "a b c") - 1.0).abs() < 1e-5);
        assert_eq!(alike("", "!?"), 0.0);
    }
}
