//! Marks of items, in pages.

use super::{JobSave, PAGE, PageRow};
use crate::StoreError;
use crate::control::Answer;
use crate::control::row::{Row, limit, number, row, rows};
use crate::database::Database;
use std::collections::BTreeMap;

/// Pages that are read at once when items are looked for.
const AT_ONCE: usize = 16;

fn of(row: &mut Row) -> Result<PageRow, StoreError> {
    Ok(PageRow {
        page: u32::try_from(row.number()).unwrap_or(u32::MAX),
        started: row.bytes(),
        succeeded: row.bytes(),
        failed: row.bytes(),
    })
}

pub(super) fn read<D: Database>(
    database: &mut D,
    id: &str,
    from: u32,
    most: usize,
) -> Answer<Vec<PageRow>> {
    let sql = "SELECT page, started, succeeded, failed FROM job_page
               WHERE job = $1 AND page >= $2 ORDER BY page LIMIT $3";
    rows(
        database,
        sql,
        &[id.into(), number(from.into()), limit(most)],
        of,
    )
}

fn set(bits: &mut Vec<u8>, index: u32) {
    let at = (index % PAGE) as usize;
    if bits.len() <= at / 8 {
        bits.resize(at / 8 + 1, 0);
    }
    bits[at / 8] |= 1 << (at % 8);
}

/// Marks what started and what ended. Marks are only ever added, so that writing them twice is the same.
pub(super) fn mark<D: Database>(database: &mut D, job: &JobSave) -> Answer<()> {
    let mut touched: BTreeMap<u32, (Vec<u32>, Vec<(u32, bool)>)> = BTreeMap::new();
    for index in &job.started {
        touched.entry(index / PAGE).or_default().0.push(*index);
    }
    for (index, well) in &job.ended {
        touched
            .entry(index / PAGE)
            .or_default()
            .1
            .push((*index, *well));
    }
    for (page, (started, ended)) in touched {
        let sql =
            "SELECT page, started, succeeded, failed FROM job_page WHERE job = $1 AND page = $2";
        let key = [job.id.as_str().into(), number(page.into())];
        let mut marks = row(database, sql, &key, of)?.unwrap_or_default();
        started
            .iter()
            .for_each(|index| set(&mut marks.started, *index));
        for (index, well) in ended {
            let bits = if well {
                &mut marks.succeeded
            } else {
                &mut marks.failed
            };
            set(bits, index);
        }
        database.execute(
            "INSERT INTO job_page (job, page, started, succeeded, failed) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (job, page) DO UPDATE SET started = excluded.started,
             succeeded = excluded.succeeded, failed = excluded.failed",
            &[
                job.id.as_str().into(),
                number(page.into()),
                marks.started.as_slice().into(),
                marks.succeeded.as_slice().into(),
                marks.failed.as_slice().into(),
            ],
        )?;
    }
    Ok(())
}

/// Items that started and did not end.
pub(super) fn open<D: Database>(database: &mut D, id: &str, most: usize) -> Answer<Vec<u32>> {
    let (mut open, mut from) = (Vec::new(), 0);
    loop {
        let pages = read(database, id, from, AT_ONCE)?;
        let is_last = pages.len() < AT_ONCE;
        for marks in pages {
            from = marks.page + 1;
            let at = |bits: &[u8], byte: usize| bits.get(byte).copied().unwrap_or(0);
            for (byte, started) in marks.started.iter().enumerate() {
                let ended = at(&marks.succeeded, byte) | at(&marks.failed, byte);
                let left = started & !ended;
                for bit in (0..8).filter(|bit| left & (1 << bit) != 0) {
                    if open.len() >= most {
                        return Ok(open);
                    }
                    let within = u32::try_from(byte).unwrap_or(0) * 8 + bit;
                    open.push(marks.page * PAGE + within);
                }
            }
        }
        if is_last {
            return Ok(open);
        }
    }
}
