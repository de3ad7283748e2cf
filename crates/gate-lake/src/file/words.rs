//! A column chunk of words: a dictionary, and pages of codes.
//!
//! The `parquet` crate takes words, not codes, and would look each row's word up in a table of its own and
//! compare it with the least and the greatest. A column in memory knows the code of each row already
//! ([`Words`]), and of what is known once per word only codes are left to write. The bytes are those that the
//! crate writes; what it does with long words and long dictionaries is left to it ([`takes`]).

use super::hybrid::{WIDTH_MAX, hybrid};
use super::{FileError, PAGE_ROWS};
use crate::columns::{NO_WORD, Words};
use bytes::Bytes;
use parquet::basic::{BoundaryOrder, Compression, Encoding, EncodingMask, PageType, ZstdLevel};
use parquet::column::page::{CompressedPage, Page, PageWriter};
use parquet::column::writer::ColumnCloseResult;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, ColumnIndexBuilder, LevelHistogram, OffsetIndexBuilder, PageEncodingStats,
};
use parquet::file::statistics::{Statistics, ValueStatistics};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};
use parquet::schema::types::ColumnDescPtr;
use std::ops::Range;
use zstd::bulk::Compressor;

/// Most bytes of a word: longer ones are cut in the indexes of pages.
pub(super) const WORD_BYTES_MAX: usize = 64;
/// Most bytes of a dictionary, with four for each word's length: beyond, it is given up midway.
const DICTIONARY_BYTES_MAX: usize = 1024 * 1024;

/// Whether these words are written here.
pub(super) fn takes(words: &Words) -> bool {
    let known = words.known();
    let lengths = || known.iter().map(ByteArray::len);
    known.len() <= 1 << WIDTH_MAX
        && lengths().all(|length| length <= WORD_BYTES_MAX)
        && lengths().sum::<usize>() + 4 * known.len() < DICTIONARY_BYTES_MAX
}

/// A page of codes.
struct Codes {
    page: CompressedPage,
    rows: usize,
    missing: usize,
    /// Bytes of its words, each as often as it is there.
    bytes: i64,
    /// The least and the greatest of its words, by their rank; none where all are missing.
    span: Option<(u32, u32)>,
}

/// Rows of words as a column chunk.
///
/// # Errors
/// The encoder's own.
pub(super) fn chunk(
    column: &ColumnDescPtr,
    words: &Words,
    rows: Range<usize>,
    level: ZstdLevel,
    zstd: &mut Compressor<'_>,
) -> Result<(Bytes, ColumnCloseResult), FileError> {
    let ranked = Ranked::of(words.known());
    let mut dictionary = Dictionary {
        places: vec![NO_WORD; words.known().len()],
        ..Dictionary::default()
    };
    let optional = column.max_def_level() > 0;
    let mut pages = Vec::new();
    for codes in words.codes()[rows].chunks(PAGE_ROWS) {
        pages.push(page(
            codes,
            words.known(),
            &ranked,
            optional,
            &mut dictionary,
            zstd,
        )?);
    }
    let mut sink = TrackedWrite::new(Vec::new());
    let written = write(column, dictionary, pages, &ranked, level, zstd, &mut sink)?;
    Ok((sink.into_inner()?.into(), written))
}

/// Words in their order.
struct Ranked<'a> {
    /// The words, the least first.
    sorted: Vec<&'a ByteArray>,
    /// The place in it of each code's word.
    ranks: Vec<u32>,
}

impl<'a> Ranked<'a> {
    fn of(known: &'a [ByteArray]) -> Self {
        let mut order: Vec<u32> = (0..known.len() as u32).collect();
        order.sort_unstable_by_key(|code| known[*code as usize].data());
        let mut ranks = vec![0; known.len()];
        for (rank, code) in order.iter().enumerate() {
            ranks[*code as usize] = rank as u32;
        }
        let sorted = order.iter().map(|code| &known[*code as usize]);
        Self {
            sorted: sorted.collect(),
            ranks,
        }
    }

    fn bytes(&self, rank: u32) -> Vec<u8> {
        self.sorted[rank as usize].data().to_vec()
    }
}

/// The words of a chunk in the order in which they come.
#[derive(Default)]
struct Dictionary {
    /// The place of each code's word; [`NO_WORD`] as long as it has not come.
    places: Vec<u32>,
    plain: Vec<u8>,
    count: u32,
}

impl Dictionary {
    #[cold]
    fn add(&mut self, code: usize, word: &[u8]) -> u32 {
        self.plain
            .extend_from_slice(&(word.len() as u32).to_le_bytes());
        self.plain.extend_from_slice(word);
        self.places[code] = self.count;
        self.count += 1;
        self.count - 1
    }

    /// Bits of a place.
    fn width(&self) -> u32 {
        u32::BITS - self.count.saturating_sub(1).leading_zeros()
    }
}

