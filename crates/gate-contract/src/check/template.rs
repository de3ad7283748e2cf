//! Path templates: which text each parameter has in a path.

use crate::openapi::percent_decoded;

/// A template, cut into texts and parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Segment by segment; each is literals and parameters in turn.
    segments: Vec<Vec<Piece>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Parameter(String),
}

impl Template {
    /// Cuts a template such as `/orders/{id}.json`.
    #[must_use]
    pub fn new(path: &str) -> Self {
        let below = path.strip_prefix('/').unwrap_or(path);
        let segments = below.split('/').map(|segment| {
            let mut pieces = Vec::new();
            let mut rest = segment;
            while let Some((before, after)) = rest.split_once('{') {
                let Some((name, behind)) = after.split_once('}') else {
                    break;
                };
                if !before.is_empty() {
                    pieces.push(Piece::Text(before.to_owned()));
                }
                pieces.push(Piece::Parameter(name.to_owned()));
                rest = behind;
            }
            if !rest.is_empty() {
                pieces.push(Piece::Text(rest.to_owned()));
            }
            pieces
        });
        Self {
            segments: segments.collect(),
        }
    }

    /// Whether every parameter is a whole segment.
    #[must_use]
    pub fn has_whole_segments(&self) -> bool {
        self.segments.iter().all(|pieces| {
            pieces.len() <= 1 || pieces.iter().all(|piece| matches!(piece, Piece::Text(_)))
        })
    }

    /// The values of the parameters in a path, as they were sent; none where it does not match.
    #[must_use]
    pub fn values<'p>(&self, path: &'p str) -> Option<Vec<(&str, &'p str)>> {
        let below = path.strip_prefix('/').unwrap_or(path);
        let mut values = Vec::new();
        let mut segments = below.split('/');
        for pieces in &self.segments {
            matched(pieces, segments.next()?, &mut values)?;
        }
        segments.next().is_none().then_some(values)
    }
}

/// Matches one segment: a parameter takes the shortest text that lets the rest match, and is never
/// empty.
fn matched<'t, 'p>(
    pieces: &'t [Piece],
    segment: &'p str,
    values: &mut Vec<(&'t str, &'p str)>,
) -> Option<()> {
    match pieces {
        [] => segment.is_empty().then_some(()),
        [Piece::Text(text), rest @ ..] => {
            let behind = match segment.strip_prefix(text.as_str()) {
                Some(behind) => behind,
                // The gateway writes paths in one spelling, which the document may not have.
                None if rest.is_empty() && percent_decoded(segment).as_deref() == Some(text) => "",
                None => return None,
            };
            matched(rest, behind, values)
        }
        [Piece::Parameter(name)] => {
            if segment.is_empty() {
                return None;
            }
            values.push((name, segment));
            Some(())
        }
        [Piece::Parameter(name), Piece::Text(text), rest @ ..] => {
            let first = segment.chars().next()?.len_utf8();
            let at = first + segment[first..].find(text.as_str())?;
            values.push((name, &segment[..at]));
            matched(rest, &segment[at + text.len()..], values)
        }
        // Two parameters that nothing divides: the first takes everything but one character.
        [Piece::Parameter(name), rest @ ..] => {
            let (last, _) = segment.char_indices().next_back()?;
            if last == 0 {
                return None;
            }
            values.push((name, &segment[..last]));
            matched(rest, &segment[last..], values)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_give_the_texts_of_their_parameters() {
        let cases: [(&str, &str, Option<&[(&str, &str)]>); 9] = [
            ("/orders", "/orders", Some(&[])),
            ("/orders", "/orders/", None),
            ("/orders/{id}", "/orders/7%2F8", Some(&[("id", "7%2F8")])),
            ("/orders/{id}", "/orders/", None),
            ("/o/{id}.json", "/o/a.b.json", Some(&[("id", "a.b")])),
            ("/o/{id}.json", "/o/a.json", Some(&[("id", "a")])),
            (
                "/o/{from}-{to}",
                "/o/1-2",
                Some(&[("from", "1"), ("to", "2")]),
            ),
            ("/o;v={v}", "/o;v=3", Some(&[("v", "3")])),
            ("/", "/", Some(&[])),
        ];
        for (template, path, expected) in cases {
            let template = Template::new(template);
            assert_eq!(template.values(path).as_deref(), expected, "{path}");
        }
    }
}
