//! The units of nginx, and its variables as the templates of `headers`, `rewrite` and `redirect`.

/// A size such as `10m` as Tidegate writes it; `0` means no limit there.
pub(super) fn size(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (digits, unit) = match lower.char_indices().next_back()? {
        (at, 'k') => (&lower[..at], 1_u64 << 10),
        (at, 'm') => (&lower[..at], 1 << 20),
        (at, 'g') => (&lower[..at], 1 << 30),
        _ => (&*lower, 1),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A size as text of a document.
pub(super) fn size_text(bytes: u64) -> String {
    match bytes {
        b if b >= 1 << 20 && b.is_multiple_of(1 << 20) => format!("{}MiB", b >> 20),
        b if b >= 1 << 10 && b.is_multiple_of(1 << 10) => format!("{}KiB", b >> 10),
        b => format!("{b}B"),
    }
}

/// A time such as `90`, `1m30s` or `500ms`, in milliseconds.
pub(super) fn time_ms(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.len()
            - rest
                .trim_start_matches(|c: char| c.is_ascii_alphabetic())
                .len();
        let unit = match &rest[..letters] {
            "ms" => 1,
            "" | "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            "M" => 30 * 86_400_000,
            "y" => 365 * 86_400_000,
            _ => return None,
        };
        rest = rest[letters..].trim_start();
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    Some(total)
}

/// A time as text of a document, at most what a document can say.
pub(crate) fn period(ms: u64) -> String {
    let ms = ms.min(10_000 * 86_400_000);
    match ms {
        ms if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

/// A piece of a text with variables.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    /// As it stands.
    Text(&'a str),
    /// A variable, without `$` and braces.
    Variable(&'a str),
}

/// A text cut at its variables.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        let behind = &rest[at + 1..];
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let (name, after) = match behind.strip_prefix('{').and_then(|b| b.split_once('}')) {
            Some((name, after)) => (name, after),
            None => {
                let length = behind.find(|c| !is_name(c)).unwrap_or(behind.len());
                behind.split_at(length)
            }
        };
        if at > 0 {
            pieces.push(Piece::Text(&rest[..at]));
        }
        match name.is_empty() {
            true => pieces.push(Piece::Text("$")),
            false => pieces.push(Piece::Variable(name)),
        }
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

/// Whether a text has variables.
pub(super) fn has_variables(text: &str) -> bool {
    let is_variable = |piece: &Piece<'_>| matches!(piece, Piece::Variable(_));
    pieces(text).iter().any(is_variable)
}

/// A text as a template of Tidegate's, and whether it needs `request_id`.
///
/// # Errors
/// The first variable that has no counterpart.
pub(super) fn template(text: &str) -> Result<(String, bool), String> {
    let (mut out, mut id) = (String::new(), false);
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => out.push_str(&text.replace("${", "$${")),
            Piece::Variable(name) => {
                id |= name == "request_id";
                out.push_str(match name {
                    "host" | "http_host" => "${request.host}",
                    "remote_addr" | "realip_remote_addr" => "${client.address}",
                    "request_id" => "${request.id}",
                    "request_method" => "${request.method}",
                    "scheme" => "${request.scheme}",
                    "uri" | "document_uri" => "${request.path}",
                    unknown => return Err(format!("${unknown}")),
                });
            }
        }
    }
    Ok((out, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_as_nginx_reads_them() {
        assert_eq!(size("10m").map(size_text).as_deref(), Some("10MiB"));
        assert_eq!(size("1K").map(size_text).as_deref(), Some("1KiB"));
        assert_eq!(size("1000").map(size_text).as_deref(), Some("1000B"));
        assert_eq!(
            (size("x"), size(""), size("9999999999999g")),
            (None, None, None)
        );
        assert_eq!(time_ms("1m30s").map(period).as_deref(), Some("90s"));
        assert_eq!(time_ms("90").map(period).as_deref(), Some("90s"));
        assert_eq!(time_ms("500ms").map(period).as_deref(), Some("500ms"));
        assert_eq!(
            (time_ms("x"), time_ms(""), time_ms("1q")),
            (None, None, None)
        );
    }

    #[test]
    fn variables_become_templates_or_are_named() {
        let done = |text| template(text);
        assert_eq!(done("a"), Ok(("a".into(), false)));
        assert_eq!(
            done("$scheme://$host"),
            Ok(("${request.scheme}://${request.host}".into(), false))
        );
        assert_eq!(
            done("x${request_id}y"),
            Ok(("x${request.id}y".into(), true))
        );
        assert_eq!(done("$upstream_addr"), Err("$upstream_addr".into()));
        assert_eq!(done("5$"), Ok(("5$".into(), false)));
    }
}
