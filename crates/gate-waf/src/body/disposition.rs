//! `Content-Disposition` of a part, with the strictness of ModSecurity: what another parser could
//! read otherwise is refused or flagged.

/// What a part's header says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Disposition {
    pub(super) name: Vec<u8>,
    pub(super) filename: Vec<u8>,
    pub(super) invalid_quoting: bool,
}

/// Reads the header's value; on a mistake, ModSecurity's number for it.
pub(super) fn parse(value: &[u8], found: &mut Disposition) -> Result<(), i8> {
    let rest = value.strip_prefix(b"form-data").ok_or(-1)?;
    let mut rest = skip(rest);
    if rest.is_empty() {
        return Ok(());
    }
    rest = rest.strip_prefix(b";").ok_or(-2)?;
    let mut star: Option<Vec<u8>> = None;
    while !rest.is_empty() {
        rest = skip(rest);
        if rest.is_empty() {
            return Err(-3);
        }
        let end = rest
            .iter()
            .position(|byte| matches!(byte, b'=' | b'\t' | b' '));
        let (name, behind) = rest.split_at(end.ok_or(-4)?);
        let behind = skip(behind);
        if behind.is_empty() {
            return Err(-5);
        }
        let behind = skip(behind.strip_prefix(b"=").ok_or(-13)?);
        if behind.is_empty() {
            return Err(-6);
        }
        let (value, quote, behind) = match name {
            b"filename*" => {
                let (value, behind) = extended(behind)?;
                (value, None, behind)
            }
            _ => plain(behind, found)?,
        };
        if quote != Some(b'"') && name != b"filename*" && value.contains(&b'\'') {
            found.invalid_quoting = true;
        }
        let target = match name {
            b"name" if found.name.is_empty() => &mut found.name,
            b"name" => return Err(-14),
            b"filename" if found.filename.is_empty() => &mut found.filename,
            b"filename" => return Err(-15),
            b"filename*" if star.is_none() => star.insert(Vec::new()),
            b"filename*" => return Err(-20),
            _ => return Err(-11),
        };
        *target = value;
        rest = skip(behind);
        if let Some(&next) = rest.first() {
            if next != b';' {
                // A quote right before means that the value went on behind it.
                found.invalid_quoting |= quote.is_some();
                return Err(-12);
            }
            rest = &rest[1..];
        }
    }
    match star.is_some() && found.filename.is_empty() {
        true => Err(-21),
        false => Ok(()),
    }
}

fn skip(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|byte| !matches!(byte, b'\t' | b' '));
    &text[start.unwrap_or(text.len())..]
}

type Value<'a> = (Vec<u8>, Option<u8>, &'a [u8]);

/// A quoted or a bare value, and what is behind it.
fn plain<'a>(text: &'a [u8], found: &mut Disposition) -> Result<Value<'a>, i8> {
    let quote = text[0];
    if !matches!(quote, b'"' | b'\'') {
        let end = text
            .iter()
            .position(|byte| !is_token(*byte))
            .unwrap_or(text.len());
        return Ok((text[..end].to_vec(), None, &text[end..]));
    }
    if quote == b'\'' {
        found.invalid_quoting = true;
    }
    if text.len() == 1 {
        return Err(-7);
    }
    let mut value = Vec::new();
    let mut at = 1;
    while at < text.len() && text[at] != quote {
        if text[at] == b'\\' {
            let next = *text.get(at + 1).ok_or(-8)?;
            if next == quote || next == b'\\' {
                at += 1;
            }
        }
        value.push(text[at]);
        at += 1;
    }
    Ok((value, Some(quote), text.get(at + 1..).unwrap_or_default()))
}

/// `charset'language'value` of RFC 5987.
fn extended(text: &[u8]) -> Result<(Vec<u8>, &[u8]), i8> {
    let is_charset = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&+-^_`{}~".contains(byte);
    let charset = text.iter().take_while(|byte| is_charset(byte)).count();
    if charset == 0 || text.get(charset) != Some(&b'\'') {
        return Err(-16);
    }
    let rest = &text[charset + 1..];
    let language = rest.iter().position(|byte| *byte == b'\'').ok_or(-17)?;
    let rest = &rest[language + 1..];
    let end = rest
        .iter()
        .position(|byte| *byte == b';')
        .unwrap_or(rest.len());
    let mut at = 0;
    while at < end {
        if rest[at] == b'%' {
            crate::transform::hex_byte(rest, at + 1).ok_or(-18)?;
            at += 3;
        } else if rest[at].is_ascii_alphanumeric() || b"!#$&+-.^_`~".contains(&rest[at]) {
            at += 1;
        } else {
            return Err(-19);
        }
    }
    Ok((rest[..end].to_vec(), &rest[end..]))
}

fn is_token(byte: u8) -> bool {
    byte > 32 && byte < 127 && !b"()<>@,;:\\\"/[]?=".contains(&byte)
}
