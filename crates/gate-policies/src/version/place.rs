//! Where a request names its version.

use gate_contract::version::{ASKED_BYTES_MAX, Asked};
use gate_flow::Exchange;
use gate_kit::http::HeaderId;
use gate_model::resources::VersionPlace;
use std::borrow::Cow;

/// A place, compiled.
#[derive(Debug)]
pub(super) enum Place {
    Header(String),
    Query(String),
    Segment { index: usize, strip: bool },
    Parameter(String),
    Vendor(String),
}

/// What a request names.
pub(super) struct Named {
    text: String,
    /// The segment that is taken out of the path.
    pub(super) strip: Option<Strip>,
}

/// A segment to take out of the path, counted from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strip(usize);

impl Named {
    pub(super) fn asked(&self) -> Result<Asked, String> {
        Asked::parse(&self.text)
    }
}

impl Place {
    pub(super) fn compile(place: &VersionPlace) -> Result<Self, String> {
        Ok(match place {
            VersionPlace::Header(name) => {
                crate::checks::check_token(name)?;
                Place::Header(name.clone())
            }
            VersionPlace::Query(name) if name.is_empty() => {
                return Err("the parameter has no name".into());
            }
            VersionPlace::Query(name) => Place::Query(name.clone()),
            VersionPlace::Path(path) => match path.segment {
                1..=64 => Place::Segment {
                    index: path.segment as usize - 1,
                    strip: path.strip,
                },
                _ => return Err("`segment` is from 1 to 64".into()),
            },
            VersionPlace::MediaType(media) => match (&media.parameter, &media.vendor) {
                (Some(name), None) if !name.is_empty() => Place::Parameter(name.clone()),
                (None, Some(vendor)) if !vendor.is_empty() => Place::Vendor(vendor.clone()),
                _ => return Err("exactly one of `parameter` and `vendor` names the version".into()),
            },
        })
    }

    /// Fields of a request that decide, so that caches tell answers apart.
    pub(super) fn varies(&self) -> Vec<&str> {
        match self {
            Place::Header(name) => vec![name],
            Place::Parameter(_) | Place::Vendor(_) => vec!["Accept", "Content-Type"],
            Place::Query(_) | Place::Segment { .. } => Vec::new(),
        }
    }

    /// The parameter of the query that decides.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Place::Query(name) => Some(name),
            _ => None,
        }
    }

    /// The segment to take out of the path. It is no part of the service's paths, whichever place
    /// named the version that counts.
    pub(super) fn strip(&self, exchange: &Exchange) -> Option<Strip> {
        match self {
            Place::Segment { strip: true, .. } => self.read(exchange)?.strip,
            _ => None,
        }
    }

    /// What a request names here.
    pub(super) fn read(&self, exchange: &Exchange) -> Option<Named> {
        let head = &exchange.request.head;
        let named = |text: Cow<'_, str>| Named {
            // One byte more than is allowed is enough to refuse it.
            text: text.chars().take(ASKED_BYTES_MAX + 1).collect(),
            strip: None,
        };
        match self {
            Place::Header(name) => {
                let value = head.headers.get_named(name)?;
                Some(named(String::from_utf8_lossy(value)))
            }
            Place::Query(name) => {
                let mut pairs = head.query()?.split('&');
                let value = pairs.find_map(|pair| match pair.split_once('=') {
                    Some((key, value)) if key == name => Some(value),
                    _ => None,
                })?;
                Some(named(Cow::Owned(decoded(value))))
            }
            Place::Segment { index, strip } => {
                let segment = head.path().strip_prefix('/')?.split('/').nth(*index)?;
                let number = segment.strip_prefix(['v', 'V']).unwrap_or(segment);
                // Another word there is no version, so that other places may name one.
                if !number.starts_with(|first: char| first.is_ascii_digit()) {
                    return None;
                }
                let strip = strip.then_some(Strip(*index));
                Some(Named {
                    strip,
                    ..named(segment.into())
                })
            }
            Place::Parameter(_) | Place::Vendor(_) => {
                let fields = [HeaderId::Accept, HeaderId::ContentType];
                let mut texts = fields.into_iter().filter_map(|id| head.headers.get_str(id));
                texts.find_map(|text| self.media(text)).map(named)
            }
        }
    }

    /// The version in a list of media types.
    fn media<'t>(&self, list: &'t str) -> Option<Cow<'t, str>> {
        for media in list.split(',').take(32) {
            let mut parts = media.split(';').map(str::trim);
            let essence = parts.next().unwrap_or_default();
            match self {
                Place::Parameter(name) => {
                    let found = parts.find_map(|part| {
                        let (key, value) = part.split_once('=')?;
                        key.trim()
                            .eq_ignore_ascii_case(name)
                            .then(|| value.trim().trim_matches('"'))
                    });
                    if let Some(value) = found {
                        return Some(Cow::Borrowed(value));
                    }
                }
                Place::Vendor(vendor) => {
                    let Some((_, subtype)) = essence.split_once('/') else {
                        continue;
                    };
                    let start = subtype.get(..vendor.len());
                    if start.is_some_and(|start| start.eq_ignore_ascii_case(vendor)) {
                        let rest = &subtype[vendor.len()..];
                        let text = rest.split('+').next().unwrap_or(rest);
                        if text.starts_with(|first: char| first.is_ascii_digit()) {
                            return Some(Cow::Borrowed(text));
                        }
                    }
                }
                _ => return None,
            }
        }
        None
    }
}

impl Strip {
    /// Takes the segment out of the path.
    pub(super) fn apply(self, exchange: &mut Exchange) {
        let segments = exchange.request.head.path().split('/').skip(1).enumerate();
        let mut path = String::new();
        for (_, segment) in segments.filter(|(index, _)| *index != self.0) {
            path.push('/');
            path.push_str(segment);
        }
        if path.is_empty() {
            path.push('/');
        }
        crate::path_change::set_target(exchange, Some(path), None);
    }
}

/// `+` and escapes as characters; ranges are written `%5E2` or `%3E%3D2.1+%3C3`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut hex = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match (hex(), hex()) {
                (Some(high), Some(low)) => {
                    bytes.push(u8::try_from(high * 16 + low).unwrap_or(b'?'))
                }
                _ => bytes.push(b'?'),
            },
            plain => bytes.push(plain),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
