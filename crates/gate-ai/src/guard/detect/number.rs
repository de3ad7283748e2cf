//! Numbers in groups: payment cards, telephone numbers, social security numbers.
//!
//! A run is digits with single separators between groups. Each kind looks at the groups from one
//! group on and says how many of them it takes, so that the work per group is bounded. A number
//! must stand free: what touches letters, a path or a fraction is part of an id.

use super::{byte_before, is_word};
use std::ops::Range;

/// Groups that a kind may look at.
const GROUPS_MAX: usize = 8;

/// Some digits and what separates them from those before.
#[derive(Clone, Copy)]
pub(super) struct Group<'a> {
    digits: &'a [u8],
    start: usize,
    /// The separator in front: 0 at the start of a run, `)` for a closing bracket with or without
    /// a space, `(` for an opening one.
    separator: u8,
    /// Where the number starts when its sign and bracket count.
    outer: usize,
    /// Whether a plus sign stands in front.
    plus: bool,
}

impl Group<'_> {
    fn end(&self) -> usize {
        self.start + self.digits.len()
    }
}

/// Says how many of these groups are one number, and where it starts.
pub(super) type Kind = fn(&[Group<'_>]) -> Option<(usize, usize)>;

pub(super) fn find(text: &[u8], before: u8, kind: Kind, push: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    let mut groups: Vec<Group<'_>> = Vec::new();
    while let Some(offset) = text[at..].iter().position(u8::is_ascii_digit) {
        at = read_run(text, at + offset, &mut groups);
        let mut first = 0;
        while first < groups.len() {
            let seen = &groups[first..groups.len().min(first + GROUPS_MAX)];
            let found = kind(seen)
                .map(|(taken, start)| (taken, start..seen[taken - 1].end()))
                .filter(|(_, range)| stands_free(text, before, range));
            first += found.as_ref().map_or(1, |(taken, _)| *taken);
            if let Some((_, range)) = found {
                push(range);
            }
        }
    }
}

/// Whether nothing touches the number that would make it part of something else.
fn stands_free(text: &[u8], before: u8, range: &Range<usize>) -> bool {
    let front = byte_before(text, range.start, before);
    if is_word(front) || matches!(front, b'.' | b'-' | b'/' | b'\\' | b'+' | b'%') {
        return false;
    }
    let mut behind = text[range.end..].iter().copied();
    match (behind.next(), behind.next().unwrap_or(b' ')) {
        (Some(next), _) if is_word(next) || next == b'%' => false,
        (Some(b'.'), more) => !more.is_ascii_digit(),
        (Some(b'-' | b'@'), more) => !is_word(more) || more.is_ascii_digit(),
        _ => true,
    }
}

/// Reads the groups of the run whose first digit is at `at`; returns where it ends.
fn read_run<'a>(text: &'a [u8], at: usize, groups: &mut Vec<Group<'a>>) -> usize {
    groups.clear();
    let (mut outer, mut plus) = (at, false);
    if at > 0 && text[at - 1] == b'(' {
        outer -= 1;
    }
    if outer > 0 && text[outer - 1] == b'+' {
        outer -= 1;
        plus = true;
    }
    let (mut start, mut separator) = (at, 0);
    loop {
        let length = text[start..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let digits = &text[start..start + length];
        groups.push(Group {
            digits,
            start,
            separator,
            outer,
            plus,
        });
        let Some((next, mark, opens)) = next_group(text, start + length) else {
            return start + length;
        };
        (start, separator, outer, plus) = (next, mark, opens, text[opens] == b'+');
    }
}

/// The next group behind `end`: where its digits start, what separates it, and where it starts
/// with its sign or bracket.
fn next_group(text: &[u8], end: usize) -> Option<(usize, u8, usize)> {
    let byte = |at: usize| text.get(at).copied().unwrap_or(0);
    let is_digit = |at: usize| byte(at).is_ascii_digit();
    match (byte(end), byte(end + 1), byte(end + 2)) {
        (b' ', b'+', _) if is_digit(end + 2) => Some((end + 2, b' ', end + 1)),
        (mark @ (b' ' | b'-' | b'.' | b'/'), _, _) if is_digit(end + 1) => {
            Some((end + 1, mark, end + 1))
        }
        (b' ', b'(', _) if is_digit(end + 2) => Some((end + 2, b'(', end + 1)),
        (b'(', _, _) if is_digit(end + 1) => Some((end + 1, b'(', end)),
        (b')', b' ' | b'-', _) if is_digit(end + 2) => Some((end + 2, b')', end + 2)),
        (b')', _, _) if is_digit(end + 1) => Some((end + 1, b')', end + 1)),
        _ => None,
    }
}

/// Cards as printed: one group, or groups of an issuer's layout with one separator.
pub(super) fn card(groups: &[Group<'_>]) -> Option<(usize, usize)> {
    const LAYOUTS: [&[usize]; 5] = [
        &[4, 4, 4, 4, 3],
        &[4, 4, 4, 4],
        &[4, 6, 5],
        &[4, 6, 4],
        &[6, 13],
    ];
    let start = groups[0].start;
    if (14..=19).contains(&groups[0].digits.len()) {
        return is_card(groups[0].digits.iter()).then_some((1, start));
    }
    LAYOUTS.into_iter().find_map(|layout| {
        let taken = groups.get(..layout.len())?;
        let separator = taken[1].separator;
        let fits = taken
            .iter()
            .zip(layout)
            .all(|(group, digits)| group.digits.len() == *digits);
        let even = taken[1..].iter().all(|group| group.separator == separator);
        let digits = taken.iter().flat_map(|group| group.digits);
        (fits && even && matches!(separator, b' ' | b'-') && is_card(digits))
            .then_some((layout.len(), start))
    })
}

fn is_card<'a>(digits: impl Iterator<Item = &'a u8> + Clone) -> bool {
    let length = digits.clone().count();
    let six = digits
        .clone()
        .take(6)
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    is_issued(six, length) && luhn(digits, length)
}

/// Ranges of the issuers (ISO/IEC 7812) with their lengths. Visa's 13 digits are no longer issued.
fn is_issued(six: u32, length: usize) -> bool {
    let lengths: &[usize] = match (six / 10_000, six / 100) {
        (40..=49, _) => &[16, 19],                                    // Visa
        (51..=55, _) | (_, 2221..=2720) => &[16],                     // Mastercard
        (34 | 37, _) => &[15],                                        // American Express
        (_, 6011 | 6440..=6599) => &[16, 19],                         // Discover
        (36 | 38 | 39, _) | (_, 3000..=3059 | 3095) => &[14, 16, 19], // Diners Club
        (_, 3528..=3589) => &[16, 19],                                // JCB
        (62, _) => &[16, 17, 18, 19],                                 // UnionPay
        (_, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763) => &[14, 15, 16, 17, 18, 19], // Maestro
        (_, 2200..=2204) => &[16, 17, 18, 19], // Mir
        _ => &[],
    };
    lengths.contains(&length)
}

/// The check digit of ISO/IEC 7812-1, annex B.
fn luhn<'a>(digits: impl Iterator<Item = &'a u8>, length: usize) -> bool {
    let sum: u32 = digits
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit - b'0');
            match ((length - index) % 2, digit * 2) {
                (1, _) => digit,
                (_, double) => double % 10 + double / 10,
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// International numbers with their plus sign; North American ones with separators.
pub(super) fn phone(groups: &[Group<'_>]) -> Option<(usize, usize)> {
    if groups[0].plus {
        return international(groups);
    }
    let [area, exchange, line] = groups.get(..3)? else {
        return None;
    };
    let in_bracket = exchange.separator == b')';
    let has_bracket = area.outer < area.start;
    let separators = match (exchange.separator, line.separator) {
        (b')', b'-' | b' ' | b'.') => has_bracket,
        (a @ (b'-' | b'.'), b) => a == b,
        (b' ', b' ' | b'-') => true,
        _ => false,
    };
    let is_code = |group: &Group<'_>| group.digits.len() == 3 && group.digits[0] >= b'2';
    let is_service = |group: &Group<'_>| group.digits[1..] == *b"11";
    let fits = is_code(area) && is_code(exchange) && line.digits.len() == 4;
    let ends = groups.get(3).is_none_or(|next| next.separator == b' ');
    (fits && separators && in_bracket == has_bracket && ends)
        .then_some((3, area.outer))
        .filter(|_| !is_service(area) && !is_service(exchange))
}

/// E.164: at most 15 digits, none of them a leading zero.
fn international(groups: &[Group<'_>]) -> Option<(usize, usize)> {
    if groups[0].digits[0] == b'0' {
        return None;
    }
    // North America's numbers have one length; of others only the most is known.
    let most = if groups[0].digits[0] == b'1' { 11 } else { 15 };
    let (mut digits, mut taken) = (0, 0);
    for (index, group) in groups.iter().enumerate() {
        let is_next = index > 0 && group.plus;
        if is_next || digits + group.digits.len() > most {
            break;
        }
        digits += group.digits.len();
        taken = index + 1;
    }
    // A second number without its plus may follow; what remains is still covered.
    (8..=15)
        .contains(&digits)
        .then_some((taken, groups[0].outer))
}

/// `AAA-GG-SSSS`: ranges that the Social Security Administration never issues are left alone.
pub(super) fn us_ssn(groups: &[Group<'_>]) -> Option<(usize, usize)> {
    let [area, group, serial] = groups.get(..3)? else {
        return None;
    };
    let separator = group.separator;
    let shape = [area, group, serial].map(|group| group.digits.len()) == [3, 2, 4]
        && serial.separator == separator
        && matches!(separator, b'-' | b' ');
    let issued = area.digits != b"000" && area.digits != b"666" && area.digits[0] != b'9';
    (shape && issued && group.digits != b"00" && serial.digits != b"0000")
        .then_some((3, area.start))
}
