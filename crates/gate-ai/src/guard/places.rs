//! Which strings of a body are text, arguments or results, by dialect.
//!
//! A place is written as a path: `messages[role=tool].content[].text`. `a|b` stands for either key,
//! `[]` for every element, `[k=v]` or `{k=v}` for an object whose member `k` is one of `v|w`, and
//! `**` for every string inside. `#k` in such brackets makes the member `k` part of the stream of
//! text that a delta belongs to. Everything that no place leads to is skipped unread. A dialect's
//! places are in `places/table.rs`.

mod table;

use super::{Point, Side};
use crate::DialectError;
use crate::endpoint::Operation;
use crate::json::scan::{RawString, Scanner};
use smallvec::SmallVec;

/// Deepest nesting that is looked into.
const DEPTH_MAX: u32 = 64;

/// What kind of string a place holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text.
    Text,
    /// Text that the provider has signed.
    Signed,
    /// JSON as text.
    Json,
}

/// What a place means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Means {
    /// A whole text.
    Whole(Point, Kind),
    /// A whole text that was told before, and is not counted again.
    Again(Point, Kind),
    /// A piece of a text that goes on in later events.
    Delta(Point, Kind),
    /// No more pieces will come for texts whose name begins with this one's.
    End,
}

/// Which stream of text a piece belongs to: its indices, and what tells streams with the same
/// indices apart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LaneKey {
    pub(crate) indices: SmallVec<[u32; 3]>,
    pub(crate) family: u16,
}

enum Segment {
    Key(Vec<&'static str>),
    Each,
    Object {
        wanted: Vec<(&'static str, Vec<&'static str>)>,
        indices: Vec<&'static str>,
    },
    Everything,
}

struct Place {
    path: Vec<Segment>,
    means: Means,
    family: u16,
}

/// The places of one kind of body.
pub(crate) struct Places(Vec<Place>);

/// A place on the way down: which, how many segments of it were passed, and its indices.
#[derive(Clone)]
struct Active {
    place: usize,
    passed: usize,
    indices: SmallVec<[u32; 3]>,
}

type Actives = SmallVec<[Active; 16]>;

/// A string that a place leads to.
pub(crate) struct Found<'a> {
    pub(crate) means: Means,
    pub(crate) key: LaneKey,
    /// Absent where an object or a number is what the place leads to.
    pub(crate) raw: Option<RawString<'a>>,
}

impl Places {
    /// The places of an operation's whole bodies; `None` where nothing can be read.
    pub(crate) fn of_body(operation: Operation, side: Side) -> Option<&'static Self> {
        table::body(operation, side)
    }

    /// The places of an operation's stream events; `None` where nothing can be read.
    pub(crate) fn of_events(operation: Operation) -> Option<&'static Self> {
        table::events(operation)
    }

    /// Hands every place of a document to `each`, in the document's order.
    ///
    /// # Errors
    /// [`DialectError`] when the document is not JSON or too deep where it is looked into.
    pub(crate) fn visit<'a>(
        &self,
        document: &'a [u8],
        each: &mut dyn FnMut(Found<'a>),
    ) -> Result<(), DialectError> {
        let start = |place| Active {
            place,
            passed: 0,
            indices: SmallVec::new(),
        };
        let mut walk = Walk {
            places: &self.0,
            document,
            scanner: Scanner::at(document, 0),
            each,
        };
        walk.value((0..self.0.len()).map(start).collect(), 0)?;
        Ok(walk.scanner.finish()?)
    }
}

struct Walk<'a, 'p> {
    places: &'p [Place],
    document: &'a [u8],
    scanner: Scanner<'a>,
    each: &'p mut dyn FnMut(Found<'a>),
}

