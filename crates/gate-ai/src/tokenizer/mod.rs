//! Exact token counts, by the vendor's own vocabulary where that is public.
//!
//! A vocabulary is a file of some megabytes that the operator names; none is built in. Its format is
//! tiktoken's: a line for each token, its bytes in base64 and its rank
//! (<https://github.com/openai/tiktoken>). A text is split into pieces as the encoding says
//! (`split.rs`), and each piece's bytes are merged by rank, the lowest first. Words that mean
//! something to the model, such as `<|endoftext|>`, count as the text that they are in a message.
//!
//! Counting takes time in proportion to the text (a piece of `n` bytes takes `n log n`), some 100 us
//! per KiB: never on a worker.

mod request;
mod split;

pub use request::{MARGIN, ModelTokenizer, count_answer, counted};

use split::Splitter;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Most tokens of a vocabulary.
const TOKENS_MAX: usize = 1_000_000;
/// Longest token, in bytes.
const TOKEN_MAX: usize = 1024;

/// How a text is split into pieces before its bytes are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Of GPT-3.5 and GPT-4.
    Cl100kBase,
    /// Of GPT-4o and everything of OpenAI's since.
    O200kBase,
}

impl Encoding {
    /// Every encoding.
    pub const ALL: [Self; 2] = [Self::Cl100kBase, Self::O200kBase];

    /// Its name, in configuration as at its vendor.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cl100kBase => "cl100k_base",
            Self::O200kBase => "o200k_base",
        }
    }

    /// The encoding of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|encoding| encoding.as_str() == name)
    }

    /// The encoding of a provider's model, where it is known to be public
    /// (<https://github.com/openai/tiktoken/blob/main/tiktoken/model.py>).
    #[must_use]
    pub fn of_model(provider_kind: &str, model: &str) -> Option<Self> {
        let model = match provider_kind {
            "openai" | "azure" => model,
            "openrouter" => model.strip_prefix("openai/")?,
            _ => return None,
        };
        // Models that were tuned are named after what they were made of.
        let model = model.strip_prefix("ft:").unwrap_or(model);
        const NEW: [&str; 9] = [
            "gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-", "o1", "o3", "o4", "gpt-oss",
        ];
        const OLD: [&str; 4] = ["gpt-4", "gpt-3.5", "gpt-35", "text-embedding-"];
        if NEW.iter().any(|prefix| model.starts_with(prefix)) {
            return Some(Self::O200kBase);
        }
        let is_old = OLD.iter().any(|prefix| model.starts_with(prefix));
        is_old.then_some(Self::Cl100kBase)
    }
}

/// Why a vocabulary cannot be used, in one sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct VocabularyError(String);

/// An encoding with its vocabulary.
pub struct Tokenizer {
    splitter: Splitter,
    /// By their bytes.
    ranks: HashMap<Box<[u8]>, u32>,
}

impl std::fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokenizer({} tokens)", self.ranks.len())
    }
}

impl Tokenizer {
    /// Reads a vocabulary.
    ///
    /// # Errors
    /// [`VocabularyError`] when a line is none, or single bytes are missing.
    pub fn new(encoding: Encoding, vocabulary: &str) -> Result<Self, VocabularyError> {
        use base64::Engine;
        let mut ranks = HashMap::new();
        for (index, line) in vocabulary.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let wrong = || VocabularyError(format!("line {} is no token", index + 1));
            let (token, rank) = line.split_once(' ').ok_or_else(wrong)?;
            let token = base64::engine::general_purpose::STANDARD.decode(token);
            let token = token.map_err(|_| wrong())?;
            let rank = rank.trim().parse().map_err(|_| wrong())?;
            if token.is_empty() || token.len() > TOKEN_MAX || ranks.len() >= TOKENS_MAX {
                return Err(wrong());
            }
            ranks.insert(token.into_boxed_slice(), rank);
        }
        if let Some(byte) = (0..=255_u8).find(|byte| !ranks.contains_key([*byte].as_slice())) {
            let message =
                format!("it lacks the byte {byte:#04x}, so that not every text has tokens");
            return Err(VocabularyError(message));
        }
        Ok(Self {
            splitter: Splitter::new(encoding),
            ranks,
        })
    }

    /// How many tokens a text has.
    #[must_use]
    pub fn count(&self, text: &str) -> u64 {
        let mut count = 0;
        self.splitter.split(text, |piece| {
            count += match self.ranks.contains_key(piece.as_bytes()) {
                true => 1,
                false => self.merged(piece.as_bytes()),
            };
        });
        count
    }

    fn rank(&self, bytes: &[u8]) -> Option<u32> {
        (bytes.len() <= TOKEN_MAX)
            .then(|| self.ranks.get(bytes).copied())
            .flatten()
    }

    /// How many tokens the bytes of one piece are merged into. Of two pairs with the same rank the
    /// first is merged first.
    fn merged(&self, piece: &[u8]) -> u64 {
        // `ends[start]` is one past the part that starts there; 0 for a start that was merged away.
        let mut ends: Vec<usize> = (1..=piece.len()).collect();
        let mut starts_before: Vec<usize> = (0..piece.len()).map(|at| at.wrapping_sub(1)).collect();
        let mut heap = BinaryHeap::new();
        let mut parts = piece.len() as u64;
        let pair = |ends: &[usize], start: usize| {
            let middle = ends[start];
            let end = *ends.get(middle)?;
            Some((self.rank(&piece[start..end])?, start, end))
        };
        for start in 0..piece.len() {
            heap.extend(pair(&ends, start).map(Reverse));
        }
        while let Some(Reverse((_, start, end))) = heap.pop() {
            // A pair that has been merged since, in whole or in part, is no pair any more.
            let middle = ends[start];
            if middle == 0 || middle >= end || ends.get(middle) != Some(&end) {
                continue;
            }
            ends[middle] = 0;
            ends[start] = end;
            parts -= 1;
            if let Some(before) = starts_before.get_mut(end) {
                *before = start;
            }
            heap.extend(pair(&ends, start).map(Reverse));
            let before = starts_before[start];
            if before < piece.len() {
                heap.extend(pair(&ends, before).map(Reverse));
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests;
