//! Reads which fields a QPACK section holds, without their values (RFC 9204 section 4.5).
//!
//! `h3` decodes sections and takes what it finds: of two `:path` fields the last, and any of them
//! after ordinary fields. That is what request smuggling is made of, so the order is checked here
//! (RFC 9114 section 4.3) and nothing malformed is decoded at all. Names are told apart without
//! decoding them: those in the static table by their number, literal ones by comparison with the one
//! way that Huffman coding spells them.

/// Why a section must not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// No QPACK, or it refers to a dynamic table, which was not offered: the connection is over.
    Undecodable,
    /// Pseudo-header fields that are missing, repeated, misplaced, empty or unknown.
    Malformed(&'static str),
    /// More fields than a request may have.
    TooMany,
}

/// What a section belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Request,
    Trailers,
}

/// Entries of the static table (RFC 9204 appendix A).
const STATIC_ENTRIES: u64 = 99;
/// Pseudo-header fields beside the ordinary ones.
const PSEUDO_MAX: usize = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Method,
    Scheme,
    Authority,
    Path,
    Field,
}

/// Checks a section of at most `fields_max` fields.
pub(crate) fn check(block: &[u8], section: Section, fields_max: usize) -> Result<(), Flaw> {
    let mut reader = Reader { rest: block };
    let required = reader.integer(8)?;
    reader.integer(7)?;
    if required != 0 {
        return Err(Flaw::Undecodable);
    }
    let (mut seen, mut fields, mut is_connect) = ([false; PSEUDO_MAX], 0, false);
    while let Some(&first) = reader.rest.first() {
        let (name, value) = reader.line(first)?;
        if name == Name::Field {
            fields += 1;
            continue;
        }
        if section == Section::Trailers {
            return Err(Flaw::Malformed("a pseudo-header field in trailers"));
        }
        if fields > 0 {
            return Err(Flaw::Malformed("a pseudo-header field after others"));
        }
        if std::mem::replace(&mut seen[name as usize], true) {
            return Err(Flaw::Malformed("a pseudo-header field twice"));
        }
        if value.is_empty() {
            return Err(Flaw::Malformed("an empty pseudo-header field"));
        }
        is_connect |= name == Name::Method && value == b"CONNECT";
    }
    if fields > fields_max {
        return Err(Flaw::TooMany);
    }
    let complete = match (section, seen) {
        (Section::Trailers, _) => true,
        // RFC 9114 section 4.4; it is refused later, with words.
        (Section::Request, [true, scheme, _, path]) if is_connect => !scheme && !path,
        (Section::Request, [method, scheme, _, path]) => method && scheme && path,
    };
    if complete {
        Ok(())
    } else {
        Err(Flaw::Malformed(
            "`:method`, `:scheme` or `:path` is missing or should be",
        ))
    }
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    /// One field line: what it names, and its value where that is told in plain bytes. Any other
    /// value is shown as its coded bytes, which are as empty as it is.
    fn line(&mut self, first: u8) -> Result<(Name, &'b [u8]), Flaw> {
        match first {
            0x80.. => {
                let index = self.integer(6)?;
                let name = static_name(first & 0x40 != 0, index)?;
                let value: &[u8] = if index == 15 { b"CONNECT" } else { b"*" };
                // Entry 0 is an empty `:authority`.
                Ok((name, if index == 0 { b"" } else { value }))
            }
            0x40.. => {
                let index = self.integer(4)?;
                let name = static_name(first & 0x10 != 0, index)?;
                Ok((name, self.string(7)?.1))
            }
            0x20.. => {
                let (is_coded, name) = self.string(3)?;
                let name = literal_name(is_coded, name)?;
                Ok((name, self.string(7)?.1))
            }
            _ => Err(Flaw::Undecodable),
        }
    }

    /// RFC 7541 section 5.1, with a prefix of so many bits.
    fn integer(&mut self, bits: u32) -> Result<u64, Flaw> {
        let mask = 0xff_u8 >> (8 - bits);
        let mut value = u64::from(self.byte()? & mask);
        if value < u64::from(mask) {
            return Ok(value);
        }
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Flaw::Undecodable)
    }

    /// RFC 7541 section 5.2: whether it is Huffman coded, and its bytes.
    fn string(&mut self, bits: u32) -> Result<(bool, &'b [u8]), Flaw> {
        let first = *self.rest.first().ok_or(Flaw::Undecodable)?;
        let length = self.integer(bits)?;
        let length = usize::try_from(length).map_err(|_| Flaw::Undecodable)?;
        let (text, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Flaw::Undecodable)?;
        self.rest = rest;
        Ok((first >> bits & 1 == 1, text))
    }

    fn byte(&mut self) -> Result<u8, Flaw> {
        let (byte, rest) = self.rest.split_first().ok_or(Flaw::Undecodable)?;
        self.rest = rest;
        Ok(*byte)
    }
}

