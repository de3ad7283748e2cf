//! What a call to a model comes to besides tokens.

/// Counts of what some models are billed by instead of tokens. What there is none of is zero.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pieces {
    /// Input tokens of images that were not read from the cache, a part of all input tokens.
    pub image_input_tokens: u64,
    /// Output tokens of images, a part of all output tokens.
    pub image_output_tokens: u64,
    /// Input tokens of audio that were read from the cache, a part of all input tokens of audio.
    pub audio_cached_tokens: u64,
    /// Images made.
    pub images: u64,
    /// Milliseconds of audio heard.
    pub audio_ms: u64,
    /// Characters to speak.
    pub characters: u64,
    /// Queries (rerank).
    pub queries: u64,
    /// Searches of the web that the provider made and charges for, with a small context, a medium and
    /// a large one; the small where it has one kind only.
    pub searches: [u64; 3],
}

impl Pieces {
    /// Adds those of another call.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in [
            (&mut self.image_input_tokens, other.image_input_tokens),
            (&mut self.image_output_tokens, other.image_output_tokens),
            (&mut self.audio_cached_tokens, other.audio_cached_tokens),
            (&mut self.images, other.images),
            (&mut self.audio_ms, other.audio_ms),
            (&mut self.characters, other.characters),
            (&mut self.queries, other.queries),
        ] {
            *sum = sum.saturating_add(one);
        }
        for (sum, one) in self.searches.iter_mut().zip(other.searches) {
            *sum = sum.saturating_add(one);
        }
    }

    /// These, with what `known` knows better.
    #[must_use]
    pub fn or_better(self, known: &Self) -> Self {
        let better = |known: u64, own: u64| if known > 0 { known } else { own };
        Self {
            image_input_tokens: better(known.image_input_tokens, self.image_input_tokens),
            image_output_tokens: better(known.image_output_tokens, self.image_output_tokens),
            audio_cached_tokens: better(known.audio_cached_tokens, self.audio_cached_tokens),
            images: better(known.images, self.images),
            audio_ms: better(known.audio_ms, self.audio_ms),
            characters: better(known.characters, self.characters),
            queries: better(known.queries, self.queries),
            searches: match known.searches {
                [0, 0, 0] => self.searches,
                known => known,
            },
        }
    }
}
