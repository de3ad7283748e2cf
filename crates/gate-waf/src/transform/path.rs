//! Paths: back references, self references and doubled slashes resolved.

/// `t:normalizePath`.
pub(super) fn normalize(input: &[u8], output: &mut Vec<u8>) {
    resolve(input, output, false);
}

/// `t:normalizePathWin`: backslashes are slashes.
pub(super) fn normalize_win(input: &[u8], output: &mut Vec<u8>) {
    resolve(input, output, true);
}

/// Writes `input` with `/./`, `/../` and `//` resolved; never above the root. A relative path keeps
/// the back references that lead out of it, and a slash at the end is kept as it was.
fn resolve(input: &[u8], output: &mut Vec<u8>, windows: bool) {
    if input.is_empty() {
        return;
    }
    let slashed = |at: usize| match input[at] {
        b'\\' if windows => b'/',
        byte => byte,
    };
    let end = input.len() - 1;
    let relative = slashed(0) != b'/';
    let trailing = slashed(end) == b'/';
    let mut hit_root = false;
    let mut done = false;
    let mut at = 0;
    while !done && at <= end {
        let byte = slashed(at);
        done = at == end;
        let ends_segment = done || slashed(at + 1) == b'/';
        if ends_segment && (byte != b'/' || done) {
            if byte == b'.' {
                match dot(output, relative, &mut hit_root, done) {
                    Dot::Copied => {}
                    Dot::Gone => {
                        at += 1;
                        if done {
                            break;
                        }
                        // What stands here is the slash that ended the segment.
                        at = copy(input, output, at, relative, windows);
                        done = at > end;
                        continue;
                    }
                }
            } else if !output.is_empty() {
                hit_root = false;
            }
        }
        at = copy(input, output, at, relative, windows);
    }
    if !trailing && output.last() == Some(&b'/') {
        output.pop();
    }
}

enum Dot {
    Copied,
    Gone,
}

/// A dot at the end of a segment: a back reference, a self reference, or part of a name.
fn dot(output: &mut Vec<u8>, relative: bool, hit_root: &mut bool, done: bool) -> Dot {
    let length = output.len();
    if length > 0 && output[length - 1] == b'.' {
        if relative && (*hit_root || length <= 2) {
            *hit_root = true;
            return Dot::Copied;
        }
        let mut to = length.saturating_sub(3);
        while to > 0 && output[to] != b'/' {
            to -= 1;
        }
        if to == 0 {
            *hit_root = true;
            output.clear();
            if !relative && done {
                output.push(b'/');
            }
        } else {
            output.truncate(to);
        }
        return Dot::Gone;
    }
    if length == 0 {
        return Dot::Gone;
    }
    if output[length - 1] == b'/' {
        if !done {
            output.pop();
        }
        return Dot::Gone;
    }
    Dot::Copied
}

/// Copies the byte at `at`, of several slashes the last; says where to go on.
fn copy(input: &[u8], output: &mut Vec<u8>, mut at: usize, relative: bool, windows: bool) -> usize {
    let is_slash = |byte: u8| byte == b'/' || windows && byte == b'\\';
    let Some(&byte) = input.get(at) else {
        return at;
    };
    if is_slash(byte) {
        while at + 1 < input.len() && is_slash(input[at + 1]) {
            at += 1;
        }
        if relative && output.is_empty() {
            return at + 1;
        }
        output.push(b'/');
    } else {
        output.push(byte);
    }
    at + 1
}
