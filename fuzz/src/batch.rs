//! What callers hand in for batches: forms with files, lines, and bodies with requests.

use gate_ai::batch::{Line, Lines, Part, Requests, Upload, anthropic_line, compact, openai_line};
use std::ops::ControlFlow;

/// Longest line and request, so that their bounds are met.
const MOST: usize = 64;

fn lines(pieces: &[&[u8]]) -> Vec<(u64, Option<Vec<u8>>)> {
    let mut lines = Lines::new(MOST);
    let mut found = Vec::new();
    let mut keep = |number, line: Line<'_>| {
        let line = match line {
            Line::Whole(line) => Some(line.to_vec()),
            Line::TooLong => None,
        };
        found.push((number, line));
    };
    for piece in pieces {
        lines.push(piece, &mut keep);
    }
    lines.finish(&mut keep);
    found
}

fn requests(pieces: &[&[u8]]) -> Option<Vec<Vec<u8>>> {
    let mut requests = Requests::new(MOST);
    let mut found = Vec::new();
    for piece in pieces {
        let keep = |one: &[u8]| {
            found.push(one.to_vec());
            ControlFlow::Continue(())
        };
        requests.push(piece, keep).ok()?;
    }
    requests.finish().ok()?;
    Some(found)
}

/// What a form has, its file in one piece.
fn upload(pieces: &[&[u8]]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut upload = Upload::new("b");
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for piece in pieces {
        let read = upload.push(piece, |part| match part {
            Part::Field { name, value } => found.push((name.to_owned(), value.into())),
            Part::File { name } => found.push((format!("<{name}>"), Vec::new())),
            Part::Bytes(bytes) => {
                if let Some((_, file)) = found.last_mut() {
                    file.extend_from_slice(bytes);
                }
            }
            Part::End => found.push((String::new(), Vec::new())),
        });
        read.ok()?;
    }
    upload.finish().ok()?;
    Some(found)
}

/// However the network cuts what is handed in, it is read as the same; each line of a batch and each
/// request is one line again, of bounded length. Very long inputs are cut.
pub fn batch(bytes: &[u8]) {
    let bytes = &bytes[..bytes.len().min(1024)];
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    let (whole, all, form) = (lines(&[bytes]), requests(&[bytes]), upload(&[bytes]));
    assert_eq!(lines(&single), whole);
    assert_eq!(requests(&single), all);
    assert_eq!(upload(&single), form);
    for cut in 0..bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(lines(&[head, tail]), whole, "cut at {cut}");
        assert_eq!(requests(&[head, tail]), all, "cut at {cut}");
        assert_eq!(upload(&[head, tail]), form, "cut at {cut}");
    }
    for line in whole.iter().filter_map(|(_, line)| line.as_ref()) {
        assert!(line.len() <= MOST && !line.contains(&b'\n'));
        if let Ok(read) = openai_line(line, "/v1/embeddings") {
            let mut again = Vec::new();
            compact(read.body.as_bytes(), &mut again);
            let json: serde_json::Value = serde_json::from_slice(&again).expect("it was JSON");
            assert_eq!(Ok(json), serde_json::from_str(read.body).map_err(|_| ()));
        }
    }
    for request in all.iter().flatten() {
        assert!(request.len() <= MOST && !request.contains(&b'\n'));
        if let Ok(read) = anthropic_line(request) {
            assert!((1..=64).contains(&read.custom_id.len()));
        }
    }
}
