//! A second matcher, for these tests alone: one rule and one event, nothing compiled, nothing looked
//! up, everything tried in the order that the language says. It shares no code with the product.

use super::json::Json;
use std::net::IpAddr;

/// A scalar of an event: its field's names joined, the elements it lies in (array and index), itself.
struct Field<'a> {
    name: String,
    elements: Vec<(usize, usize)>,
    value: &'a Json,
}

/// Whether the pattern holds of the event.
pub(super) fn holds(pattern: &Json, event: &Json) -> bool {
    let mut all = Vec::new();
    let mut arrays = 0;
    flatten(event, String::new(), &[], &mut arrays, &mut all);
    branches(pattern, "").into_iter().any(|mut branch| {
        branch.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<u16>>());
        branch_holds(&branch, &all, &[])
    })
}

fn flatten<'a>(
    value: &'a Json,
    name: String,
    elements: &[(usize, usize)],
    arrays: &mut usize,
    all: &mut Vec<Field<'a>>,
) {
    match value {
        Json::Object(fields) => {
            for (step, value) in fields {
                let name = match name.as_str() {
                    "" => step.clone(),
                    name => format!("{name}.{step}"),
                };
                flatten(value, name, elements, arrays, all);
            }
        }
        Json::List(values) => {
            let array = *arrays;
            *arrays += 1;
            for (index, value) in values.iter().enumerate() {
                let mut elements = elements.to_vec();
                if matches!(value, Json::Object(_) | Json::List(_)) {
                    elements.push((array, index));
                }
                flatten(value, name.clone(), &elements, arrays, all);
            }
        }
        value => all.push(Field {
            name,
            elements: elements.to_vec(),
            value,
        }),
    }
}

type Branch<'a> = Vec<(String, &'a [Json])>;

fn branches<'a>(pattern: &'a Json, path: &str) -> Vec<Branch<'a>> {
    let Json::Object(fields) = pattern else {
        panic!("a pattern is an object")
    };
    let mut all: Vec<Branch<'a>> = vec![Vec::new()];
    for (name, value) in fields {
        let ways: Vec<Branch<'a>> = match value {
            Json::List(ways) if name == "$or" => {
                ways.iter().flat_map(|way| branches(way, path)).collect()
            }
            Json::List(tests) => vec![vec![(format!("{path}{name}"), &tests[..])]],
            inner => branches(inner, &format!("{path}{name}.")),
        };
        let with = |branch: &Branch<'a>| {
            let joined = |way: &Branch<'a>| [branch.clone(), way.clone()].concat();
            ways.iter().map(joined).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(with).collect();
    }
    all
}

fn branch_holds(
    branch: &[(String, &[Json])],
    all: &[Field<'_>],
    chosen: &[(usize, usize)],
) -> bool {
    let Some(((name, tests), rest)) = branch.split_first() else {
        return true;
    };
    let agrees = |field: &&Field<'_>| {
        let differs = |(array, index): &(usize, usize)| {
            chosen
                .iter()
                .any(|(other, at)| other == array && at != index)
        };
        field.name == *name && !field.elements.iter().any(differs)
    };
    let found: Vec<&Field<'_>> = all.iter().filter(agrees).collect();
    let absent = |test: &Json| *test == object("exists", Json::Plain("false".into()));
    if found.is_empty() && tests.iter().any(absent) {
        return branch_holds(rest, all, chosen);
    }
    found.iter().any(|field| {
        let chosen = [chosen, &field.elements].concat();
        tests
            .iter()
            .any(|test| !absent(test) && test_holds(test, field.value))
            && branch_holds(rest, all, &chosen)
    })
}

fn object(name: &str, value: Json) -> Json {
    Json::Object(vec![(name.to_owned(), value)])
}

