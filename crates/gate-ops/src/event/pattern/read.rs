//! An event as the values of the fields that rules ask for, with the elements of arrays they lie in.

use super::fields::{Fields, NONE};
use super::matcher::Value;
use super::scan::{Cursor, DEPTH_MAX, Malformed, unescape};

/// What a value is; the same order as [`Value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Number,
    Word,
}

/// A value that was found.
struct Found {
    start: u32,
    end: u32,
    /// The innermost element of an array (of objects or arrays) that it lies in; 0 for none.
    element: u32,
    /// The next value of the same field, or [`NONE`].
    next: u32,
    kind: Kind,
    /// What [`Memory::hash`] found, or 0.
    hash: u64,
}

/// An element of an array.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    /// The element that its array lies in.
    pub(super) parent: u32,
    pub(super) array: u32,
}

/// The values of one field, and of which event that is true.
#[derive(Clone, Copy, Default)]
struct Head {
    event: u32,
    first: u32,
    last: u32,
}

/// What one event's reading needs; kept from event to event, so that none allocates. It grows with
/// the largest event it has read.
#[derive(Default)]
pub struct Memory {
    event: u32,
    heads: Vec<Head>,
    found: Vec<Found>,
    /// The bytes of all values, behind each other.
    bytes: Vec<u8>,
    elements: Vec<Element>,
    arrays: u32,
    /// The fields that have a value, each once.
    present: Vec<u32>,
    name: Vec<u8>,
    pub(super) seen: super::rules::Seen,
}

impl Memory {
    /// Forgets the last event.
    pub(super) fn begin(&mut self, fields: &Fields) {
        self.event = self.event.wrapping_add(1);
        if self.event == 0 {
            self.heads.clear();
            self.event = 1;
        }
        if self.heads.len() < fields.bound() {
            self.heads.resize(fields.bound(), Head::default());
        }
        self.found.clear();
        self.bytes.clear();
        self.elements.clear();
        self.elements.push(Element {
            parent: NONE,
            array: NONE,
        });
        self.arrays = 0;
        self.present.clear();
    }

    /// Reads an event, an object of JSON.
    #[inline]
    pub(super) fn json(&mut self, fields: &Fields, bytes: &[u8]) -> Result<(), Malformed> {
        self.json_below(fields, 0, bytes)
    }

    /// Reads JSON as what stands at a node. At the root it must be an object.
    pub(super) fn json_below(
        &mut self,
        fields: &Fields,
        at: u32,
        bytes: &[u8],
    ) -> Result<(), Malformed> {
        let mut cursor = Cursor { bytes, at: 0 };
        cursor.space();
        if u32::try_from(bytes.len()).is_err() {
            return Err(cursor.wrong("an event has 4 GiB or more"));
        }
        if at == 0 && cursor.peek() != Some(b'{') {
            return Err(cursor.wrong("an event is no object"));
        }
        self.value(fields, at, &mut cursor, 0, 0)?;
        cursor.space();
        match cursor.peek() {
            None => Ok(()),
            Some(_) => Err(cursor.wrong("something stands behind the event")),
        }
    }

    /// Takes a string that stands at a node.
    pub(super) fn text_at(&mut self, fields: &Fields, at: u32, text: &[u8]) {
        if at != NONE && fields.field(at) != NONE {
            self.push(fields.field(at), Kind::Text, text, 0);
        }
    }

    #[inline]
    fn value(
        &mut self,
        fields: &Fields,
        at: u32,
        cursor: &mut Cursor<'_>,
        element: u32,
        depth: usize,
    ) -> Result<(), Malformed> {
        let field = fields.field(at);
        match cursor.peek() {
            Some(b'"') if field == NONE => cursor.skip(),
            Some(b'"') => {
                cursor.at += 1;
                let (raw, escaped) = cursor.string()?;
                if !escaped {
                    self.push(field, Kind::Text, raw, element);
                    return Ok(());
                }
                let start = self.bytes.len();
                unescape(raw, &mut self.bytes).map_err(|problem| cursor.wrong(problem))?;
                self.link(field, Kind::Text, start, element);
                Ok(())
            }
            Some(b'{') if fields.has_below(at) => self.object(fields, at, cursor, element, depth),
            Some(b'[') if field != NONE || fields.has_below(at) => {
                self.array(fields, at, cursor, element, depth)
            }
            Some(b'{' | b'[') => cursor.skip(),
            _ => {
                let word = cursor.word();
                let kind = match word {
                    b"true" | b"false" | b"null" => Kind::Word,
                    [b'-' | b'0'..=b'9', ..] => Kind::Number,
                    _ => return Err(cursor.wrong("a value is missing or is none")),
                };
                if field != NONE {
                    self.push(field, kind, word, element);
                }
                Ok(())
            }
        }
    }

