//! Keys in the formats that vendors publish, private key blocks, signed tokens.
//!
//! A key is its prefix and a run of its alphabet of a certain length. Vendors choose such prefixes
//! so that their keys can be found; where one is too short to be sure, the run must mix letters
//! and digits.

use super::{MATCH_MAX, byte_before, is_word};
use aho_corasick::{AhoCorasick, MatchKind};
use std::ops::Range;
use std::sync::LazyLock;

/// Characters of a key behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// Letters and digits.
    Alphanumeric,
    /// Capital letters and digits.
    Capitals,
    /// Letters, digits, `-` and `_`.
    Url,
    /// The same and `.`, `=`, `+`, `/`.
    Dotted,
    /// Hexadecimal digits.
    Hex,
}

impl Alphabet {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Capitals => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Dotted => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'-' | b'_' | b'.' | b'=' | b'+' | b'/')
            }
            Self::Hex => byte.is_ascii_hexdigit(),
        }
    }
}

/// Prefix, alphabet, fewest and most characters behind the prefix, as the vendors document them.
const FORMATS: &[(&str, Alphabet, usize, usize)] = &[
    ("AKIA", Alphabet::Capitals, 16, 16),          // AWS access key
    ("ASIA", Alphabet::Capitals, 16, 16),          // AWS temporary access key
    ("AIza", Alphabet::Url, 35, 35),               // Google API key
    ("GOCSPX-", Alphabet::Url, 24, 40),            // Google OAuth client secret
    ("ya29.", Alphabet::Url, 40, 2048),            // Google OAuth token
    ("ghp_", Alphabet::Alphanumeric, 36, 255),     // GitHub, personal
    ("gho_", Alphabet::Alphanumeric, 36, 255),     // GitHub, OAuth
    ("ghu_", Alphabet::Alphanumeric, 36, 255),     // GitHub, user of an app
    ("ghs_", Alphabet::Alphanumeric, 36, 255),     // GitHub, server of an app
    ("ghr_", Alphabet::Alphanumeric, 36, 255),     // GitHub, refresh
    ("github_pat_", Alphabet::Url, 60, 255),       // GitHub, fine-grained
    ("glpat-", Alphabet::Url, 20, 300),            // GitLab
    ("xoxb-", Alphabet::Url, 24, 255),             // Slack, bot
    ("xoxp-", Alphabet::Url, 24, 255),             // Slack, user
    ("xoxa-", Alphabet::Url, 24, 255),             // Slack, app
    ("xoxr-", Alphabet::Url, 24, 255),             // Slack, refresh
    ("xapp-", Alphabet::Url, 24, 255),             // Slack, app-level
    ("sk_live_", Alphabet::Alphanumeric, 16, 255), // Stripe
    ("rk_live_", Alphabet::Alphanumeric, 16, 255), // Stripe, restricted
    ("sk_test_", Alphabet::Alphanumeric, 16, 255), // Stripe, test
    ("whsec_", Alphabet::Dotted, 24, 255),         // Stripe, webhooks
    ("sk-", Alphabet::Url, 32, 255),               // OpenAI, Anthropic, DeepSeek, OpenRouter
    ("gsk_", Alphabet::Alphanumeric, 40, 80),      // Groq
    ("xai-", Alphabet::Alphanumeric, 60, 120),     // xAI
    ("pplx-", Alphabet::Alphanumeric, 40, 80),     // Perplexity
    ("hf_", Alphabet::Alphanumeric, 30, 60),       // Hugging Face
    ("r8_", Alphabet::Alphanumeric, 37, 40),       // Replicate
    ("nvapi-", Alphabet::Url, 50, 100),            // NVIDIA
    ("npm_", Alphabet::Alphanumeric, 36, 36),      // npm
    ("pypi-AgE", Alphabet::Url, 50, 400),          // PyPI
    ("SG.", Alphabet::Dotted, 60, 80),             // SendGrid
    ("dop_v1_", Alphabet::Hex, 64, 64),            // DigitalOcean
    ("doo_v1_", Alphabet::Hex, 64, 64),            // DigitalOcean, OAuth
    ("shpat_", Alphabet::Hex, 32, 32),             // Shopify
    ("shpss_", Alphabet::Hex, 32, 32),             // Shopify, shared
    ("dapi", Alphabet::Hex, 32, 34),               // Databricks
    ("hvs.", Alphabet::Url, 24, 300),              // HashiCorp Vault
    ("hvb.", Alphabet::Url, 24, 300),              // HashiCorp Vault, batch
    ("lin_api_", Alphabet::Alphanumeric, 40, 40),  // Linear
    ("ntn_", Alphabet::Alphanumeric, 40, 60),      // Notion
    ("PMAK-", Alphabet::Url, 50, 64),              // Postman
    ("dp.pt.", Alphabet::Alphanumeric, 40, 48),    // Doppler
    ("ATATT3", Alphabet::Dotted, 100, 255),        // Atlassian
    ("AGE-SECRET-KEY-1", Alphabet::Capitals, 58, 58), // age
    ("tskey-", Alphabet::Url, 24, 100),            // Tailscale
    ("glsa_", Alphabet::Url, 32, 60),              // Grafana
    ("sq0atp-", Alphabet::Url, 22, 60),            // Square
    ("EAAA", Alphabet::Url, 60, 64),               // Square, access
];

