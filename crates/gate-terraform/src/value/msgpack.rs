//! MessagePack, as far as Terraform uses it: bounded when read, shortest form when written.
//!
//! Unknown values are extensions: code 0, or code 12 with refinements, which are skipped. Numbers
//! that fit neither an integer nor a double come as text (go-cty's msgpack package).

use super::Value;
use serde_json::Number;
use std::collections::BTreeMap;

/// The most bytes of one value.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
/// How deep values may be nested.
pub const DEPTH_MAX: u8 = 64;

/// Bytes that are no value of Terraform's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a value of Terraform's: {what} at byte {at}")]
pub struct MalformedValue {
    what: &'static str,
    at: usize,
}

pub(super) fn read(bytes: &[u8]) -> Result<Value, MalformedValue> {
    let mut reader = Reader { bytes, at: 0 };
    if bytes.len() > BYTES_MAX {
        return Err(reader.wrong("too many bytes"));
    }
    let value = reader.value(0)?;
    match reader.at == bytes.len() {
        true => Ok(value),
        false => Err(reader.wrong("more bytes than one value")),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    const fn wrong(&self, what: &'static str) -> MalformedValue {
        MalformedValue { what, at: self.at }
    }

    fn take(&mut self, count: usize) -> Result<&[u8], MalformedValue> {
        let end = self
            .at
            .checked_add(count)
            .filter(|&end| end <= self.bytes.len());
        let end = end.ok_or(self.wrong("bytes are missing"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// An unsigned number of `width` bytes, most significant first.
    fn uint(&mut self, width: usize) -> Result<u64, MalformedValue> {
        Ok(self
            .take(width)?
            .iter()
            .fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
    }

    fn length(&mut self, width: usize) -> Result<usize, MalformedValue> {
        let length = self.uint(width)?;
        usize::try_from(length).map_err(|_| self.wrong("a length that cannot be"))
    }

    fn value(&mut self, depth: u8) -> Result<Value, MalformedValue> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("too deeply nested"));
        }
        let tag = self.take(1)?[0];
        Ok(match tag {
            0x00..=0x7f => Value::Number(tag.into()),
            0x80..=0x8f => self.map(usize::from(tag & 0x0f), depth)?,
            0x90..=0x9f => self.list(usize::from(tag & 0x0f), depth)?,
            0xa0..=0xbf => self.text(usize::from(tag & 0x1f))?,
            0xc0 => Value::Null,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            0xc7..=0xc9 => {
                let length = self.length(1 << (tag - 0xc7))?;
                self.extension(length)?
            }
            0xca => {
                let bits = u32::try_from(self.uint(4)?).unwrap_or_default();
                self.float(f64::from(f32::from_bits(bits)))?
            }
            0xcb => {
                let bits = self.uint(8)?;
                self.float(f64::from_bits(bits))?
            }
            0xcc..=0xcf => Value::Number(self.uint(1 << (tag - 0xcc))?.into()),
            0xd0..=0xd3 => {
                let width = 1 << (tag - 0xd0);
                let unsigned = self.uint(width)?;
                // Sign extension from the number's own width.
                let shift = 64 - 8 * width as u32;
                Value::Number(((unsigned << shift).cast_signed() >> shift).into())
            }
            0xd4..=0xd8 => self.extension(1 << (tag - 0xd4))?,
            0xd9..=0xdb => {
                let length = self.length(1 << (tag - 0xd9))?;
                self.text(length)?
            }
            0xdc | 0xdd => {
                let length = self.length(2 << (tag - 0xdc))?;
                self.list(length, depth)?
            }
            0xde | 0xdf => {
                let length = self.length(2 << (tag - 0xde))?;
                self.map(length, depth)?
            }
            0xe0..=0xff => Value::Number(i64::from(tag.cast_signed()).into()),
            _ => return Err(self.wrong("a kind of value that Terraform does not send")),
        })
    }

    fn float(&self, number: f64) -> Result<Value, MalformedValue> {
        let number = Number::from_f64(number).ok_or(self.wrong("a number without bounds"))?;
        Ok(Value::Number(number))
    }

    fn extension(&mut self, length: usize) -> Result<Value, MalformedValue> {
        let code = self.take(1)?[0];
        self.take(length)?;
        match code {
            0 | 12 => Ok(Value::Unknown),
            _ => Err(self.wrong("an extension that Terraform does not send")),
        }
    }

    fn text(&mut self, length: usize) -> Result<Value, MalformedValue> {
        let bytes = self.take(length)?.to_vec();
        let text = String::from_utf8(bytes).map_err(|_| self.wrong("text that is no UTF-8"))?;
        Ok(Value::Text(text))
    }

    fn list(&mut self, count: usize, depth: u8) -> Result<Value, MalformedValue> {
        // Each element takes a byte at least, so a count cannot ask for more memory than came.
        if count > self.bytes.len() - self.at {
            return Err(self.wrong("elements are missing"));
        }
        let items: Result<_, _> = (0..count).map(|_| self.value(depth + 1)).collect();
        Ok(Value::List(items?))
    }

    fn map(&mut self, count: usize, depth: u8) -> Result<Value, MalformedValue> {
        let mut entries = BTreeMap::new();
        for _ in 0..count {
            let Value::Text(key) = self.value(DEPTH_MAX)? else {
                return Err(self.wrong("a key that is no text"));
            };
            let value = self.value(depth + 1)?;
            entries.insert(key, value);
        }
        Ok(Value::Map(entries))
    }
}

pub(super) fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(0xc0),
        Value::Unknown => out.extend([0xd4, 0, 0]),
        Value::Bool(false) => out.push(0xc2),
        Value::Bool(true) => out.push(0xc3),
        Value::Number(number) => write_number(number, out),
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            write_length(items.len(), [0x90, 16, 0xdc], out);
            items.iter().for_each(|item| write(item, out));
        }
        Value::Map(entries) => {
            write_length(entries.len(), [0x80, 16, 0xde], out);
            for (key, value) in entries {
                write_text(key, out);
                write(value, out);
            }
        }
    }
}

