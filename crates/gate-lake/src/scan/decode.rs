//! A page of a column as values.
//!
//! Columns are flat: required, or optional with one level. Written are plain values, codes of a
//! dictionary, and differences (numbers, and lengths or beginnings of texts).
//! Source: parquet-format, `Encodings.md` and `README.md`, "Data Pages".

use super::bits::{Bytes, Damaged, delta, hybrid, unpack};
use super::vector::{Arena, Data, NONE, Numbers, Texts, Vector};
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use std::sync::Arc;

const TOO_MUCH_TEXT: Damaged = Damaged("it has 4 GiB of text or more");
const NO_CODE: Damaged = Damaged("it names what its dictionary lacks");

/// What the pages of a column chunk have in common.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) physical: Type,
    /// Bytes of a value of fixed length.
    pub(crate) length: usize,
    pub(crate) optional: bool,
    pub(crate) dictionary: Dictionary,
}

/// The values that codes stand for.
#[derive(Debug, Clone)]
pub(crate) enum Dictionary {
    Numbers(Vec<i64>),
    Texts(Arc<Arena>),
}

impl Shape {
    pub(crate) fn new(physical: Type, length: usize, optional: bool) -> Option<Self> {
        let dictionary = match physical {
            Type::BOOLEAN | Type::INT32 | Type::INT64 => Dictionary::Numbers(Vec::new()),
            Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY => Dictionary::Texts(Arc::default()),
            _ => return None,
        };
        Some(Self {
            physical,
            length,
            optional,
            dictionary,
        })
    }

    /// An empty column of this kind.
    pub(crate) fn vector(&self) -> Vector {
        match self.dictionary {
            Dictionary::Numbers(_) => Vector::numbers(),
            Dictionary::Texts(_) => Vector::texts(),
        }
    }

    /// Takes in the page of the dictionary.
    pub(crate) fn learn(&mut self, bytes: &[u8], count: usize) -> Result<(), Damaged> {
        match &mut self.dictionary {
            Dictionary::Numbers(numbers) => {
                numbers.clear();
                plain_numbers(self.physical, bytes, count, numbers)
            }
            Dictionary::Texts(_) => {
                let mut texts = Arena::default();
                plain_texts(self.physical, self.length, bytes, count, &mut texts)?;
                self.dictionary = Dictionary::Texts(Arc::new(texts));
                Ok(())
            }
        }
    }

    /// Decodes a page of values.
    pub(crate) fn page(&self, page: &Page) -> Result<Vector, Damaged> {
        let rows = page.num_values() as usize;
        let (levels, values) = self.parts(page)?;
        let mut valid = Vec::new();
        if let Some(levels) = levels {
            let mut found = Vec::new();
            hybrid(levels, 1, rows, &mut found)?;
            if found.contains(&0) {
                valid = found.iter().map(|level| *level == 1).collect();
            }
        }
        let present = match valid.is_empty() {
            true => rows,
            false => valid.iter().filter(|valid| **valid).count(),
        };
        let encoding = page.encoding();
        match &self.dictionary {
            Dictionary::Numbers(dictionary) => {
                let mut numbers = Vec::new();
                self.numbers(encoding, values, present, dictionary, &mut numbers)?;
                spread(&mut numbers, &valid, rows, 0)?;
                let values = numbers;
                Ok(Vector(Data::Numbers(Numbers { values, valid })))
            }
            Dictionary::Texts(dictionary) => {
                let mut texts = Texts {
                    dictionary: dictionary.clone(),
                    ..Texts::default()
                };
                self.texts(encoding, values, present, &mut texts)?;
                spread(&mut texts.codes, &valid, rows, NONE)?;
                Ok(Vector(Data::Texts(texts)))
            }
        }
    }

