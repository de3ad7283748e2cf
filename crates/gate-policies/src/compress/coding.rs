//! Content codings: which one a caller wants, and their encoders behind one face.
//!
//! The encoders write into memory that the caller of this module takes out. Their windows are
//! bounded below the formats' own limits, so that a stream costs little memory here and there.

use brotli::CompressorWriter;
use brotli::enc::BrotliEncoderParams;
use flate2::write::GzEncoder;
use gate_kit::http::{HeaderId, Headers};
use schemars::JsonSchema;
use serde::Deserialize;
use std::io::{self, Write};

/// Brotli's window, as a power of two: 128 KiB.
const BROTLI_WINDOW: i32 = 17;
/// Brotli's input block, as a power of two: its smallest.
const BROTLI_BLOCK: i32 = 16;
/// Brotli works on a whole block in one go, 0.5 ms and more. Flushed after these bytes, it takes
/// 0.14 ms for 3 % more output (level 3, 4 MiB of JSON).
const BROTLI_PORTION: usize = 8 * 1024;
/// Zstandard's window, as a power of two: 64 KiB. That is its block, too, which is worked on in one
/// go: 0.12 ms instead of 0.25 ms with 128 KiB (level 2), for the same output.
const ZSTD_WINDOW: u32 = 16;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// Brotli, RFC 7932.
    Br,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Coding {
    /// The name in Content-Encoding.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Br => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// Whether Accept-Encoding means this coding by a name.
    fn is_named(self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name().as_bytes())
            || (self == Coding::Gzip && name.eq_ignore_ascii_case(b"x-gzip"))
    }
}

/// How hard each coding tries; more costs more time for fewer bytes.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Levels {
    /// 1 to 6; higher ones hold a worker for too long and gain less than 1 %.
    pub gzip: u8,
    /// 0 to 4; higher ones hold a worker for too long.
    pub br: u8,
    /// 1 to 4; higher ones hold a worker for too long.
    pub zstd: u8,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            gzip: 4,
            br: 3,
            zstd: 2,
        }
    }
}

impl Levels {
    /// # Errors
    /// The level that is out of range.
    pub(super) fn check(self) -> Result<(), String> {
        let all = [
            ("gzip", self.gzip, 1..=6),
            ("br", self.br, 0..=4),
            ("zstd", self.zstd, 1..=4),
        ];
        for (name, level, range) in all {
            if !range.contains(&level) {
                let (first, last) = (range.start(), range.end());
                return Err(format!("`{name}` goes from {first} to {last}, not {level}"));
            }
        }
        Ok(())
    }
}

/// The offered coding that the caller wants most; `None` when it wants the bytes as they are.
pub(super) fn negotiate(headers: &Headers, offered: &[Coding]) -> Option<Coding> {
    let mut any = None;
    let mut identity = None;
    let mut weights = [None; 3];
    let members = headers
        .all(HeaderId::AcceptEncoding)
        .flat_map(|value| value.split(|&byte| byte == b','));
    for member in members {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default();
        let Some(weight) = parts.next().map_or(Some(1000), weight) else {
            continue;
        };
        if name == b"*" {
            any = Some(weight);
        } else if name.eq_ignore_ascii_case(b"identity") {
            identity = Some(weight);
        } else if let Some(coding) = offered.iter().position(|coding| coding.is_named(name)) {
            weights[coding] = Some(weight);
        }
    }
    let mut best: Option<(u16, Coding)> = None;
    for (&coding, weight) in offered.iter().zip(weights) {
        let weight = weight.or(any).unwrap_or(0);
        if weight > 0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, coding));
        }
    }
    best.filter(|(weight, _)| identity.is_none_or(|identity| identity <= *weight))
        .map(|(_, coding)| coding)
}

/// `q=0.5` in thousandths (RFC 9110 section 12.4.2); `None` when it is no weight.
fn weight(parameter: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(parameter).ok()?;
    let (name, value) = text.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let (whole, fraction) = value.trim().split_once('.').unwrap_or((value.trim(), ""));
    if fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match whole {
        "0" => Some(thousandths),
        "1" if thousandths == 0 => Some(1000),
        _ => None,
    }
}

