//! Rows as columns in memory: what is gathered before it becomes a file, and what a file is read
//! into before it becomes another.
//!
//! Lacking values are marked in place: no number of a row is `i64::MIN`, no id is all zero. Words
//! are kept once, with a code per row. A row of `records` takes about 220 bytes.

mod words;

pub use words::{NO_WORD, Words};

use crate::schema::{BodyField, BodyRow, Column, Dataset, Field, Kind, Row};

/// In place of a number that a row lacks.
pub const NO_NUMBER: i64 = i64::MIN;
/// In place of an id that a row lacks.
pub const NO_ID: [u8; 16] = [0; 16];
/// Place of the time in every data set.
pub const TIME: usize = 0;

/// The values of one column.
#[derive(Debug, Clone)]
pub enum Values {
    /// Times and numbers.
    Numbers(Vec<i64>),
    /// Ids of 16 bytes.
    Ids(Vec<[u8; 16]>),
    /// Words with a code per row.
    Words(Words),
    /// Texts and contents, one behind the other.
    Bytes(Texts),
    /// Yes or no.
    Flags(Vec<bool>),
}

/// Texts of rows, one behind the other.
#[derive(Debug, Clone, Default)]
pub struct Texts {
    bytes: Vec<u8>,
    /// Where each ends, and whether there is one.
    ends: Vec<(usize, bool)>,
}

impl Texts {
    /// Appends a row's text.
    pub fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push((self.bytes.len(), text.is_some()));
    }

    /// A row's text.
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&[u8]> {
        let (end, is_there) = self.ends[row];
        let start = row.checked_sub(1).map_or(0, |before| self.ends[before].0);
        is_there.then(|| &self.bytes[start..end])
    }
}

impl Texts {
    /// The texts with each replaced; none takes it away.
    pub(crate) fn map(&self, mut to: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> Self {
        let mut new = Self::default();
        for row in 0..self.ends.len() {
            let text = self.get(row).and_then(&mut to);
            new.push(text.as_deref());
        }
        new
    }
}

impl Values {
    fn new(column: &Column) -> Self {
        match column.kind {
            Kind::Time | Kind::Integer => Values::Numbers(Vec::new()),
            Kind::Id => Values::Ids(Vec::new()),
            Kind::Word => Values::Words(Words::default()),
            Kind::Text | Kind::Content => Values::Bytes(Texts::default()),
            Kind::Flag => Values::Flags(Vec::new()),
        }
    }

    /// Appends rows of another column of the same kind.
    ///
    /// # Panics
    /// When the kinds differ or a row is not there.
    fn extend(&mut self, from: &Values, rows: &[u32]) {
        let rows = rows.iter().map(|&row| row as usize);
        match (self, from) {
            (Values::Numbers(to), Values::Numbers(from)) => to.extend(rows.map(|row| from[row])),
            (Values::Ids(to), Values::Ids(from)) => to.extend(rows.map(|row| from[row])),
            (Values::Flags(to), Values::Flags(from)) => to.extend(rows.map(|row| from[row])),
            (Values::Bytes(to), Values::Bytes(from)) => rows.for_each(|row| to.push(from.get(row))),
            (Values::Words(to), Values::Words(from)) => to.extend(from, rows),
            _ => unreachable!("both are the same column of one data set"),
        }
    }
}

/// Rows of one data set as columns.
#[derive(Debug, Clone)]
pub struct Batch {
    dataset: Dataset,
    columns: Vec<Values>,
    rows: usize,
    content_bytes: usize,
}

impl Batch {
    /// No rows.
    #[must_use]
    pub fn new(dataset: Dataset) -> Self {
        Self {
            dataset,
            columns: dataset.columns().iter().map(Values::new).collect(),
            rows: 0,
            content_bytes: 0,
        }
    }

    /// Columns that were read from a file.
    pub(crate) fn from_columns(dataset: Dataset, columns: Vec<Values>, rows: usize) -> Self {
        let content_bytes = columns.iter().map(bytes_of).sum();
        Self {
            dataset,
            columns,
            rows,
            content_bytes,
        }
    }

    /// Whose rows these are.
    #[must_use]
    pub const fn dataset(&self) -> Dataset {
        self.dataset
    }

    /// How many rows.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// About how many bytes the texts and bodies take.
    #[must_use]
    pub const fn content_bytes(&self) -> usize {
        self.content_bytes
    }

    /// A column's values, in the order of [`Dataset::columns`].
    #[must_use]
    pub fn column(&self, index: usize) -> &Values {
        &self.columns[index]
    }

    pub(crate) fn columns_mut(&mut self) -> &mut [Values] {
        &mut self.columns
    }

