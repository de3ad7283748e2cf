//! What is written is read again.

use super::*;
use crate::columns::Batch;
use crate::schema::{BodyRow, Dataset, Field, Row};
use bytes::Bytes;

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