/// A count behind its tag: `[short tag, short limit, tag of two bytes]`; four bytes follow it.
#[expect(
    clippy::cast_possible_truncation,
    reason = "each arm has compared the length"
)]
fn write_length(length: usize, [short, limit, long]: [u8; 3], out: &mut Vec<u8>) {
    match length {
        _ if length < usize::from(limit) => out.push(short | length as u8),
        0..=0xffff => {
            out.push(long);
            out.extend((length as u16).to_be_bytes());
        }
        _ => {
            out.push(long + 1);
            out.extend((length.min(u32::MAX as usize) as u32).to_be_bytes());
        }
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    match u8::try_from(text.len()) {
        Ok(length @ 32..) => out.extend([0xd9, length]),
        _ => write_length(text.len(), [0xa0, 32, 0xda], out),
    }
    out.extend(text.as_bytes());
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    if let Some(number) = number.as_u64() {
        match u8::try_from(number) {
            Ok(small @ 0..=0x7f) => out.push(small),
            _ => {
                out.push(0xcf);
                out.extend(number.to_be_bytes());
            }
        }
    } else if let Some(number) = number.as_i64() {
        out.push(0xd3);
        out.extend(number.to_be_bytes());
    } else {
        out.push(0xcb);
        out.extend(number.as_f64().unwrap_or_default().to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            Just(Value::Unknown),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(|n| Value::Number(n.into())),
            any::<u64>().prop_map(|n| Value::Number(n.into())),
            (-1e300..1e300_f64).prop_map(|n| Value::Number(Number::from_f64(n).unwrap())),
            ".{0,300}".prop_map(Value::Text),
        ];
        leaf.prop_recursive(4, 64, 20, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..20).prop_map(Value::List),
                prop::collection::btree_map(".{0,40}", inner, 0..20).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_value_reads_back(value in any_value()) {
            prop_assert_eq!(read(&value.to_msgpack()), Ok(value));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn what_terraform_writes_is_read() {
        for (bytes, value) in [
            (&[0xd4, 0, 0][..], Value::Unknown),
            (&[0xc7, 2, 12, 0x81, 0xc0], Value::Unknown),
            (&[0xd0, 0xff], Value::Number((-1).into())),
            (&[0xd1, 0x80, 0], Value::Number((-32768).into())),
            (&[0xe0], Value::Number((-32).into())),
            (&[0xcd, 1, 0], Value::Number(256.into())),
            (
                &[0xca, 0x3f, 0x80, 0, 0],
                Value::Number(Number::from_f64(1.0).unwrap()),
            ),
            (&[0xdc, 0, 1, 0xc3], Value::List(vec![Value::Bool(true)])),
        ] {
            assert_eq!(read(bytes), Ok(value), "{bytes:?}");
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_their_memory() {
        let deep: Vec<u8> = [vec![0x91; 200], vec![0xc0]].concat();
        for bytes in [
            &[][..],
            &[0xdd, 0xff, 0xff, 0xff, 0xff],
            &[0xdb, 0xff, 0xff, 0xff, 0xff],
            &[0xdf, 0xff, 0xff, 0xff, 0xff],
            &[0xc1],
            &[0xc4, 1, 0],
            &[0xd4, 5, 0],
            &[0x81, 0x01, 0x01],
            &[0xa1, 0xff],
            &[0xc0, 0xc0],
            &deep,
        ] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
