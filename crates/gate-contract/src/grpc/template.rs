//! Path templates of `google.api.http` (google/api/http.proto, "Path template syntax"): segments,
//! `*`, `**`, variables such as `{name=shelves/*/books/*}`, and a verb behind a colon.

use crate::openapi::percent_decoded;

/// A template.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Template {
    segments: Vec<Segment>,
    /// Variables: name and the segments that they span; the end is exclusive.
    variables: Vec<(String, usize, usize)>,
    verb: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    One,
    /// The last one: whatever is left, also nothing.
    Rest,
}

impl Template {
    pub(super) fn new(path: &str) -> Result<Self, String> {
        let mut rest = path.strip_prefix('/').ok_or("does not begin with `/`")?;
        let mut verb = None;
        let behind = rest.rfind(['/', '}']).map_or(0, |at| at + 1);
        if let Some(colon) = rest[behind..].find(':') {
            verb = Some(rest[behind + colon + 1..].to_owned());
            rest = &rest[..behind + colon];
        }
        let mut template = Self {
            segments: Vec::new(),
            variables: Vec::new(),
            verb,
        };
        while !rest.is_empty() {
            rest = match rest.strip_prefix('{') {
                Some(inside) => {
                    let (variable, behind) = inside
                        .split_once('}')
                        .ok_or("has a `{` that is not closed")?;
                    let (name, pattern) = variable.split_once('=').unwrap_or((variable, "*"));
                    let start = template.segments.len();
                    for piece in pattern.split('/') {
                        template.push(piece)?;
                    }
                    let end = template.segments.len();
                    if name.is_empty() || template.variables.iter().any(|(known, ..)| known == name)
                    {
                        return Err("has a variable twice or without a name".to_owned());
                    }
                    template.variables.push((name.to_owned(), start, end));
                    behind
                }
                None => {
                    let end = rest.find('/').unwrap_or(rest.len());
                    template.push(&rest[..end])?;
                    &rest[end..]
                }
            };
            match rest.strip_prefix('/') {
                Some(behind) => rest = behind,
                None if rest.is_empty() => {}
                None => return Err("has something behind a variable".to_owned()),
            }
        }
        Ok(template)
    }

    fn push(&mut self, piece: &str) -> Result<(), String> {
        if self.segments.last() == Some(&Segment::Rest) {
            return Err("has something behind `**`".to_owned());
        }
        self.segments.push(match piece {
            "" => return Err("has an empty segment".to_owned()),
            "*" => Segment::One,
            "**" => Segment::Rest,
            text if text.contains(['{', '}', '*']) => {
                return Err(format!("has the segment `{text}`, which is no text"));
            }
            text => Segment::Text(text.to_owned()),
        });
        Ok(())
    }

    /// Names of its variables.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables.iter().map(|(name, ..)| name.as_str())
    }

    /// The values of its variables in a path; none where it does not match. A variable of one segment
    /// is decoded whole, others keep their encoded slashes.
    pub(super) fn bindings(&self, path: &str) -> Option<Vec<(String, String)>> {
        let below = path.strip_prefix('/')?;
        let below = match &self.verb {
            Some(verb) => below.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => below,
        };
        let given: Vec<&str> = match below.is_empty() {
            true => Vec::new(),
            false => below.split('/').collect(),
        };
        let rest = self.segments.last() == Some(&Segment::Rest);
        let fixed = self.segments.len() - usize::from(rest);
        if given.len() < fixed || !rest && given.len() > fixed {
            return None;
        }
        for (segment, text) in self.segments[..fixed].iter().zip(&given) {
            let fits = match segment {
                Segment::Text(expected) => {
                    expected == text || percent_decoded(text).as_deref() == Some(expected)
                }
                _ => !text.is_empty(),
            };
            if !fits {
                return None;
            }
        }
        let value = |start: usize, end: usize| {
            let reaches_end = rest && end == self.segments.len();
            let end = if reaches_end { given.len() } else { end };
            let pieces = &given[start..end];
            match pieces {
                [one] if !reaches_end => percent_decoded(one),
                pieces => {
                    let kept = |piece: &&str| {
                        let piece = piece.replace("%2F", "%252F").replace("%2f", "%252f");
                        percent_decoded(&piece)
                    };
                    let pieces: Option<Vec<String>> = pieces.iter().map(kept).collect();
                    pieces.map(|pieces| pieces.join("/"))
                }
            }
        };
        let bound = self.variables.iter();
        bound
            .map(|(name, start, end)| Some((name.clone(), value(*start, *end)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_bind_as_the_specification_says() {
        let cases: [(&str, &str, Option<&[(&str, &str)]>); 12] = [
            ("/v1/orders", "/v1/orders", Some(&[])),
            ("/v1/orders", "/v1/orders/", None),
            (
                "/v1/orders/{id}",
                "/v1/orders/a%2Fb%20c",
                Some(&[("id", "a/b c")]),
            ),
            (
                "/v1/{name=shelves/*/books/*}",
                "/v1/shelves/1/books/x%2Fy",
                Some(&[("name", "shelves/1/books/x%2Fy")]),
            ),
            ("/v1/{name=shelves/*}", "/v1/boards/1", None),
            (
                "/v1/{a.b=*}/{rest=**}",
                "/v1/x/y/z",
                Some(&[("a.b", "x"), ("rest", "y/z")]),
            ),
            ("/v1/{rest=**}", "/v1", Some(&[("rest", "")])),
            (
                "/v1/orders/{id}:cancel",
                "/v1/orders/7:cancel",
                Some(&[("id", "7")]),
            ),
            ("/v1/orders/{id}:cancel", "/v1/orders/7", None),
            ("/v1/orders:watch", "/v1/orders:watch", Some(&[])),
            ("/v1/*/x", "/v1/y/x", Some(&[])),
            ("/v1/*/x", "/v1//x", None),
        ];
        for (template, path, expected) in cases {
            let found = Template::new(template).expect(template).bindings(path);
            let expected = expected.map(|pairs| {
                let owned = |(a, b): &(&str, &str)| ((*a).to_owned(), (*b).to_owned());
                pairs.iter().map(owned).collect::<Vec<_>>()
            });
            assert_eq!(found, expected, "{template} {path}");
        }
        for wrong in [
            "v1",
            "/{a",
            "/{a=**}/b",
            "/{a}/{a}",
            "/{=x}",
            "/a//b",
            "/{a}b",
            "/a*",
        ] {
            assert!(Template::new(wrong).is_err(), "{wrong}");
        }
    }
}