    /// Appends a row of `records`, which has passed [`Row::check`].
    ///
    /// # Panics
    /// When this is another data set.
    pub fn push(&mut self, row: &Row<'_>) {
        assert_eq!(self.dataset, Dataset::Records, "rows go to their data set");
        self.number(Field::Time.index(), row.time_us);
        self.id(Field::ExchangeId.index(), row.exchange_id);
        self.id(Field::TraceId.index(), row.trace_id.unwrap_or(NO_ID));
        for (field, text) in row.texts() {
            self.text(field.index(), text.map(str::as_bytes));
        }
        for (field, number) in row.integers() {
            let number = number.map_or(NO_NUMBER, |number| number as i64);
            self.number(field.index(), number);
        }
        self.rows += 1;
    }

    /// Appends a row of `bodies`, which has passed [`BodyRow::check`].
    ///
    /// # Panics
    /// When this is another data set.
    pub fn push_body(&mut self, row: &BodyRow<'_>) {
        assert_eq!(self.dataset, Dataset::Bodies, "rows go to their data set");
        self.number(BodyField::Time.index(), row.time_us);
        self.id(BodyField::ExchangeId.index(), row.exchange_id);
        let direction = Some(row.direction.as_str());
        let words = [
            (BodyField::Route, row.route),
            (BodyField::Consumer, row.consumer),
            (BodyField::Team, row.team),
            (BodyField::Direction, direction),
        ];
        for (field, text) in words {
            self.text(field.index(), text.map(str::as_bytes));
        }
        self.number(BodyField::Bytes.index(), row.bytes as i64);
        self.flag(BodyField::Redacted.index(), row.redacted);
        self.flag(BodyField::Truncated.index(), row.truncated);
        self.text(BodyField::Body.index(), Some(row.body));
        self.rows += 1;
    }

    fn number(&mut self, index: usize, number: i64) {
        if let Values::Numbers(values) = &mut self.columns[index] {
            values.push(number);
        }
    }

    fn id(&mut self, index: usize, id: [u8; 16]) {
        if let Values::Ids(values) = &mut self.columns[index] {
            values.push(id);
        }
    }

    fn flag(&mut self, index: usize, flag: bool) {
        if let Values::Flags(values) = &mut self.columns[index] {
            values.push(flag);
        }
    }

    fn text(&mut self, index: usize, text: Option<&[u8]>) {
        match &mut self.columns[index] {
            Values::Words(words) => words.push(text),
            Values::Bytes(texts) => {
                texts.push(text);
                self.content_bytes += text.map_or(0, <[u8]>::len);
            }
            _ => {}
        }
    }

    /// The times of its rows, in microseconds of UNIX time.
    #[must_use]
    pub fn times(&self) -> &[i64] {
        match &self.columns[TIME] {
            Values::Numbers(times) => times,
            _ => &[],
        }
    }

    /// The first and the last time; none without rows.
    #[must_use]
    pub fn span(&self) -> Option<(i64, i64)> {
        let times = self.times();
        Some((*times.iter().min()?, *times.iter().max()?))
    }

    /// Appends these rows of another batch of the same data set.
    ///
    /// # Panics
    /// When it is of another data set.
    pub fn extend(&mut self, from: &Batch, rows: &[u32]) {
        assert_eq!(self.dataset, from.dataset, "rows stay in their data set");
        for (to, from) in self.columns.iter_mut().zip(&from.columns) {
            to.extend(from, rows);
        }
        self.rows += rows.len();
        self.content_bytes = self.columns.iter().map(bytes_of).sum();
    }

    /// The places of all rows.
    #[must_use]
    pub fn all_rows(&self) -> Vec<u32> {
        (0..self.rows as u32).collect()
    }

    /// The rows in the order of time; those of one time stay in their order.
    #[must_use]
    pub fn sorted(self) -> Self {
        let times = self.times();
        if times.is_sorted() {
            return self;
        }
        let mut order: Vec<u32> = (0..self.rows as u32).collect();
        order.sort_by_key(|&row| times[row as usize]);
        let mut sorted = Batch::new(self.dataset);
        sorted.extend(&self, &order);
        sorted
    }

    /// A word of a row: of a column with words.
    #[must_use]
    pub fn word(&self, column: usize, row: usize) -> Option<&str> {
        match &self.columns[column] {
            Values::Words(words) => words.get(row),
            _ => None,
        }
    }

    /// The place of the column with this name.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        let columns = self.dataset.columns();
        columns.iter().position(|column| column.name == name)
    }
}

fn bytes_of(values: &Values) -> usize {
    match values {
        Values::Bytes(texts) => texts.bytes.len(),
        _ => 0,
    }
}
