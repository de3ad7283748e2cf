//! Results of items: written together as they come, read in the order of items.
//!
//! A segment is the results of one page that one write brought: its head says where each lies in its
//! data, which is compressed. Reading takes the heads of a page (16 bytes an item) and only those
//! segments that hold what is asked for, one at a time.

use super::{ItemResult, PAGE};
use crate::StoreError;
use crate::control::Answer;
use crate::control::row::{Row, number, row, rows};
use crate::database::{Database, Value};
use std::collections::BTreeMap;
use std::io::Read;

/// Bytes of an item in a head: its number, where its result begins, how long it is, and zeros.
const ENTRY: usize = 16;
/// Most bytes of a segment's results before they are compressed; more are put into another.
const SEGMENT_MAX: usize = 4 << 20;
/// Longest segment that is unpacked: one result may be longer than others together.
const UNPACKED_MAX: u64 = 256 << 20;
/// How hard it is compressed: results are written while others wait.
const LEVEL: i32 = 1;

fn put(data: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    data.extend_from_slice(&length.to_le_bytes());
    data.extend_from_slice(bytes);
}

fn encode(result: &ItemResult, data: &mut Vec<u8>) {
    data.push(u8::from(result.well));
    data.extend_from_slice(&result.status.to_le_bytes());
    put(data, result.request.as_bytes());
    put(data, result.reason.as_bytes());
    put(data, &result.body);
}

fn decode(index: u32, mut data: &[u8]) -> Option<ItemResult> {
    let well = *data.split_off_first()? != 0;
    let status = u16::from_le_bytes(data.split_off(..2)?.try_into().ok()?);
    let mut take = || {
        let length = u32::from_le_bytes(data.split_off(..4)?.try_into().ok()?);
        Some(data.split_off(..length as usize)?.to_vec())
    };
    Some(ItemResult {
        index,
        well,
        status,
        request: String::from_utf8(take()?).ok()?,
        reason: String::from_utf8(take()?).ok()?,
        body: take()?,
    })
}

/// Writes results within the transaction that is open.
pub(super) fn write<D: Database>(database: &mut D, id: &str, results: &[ItemResult]) -> Answer<()> {
    let mut pages: BTreeMap<u32, Vec<&ItemResult>> = BTreeMap::new();
    for result in results {
        pages.entry(result.index / PAGE).or_default().push(result);
    }
    for (page, results) in pages {
        let sql = "SELECT MAX(segment) FROM job_result WHERE job = $1 AND page = $2";
        let key = [id.into(), number(page.into())];
        let last = row(database, sql, &key, |row: &mut Row| Ok(row.number()))?;
        let mut segment = last.unwrap_or(0);
        let mut results = results.into_iter().peekable();
        while results.peek().is_some() {
            let (mut head, mut data) = (Vec::new(), Vec::new());
            while data.len() < SEGMENT_MAX
                && let Some(result) = results.next()
            {
                let at = data.len();
                encode(result, &mut data);
                for part in [result.index as usize, at, data.len() - at, 0] {
                    let part = u32::try_from(part).unwrap_or(u32::MAX);
                    head.extend_from_slice(&part.to_le_bytes());
                }
            }
            segment += 1;
            let packed = zstd::bulk::compress(&data, LEVEL)
                .map_err(|error| StoreError::Broken(format!("results of a job: {error}")))?;
            database.execute(
                "INSERT INTO job_result (job, page, segment, head, data)
                 VALUES ($1, $2, $3, $4, $5)",
                &[
                    id.into(),
                    number(page.into()),
                    number(segment),
                    head.as_slice().into(),
                    packed.as_slice().into(),
                ],
            )?;
        }
    }
    Ok(())
}

/// Where a result lies.
#[derive(Clone, Copy)]
struct Place {
    index: u32,
    segment: u64,
    at: usize,
    length: usize,
}

pub(super) fn read<D: Database>(
    database: &mut D,
    id: &str,
    from: u32,
    most: usize,
    bytes: usize,
) -> Answer<Vec<ItemResult>> {
    let (mut found, mut size) = (Vec::new(), 0);
    let mut from = from;
    while found.len() < most && size < bytes {
        let sql = "SELECT MIN(page) FROM job_result WHERE job = $1 AND page >= $2";
        let key = [id.into(), number((from / PAGE).into())];
        let page = row(database, sql, &key, |row: &mut Row| {
            Ok(row.optional_number())
        })?;
        let Some(page) = page.flatten().and_then(|page| u32::try_from(page).ok()) else {
            break;
        };
        from = from.max(page * PAGE);
        let mut wanted = Vec::new();
        for place in places(database, id, page)? {
            if place.index >= from && found.len() + wanted.len() < most && size < bytes {
                size += place.length;
                wanted.push(place);
            }
        }
        found.extend(fetch(database, id, page, &wanted)?);
        from = (page + 1) * PAGE;
    }
    Ok(found)
}

/// Where the results of a page lie, in the order of items; the first of an item counts.
fn places<D: Database>(database: &mut D, id: &str, page: u32) -> Answer<Vec<Place>> {
    let sql = "SELECT segment, head FROM job_result WHERE job = $1 AND page = $2 ORDER BY segment";
    let heads = rows(
        database,
        sql,
        &[id.into(), number(page.into())],
        |row: &mut Row| Ok((row.number(), row.bytes())),
    )?;
    let mut places: BTreeMap<u32, Place> = BTreeMap::new();
    for (segment, head) in heads {
        for entry in head.as_chunks::<ENTRY>().0 {
            let part = |at: usize| {
                let bytes = [entry[at], entry[at + 1], entry[at + 2], entry[at + 3]];
                u32::from_le_bytes(bytes)
            };
            let index = part(0);
            places.entry(index).or_insert(Place {
                index,
                segment,
                at: part(4) as usize,
                length: part(8) as usize,
            });
        }
    }
    Ok(places.into_values().collect())
}

/// The results at these places, in their order.
fn fetch<D: Database>(
    database: &mut D,
    id: &str,
    page: u32,
    places: &[Place],
) -> Answer<Vec<ItemResult>> {
    let mut by_segment: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
    for place in places {
        by_segment.entry(place.segment).or_default().push(*place);
    }
    let mut found: BTreeMap<u32, ItemResult> = BTreeMap::new();
    for (segment, places) in by_segment {
        let sql = "SELECT data FROM job_result WHERE job = $1 AND page = $2 AND segment = $3";
        let key: [Value; 3] = [id.into(), number(page.into()), number(segment)];
        let packed = row(database, sql, &key, |row: &mut Row| Ok(row.bytes()))?;
        let broken = |what: &dyn std::fmt::Display| {
            StoreError::Broken(format!("results of the job `{id}`, page {page}: {what}"))
        };
        let (packed, mut data) = (packed.unwrap_or_default(), Vec::new());
        let unpacked = zstd::Decoder::new(packed.as_slice());
        unpacked
            .and_then(|unpacked| unpacked.take(UNPACKED_MAX).read_to_end(&mut data))
            .map_err(|error| broken(&error))?;
        for place in places {
            let bytes = data.get(place.at..place.at + place.length);
            let result = bytes.and_then(|bytes| decode(place.index, bytes));
            let result = result.ok_or_else(|| broken(&"one is not as it was written"))?;
            found.insert(place.index, result);
        }
    }
    Ok(found.into_values().collect())
}
