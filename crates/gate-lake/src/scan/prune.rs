//! What need not be read: files, row groups and pages that cannot hold a row that is asked for.

use super::filter::{Filter, Test};
use super::source::{Bound, Reader, Source};
use parquet::bloom_filter::Sbbf;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::reader::ChunkReader as _;
use parquet::file::statistics::Statistics;
use std::ops::Range;
use twox_hash::XxHash64;

/// Most values of one condition that are looked up in a bloom filter.
pub(super) const BLOOM_VALUES_MAX: usize = 64;

/// Whether the partition that a file is of may fulfil a condition on a column of that name.
pub(crate) fn partition_may(source: &Source, column: &str, test: &Test) -> bool {
    let known = source.bounds.iter().find(|(name, _)| *name == column);
    known.is_none_or(|(_, bound)| match bound {
        Bound::Numbers(least, most) => test.may_number(*least, *most),
        Bound::Text(Some(text)) => {
            *test != Test::NotText(text.as_bytes().to_vec())
                && test.may_text(text.as_bytes(), text.as_bytes())
        }
        Bound::Text(None) => *test == Test::Missing,
    })
}

/// Whether the row group may fulfil a condition, by its statistics and its bloom filter.
pub(crate) fn group_may(source: &Source, chunk: &ColumnChunkMetaData, test: &Test) -> bool {
    if *test == Test::Never {
        return false;
    }
    if let Some(statistics) = chunk.statistics() {
        let rows = u64::try_from(chunk.num_values()).unwrap_or(0);
        match (test, statistics.null_count_opt()) {
            (Test::Missing, Some(missing)) => return missing > 0,
            (Test::Missing, None) => return true,
            (_, Some(missing)) if missing == rows => return false,
            _ => {}
        }
        if !statistics_may(statistics, test) {
            return false;
        }
    }
    bloom_may(source, chunk, test)
}

/// The least and the greatest number of a chunk without missing values.
pub(crate) fn span(chunk: &ColumnChunkMetaData) -> Option<(i64, i64)> {
    let statistics = chunk.statistics()?;
    let none_missing =
        chunk.column_descr().max_def_level() == 0 || statistics.null_count_opt() == Some(0);
    match statistics {
        Statistics::Int64(found) if none_missing => Some((*found.min_opt()?, *found.max_opt()?)),
        _ => None,
    }
}

fn statistics_may(statistics: &Statistics, test: &Test) -> bool {
    match statistics {
        Statistics::Int64(found) => match (found.min_opt(), found.max_opt()) {
            (Some(least), Some(most)) => test.may_number(*least, *most),
            _ => true,
        },
        Statistics::Int32(found) => match (found.min_opt(), found.max_opt()) {
            (Some(least), Some(most)) => test.may_number(i64::from(*least), i64::from(*most)),
            _ => true,
        },
        Statistics::ByteArray(_) | Statistics::FixedLenByteArray(_)
            if !statistics.is_min_max_deprecated() =>
        {
            match (statistics.min_bytes_opt(), statistics.max_bytes_opt()) {
                (Some(least), Some(most)) => test.may_text(least, most),
                _ => true,
            }
        }
        _ => true,
    }
}

/// Whether a bloom filter lets one of the values through; a filter that cannot be read lets all through.
fn bloom_may(source: &Source, chunk: &ColumnChunkMetaData, test: &Test) -> bool {
    let Test::Texts(values) = test else {
        return true;
    };
    if chunk.bloom_filter_offset().is_none() || values.len() > BLOOM_VALUES_MAX {
        return true;
    }
    if let Some(place) = Place::of(source, chunk) {
        // A block that cannot be read lets its value through.
        let reader = source.reader();
        let may = |value: &Vec<u8>| place.may(&reader, value).unwrap_or(true);
        return values.iter().any(may);
    }
    match Sbbf::read_from_column_chunk(chunk, &source.reader()) {
        Ok(Some(filter)) => values.iter().any(|value| filter.check(value.as_slice())),
        _ => true,
    }
}

/// Bytes of one block of a bloom filter; a value's bits are all in one block.
const BLOCK_BYTES: u64 = 32;
/// Most bytes of the header before a filter's blocks.
const BLOOM_HEADER_MAX: u64 = 64;

/// Where a bloom filter is in its file: of a megabyte, one block is read for each value
/// (<https://parquet.apache.org/docs/file-format/bloomfilter/>).
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    at: u64,
    blocks: u64,
}

impl Place {
    /// The filter of a chunk; none where its place or its header is not as our writer has it.
    pub(super) fn of(source: &Source, chunk: &ColumnChunkMetaData) -> Option<Self> {
        let start = u64::try_from(chunk.bloom_filter_offset()?).ok()?;
        let length = u64::try_from(chunk.bloom_filter_length()?).ok()?;
        let reader = source.reader();
        let head = reader.get_bytes(start, length.min(BLOOM_HEADER_MAX) as usize);
        let bytes = bitset_bytes(&head.ok()?)?;
        let header = length
            .checked_sub(bytes)
            .filter(|header| *header <= BLOOM_HEADER_MAX)?;
        let whole = bytes > 0 && bytes.is_multiple_of(BLOCK_BYTES);
        whole.then_some(Self {
            at: start + header,
            blocks: bytes / BLOCK_BYTES,
        })
    }

    /// Whether the filter lets a value through; none where it cannot be read.
    pub(super) fn may(self, reader: &Reader, value: &[u8]) -> Option<bool> {
        let hash = XxHash64::oneshot(0, value);
        let block = ((hash >> 32) * self.blocks) >> 32;
        let at = self.at + block * BLOCK_BYTES;
        let block = reader.get_bytes(at, BLOCK_BYTES as usize).ok()?;
        // A filter of this block alone: whatever is looked up is looked up in it.
        Some(Sbbf::new(&block).check(value))
    }
}

