//! What the door takes and refuses.

use super::*;

fn row() -> Row<'static> {
    Row {
        time_us: 1_700_000_000_000_000,
        node: "n1",
        method: "GET",
        ..Row::default()
    }
}

#[test]
fn the_door_refuses_what_no_column_takes() {
    assert_eq!(row().check(), Ok(()));
    let long = "x".repeat(TEXT_BYTES_MAX + 1);
    let wrong = [
        Row {
            route: Some(&long),
            ..row()
        },
        Row { node: "", ..row() },
        Row {
            time_us: -1,
            ..row()
        },
        Row {
            request_bytes: u64::MAX,
            ..row()
        },
    ];
    let expected = [
        Refused::TextTooLong("route"),
        Refused::Empty("node"),
        Refused::OutOfRange("time"),
        Refused::OutOfRange("request_bytes"),
    ];
    for (row, expected) in wrong.iter().zip(expected) {
        assert_eq!(row.check(), Err(expected));
    }
    assert_eq!(
        Row {
            route: Some(cut(&long)),
            ..row()
        }
        .check(),
        Ok(())
    );
}

#[test]
fn a_text_is_cut_between_characters() {
    let text = format!("{}é", "x".repeat(TEXT_BYTES_MAX - 1));
    assert_eq!(cut(&text).len(), TEXT_BYTES_MAX - 1);
}

#[test]
fn columns_and_fields_name_the_same_places() {
    for (index, (field, _)) in row().texts().into_iter().enumerate() {
        assert!(
            matches!(field.column().kind, Kind::Word | Kind::Text),
            "{index}"
        );
    }
    for (field, _) in row().integers() {
        assert_eq!(field.column().kind, Kind::Integer);
    }
    assert_eq!(Field::Attempts.index(), COLUMNS.len() - 1);
    assert_eq!(BodyField::Body.index(), BODY_COLUMNS.len() - 1);
    let body = BodyRow {
        body: &[0; BODY_BYTES_MAX + 1],
        ..BodyRow::default()
    };
    assert_eq!(body.check(), Err(Refused::BodyTooLong));
}
