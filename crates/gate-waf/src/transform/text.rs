//! Blanks, case, comments and command lines.

use super::is_space;

pub(super) fn lowercase(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(u8::to_ascii_lowercase));
}

pub(super) fn uppercase(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().map(u8::to_ascii_uppercase));
}

/// `t:length`: the length in digits.
pub(super) fn length(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(input.len().to_string().as_bytes());
}

pub(super) fn remove_nulls(input: &[u8], output: &mut Vec<u8>) {
    output.extend(input.iter().filter(|byte| **byte != 0));
}

pub(super) fn replace_nulls(input: &[u8], output: &mut Vec<u8>) {
    output.extend(
        input
            .iter()
            .map(|byte| if *byte == 0 { b' ' } else { *byte }),
    );
}

/// `t:removeWhitespace`: blanks, and the two bytes of a no-break space.
pub(super) fn remove_whitespace(input: &[u8], output: &mut Vec<u8>) {
    let stays = |byte: &&u8| !is_space(**byte) && !matches!(byte, 0xa0 | 0xc2);
    output.extend(input.iter().filter(stays));
}

/// `t:compressWhitespace`: runs of blanks become one space.
pub(super) fn compress_whitespace(input: &[u8], output: &mut Vec<u8>) {
    let mut within = false;
    for &byte in input {
        let blank = is_space(byte);
        if !blank {
            output.push(byte);
        } else if !within {
            output.push(b' ');
        }
        within = blank;
    }
}

pub(super) fn trim(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(left(right(input)));
}

pub(super) fn trim_left(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(left(input));
}

pub(super) fn trim_right(input: &[u8], output: &mut Vec<u8>) {
    output.extend_from_slice(right(input));
}

fn left(input: &[u8]) -> &[u8] {
    let start = input.iter().position(|byte| !is_space(*byte));
    &input[start.unwrap_or(input.len())..]
}

fn right(input: &[u8]) -> &[u8] {
    let end = input.iter().rposition(|byte| !is_space(*byte));
    &input[..end.map_or(0, |end| end + 1)]
}

/// `t:cmdLine`: what shells ignore goes, separators become one space, letters small.
pub(super) fn cmd_line(input: &[u8], output: &mut Vec<u8>) {
    let mut space = false;
    for &byte in input {
        match byte {
            b'"' | b'\'' | b'\\' | b'^' => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if !space {
                    output.push(b' ');
                }
                space = true;
            }
            b'/' | b'(' => {
                if space {
                    output.pop();
                }
                space = false;
                output.push(byte);
            }
            _ => {
                space = false;
                output.push(byte.to_ascii_lowercase());
            }
        }
    }
}

/// `t:replaceComments`: C comments become one space, also one that is not closed.
pub(super) fn replace_comments(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    while at < input.len() {
        if input[at..].starts_with(b"/*") {
            output.push(b' ');
            match memchr::memmem::find(&input[at + 2..], b"*/") {
                Some(length) => at += length + 4,
                None => return,
            }
        } else {
            output.push(input[at]);
            at += 1;
        }
    }
}

/// `t:removeComments`: C and HTML comments go; `--` and `#` end the value.
pub(super) fn remove_comments(input: &[u8], output: &mut Vec<u8>) {
    let mut at = 0;
    let mut within = false;
    while at < input.len() {
        let rest = &input[at..];
        if within {
            let closed = match rest {
                [b'*', b'/', ..] => 2,
                [b'-', b'-', b'>', ..] => 3,
                _ => 0,
            };
            at += closed.max(1);
            if closed > 0 {
                within = false;
                if let Some(&byte) = input.get(at) {
                    output.push(byte);
                    at += 1;
                }
            }
        } else if rest.starts_with(b"/*") {
            within = true;
            at += 2;
        } else if rest.starts_with(b"<!--") {
            within = true;
            at += 4;
        } else if rest.starts_with(b"--") || rest[0] == b'#' {
            break;
        } else {
            output.push(rest[0]);
            at += 1;
        }
    }
    if within {
        output.push(b' ');
    }
}

/// `t:removeCommentsChar`: the characters that open and close comments go.
pub(super) fn remove_comments_char(input: &[u8], output: &mut Vec<u8>) {
    let marks: [&[u8]; 6] = [b"/*", b"*/", b"<!--", b"-->", b"--", b"#"];
    let mut at = 0;
    while at < input.len() {
        let mark = marks.iter().find(|mark| input[at..].starts_with(mark));
        match mark {
            Some(mark) => at += mark.len(),
            None => {
                output.push(input[at]);
                at += 1;
            }
        }
    }
}
