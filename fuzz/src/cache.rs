//! What caches read: fields of services and callers, and files that a crash or a bad disk left.

use gate_cache::{
    Asked, Control, Draft, Heads, Ranged, Received, Rules, Search, Slice, Terms, Varied, condition,
    content_range, dictionary, file, forbids_reuse, freshen, named_places, slice, terms,
};
use gate_kit::http::{HeaderId, Headers, Method, ResponseHead};
use std::sync::Arc;

/// Most parts of an answer, as the policy has it.
const PARTS_MAX: usize = 16;
/// 2026-11-22.
const NOW: u64 = 1_795_305_600;

/// Fields as lines of `name: value`; lines that are none are left out.
fn head(text: &[u8]) -> Headers {
    let mut headers = Headers::new();
    for line in text.split(|byte| *byte == b'\n') {
        let colon = line.iter().position(|byte| *byte == b':');
        if let Some((name, value)) = colon.map(|at| (&line[..at], &line[at + 1..])) {
            let _ = headers.try_append(name, value.trim_ascii());
        }
    }
    headers
}

fn listed(headers: &Headers) -> Vec<(Vec<u8>, Vec<u8>)> {
    let fields = headers.iter();
    fields
        .map(|(_, name, value)| (name.to_vec(), value.to_vec()))
        .collect()
}

/// Heads of a request and an answer, parted by an empty line: whatever they say, nothing breaks; an
/// answer selects its own request; ranges lie within what is kept, in order and apart; a kept head
/// comes back as it was; and two queries that a rule makes one stay one.
pub fn cache(bytes: &[u8]) {
    let at = bytes.windows(2).position(|two| two == b"\n\n");
    let (request, answer) = bytes.split_at(at.unwrap_or(bytes.len()));
    let (request, answer) = (head(request), head(answer));
    let control = Control::of(&answer);
    assert!(control.withheld.iter().all(|name| !name.is_empty()));
    let asked = Asked::of(&request);
    let _ = condition(&request, &answer, NOW);
    let _ = dictionary(answer.all_named("cdn-cache-control"));
    if !forbids_reuse(&answer) {
        let varied = Varied::of(&answer, &request);
        assert!(varied.selects(&request), "an answer is for its own request");
        let mut keys = [Vec::new(), Vec::new()];
        for key in &mut keys {
            varied.write_values(&request, |bytes| key.extend_from_slice(bytes));
        }
        assert_eq!(keys[0], keys[1]);
    }
    ranges(&request, &answer);
    let head = ResponseHead {
        status: 200,
        headers: answer,
    };
    let received = Received {
        method: &Method::Get,
        authorized: false,
        asked,
        head: &head,
        request_ms: NOW * 1000,
        response_ms: NOW * 1000 + 5,
    };
    let kept = terms(&received, &Rules::default());
    if let Ok((terms, _)) = &kept {
        assert!(terms.born_ms <= received.response_ms);
        assert!(
            !control.no_store
                || head.headers.get_named("cdn-cache-control").is_some()
                || head.headers.get_named("tidegate-cache-control").is_some()
                || control.must_understand
        );
    }
    for place in named_places(&head, "http", "a.example", "/a/b?c") {
        assert!(!place.is_empty());
    }
    let fresh = freshen(&head.headers, &request);
    assert!(fresh.len() <= head.headers.len() + request.len());
    searched(&head.headers, &request);
    packed(
        head.headers,
        kept.map(|(terms, _)| terms).unwrap_or_default(),
    );
}

fn ranges(request: &Headers, answer: &Headers) {
    if let Some(part) = content_range(answer, 10) {
        assert!(part.first <= part.last && part.length() == 10);
        assert!(part.complete.is_none_or(|complete| part.last < complete));
    }
    for length in [1, 11, 100_000] {
        let held = Slice {
            first: 0,
            last: length - 1,
            complete: Some(length),
        };
        match slice(request, answer, held, NOW, PARTS_MAX) {
            Ranged::Part(part) => assert!(part.first <= part.last && part.last < length),
            Ranged::Parts(parts) => {
                assert!((2..=PARTS_MAX).contains(&parts.len()));
                let bytes: u64 = parts.iter().map(Slice::length).sum();
                assert!(bytes < length);
                for (index, part) in parts.iter().enumerate() {
                    assert!(part.first <= part.last && part.last < length);
                    let apart = |other: &Slice| other.last < part.first || part.last < other.first;
                    assert!(parts[..index].iter().all(apart));
                }
            }
            Ranged::Whole | Ranged::Unsatisfiable => {}
            Ranged::Elsewhere => panic!("all of it is kept"),
        }
    }
}

fn searched(answer: &Headers, request: &Headers) {
    let (Some(search), Some(query)) = (Search::of(answer), request.get_named("query")) else {
        return;
    };
    let Ok(query) = std::str::from_utf8(query) else {
        return;
    };
    let written = |query: &str| {
        let mut bytes = Vec::new();
        search.write(query, |part| bytes.extend_from_slice(part));
        bytes
    };
    assert_eq!(written(query), written(query));
    assert_eq!(written(&format!("{query}&")), written(query));
    assert_eq!(
        Search::of(answer).map(|again| again.id()),
        Some(search.id())
    );
}

fn packed(headers: Headers, terms: Terms) {
    let body = headers.get(HeaderId::ETag).unwrap_or_default().to_vec();
    let draft = Draft {
        place: "a.example/b".into(),
        status: 200,
        length: body.len() as u64,
        terms,
        varied: Some(Arc::new(Varied::of(&headers, &headers))),
        headers,
        family: 1,
        part: None,
        tags: vec![1, u64::MAX],
        stored_ms: NOW,
        seen: 0,
        from_disk: true,
    };
    let heads = Heads::default();
    // Texts are learnt as they come again.
    for _ in 0..5 {
        let stored = Arc::new(draft.pack(&heads, Some(body.clone().into())));
        assert_eq!(listed(&stored.headers(&heads)), listed(&draft.headers));
        assert_eq!(stored.body(), body);
        assert_eq!(stored.place(), &*draft.place);
    }
    let written = file::encode(&draft, &body);
    let (again, whole) = file::decode(written).expect("our own file");
    assert_eq!(listed(&again.headers), listed(&draft.headers));
    assert_eq!((again.terms, again.varied), (draft.terms, draft.varied));
    assert_eq!(whole, body);
}

/// A file in which anything may stand: it is read whole or not at all, and what was read is written
/// as it was. The checksum is put right first, since no mutation would find it.
pub fn cache_file(bytes: &[u8]) {
    let _ = file::decode(bytes.to_vec());
    let about = file::about(bytes);
    let mended = file::mend(bytes);
    let Some((draft, body)) = file::decode(mended.clone()) else {
        return;
    };
    let about = about.expect("a file that is read whole has a beginning");
    assert_eq!((&about.place, &*about.tags), (&draft.place, &*draft.tags));
    file::About::unpack(&about.pack(), |tags, place, stored_ms| {
        assert_eq!((place, stored_ms), (&*about.place, about.stored_ms));
        assert!(about.tags.starts_with(tags));
    });
    let written = file::encode(&draft, &body);
    let (again, same) = file::decode(written).expect("our own file");
    assert_eq!(
        (listed(&again.headers), same),
        (listed(&draft.headers), body)
    );
}