/// An encoder that writes into memory.
pub(super) enum Encoder {
    Gzip(Box<GzEncoder<Vec<u8>>>),
    /// With the bytes written since the last flush.
    Br(Box<CompressorWriter<Vec<u8>>>, usize),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    pub(super) fn new(coding: Coding, levels: Levels) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(u32::from(levels.gzip));
                Encoder::Gzip(Box::new(GzEncoder::new(Vec::new(), level)))
            }
            Coding::Br => {
                let parameters = BrotliEncoderParams {
                    quality: i32::from(levels.br),
                    lgwin: BROTLI_WINDOW,
                    lgblock: BROTLI_BLOCK,
                    ..BrotliEncoderParams::default()
                };
                let writer = CompressorWriter::with_params(Vec::new(), 4096, &parameters);
                Encoder::Br(Box::new(writer), 0)
            }
            Coding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), i32::from(levels.zstd))?;
                encoder.window_log(ZSTD_WINDOW)?;
                Encoder::Zstd(Box::new(encoder))
            }
        })
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.write_all(bytes),
            Encoder::Br(encoder, unflushed) => {
                encoder.write_all(bytes)?;
                *unflushed += bytes.len();
                if *unflushed >= BROTLI_PORTION {
                    *unflushed = 0;
                    encoder.flush()?;
                }
                Ok(())
            }
            Encoder::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// Makes everything written so far readable for the other side.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Gzip(encoder) => encoder.flush(),
            Encoder::Br(_, 0) => Ok(()),
            Encoder::Br(encoder, unflushed) => {
                *unflushed = 0;
                encoder.flush()
            }
            Encoder::Zstd(encoder) => encoder.flush(),
        }
    }

    /// What has been encoded and not been taken yet.
    pub(super) fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Encoder::Gzip(encoder) => encoder.get_mut(),
            Encoder::Br(encoder, _) => encoder.get_mut(),
            Encoder::Zstd(encoder) => encoder.get_mut(),
        }
    }

    /// Ends the stream and gives what has not been taken yet.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Br(encoder, _) => Ok(encoder.into_inner()),
            Encoder::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_encoding_is_read_as_rfc_9110_says() {
        use Coding::{Br, Gzip, Zstd};
        for (accepted, expected) in [
            (None, None),
            (Some(""), None),
            (Some("identity"), None),
            (Some("deflate, compress"), None),
            (Some("gzip;q=0"), None),
            (Some("gzip;q=0.000, *;q=0"), None),
            (Some("*;q=0"), None),
            (Some("gzip;q=2"), None),
            (Some("gzip;q=0.1234"), None),
            (Some("gzip;q=-1"), None),
            (Some("gzip;q=x, br;level=3"), None),
            (Some("identity, gzip;q=0.5"), None),
            (Some("gzipx, xgzip"), None),
            (Some("gzip"), Some(Gzip)),
            (Some("X-GZIP"), Some(Gzip)),
            (Some("gzip ; Q = 0.001"), Some(Gzip)),
            (Some("gzip;q=1.000,,br;q=0.9"), Some(Gzip)),
            (Some("gzip, deflate, br, zstd"), Some(Zstd)),
            (Some("gzip, br"), Some(Br)),
            (Some("zstd;q=0.5, br;q=0.7, gzip;q=0.6"), Some(Br)),
            (Some("*"), Some(Zstd)),
            (Some("zstd;q=0, *;q=0.5"), Some(Br)),
            (Some("identity;q=0.5, gzip;q=0.5"), Some(Gzip)),
            (Some("identity;q=0"), None),
        ] {
            let mut headers = Headers::new();
            if let Some(accepted) = accepted {
                headers.append_known(HeaderId::AcceptEncoding, accepted.as_bytes());
            }
            assert_eq!(
                negotiate(&headers, &[Zstd, Br, Gzip]),
                expected,
                "{accepted:?}"
            );
        }
        let mut headers = Headers::new();
        headers.append_known(HeaderId::AcceptEncoding, b"br");
        headers.append_known(HeaderId::AcceptEncoding, b"gzip");
        assert_eq!(
            negotiate(&headers, &[Gzip, Br]),
            Some(Gzip),
            "several fields are one list"
        );
        assert_eq!(negotiate(&headers, &[Zstd]), None);
    }

    #[test]
    fn levels_have_bounds() {
        let base = Levels::default();
        assert_eq!(base.check(), Ok(()));
        for levels in [
            Levels { gzip: 0, ..base },
            Levels { gzip: 7, ..base },
            Levels { br: 5, ..base },
            Levels { zstd: 0, ..base },
            Levels { zstd: 5, ..base },
        ] {
            assert!(levels.check().is_err(), "{levels:?}");
        }
    }
}
