//! What is written is read again.

use super::encode::encode_with;
use super::*;
use crate::columns::Batch;
use crate::schema::{BodyRow, Dataset, Field, Row};
use bytes::Bytes;
use gate_kit::random::{self, below};

#[test]
fn rows_come_back_sorted_and_whole() {
    let mut batch = Batch::new(Dataset::Records);
    for n in (0..1000_u64).rev() {
        let route = format!("route-{}", n % 7);
        let request_id = format!("request-{n}");
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(n + 1).to_be_bytes());
        let row = Row {
            time_us: 1_700_000_000_000_000 + n as i64,
            exchange_id: id,
            trace_id: (n % 3 == 0).then_some([n as u8 | 1; 16]),
            request_id: (n % 2 == 0).then_some(&request_id),
            node: "n1",
            method: "GET",
            route: (n % 5 != 0).then_some(&route),
            status: 200,
            duration_us: n * n,
            input_tokens: (n % 4 == 0).then_some(n),
            ..Row::default()
        };
        assert_eq!(row.check(), Ok(()));
        batch.push(&row);
    }
    let bytes = encode(batch, Effort::Small).expect("rows that passed the door are encoded");
    let read = decode(Bytes::from(bytes), Dataset::Records).expect("it is whole");
    assert_eq!(read.len(), 1000);
    assert!(read.times().is_sorted());
    assert_eq!(read.word(Field::Route.index(), 3), Some("route-3"));
    assert_eq!(read.word(Field::Route.index(), 5), None);
    let Values::Numbers(tokens) = read.column(Field::InputTokens.index()) else {
        panic!("tokens are numbers");
    };
    assert_eq!(tokens[..5], [0, NO_NUMBER, NO_NUMBER, NO_NUMBER, 4]);
    let Values::Bytes(ids) = read.column(Field::RequestId.index()) else {
        panic!("request ids are texts");
    };
    assert_eq!(ids.get(8), Some(&b"request-8"[..]));
    assert_eq!(ids.get(9), None);
    let Values::Ids(ids) = read.column(Field::TraceId.index()) else {
        panic!("trace ids are ids");
    };
    assert_eq!((ids[6], ids[7]), ([7; 16], NO_ID));
}

use crate::columns::{NO_ID, NO_NUMBER, Values};

#[test]
fn bodies_come_back() {
    let mut batch = Batch::new(Dataset::Bodies);
    let body = BodyRow {
        time_us: 1,
        exchange_id: [1; 16],
        bytes: 9,
        redacted: true,
        body: b"hello \xff",
        ..BodyRow::default()
    };
    batch.push_body(&body);
    let bytes = encode(batch, Effort::Quick).expect("a body is encoded");
    let read = decode(Bytes::from(bytes), Dataset::Bodies).expect("it is whole");
    let Values::Bytes(bodies) = read.column(read.place("body").expect("it has bodies")) else {
        panic!("bodies are bytes");
    };
    assert_eq!(bodies.get(0), Some(&b"hello \xff"[..]));
    let Values::Flags(redacted) = read.column(read.place("redacted").expect("it says so")) else {
        panic!("it is a flag");
    };
    assert_eq!(redacted[..], [true]);
}

#[test]
fn damage_and_other_files_are_refused() {
    let mut batch = Batch::new(Dataset::Bodies);
    batch.push_body(&BodyRow {
        exchange_id: [1; 16],
        ..BodyRow::default()
    });
    let bytes = encode(batch, Effort::Quick).expect("a body is encoded");
    let cut = Bytes::copy_from_slice(&bytes[..bytes.len() - 3]);
    assert!(matches!(
        decode(cut, Dataset::Bodies),
        Err(FileError::Format(_))
    ));
    let wrong = decode(Bytes::from(bytes), Dataset::Records);
    assert!(matches!(wrong, Err(FileError::Foreign(_))), "{wrong:?}");
}

/// Rows of words in many shapes: some that grow from page to page, some that shrink, some that are missing
/// for a page and longer, and one of another length than the others.
fn worded(rows: usize, long: Option<&str>) -> Batch {
    let mut batch = Batch::new(Dataset::Records);
    for n in 0..rows {
        let page = n / PAGE_ROWS;
        let [key, model, tag, team] = [
            format!("key-{}", 9 - page),
            format!("model-{}", below(5)),
            format!("tag-{}", below(40_000)),
            format!("team-{}", page * 100 + below(20)),
        ];
        let row = Row {
            time_us: n as i64 + 1,
            exchange_id: (n as u128 + 1).to_be_bytes(),
            trace_id: Some((u128::from(random::bits()) + 1).to_be_bytes()),
            node: "gateway-0",
            environment: Some(""),
            route: long.filter(|_| n % 50 == 0),
            key: Some(&key),
            model: (page.is_multiple_of(2) && below(3) == 0).then_some(&model),
            tag: (below(10) > 0).then_some(&tag),
            team: Some(&team),
            method: if n % 40 < 20 { "GET" } else { "POST" },
            fault: (n == 5).then_some("upstream_unreachable"),
            ..Row::default()
        };
        batch.push(&row);
    }
    batch
}

#[test]
fn words_are_written_by_codes_as_the_library_writes_them() {
    random::seed(17);
    for rows in [
        1,
        7,
        8,
        9,
        1000,
        PAGE_ROWS - 1,
        PAGE_ROWS,
        PAGE_ROWS + 1,
        3 * PAGE_ROWS + 77,
        GROUP_ROWS + 17,
    ] {
        let batch = worded(rows, None);
        let is_word =
            |values: &Values| matches!(values, Values::Words(words) if words::takes(words));
        let columns = 0..Dataset::Records.columns().len();
        assert_eq!(columns.filter(|at| is_word(batch.column(*at))).count(), 14);
        for effort in [Effort::Quick, Effort::Small] {
            let ours = encode_with(batch.clone(), effort, words::takes).unwrap();
            let theirs = encode_with(batch.clone(), effort, |_| false).unwrap();
            assert!(ours == theirs, "{rows} rows, {effort:?}");
        }
    }
}

#[test]
fn long_words_are_left_to_the_library() {
    random::seed(18);
    let long = "a".repeat(words::WORD_BYTES_MAX + 1);
    let batch = worded(1000, Some(&long));
    let Values::Words(routes) = batch.column(Field::Route.index()) else {
        panic!("routes are words");
    };
    assert!(!words::takes(routes));
    let bytes = encode(batch, Effort::Small).unwrap();
    let read = decode(Bytes::from(bytes), Dataset::Records).unwrap();
    assert_eq!(read.word(Field::Route.index(), 50), Some(&*long));
    assert_eq!(read.word(Field::Route.index(), 51), None);
}