fn page(
    codes: &[u32],
    known: &[ByteArray],
    ranked: &Ranked<'_>,
    optional: bool,
    dictionary: &mut Dictionary,
    zstd: &mut Compressor<'_>,
) -> Result<Codes, FileError> {
    let mut places = Vec::with_capacity(codes.len());
    let (mut least, mut most, mut bytes) = (u32::MAX, 0, 0);
    for &code in codes.iter().filter(|code| **code != NO_WORD) {
        let code = code as usize;
        let place = match dictionary.places[code] {
            NO_WORD => dictionary.add(code, known[code].data()),
            place => place,
        };
        places.push(place);
        let rank = ranked.ranks[code];
        (least, most) = (least.min(rank), most.max(rank));
        bytes += known[code].len() as i64;
    }
    let mut plain = Vec::with_capacity(codes.len() * 2);
    if optional {
        let levels: Vec<u32> = codes
            .iter()
            .map(|code| u32::from(*code != NO_WORD))
            .collect();
        plain.extend([0; 4]);
        hybrid(&levels, 1, &mut plain);
        let length = (plain.len() - 4) as u32;
        plain[..4].copy_from_slice(&length.to_le_bytes());
    }
    plain.push(dictionary.width() as u8);
    hybrid(&places, dictionary.width(), &mut plain);
    let page = Page::DataPage {
        buf: compress(zstd, &plain)?,
        num_values: codes.len() as u32,
        encoding: Encoding::RLE_DICTIONARY,
        def_level_encoding: Encoding::RLE,
        rep_level_encoding: Encoding::RLE,
        statistics: None,
    };
    Ok(Codes {
        page: CompressedPage::new(page, plain.len()),
        rows: codes.len(),
        missing: codes.len() - places.len(),
        bytes,
        span: (!places.is_empty()).then_some((least, most)),
    })
}

fn compress(zstd: &mut Compressor<'_>, plain: &[u8]) -> Result<Bytes, ParquetError> {
    Ok(zstd.compress(plain).map_err(failed)?.into())
}

/// A failure of zstd, as the `parquet` crate has it.
pub(super) fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// Writes the pages, and says of the chunk what a file's footer has of it.
fn write(
    column: &ColumnDescPtr,
    dictionary: Dictionary,
    pages: Vec<Codes>,
    ranked: &Ranked<'_>,
    level: ZstdLevel,
    zstd: &mut Compressor<'_>,
    sink: &mut TrackedWrite<Vec<u8>>,
) -> Result<ColumnCloseResult, FileError> {
    let mut to = SerializedPageWriter::new(sink);
    let page = Page::DictionaryPage {
        buf: compress(zstd, &dictionary.plain)?,
        num_values: dictionary.count,
        encoding: Encoding::PLAIN,
        is_sorted: false,
    };
    let first = to.write_page(CompressedPage::new(page, dictionary.plain.len()))?;
    let (mut packed, mut plain) = (first.compressed_size, first.uncompressed_size);
    let data_at = packed;
    let mut places = OffsetIndexBuilder::new();
    let mut index = ColumnIndexBuilder::new(column.physical_type());
    let mut levels = LevelHistogram::try_new(column.max_def_level());
    let (mut rows, mut missing, mut bytes) = (0, 0, 0);
    let spans: Vec<_> = pages.iter().map(|page| page.span).collect();
    let count = pages.len() as i32;
    for codes in pages {
        let span = codes
            .span
            .map(|(least, most)| (ranked.bytes(least), ranked.bytes(most)));
        let (least, most) = span.unwrap_or_default();
        index.append(codes.span.is_none(), least, most, codes.missing as i64);
        let mut of_page = LevelHistogram::try_new(column.max_def_level());
        for levels in levels.iter_mut().chain(&mut of_page) {
            levels.increment_by(0, codes.missing as i64);
            levels.increment_by(1, (codes.rows - codes.missing) as i64);
        }
        index.append_histograms(&None, &of_page);
        places.append_row_count(codes.rows as i64);
        places.append_unencoded_byte_array_data_bytes(Some(codes.bytes));
        let page = to.write_page(codes.page)?;
        places.append_offset_and_size(page.offset as i64, page.compressed_size as i32);
        packed += page.compressed_size;
        plain += page.uncompressed_size;
        rows += codes.rows;
        missing += codes.missing;
        bytes += codes.bytes;
    }
    to.close()?;
    index.set_boundary_order(order(&spans));
    let word = |rank: u32| ranked.sorted[rank as usize].clone();
    let there = || spans.iter().flatten();
    let statistics = ValueStatistics::new(
        there().map(|span| span.0).min().map(word),
        there().map(|span| span.1).max().map(word),
        None,
        Some(missing as u64),
        false,
    );
    let of = |page_type, encoding, count| PageEncodingStats {
        page_type,
        encoding,
        count,
    };
    let metadata = ColumnChunkMetaData::builder(column.clone())
        .set_compression(Compression::ZSTD(level))
        .set_encodings_mask(EncodingMask::new_from_encodings(
            [Encoding::RLE, Encoding::PLAIN, Encoding::RLE_DICTIONARY].iter(),
        ))
        .set_page_encoding_stats(vec![
            of(PageType::DICTIONARY_PAGE, Encoding::PLAIN, 1),
            of(PageType::DATA_PAGE, Encoding::RLE_DICTIONARY, count),
        ])
        .set_total_compressed_size(packed as i64)
        .set_total_uncompressed_size(plain as i64)
        .set_num_values(rows as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(data_at as i64)
        .set_statistics(Statistics::ByteArray(statistics))
        .set_unencoded_byte_array_data_bytes(Some(bytes))
        .set_definition_level_histogram(levels)
        .build()?;
    Ok(ColumnCloseResult {
        bytes_written: packed as u64,
        rows_written: rows as u64,
        metadata,
        bloom_filter: None,
        column_index: Some(index.build()?),
        offset_index: Some(places.build()),
    })
}

/// Whether least and greatest words only grow, or only shrink, from page to page.
fn order(spans: &[Option<(u32, u32)>]) -> BoundaryOrder {
    let spans: Vec<_> = spans.iter().flatten().collect();
    let pairs = || spans.windows(2).map(|pair| (pair[0], pair[1]));
    if pairs().all(|(a, b)| a.0 <= b.0 && a.1 <= b.1) {
        BoundaryOrder::ASCENDING
    } else if pairs().all(|(a, b)| a.0 >= b.0 && a.1 >= b.1) {
        BoundaryOrder::DESCENDING
    } else {
        BoundaryOrder::UNORDERED
    }
}