fn static_name(is_static: bool, index: u64) -> Result<Name, Flaw> {
    Ok(match index {
        _ if !is_static => return Err(Flaw::Undecodable),
        0 => Name::Authority,
        1 => Name::Path,
        15..=21 => Name::Method,
        22 | 23 => Name::Scheme,
        24..=28 | 63..=71 => return Err(Flaw::Malformed("`:status` in a request")),
        STATIC_ENTRIES.. => return Err(Flaw::Undecodable),
        _ => Name::Field,
    })
}

fn literal_name(is_coded: bool, name: &[u8]) -> Result<Name, Flaw> {
    let is_pseudo = match is_coded {
        // The first seven bits of a colon's code.
        true => name.first().is_some_and(|first| first >> 1 == 0x5c),
        false => name.first() == Some(&b':'),
    };
    if !is_pseudo {
        return Ok(Name::Field);
    }
    [
        (":method", Name::Method),
        (":scheme", Name::Scheme),
        (":authority", Name::Authority),
        (":path", Name::Path),
    ]
    .into_iter()
    .find(|(known, _)| match is_coded {
        true => huffman(known) == name,
        false => known.as_bytes() == name,
    })
    .map(|(_, known)| known)
    .ok_or(Flaw::Malformed("an unknown pseudo-header field"))
}

