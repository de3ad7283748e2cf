//! Reads a rule's variables, operator and actions.

use super::syntax::{RawAction, RawOperator, RawSelector, RawTarget};

/// Reads `A|B:key|!C:/pattern/|&D`.
///
/// # Errors
/// A message without a place.
pub(crate) fn targets(text: &str) -> Result<Vec<RawTarget>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    loop {
        let end = target_end(rest);
        found.push(target(&rest[..end])?);
        match rest[end..].strip_prefix(['|', ',']) {
            Some(behind) => rest = behind,
            None if rest[end..].trim().is_empty() => return Ok(found),
            None => return Err(format!("`{}` follows a variable", &rest[end..])),
        }
    }
}

/// Where the first variable of `text` ends.
fn target_end(text: &str) -> usize {
    let bytes = text.as_bytes();
    let name = text.trim_start_matches(['!', '&']).as_bytes();
    let is_xpath = name
        .first_chunk::<4>()
        .is_some_and(|name| name.eq_ignore_ascii_case(b"xml:"));
    let colon = memchr::memchr3(b':', b'|', b',', bytes);
    let Some(at) = colon.filter(|at| bytes[*at] == b':' && !is_xpath) else {
        return memchr::memchr2(b'|', b',', bytes).unwrap_or(bytes.len());
    };
    let quote = usize::from(bytes.get(at + 1) == Some(&b'\''));
    if bytes.get(at + 1 + quote) != Some(&b'/') {
        if quote == 1 {
            let close = memchr::memchr(b'\'', &bytes[at + 2..]);
            return close.map_or(bytes.len(), |close| at + 3 + close);
        }
        let behind = memchr::memchr2(b'|', b',', &bytes[at..]);
        return behind.map_or(bytes.len(), |behind| at + behind);
    }
    let mut scan = at + 2 + quote;
    while scan < bytes.len() {
        match bytes[scan] {
            b'\\' => scan += 2,
            b'/' => {
                let end = scan + 1 + quote;
                if end >= bytes.len() || matches!(bytes[end], b'|' | b',') {
                    return end.min(bytes.len());
                }
                scan += 1;
            }
            _ => scan += 1,
        }
    }
    bytes.len()
}

/// Reads one variable.
///
/// # Errors
/// A message without a place.
pub(crate) fn target(text: &str) -> Result<RawTarget, String> {
    let mut rest = text.trim();
    let mut excluded = false;
    let mut counted = false;
    loop {
        if let Some(behind) = rest.strip_prefix('!') {
            excluded = true;
            rest = behind;
        } else if let Some(behind) = rest.strip_prefix('&') {
            counted = true;
            rest = behind;
        } else {
            break;
        }
    }
    let (name, selector) = match rest.split_once(':') {
        None => (rest, RawSelector::All),
        Some((name, key)) => (name, selector(name, key)),
    };
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(name) {
        return Err(format!("`{text}` is no variable"));
    }
    Ok(RawTarget {
        excluded,
        counted,
        name: name.to_ascii_uppercase(),
        selector,
    })
}

fn selector(name: &str, key: &str) -> RawSelector {
    let inner = key
        .strip_prefix('\'')
        .and_then(|key| key.strip_suffix('\''))
        .unwrap_or(key);
    let pattern = inner
        .strip_prefix('/')
        .and_then(|inner| inner.strip_suffix('/'));
    match pattern {
        Some(pattern) if !name.eq_ignore_ascii_case("xml") => {
            RawSelector::Pattern(pattern.replace("\\/", "/"))
        }
        _ => RawSelector::Key(inner.to_owned()),
    }
}

/// Reads `!@name argument`; without `@`, the whole is a pattern.
pub(crate) fn operator(text: &str) -> RawOperator {
    let text = text.trim_start();
    let (negated, rest) = match text.strip_prefix('!') {
        Some(rest) if rest.trim_start().starts_with('@') => (true, rest.trim_start()),
        Some(rest) => (true, rest),
        None => (false, text),
    };
    match rest.strip_prefix('@') {
        None => RawOperator {
            negated,
            name: "rx".into(),
            argument: rest.to_owned(),
        },
        Some(rest) => {
            let (name, argument) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            RawOperator {
                negated,
                name: name.to_ascii_lowercase(),
                argument: argument.trim_start().to_owned(),
            }
        }
    }
}

/// Reads `id:1,phase:2,msg:'a, b'`.
///
/// # Errors
/// A message without a place.
pub(crate) fn actions(text: &str) -> Result<Vec<RawAction>, String> {
    let mut found = Vec::new();
    for part in parts(text)? {
        let part = part.trim();
        if part.is_empty() {
            continue;
        }
        let (name, argument) = part.split_once(':').unwrap_or((part, ""));
        found.push(RawAction {
            name: name.trim().to_ascii_lowercase(),
            argument: unquote(argument.trim()),
        });
    }
    Ok(found)
}

/// Splits at commas outside quotes.
fn parts(text: &str) -> Result<Vec<&str>, String> {
    let bytes = text.as_bytes();
    let mut parts = Vec::new();
    let (mut start, mut at, mut open) = (0, 0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if open => at += 1,
            b'\'' => open = !open,
            b',' if !open => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    if open {
        return Err("a quote (') is opened and not closed among the actions".into());
    }
    parts.push(&text[start..]);
    Ok(parts)
}

fn unquote(text: &str) -> String {
    let inner = text
        .strip_prefix('\'')
        .and_then(|text| text.strip_suffix('\''));
    inner.map_or_else(|| text.to_owned(), |inner| inner.replace("\\'", "'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_patterns_paths_and_keys() {
        let text = r"ARGS|!ARGS:/^a|b\/c/|&REQUEST_HEADERS:X-Y|XML:/*|XML://@*|TX:'/x_/'|!ARGS_NAMES:json.profile";
        let found = targets(text).unwrap();
        assert_eq!(found.len(), 7);
        assert_eq!(found[1].selector, RawSelector::Pattern("^a|b/c".into()));
        assert!(found[1].excluded && !found[1].counted);
        assert!(found[2].counted);
        assert_eq!(found[3].selector, RawSelector::Key("/*".into()));
        assert_eq!(found[4].selector, RawSelector::Key("//@*".into()));
        assert_eq!(found[5].selector, RawSelector::Pattern("x_".into()));
        assert_eq!(found[6].selector, RawSelector::Key("json.profile".into()));
    }

    #[test]
    fn operators() {
        let not = operator("!@rx ^a b");
        assert!(not.negated);
        assert_eq!((not.name.as_str(), not.argument.as_str()), ("rx", "^a b"));
        assert_eq!(operator("^x").argument, "^x");
        assert_eq!(operator("@unconditionalMatch").name, "unconditionalmatch");
    }

    #[test]
    fn commas_in_quotes_stay() {
        let found = actions("id:1, msg:'a, \\'b\\'',chain,setvar:tx.a=+1").unwrap();
        assert_eq!(found.len(), 4);
        assert_eq!(found[1].argument, "a, 'b'");
        assert_eq!(found[3].argument, "tx.a=+1");
        assert!(actions("msg:'a").is_err());
    }
}