    fn object(
        &mut self,
        fields: &Fields,
        at: u32,
        cursor: &mut Cursor<'_>,
        element: u32,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth == DEPTH_MAX {
            return Err(cursor.wrong("objects and arrays lie too deep"));
        }
        cursor.at += 1;
        cursor.space();
        if cursor.pass(b'}') {
            return Ok(());
        }
        loop {
            cursor.space();
            if !cursor.pass(b'"') {
                return Err(cursor.wrong("a name in quotes is missing"));
            }
            let (raw, escaped) = cursor.string()?;
            let child = match escaped {
                false => fields.below(at, raw),
                true => {
                    let mut name = std::mem::take(&mut self.name);
                    name.clear();
                    let read = unescape(raw, &mut name);
                    let child = fields.below(at, &name);
                    self.name = name;
                    read.map_err(|problem| cursor.wrong(problem))?;
                    child
                }
            };
            cursor.space();
            if !cursor.pass(b':') {
                return Err(cursor.wrong("a colon is missing"));
            }
            cursor.space();
            match child {
                NONE => cursor.skip()?,
                child => self.value(fields, child, cursor, element, depth + 1)?,
            }
            cursor.space();
            if !cursor.pass(b',') {
                break;
            }
        }
        match cursor.pass(b'}') {
            true => Ok(()),
            false => Err(cursor.wrong("a comma or a closing bracket is missing")),
        }
    }

    fn array(
        &mut self,
        fields: &Fields,
        at: u32,
        cursor: &mut Cursor<'_>,
        element: u32,
        depth: usize,
    ) -> Result<(), Malformed> {
        if depth == DEPTH_MAX {
            return Err(cursor.wrong("objects and arrays lie too deep"));
        }
        cursor.at += 1;
        let array = self.arrays;
        self.arrays += 1;
        cursor.space();
        if cursor.pass(b']') {
            return Ok(());
        }
        loop {
            cursor.space();
            // A scalar's element is no choice: all scalars of an array are values of one field.
            let inner = match cursor.peek() {
                Some(b'{' | b'[') => {
                    self.elements.push(Element {
                        parent: element,
                        array,
                    });
                    self.elements.len() as u32 - 1
                }
                _ => element,
            };
            self.value(fields, at, cursor, inner, depth + 1)?;
            cursor.space();
            if !cursor.pass(b',') {
                break;
            }
        }
        match cursor.pass(b']') {
            true => Ok(()),
            false => Err(cursor.wrong("a comma or a closing bracket is missing")),
        }
    }

    #[inline]
    fn push(&mut self, field: u32, kind: Kind, bytes: &[u8], element: u32) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.link(field, kind, start, element);
    }

    #[inline]
    fn link(&mut self, field: u32, kind: Kind, start: usize, element: u32) {
        let index = self.found.len() as u32;
        self.found.push(Found {
            start: start as u32,
            end: self.bytes.len() as u32,
            element,
            next: NONE,
            kind,
            hash: 0,
        });
        let head = &mut self.heads[field as usize];
        if head.event == self.event {
            self.found[head.last as usize].next = index;
            head.last = index;
        } else {
            *head = Head {
                event: self.event,
                first: index,
                last: index,
            };
            self.present.push(field);
        }
    }

    /// The fields that have values.
    #[inline]
    pub(super) fn present(&self) -> &[u32] {
        &self.present
    }

    /// The first value of a field, or [`NONE`].
    #[inline]
    pub(super) fn first(&self, field: u32) -> u32 {
        match self.heads.get(field as usize) {
            Some(head) if head.event == self.event => head.first,
            _ => NONE,
        }
    }

    /// The next value of the same field, or [`NONE`].
    #[inline]
    pub(super) fn next(&self, found: u32) -> u32 {
        self.found[found as usize].next
    }

    /// A value, and the element it lies in.
    #[inline]
    pub(super) fn get(&self, found: u32) -> (Value<'_>, u32) {
        let found = &self.found[found as usize];
        let bytes = &self.bytes[found.start as usize..found.end as usize];
        let value = match found.kind {
            Kind::Text => Value::Text(bytes),
            Kind::Number => Value::Number(bytes),
            Kind::Word => Value::Word(bytes),
        };
        (value, found.element)
    }

    /// The number that equal values share.
    #[inline]
    pub(super) fn hash(&mut self, found: u32) -> u64 {
        match self.found[found as usize].hash {
            0 => {
                let hash = super::hash::hash(self.get(found).0);
                self.found[found as usize].hash = hash;
                hash
            }
            hash => hash,
        }
    }

    /// The elements of arrays; the first is the event itself.
    #[inline]
    pub(super) fn elements(&self) -> &[Element] {
        &self.elements
    }
}