impl<'a> Walk<'a, '_> {
    fn segment(&self, active: &Active) -> Option<&Segment> {
        self.places[active.place].path.get(active.passed)
    }

    /// The first of these that ends here; earlier ones in the table come first.
    fn ended(&self, actives: &Actives) -> Option<Active> {
        let ends =
            |active: &&Active| matches!(self.segment(active), None | Some(Segment::Everything));
        actives.iter().find(ends).cloned()
    }

    fn emit(&mut self, active: Active, raw: Option<RawString<'a>>) {
        let place = &self.places[active.place];
        let key = LaneKey {
            indices: active.indices,
            family: place.family,
        };
        (self.each)(Found {
            means: place.means,
            key,
            raw,
        });
    }

    fn value(&mut self, mut actives: Actives, depth: u32) -> Result<(), DialectError> {
        if depth > DEPTH_MAX {
            return Err(DialectError::TooDeep);
        }
        match self.scanner.peek() {
            Some(b'"') => {
                let raw = self.scanner.string()?;
                if let Some(active) = self.ended(&actives) {
                    self.emit(active, Some(raw));
                }
            }
            Some(b'{') => {
                self.conditions(&mut actives)?;
                if let Some(active) = actives.iter().find(|a| self.segment(a).is_none()).cloned() {
                    self.emit(active, None);
                }
                self.members(&actives, depth)?;
            }
            Some(b'[') => self.elements(&actives, depth)?,
            _ => {
                self.scanner.skip_value()?;
            }
        }
        Ok(())
    }

    /// Keeps the places whose conditions this object meets. Looks ahead over its members.
    fn conditions(&mut self, actives: &mut Actives) -> Result<(), DialectError> {
        let has_condition = |a: &Active| matches!(self.segment(a), Some(Segment::Object { .. }));
        if !actives.iter().any(has_condition) {
            return Ok(());
        }
        let mut members: SmallVec<[(&'a [u8], &'a [u8]); 12]> = SmallVec::new();
        let mut ahead = Scanner::at(self.document, self.scanner.position());
        ahead.open_object()?;
        let mut first = true;
        while let Some(key) = ahead.next_key(&mut first)? {
            let span = ahead.skip_value()?;
            // Only short scalars can be conditions.
            if span.len() <= 64 && members.len() < 64 {
                members.push((key.inner, &self.document[span]));
            }
        }
        let places = self.places;
        actives.retain(
            |active| match places[active.place].path.get(active.passed) {
                Some(Segment::Object { wanted, indices }) => {
                    active.passed += 1;
                    for name in indices {
                        let value = members.iter().find(|(key, _)| *key == name.as_bytes());
                        let index = value.and_then(|(_, value)| crate::json::scan::unsigned(value));
                        active
                            .indices
                            .push(index.and_then(|i| u32::try_from(i).ok()).unwrap_or(0));
                    }
                    wanted.iter().all(|(name, values)| {
                        members.iter().any(|(key, value)| {
                            *key == name.as_bytes()
                                && values.iter().any(|wanted| is_scalar(value, wanted))
                        })
                    })
                }
                _ => true,
            },
        );
        Ok(())
    }

    fn members(&mut self, actives: &Actives, depth: u32) -> Result<(), DialectError> {
        self.scanner.open_object()?;
        let mut first = true;
        while let Some(key) = self.scanner.next_key(&mut first)? {
            let spelled;
            let name: &[u8] = if key.inner.contains(&b'\\') {
                spelled = key.value(self.document)?;
                spelled.as_bytes()
            } else {
                key.inner
            };
            let mut next = Actives::new();
            for active in actives {
                match self.segment(active) {
                    Some(Segment::Key(keys)) if keys.iter().any(|key| key.as_bytes() == name) => {
                        next.push(Active {
                            passed: active.passed + 1,
                            ..active.clone()
                        });
                    }
                    Some(Segment::Everything) => next.push(active.clone()),
                    _ => {}
                }
            }
            if next.is_empty() {
                self.scanner.skip_value()?;
            } else {
                self.value(next, depth + 1)?;
            }
        }
        Ok(())
    }

    fn elements(&mut self, actives: &Actives, depth: u32) -> Result<(), DialectError> {
        let mut next = Actives::new();
        for active in actives {
            match self.segment(active) {
                Some(Segment::Each) => {
                    next.push(Active {
                        passed: active.passed + 1,
                        ..active.clone()
                    });
                }
                Some(Segment::Everything) => next.push(active.clone()),
                _ => {}
            }
        }
        if next.is_empty() {
            self.scanner.skip_value()?;
            return Ok(());
        }
        self.scanner.open_list()?;
        let mut first = true;
        while self.scanner.next_element(&mut first)? {
            self.value(next.clone(), depth + 1)?;
        }
        Ok(())
    }
}

/// Whether a member's raw value is this string, `true`, `false` or a number.
fn is_scalar(raw: &[u8], wanted: &str) -> bool {
    match raw {
        [b'"', inner @ .., b'"'] => inner == wanted.as_bytes(),
        raw => raw == wanted.as_bytes(),
    }
}

/// Reads a table of places.
///
/// # Panics
/// When a path is not written as the header of this file says; tables are constants with a test.
fn compile(lines: &[(&'static str, Means)]) -> Places {
    let compile = |(index, (path, means)): (usize, &(&'static str, Means))| Place {
        path: segments(path),
        means: *means,
        family: index as u16,
    };
    let mut places: Vec<Place> = lines.iter().enumerate().map(compile).collect();
    // Pieces of one text may come in events of several shapes: the last key decides.
    for index in 0..places.len() {
        let name = lines[index].0.rsplit('.').next();
        let same = (0..index).find(|other| {
            lines[*other].0.rsplit('.').next() == name && lines[*other].1 == lines[index].1
        });
        if let Some(same) = same {
            places[index].family = places[same].family;
        }
    }
    Places(places)
}

fn segments(path: &'static str) -> Vec<Segment> {
    let mut out = Vec::new();
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '[' => rest.find(']').map(|end| end + 1),
            '{' => rest.find('}').map(|end| end + 1),
            '.' => Some(1),
            _ => rest.find(['.', '[', '{']),
        };
        let (part, more) = rest.split_at(end.unwrap_or(rest.len()));
        rest = more;
        match first {
            '.' => {}
            '[' | '{' => {
                if first == '[' {
                    out.push(Segment::Each);
                }
                let inner = &part[1..part.len() - 1];
                if !inner.is_empty() {
                    out.push(object(inner));
                }
            }
            _ if part == "**" => out.push(Segment::Everything),
            _ => out.push(Segment::Key(part.split('|').collect())),
        }
    }
    out
}

fn object(inner: &'static str) -> Segment {
    let (mut wanted, mut indices) = (Vec::new(), Vec::new());
    for part in inner.split(',') {
        match (part.strip_prefix('#'), part.split_once('=')) {
            (Some(index), _) => indices.push(index),
            (None, Some((name, values))) => wanted.push((name, values.split('|').collect())),
            (None, None) => panic!("{part} is no condition"),
        }
    }
    Segment::Object { wanted, indices }
}