/// A text of some letters by RFC 7541 appendix B, padded with ones.
fn huffman(text: &str) -> Vec<u8> {
    let (mut coded, mut bits, mut held) = (Vec::new(), 0_u32, 0_u64);
    for letter in text.bytes() {
        let (code, length) = match letter {
            b'a' => (0x03, 5),
            b'c' => (0x04, 5),
            b'e' => (0x05, 5),
            b'i' => (0x06, 5),
            b'o' => (0x07, 5),
            b's' => (0x08, 5),
            b't' => (0x09, 5),
            b'd' => (0x24, 6),
            b'h' => (0x27, 6),
            b'm' => (0x29, 6),
            b'p' => (0x2b, 6),
            b'r' => (0x2c, 6),
            b'u' => (0x2d, 6),
            b':' => (0x5c, 7),
            b'y' => (0x7a, 7),
            _ => unreachable!("only names of pseudo-header fields are spelt"),
        };
        held = held << length | code;
        bits += length;
        while bits >= 8 {
            bits -= 8;
            coded.push((held >> bits) as u8);
        }
    }
    if bits > 0 {
        coded.push((held << (8 - bits)) as u8 | 0xff >> bits);
    }
    coded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GET, https, `/`, and an authority of one letter.
    const PLAIN: &[u8] = &[0xd1, 0xd7, 0xc1, 0x50, 1, b'a'];

    fn request(lines: &[&[u8]]) -> Result<(), Flaw> {
        let block = [&[0, 0][..], &lines.concat()].concat();
        check(&block, Section::Request, 2)
    }

    fn literal(name: &[u8], is_coded: bool, value: &[u8]) -> Vec<u8> {
        let flag = if is_coded { 0x28 } else { 0x20 };
        let mut line = match name.len() {
            0..7 => vec![flag | name.len() as u8],
            more => vec![flag | 7, more as u8 - 7],
        };
        line.extend_from_slice(name);
        line.push(value.len() as u8);
        line.extend_from_slice(value);
        line
    }

    #[test]
    fn huffman_codes_are_the_standards() {
        // RFC 7541 C.4.3 spells custom-key, C.6 others; these were taken from a decoder's tests.
        assert_eq!(huffman("o"), [0x3f]);
        assert_eq!(huffman("cat"), [0x20, 0xd3]);
        assert_eq!(huffman(":path"), [0xb9, 0x58, 0xd3, 0x3f]);
    }

    #[test]
    fn an_honest_request_passes() {
        let field = literal(b"x-a", false, b"1");
        assert_eq!(request(&[PLAIN]), Ok(()));
        assert_eq!(request(&[PLAIN, &field, &field]), Ok(()));
        assert_eq!(
            request(&[PLAIN, &field, &field, &field]),
            Err(Flaw::TooMany)
        );
        for is_coded in [false, true] {
            let spelt = |name: &str| match is_coded {
                true => huffman(name),
                false => name.as_bytes().to_vec(),
            };
            let lines = [
                literal(&spelt(":method"), is_coded, b"GET"),
                literal(&spelt(":scheme"), is_coded, b"https"),
                literal(&spelt(":authority"), is_coded, b"a"),
                literal(&spelt(":path"), is_coded, b"/"),
            ];
            assert_eq!(request(&[&lines.concat()]), Ok(()), "{is_coded}");
            let twice = [PLAIN, &lines[3]];
            assert_eq!(
                request(&twice),
                Err(Flaw::Malformed("a pseudo-header field twice"))
            );
        }
    }

    #[test]
    fn pseudo_fields_are_complete_single_first_and_known() {
        let field = literal(b"x-a", false, b"1");
        for wrong in [
            &[PLAIN, &[0xc1][..]][..],
            &[&PLAIN[..2], &PLAIN[3..]],
            &[&PLAIN[1..]],
            &[&[0xd1, 0xd7], &field, &[0xc1]],
            &[PLAIN, &[0xd9]],
            &[PLAIN, &[0xff, 0x00]],
            &[PLAIN, &literal(b":protocol", false, b"websocket")],
            &[PLAIN, &literal(b":x", false, b"1")],
            &[&[0xd1, 0xd7, 0x51, 0]],
            &[&[0xd1, 0xd7, 0xc1, 0xc0]],
            &[&[0xcf], PLAIN],
            &[&[0xcf, 0xd7, 0xc1]],
        ] {
            let flaw = request(wrong).err();
            assert!(matches!(flaw, Some(Flaw::Malformed(_))), "{wrong:x?}");
        }
        assert_eq!(request(&[&[0xcf, 0x50, 1, b'a']]), Ok(()), "CONNECT");
        let trailers = [&[0, 0][..], &field].concat();
        assert_eq!(check(&trailers, Section::Trailers, 2), Ok(()));
        let pseudo = check(&[0, 0, 0xc1], Section::Trailers, 2);
        assert!(matches!(pseudo, Err(Flaw::Malformed(_))));
    }

    #[test]
    fn what_is_no_stateless_qpack_ends_the_connection() {
        for wrong in [
            &[][..],
            &[0],
            &[1, 0, 0xd1],
            &[0, 0, 0x80],
            &[0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
            &[0, 0, 0xff, 0x24],
            &[0, 0, 0x10],
            &[0, 0, 0x00],
            &[0, 0, 0x40, 1, b'a'],
            &[0, 0, 0x50, 2, b'a'],
            &[0, 0, 0x23, b'x'],
            &[0, 0, 0x21, b'x'],
        ] {
            let flaw = check(wrong, Section::Request, 2);
            assert_eq!(flaw, Err(Flaw::Undecodable), "{wrong:x?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn anything_is_judged(block: Vec<u8>) {
            let _ = check(&block, Section::Request, 100);
            let _ = check(&block, Section::Trailers, 100);
        }
    }
}