/// The prefixes of the formats, then that of tokens, then that of key blocks.
static PREFIXES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let prefixes = FORMATS.iter().map(|format| format.0);
    AhoCorasick::builder()
        .match_kind(MatchKind::LeftmostLongest)
        .build(prefixes.chain(["eyJ", "-----BEGIN "]))
        .expect("a table of short literals is small")
});

pub(super) fn find(text: &[u8], before: u8, push: &mut dyn FnMut(Range<usize>)) {
    let (mut free, mut no_token_before) = (0, 0);
    for found in PREFIXES.find_iter(text) {
        let start = found.start();
        let index = found.pattern().as_usize();
        // Dashes end a word, letters and digits of a key may be the end of another word.
        let in_word = index <= FORMATS.len() && is_word(byte_before(text, start, before));
        if start < free || in_word {
            continue;
        }
        let end = match FORMATS.get(index) {
            Some(format) => key_end(text, start, format),
            None if index == FORMATS.len() && start < no_token_before => None,
            None if index == FORMATS.len() => {
                let (header, end) = token_end(text, start);
                // Whatever starts later in the same run ends alike.
                no_token_before = header;
                end
            }
            None => block_end(text, start),
        };
        if let Some(end) = end {
            push(start..end);
            free = end;
        }
    }
}

fn key_end(text: &[u8], start: usize, format: &(&str, Alphabet, usize, usize)) -> Option<usize> {
    let (prefix, alphabet, least, most) = *format;
    let rest = &text[start + prefix.len()..];
    let run = rest
        .iter()
        .take(most + 1)
        .take_while(|byte| alphabet.has(**byte))
        .count();
    let key = &rest[..run];
    // Hyphenated words are no key; random characters of this length are of several kinds.
    let count = |is: fn(&u8) -> bool| key.iter().filter(|byte| is(byte)).count();
    let digits = count(u8::is_ascii_digit);
    let (upper, lower) = (count(u8::is_ascii_uppercase), count(u8::is_ascii_lowercase));
    let is_mixed = digits * 24 >= run && (upper + lower) * 12 >= run
        || upper * 8 >= run && lower * 8 >= run && upper + lower + digits == run;
    let is_over = rest.get(run).is_some_and(|next| is_word(*next));
    (run >= least && run <= most && is_mixed && !is_over).then(|| start + prefix.len() + run)
}

/// JWT in compact form (RFC 7519): header and payload are JSON objects, so both start with `eyJ`.
/// Where the header's run ends, and the whole token if it is one.
fn token_end(text: &[u8], start: usize) -> (usize, Option<usize>) {
    let part = |from: usize| {
        let rest = text[from..].iter().take(MATCH_MAX);
        from + rest.take_while(|byte| Alphabet::Url.has(**byte)).count()
    };
    let header = part(start);
    if header - start < 12 || !text[header..].starts_with(b".eyJ") {
        return (header, None);
    }
    let payload = part(header + 1);
    if text.get(payload) != Some(&b'.') {
        return (header, None);
    }
    (header, Some(part(payload + 1).min(start + MATCH_MAX)))
}

/// Longest label of a key block, in bytes: between `-----BEGIN ` or `-----END ` and the dashes.
pub(crate) const LABEL_MAX: usize = 69;
const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// A block `-----BEGIN ... PRIVATE KEY-----` (RFC 7468, PKCS#1, OpenSSH) up to its end, or as much
/// of it as there is. However long it is: what is left of a key tells the key.
fn block_end(text: &[u8], start: usize) -> Option<usize> {
    let body = start + body_of_block(&text[start..])?;
    Some(end_mark(&text[body..]).map_or(text.len(), |end| body + end))
}

/// Where the body begins of the key block at the start of `text`.
fn body_of_block(text: &[u8]) -> Option<usize> {
    let label_end = BEGIN.len() + find_label_end(text.get(BEGIN.len()..)?)?;
    memchr::memmem::rfind(&text[..label_end], b"PRIVATE KEY")?;
    Some(label_end + DASHES.len())
}

/// Length of the label at the start of `text`.
fn find_label_end(text: &[u8]) -> Option<usize> {
    memchr::memmem::find(&text[..text.len().min(LABEL_MAX)], DASHES)
}

/// Where the first mark of an end in `text` ends.
fn end_mark(text: &[u8]) -> Option<usize> {
    memchr::memmem::find_iter(text, END).find_map(|mark| {
        let label = mark + END.len();
        Some(label + find_label_end(&text[label..])? + DASHES.len())
    })
}

/// How much of `text` belongs to a key block that began in front of it.
pub(crate) fn rest_of_block(text: &[u8]) -> usize {
    end_mark(text).unwrap_or(text.len())
}

/// Whether a key block is open at the end of `text`; `inside` says whether one was at its start,
/// `before` is the byte in front of it.
pub(crate) fn leaves_block_open(text: &[u8], before: u8, inside: bool) -> bool {
    let (from, before) = match (inside, end_mark(text)) {
        (true, None) => return true,
        (true, Some(end)) => (end, b'-'),
        (false, _) => (0, before),
    };
    let text = &text[from..];
    let mut last = 0..0;
    find(text, before, &mut |range| last = range);
    let body = body_of_block(&text[last.clone()]);
    last.end == text.len()
        && body.is_some_and(|body| end_mark(&text[last.start + body..]).is_none())
}