fn test_holds(test: &Json, value: &Json) -> bool {
    let Json::Object(fields) = test else {
        return equal(test, value);
    };
    let (name, argument) = &fields[0];
    match (name.as_str(), argument, value) {
        ("exists", _, _) => true,
        ("anything-but", Json::Object(inner), _) => {
            let (form, excepted) = &inner[0];
            let holds = |one: &Json| test_holds(&object(form, one.clone()), value);
            !listed(excepted).iter().any(holds)
        }
        ("anything-but", excepted, _) => {
            let same = |one: &Json| match (one, value) {
                (Json::Text(one), Json::Text(text)) => one == text,
                (Json::Plain(one), Json::Plain(word)) => {
                    exact(one).is_some() && exact(one) == exact(word)
                }
                _ => false,
            };
            !listed(excepted).iter().any(same)
        }
        ("numeric", Json::List(terms), Json::Plain(word)) => {
            let Some(number) = exact(word) else {
                return false;
            };
            terms.chunks(2).all(|term| {
                let (Json::Text(sign), Json::Plain(other)) = (&term[0], &term[1]) else {
                    panic!("{term:?}")
                };
                let other = exact(other).unwrap();
                match sign.as_str() {
                    "=" => number == other,
                    "<" => number < other,
                    "<=" => number <= other,
                    ">" => number > other,
                    _ => number >= other,
                }
            })
        }
        ("cidr", Json::Text(network), Json::Text(text)) => {
            let (base, length) = network.split_once('/').unwrap();
            let leading = |address: &IpAddr| {
                let octets = match address {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                let bits = octets.iter().map(|octet| format!("{octet:08b}"));
                bits.collect::<String>()[..length.parse::<usize>().unwrap()].to_owned()
            };
            let base = address(base).unwrap();
            let same_family = |address: &IpAddr| address.is_ipv4() == base.is_ipv4();
            address(text).is_some_and(|text| same_family(&text) && leading(&text) == leading(&base))
        }
        ("prefix" | "suffix", Json::Object(inner), Json::Text(text)) => {
            let Json::Text(affix) = &inner[0].1 else {
                panic!("{inner:?}")
            };
            // Each cut of the text, the whole of which is the affix in any case.
            let cuts = text.char_indices().map(|(at, _)| at).chain([text.len()]);
            cuts.into_iter().any(|at| match name.as_str() {
                "prefix" => same_letters(affix, &text[..at]),
                _ => same_letters(affix, &text[at..]),
            })
        }
        (form, Json::Text(own), Json::Text(text)) => match form {
            "exactly" => own == text,
            "prefix" => text.starts_with(own.as_str()),
            "suffix" => text.ends_with(own.as_str()),
            "equals-ignore-case" => same_letters(own, text),
            "wildcard" => wildcard(own.as_bytes(), text.as_bytes()),
            form => panic!("{form}"),
        },
        _ => false,
    }
}

fn listed(value: &Json) -> Vec<Json> {
    match value {
        Json::List(all) => all.clone(),
        one => vec![one.clone()],
    }
}

fn equal(own: &Json, value: &Json) -> bool {
    match (own, value) {
        (Json::Text(own), Json::Text(text)) => match address(own) {
            Some(own) => address(text) == Some(own),
            None => own == text,
        },
        (Json::Plain(own), Json::Plain(word)) => {
            own == word || (exact(own).is_some() && exact(own) == exact(word))
        }
        _ => false,
    }
}

/// The numbers of these tests with at most 15 digits are said exactly by doubles.
fn exact(word: &str) -> Option<f64> {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let number = word.parse().ok().filter(|_| digits <= 15 && digits > 0)?;
    Some(if number == 0.0 { 0.0 } else { number })
}

fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') && text.contains('.') {
        return None;
    }
    text.parse()
        .ok()
        .map(|address: IpAddr| address.to_canonical())
}

/// Each letter of the first has in the second its lower or its upper form.
fn same_letters(own: &str, text: &str) -> bool {
    let Some(first) = own.chars().next() else {
        return text.is_empty();
    };
    let forms = match first.len_utf8() {
        4 => [first.to_string(), first.to_string()],
        _ => [
            first.to_lowercase().to_string(),
            first.to_uppercase().to_string(),
        ],
    };
    let rest = &own[first.len_utf8()..];
    let left = forms
        .iter()
        .filter_map(|form| text.strip_prefix(form.as_str()));
    left.into_iter().any(|left| same_letters(rest, left))
}

fn wildcard(own: &[u8], text: &[u8]) -> bool {
    match own {
        [] => text.is_empty(),
        [b'*', rest @ ..] => (0..=text.len()).any(|at| wildcard(rest, &text[at..])),
        [b'\\', byte, rest @ ..] | [byte, rest @ ..] => {
            text.first() == Some(byte) && wildcard(rest, &text[1..])
        }
    }
}