    /// Levels, where values may be missing, and values.
    fn parts<'a>(&self, page: &'a Page) -> Result<(Option<&'a [u8]>, &'a [u8]), Damaged> {
        match page {
            Page::DataPage { buf, .. } => {
                let mut bytes = Bytes(buf);
                if !self.optional {
                    return Ok((None, buf));
                }
                let length = bytes.u32()? as usize;
                Ok((Some(bytes.take(length)?), bytes.0))
            }
            Page::DataPageV2 {
                buf,
                def_levels_byte_len,
                rep_levels_byte_len,
                ..
            } => {
                let mut bytes = Bytes(buf);
                bytes.take(*rep_levels_byte_len as usize)?;
                let levels = bytes.take(*def_levels_byte_len as usize)?;
                Ok((self.optional.then_some(levels), bytes.0))
            }
            Page::DictionaryPage { .. } => Err(Damaged("it is a dictionary amid values")),
        }
    }

    fn numbers(
        &self,
        encoding: Encoding,
        bytes: &[u8],
        count: usize,
        dictionary: &[i64],
        into: &mut Vec<i64>,
    ) -> Result<(), Damaged> {
        match (encoding, self.physical) {
            (Encoding::PLAIN, physical) => plain_numbers(physical, bytes, count, into),
            (Encoding::DELTA_BINARY_PACKED, _) => delta(bytes, count, into).map(|_| ()),
            (Encoding::RLE, Type::BOOLEAN) => {
                let mut bytes = Bytes(bytes);
                let length = bytes.u32()? as usize;
                let mut bits = Vec::new();
                hybrid(bytes.take(length)?, 1, count, &mut bits)?;
                into.extend(bits.into_iter().map(i64::from));
                Ok(())
            }
            (Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY, _) => {
                let mut codes = Vec::new();
                codes_of(bytes, count, &mut codes)?;
                into.reserve(codes.len());
                for code in codes {
                    into.push(*dictionary.get(code as usize).ok_or(NO_CODE)?);
                }
                Ok(())
            }
            _ => Err(Damaged("its encoding is unknown for numbers")),
        }
    }

    fn texts(
        &self,
        encoding: Encoding,
        bytes: &[u8],
        count: usize,
        into: &mut Texts,
    ) -> Result<(), Damaged> {
        let local = &mut into.local;
        match encoding {
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY => {
                codes_of(bytes, count, &mut into.codes)?;
                let most = into.codes.iter().copied().max();
                return match most.is_some_and(|most| most as usize >= into.dictionary.len()) {
                    true => Err(NO_CODE),
                    false => Ok(()),
                };
            }
            Encoding::PLAIN => plain_texts(self.physical, self.length, bytes, count, local)?,
            Encoding::DELTA_LENGTH_BYTE_ARRAY => {
                let mut lengths = Vec::new();
                let mut bytes = Bytes(delta(bytes, count, &mut lengths)?);
                for length in lengths {
                    push(local, bytes.take(size(length)?)?)?;
                }
            }
            Encoding::DELTA_BYTE_ARRAY => {
                let (mut shared, mut lengths) = (Vec::new(), Vec::new());
                let bytes = delta(bytes, count, &mut shared)?;
                let mut bytes = Bytes(delta(bytes, count, &mut lengths)?);
                let mut text = Vec::new();
                for (shared, length) in shared.into_iter().zip(lengths) {
                    if size(shared)? > text.len() {
                        return Err(Damaged("a text begins with more than the one before"));
                    }
                    text.truncate(size(shared)?);
                    text.extend_from_slice(bytes.take(size(length)?)?);
                    push(local, &text)?;
                }
            }
            _ => return Err(Damaged("its encoding is unknown for texts")),
        }
        let first = into.dictionary.len();
        if first + into.local.len() >= NONE as usize {
            return Err(TOO_MUCH_TEXT);
        }
        into.codes
            .extend((0..into.local.len()).map(|index| (first + index) as u32));
        Ok(())
    }
}

fn size(length: i64) -> Result<usize, Damaged> {
    usize::try_from(length).map_err(|_| Damaged("a length is negative"))
}

fn push(into: &mut Arena, text: &[u8]) -> Result<(), Damaged> {
    match into.push(text) {
        true => Ok(()),
        false => Err(TOO_MUCH_TEXT),
    }
}

/// Codes of a dictionary: a byte of width, then the hybrid.
fn codes_of(bytes: &[u8], count: usize, into: &mut Vec<u32>) -> Result<(), Damaged> {
    if count == 0 {
        return Ok(());
    }
    let mut bytes = Bytes(bytes);
    let width = bytes.byte()?;
    hybrid(bytes.0, u32::from(width), count, into)
}

fn plain_numbers(
    physical: Type,
    bytes: &[u8],
    count: usize,
    into: &mut Vec<i64>,
) -> Result<(), Damaged> {
    let mut bytes = Bytes(bytes);
    match physical {
        Type::BOOLEAN => unpack(bytes.0, 1, count, |bit| into.push(bit as i64)),
        Type::INT32 => {
            let all = bytes.take(count.saturating_mul(4))?;
            into.extend(
                all.chunks_exact(4).map(|four| {
                    i64::from(i32::from_le_bytes(four.try_into().expect("four bytes")))
                }),
            );
            Ok(())
        }
        _ => {
            let all = bytes.take(count.saturating_mul(8))?;
            into.extend(
                all.chunks_exact(8)
                    .map(|eight| i64::from_le_bytes(eight.try_into().expect("eight bytes"))),
            );
            Ok(())
        }
    }
}

fn plain_texts(
    physical: Type,
    length: usize,
    bytes: &[u8],
    count: usize,
    into: &mut Arena,
) -> Result<(), Damaged> {
    let mut bytes = Bytes(bytes);
    if physical == Type::FIXED_LEN_BYTE_ARRAY && length > 0 {
        let all = bytes.take(count.saturating_mul(length))?;
        return match into.extend_fixed(all, length) {
            true => Ok(()),
            false => Err(TOO_MUCH_TEXT),
        };
    }
    for _ in 0..count {
        let length = match physical {
            Type::FIXED_LEN_BYTE_ARRAY => 0,
            _ => bytes.u32()? as usize,
        };
        push(into, bytes.take(length)?)?;
    }
    Ok(())
}

/// Moves the values that are there to their rows.
fn spread<T: Copy>(
    values: &mut Vec<T>,
    valid: &[bool],
    rows: usize,
    missing: T,
) -> Result<(), Damaged> {
    if valid.is_empty() {
        return match values.len() == rows {
            true => Ok(()),
            false => Err(Damaged("it has fewer values than rows")),
        };
    }
    let mut from = values.len();
    values.resize(rows, missing);
    for (row, valid) in valid.iter().enumerate().rev() {
        values[row] = match valid {
            true => {
                from = from
                    .checked_sub(1)
                    .ok_or(Damaged("it has fewer values than rows"))?;
                values[from]
            }
            false => missing,
        };
    }
    match from {
        0 => Ok(()),
        _ => Err(Damaged("it has more values than rows")),
    }
}