/// How many bytes of blocks follow a header: its first field, a 32-bit number in Thrift's compact form.
fn bitset_bytes(header: &[u8]) -> Option<u64> {
    let (first, rest) = header.split_first()?;
    if *first != 0x15 {
        return None;
    }
    let mut zigzag = 0_u64;
    for (place, byte) in rest.iter().take(5).enumerate() {
        zigzag |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return (zigzag & 1 == 0).then_some(zigzag >> 1);
        }
    }
    None
}

/// The ranges of rows of a row group whose pages may fulfil all conditions, whose columns are given by
/// their places in the file.
pub(crate) fn pages_may(
    footer: &ParquetMetaData,
    group: usize,
    filters: &[(usize, &Filter)],
) -> Vec<Range<usize>> {
    let rows = usize::try_from(footer.row_group(group).num_rows()).unwrap_or(0);
    let whole = Range {
        start: 0,
        end: rows,
    };
    let mut ranges = vec![whole];
    for (column, filter) in filters {
        let index = footer
            .column_index()
            .and_then(|index| index.get(group)?.get(*column));
        let pages = footer
            .offset_index()
            .and_then(|index| index.get(group)?.get(*column));
        if let (Some(index), Some(pages)) = (index, pages) {
            let firsts: Vec<usize> = pages
                .page_locations()
                .iter()
                .map(|page| usize::try_from(page.first_row_index).unwrap_or(0))
                .collect();
            let none = matches!(index, ColumnIndexMetaData::NONE);
            if !none && index.num_pages() as usize == firsts.len() {
                ranges = meet(&ranges, &column_ranges(index, &firsts, rows, &filter.test));
            }
        }
    }
    ranges
}

/// The rows of pages of one column that may fulfil a condition.
fn column_ranges(
    index: &ColumnIndexMetaData,
    firsts: &[usize],
    rows: usize,
    test: &Test,
) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (page, first) in firsts.iter().enumerate() {
        let end = firsts.get(page + 1).copied().unwrap_or(rows);
        if !page_may(index, page, test) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if last.end == *first => last.end = end,
            _ => ranges.push(*first..end),
        }
    }
    ranges
}

fn page_may(index: &ColumnIndexMetaData, page: usize, test: &Test) -> bool {
    if *test == Test::Missing {
        return index.null_count(page).is_none_or(|missing| missing > 0);
    }
    if index.is_null_page(page) {
        return false;
    }
    match index {
        ColumnIndexMetaData::INT64(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(least), Some(most)) => test.may_number(*least, *most),
            _ => true,
        },
        ColumnIndexMetaData::INT32(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(least), Some(most)) => test.may_number(i64::from(*least), i64::from(*most)),
            _ => true,
        },
        ColumnIndexMetaData::BYTE_ARRAY(index)
        | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => {
            match (index.min_value(page), index.max_value(page)) {
                (Some(least), Some(most)) => test.may_text(least, most),
                _ => true,
            }
        }
        _ => true,
    }
}

/// What is in both lists of ascending ranges.
fn meet(left: &[Range<usize>], right: &[Range<usize>]) -> Vec<Range<usize>> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(a), Some(b)) = (left.get(i), right.get(j)) {
        let (start, end) = (a.start.max(b.start), a.end.min(b.end));
        if start < end {
            both.push(start..end);
        }
        match a.end < b.end {
            true => i += 1,
            false => j += 1,
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::Batch;
    use crate::file::{Effort, encode};
    use crate::scan::source::MemoryBlob;
    use crate::schema::{Dataset, Field, Row};
    use gate_kit::random;
    use std::sync::Arc;

    #[test]
    fn a_block_says_of_every_value_what_the_whole_filter_says() {
        random::seed(7);
        let id = || (u128::from(random::bits()) << 64 | u128::from(random::bits())).to_be_bytes();
        let ids: Vec<[u8; 16]> = (0..3_000).map(|_| id()).collect();
        let others: Vec<[u8; 16]> = (0..20_000).map(|_| id()).collect();
        let mut batch = Batch::new(Dataset::Records);
        for trace_id in &ids {
            batch.push(&Row {
                time_us: 1,
                exchange_id: *trace_id,
                trace_id: Some(*trace_id),
                method: "GET",
                node: "here",
                ..Row::default()
            });
        }
        let file = encode(batch, Effort::Quick).unwrap();
        let source = Source::new("a", Arc::new(MemoryBlob(file.into())), Vec::new());
        let footer = source.footer().unwrap();
        let chunk = footer.row_group(0).column(Field::TraceId.index());
        let whole = Sbbf::read_from_column_chunk(chunk, &source.reader());
        let whole = whole.unwrap().unwrap();
        let place = Place::of(&source, chunk).expect("our writer's header");
        assert_eq!(place.blocks, whole.num_blocks() as u64);
        let reader = source.reader();
        for id in &ids {
            assert_eq!(place.may(&reader, id), Some(true), "{id:?}");
        }
        let let_through = others.iter().filter(|id| {
            let may = place.may(&reader, &id[..]).unwrap();
            assert_eq!(may, whole.check(&id[..]), "{id:?}");
            may
        });
        let let_through = let_through.count();
        assert!(let_through < others.len() / 20, "{let_through}");
    }

    #[test]
    fn headers_that_are_not_ours_are_left_to_the_library() {
        assert_eq!(bitset_bytes(&[0x15, 0x80, 0x80, 0x80, 0x01]), Some(1 << 20));
        for header in [
            &[][..],
            &[0x15],
            &[0x25, 0x40],
            &[0x15, 0x41],
            &[0x15, 0xff, 0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(bitset_bytes(header), None, "{header:?}");
        }
    }
}
