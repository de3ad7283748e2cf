//! What is remembered of a file, so that whoever looks for an id a second time reads some bytes of it and not
//! its footer: where the bloom filters are, and between which values each row group's are.

use super::filter::{Filter, Test};
use super::prune::{BLOOM_VALUES_MAX, Place};
use super::source::Source;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Most bytes of a value between which others are: an id's.
const BOUND_BYTES_MAX: usize = 16;

/// What is remembered of a file. Files never change, so that it holds for as long as there is one.
#[derive(Debug, Default)]
pub struct Known(Mutex<Vec<(usize, Arc<[Group]>)>>);

/// What is known of a column in one row group; where nothing is, it may have any value.
#[derive(Debug, Clone)]
struct Group {
    /// The least and the greatest value.
    between: Option<[Box<[u8]>; 2]>,
    bloom: Option<Place>,
}

impl Group {
    fn of(source: &Source, chunk: &ColumnChunkMetaData) -> Self {
        let statistics = chunk.statistics().filter(|it| !it.is_min_max_deprecated());
        let between = statistics.and_then(|it| it.min_bytes_opt().zip(it.max_bytes_opt()));
        let between = between.filter(|(a, b)| a.len().max(b.len()) <= BOUND_BYTES_MAX);
        Self {
            between: between.map(|(least, most)| [least.into(), most.into()]),
            bloom: Place::of(source, chunk),
        }
    }

    fn may(&self, source: &Source, value: &[u8]) -> bool {
        let between = self.between.as_ref();
        let is_between = between.is_none_or(|[least, most]| **least <= *value && *value <= **most);
        // A block that cannot be read lets its value through.
        let is_in = |place: Place| place.may(&source.reader(), value).unwrap_or(true);
        is_between && self.bloom.is_none_or(is_in)
    }
}

/// The values that a condition looks for; none where it does something else.
fn looked_for(filter: &Filter) -> Option<&HashSet<Vec<u8>>> {
    match &filter.test {
        Test::Texts(values) if values.len() <= BLOOM_VALUES_MAX => Some(values),
        _ => None,
    }
}

/// Whether a file may have rows that fulfil all conditions, as far as it is remembered.
pub(super) fn may(source: &Source, filters: &[Filter]) -> bool {
    filters.iter().all(|filter| {
        let known = source.known.get(filter.column);
        known
            .zip(looked_for(filter))
            .is_none_or(|(groups, values)| {
                let found = |group: &Group| values.iter().any(|value| group.may(source, value));
                groups.iter().any(found)
            })
    })
}

/// Remembers what conditions ask; `places` are the columns' in the file. True when there is something new.
pub(super) fn learn(
    source: &Source,
    footer: &ParquetMetaData,
    places: &[Option<usize>],
    filters: &[Filter],
) -> bool {
    let mut is_new = false;
    for filter in filters.iter().filter(|filter| looked_for(filter).is_some()) {
        let place = places.get(filter.column).copied().flatten();
        let Some(place) = place.filter(|_| source.known.get(filter.column).is_none()) else {
            continue;
        };
        let groups = footer.row_groups().iter();
        let groups = groups.map(|group| Group::of(source, group.column(place)));
        source.known.put(filter.column, groups.collect());
        is_new = true;
    }
    is_new
}

impl Known {
    fn get(&self, column: usize) -> Option<Arc<[Group]>> {
        let columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = columns.iter().find(|(known, _)| *known == column);
        found.map(|(_, groups)| groups.clone())
    }

    fn put(&self, column: usize, groups: Arc<[Group]>) {
        let mut columns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !columns.iter().any(|(known, _)| *known == column) {
            columns.push((column, groups));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns;
    use crate::file::{Effort, encode};
    use crate::scan::{Allowance, Blob, Limits, MemoryBlob, Scanner};
    use crate::schema::{Dataset, Field, Row};
    use bytes::Bytes;
    use gate_kit::random;
    use std::io;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// A file in memory that counts how often it is read, and how much.
    #[derive(Debug)]
    struct Counted(MemoryBlob, AtomicU64, AtomicU64);

    impl Blob for Counted {
        fn length(&self) -> u64 {
            self.0.length()
        }

        fn read(&self, at: u64, length: usize) -> io::Result<Bytes> {
            self.1.fetch_add(1, Ordering::Relaxed);
            self.2.fetch_add(length as u64, Ordering::Relaxed);
            self.0.read(at, length)
        }
    }

    fn found(source: Source, field: Field, id: &[u8]) -> usize {
        let filter = Filter {
            column: field.index(),
            test: Test::text(id),
        };
        let allowance = Allowance::new(Limits::default());
        let wanted = [Field::Route.index()];
        let mut scanner = Scanner::new(
            Dataset::Records,
            vec![source],
            vec![filter],
            &wanted,
            allowance,
        );
        let mut rows = 0;
        while let Some(batch) = scanner.next_batch().unwrap() {
            rows += batch.rows;
        }
        rows
    }

    #[test]
    fn who_asks_again_is_answered_alike_from_a_few_bytes() {
        random::seed(5);
        let id = || (u128::from(random::bits()) << 64 | u128::from(random::bits())).to_be_bytes();
        let ids: Vec<[u8; 16]> = (0..20_000).map(|_| id()).collect();
        let mut batch = columns::Batch::new(Dataset::Records);
        for (number, trace_id) in ids.iter().enumerate() {
            batch.push(&Row {
                time_us: number as i64 + 1,
                exchange_id: (number as u128 + 1).to_be_bytes(),
                trace_id: (number % 100 > 0).then_some(*trace_id),
                method: "GET",
                node: "here",
                ..Row::default()
            });
        }
        let file = MemoryBlob(encode(batch, Effort::Quick).unwrap().into());
        let known = Arc::<Known>::default();
        let ask = |field, id: &[u8]| {
            let blob = Arc::new(Counted(file.clone(), AtomicU64::new(0), AtomicU64::new(0)));
            let source = Source::new("a", blob.clone(), Vec::new()).knowing(known.clone());
            let rows = found(source, field, id);
            let [reads, bytes] = [&blob.1, &blob.2].map(|count| count.load(Ordering::Relaxed));
            (rows, reads, bytes)
        };
        for (number, id) in ids.iter().enumerate().step_by(150) {
            let expected = usize::from(number % 100 > 0);
            assert_eq!(ask(Field::TraceId, id).0, expected, "{number}");
            let exchange = (number as u128 + 1).to_be_bytes();
            assert_eq!(ask(Field::ExchangeId, &exchange).0, 1, "{number}");
        }
        let others = (0..300).map(|_| ask(Field::TraceId, &id()));
        let from_a_block = others.filter(|answer| *answer == (0, 1, 32)).count();
        assert!(from_a_block > 280, "{from_a_block}");
        assert_eq!(ask(Field::ExchangeId, &[0xff; 16]), (0, 0, 0));
        assert_eq!(ask(Field::ExchangeId, &[0; 16]), (0, 0, 0));
    }
}
