//! Parts of a kept answer (RFC 9110 section 14): one range of bytes or several, and parts that are
//! kept without the rest (RFC 9111 sections 3.3 and 3.4).

use crate::conditional::if_range_holds;
use gate_kit::http::{HeaderId, Headers};
use smallvec::SmallVec;

/// Bytes between two parts that cost less than telling the parts apart would.
const GAP: u64 = 80;

/// Parts of one answer, in the order in which they were asked for.
pub type Slices = SmallVec<[Slice; 2]>;

/// Which bytes of a kept body a request gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ranged {
    /// All of them.
    Whole,
    /// These, with status 206.
    Part(Slice),
    /// These, with status 206 and in a body of parts; at least two.
    Parts(Slices),
    /// None: 416.
    Unsatisfiable,
    /// What is kept does not hold them.
    Elsewhere,
}

/// Some bytes of what a resource has, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// Position of the first byte.
    pub first: u64,
    /// Position of the last byte.
    pub last: u64,
    /// How many bytes the resource has; none where that is not known.
    pub complete: Option<u64>,
}

impl Slice {
    /// What Content-Range says of it.
    #[must_use]
    pub fn text(&self) -> String {
        match self.complete {
            Some(complete) => format!("bytes {}-{}/{complete}", self.first, self.last),
            None => format!("bytes {}-{}/*", self.first, self.last),
        }
    }

    /// How many bytes they are.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether they are all that the resource has.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first == 0 && self.complete == Some(self.last + 1)
    }

    /// Both, where they leave nothing out between them and are of something of the same size.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let complete = match (self.complete, other.complete) {
            (Some(one), Some(other)) if one != other => return None,
            (one, other) => one.or(other),
        };
        let touches = self.first <= other.last.saturating_add(1)
            && other.first <= self.last.saturating_add(1);
        touches.then_some(Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            complete,
        })
    }

    /// Whether so few bytes lie between the two that they are sent as one.
    fn is_near(&self, other: &Self) -> bool {
        self.first <= other.last.saturating_add(GAP) && other.first <= self.last.saturating_add(GAP)
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    From(u64, Option<u64>),
    Suffix(u64),
}

impl Wanted {
    /// The bytes meant, of something that has so many; none where it has none of them. Where that is
    /// not known, only what names both ends is.
    fn of(self, complete: Option<u64>) -> Result<Slice, Ranged> {
        let (first, last) = match (self, complete) {
            (Wanted::From(first, last), complete) => {
                let end = complete.map_or(u64::MAX, |complete| complete.saturating_sub(1));
                (first, last.unwrap_or(u64::MAX).min(end))
            }
            (Wanted::Suffix(0), Some(_)) => return Err(Ranged::Unsatisfiable),
            (Wanted::Suffix(length), Some(complete)) => {
                (complete.saturating_sub(length), complete.saturating_sub(1))
            }
            (Wanted::Suffix(_), None) => return Err(Ranged::Elsewhere),
        };
        if complete.is_some_and(|complete| first >= complete) {
            return Err(Ranged::Unsatisfiable);
        }
        Ok(Slice {
            first,
            last,
            complete,
        })
    }
}

/// The bytes that a request gets of a kept answer: `held` is what of the resource is kept, all of it
/// where `first` is 0 and `last` its end. `now` is UNIX time in seconds. A request for more ranges
/// than `parts_max` gets the whole, as does one for several of what is not kept whole.
#[must_use]
pub fn slice(request: &Headers, kept: &Headers, held: Slice, now: u64, parts_max: usize) -> Ranged {
    let otherwise = if held.is_whole() {
        Ranged::Whole
    } else {
        Ranged::Elsewhere
    };
    let Some(value) = request.get(HeaderId::Range) else {
        return otherwise;
    };
    let Some(wanted) = wanted(value, parts_max) else {
        return otherwise;
    };
    if !if_range_holds(request, kept, now) {
        return otherwise;
    }
    match wanted.as_slice() {
        [one] => one_of(*one, held, otherwise),
        several if held.is_whole() => some_of(several, held),
        _ => otherwise,
    }
}

fn one_of(wanted: Wanted, held: Slice, otherwise: Ranged) -> Ranged {
    match wanted.of(held.complete) {
        Err(ranged) => ranged,
        Ok(slice)
            if slice.first >= held.first
                && slice.last <= held.last
                && slice.first <= slice.last =>
        {
            Ranged::Part(slice)
        }
        Ok(_) => otherwise,
    }
}

/// Several ranges of what is kept whole (RFC 9110 section 15.3.7.2): those that overlap or almost
/// touch become one, in the place of the first of them; those that have no bytes are left out.
fn some_of(wanted: &[Wanted], held: Slice) -> Ranged {
    let mut slices = Slices::new();
    for wanted in wanted {
        let Ok(mut slice) = wanted.of(held.complete) else {
            continue;
        };
        // What grew by one may now touch another that came before; there are few.
        let mut place = slices.len();
        while let Some(near) = slices.iter().position(|other| other.is_near(&slice)) {
            let other = slices.remove(near);
            slice.first = slice.first.min(other.first);
            slice.last = slice.last.max(other.last);
            place = place.min(near);
        }
        slices.insert(place.min(slices.len()), slice);
    }
    let bytes: u64 = slices.iter().map(Slice::length).sum();
    match slices.as_slice() {
        [] => Ranged::Unsatisfiable,
        [one] => Ranged::Part(*one),
        // Parts that are together longer than what they are of are no help to anybody.
        _ if bytes + slices.len() as u64 * GAP >= held.length() => Ranged::Whole,
        _ => Ranged::Parts(slices),
    }
}

/// Ranges in bytes, at least one; `None` where it is anything else or more than `most`, which is then
/// as if it were not there.
fn wanted(value: &[u8], most: usize) -> Option<SmallVec<[Wanted; 2]>> {
    let text = std::str::from_utf8(value).ok()?;
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut all = SmallVec::new();
    let members = set.split(',').map(str::trim_ascii);
    for member in members.filter(|member| !member.is_empty()) {
        if all.len() >= most {
            return None;
        }
        all.push(range(member)?);
    }
    (!all.is_empty()).then_some(all)
}

fn range(text: &str) -> Option<Wanted> {
    let (first, last) = text.split_once('-')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().unwrap_or(u64::MAX))
    };
    match (first, last) {
        ("", length) => Some(Wanted::Suffix(number(length)?)),
        (first, "") => Some(Wanted::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(Wanted::From(first, Some(last)))
        }
    }
}

/// Reads the Content-Range of a 206 whose body has `length` bytes. Where it claims to reach the end
/// but the body, whole by its framing, has another length, the body is believed: the resource ends
/// where it does.
#[must_use]
pub fn content_range(headers: &Headers, length: u64) -> Option<Slice> {
    let text = headers.get_str(HeaderId::ContentRange)?;
    let (bounds, complete) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = bounds.split_once('-')?;
    let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    let complete: Option<u64> = match complete {
        "*" => None,
        complete => Some(complete.parse().ok()?),
    };
    if length == 0 || first > last || complete.is_some_and(|complete| last >= complete) {
        return None;
    }
    let end = first.checked_add(length)?;
    if end == last + 1 {
        return Some(Slice {
            first,
            last,
            complete,
        });
    }
    (complete == Some(last + 1)).then_some(Slice {
        first,
        last: end - 1,
        complete: Some(end),
    })
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
