//! What a query answers, and how it is written down.

use serde_json::{Number, Value as Json};

/// One value of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// None.
    Null,
    /// A whole number.
    Integer(i64),
    /// Another number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes that are no text.
    Bytes(Vec<u8>),
}

/// Room that a value takes beside its text, about.
const VALUE_BYTES: usize = 32;

impl Value {
    pub(super) fn bytes(&self) -> usize {
        VALUE_BYTES
            + match self {
                Value::Text(text) => text.len(),
                Value::Bytes(bytes) => bytes.len(),
                _ => 0,
            }
    }

    /// As JSON; bytes as hexadecimal digits.
    #[must_use]
    pub fn json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Integer(number) => (*number).into(),
            Value::Real(number) => Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Text(text) => text.clone().into(),
            Value::Bytes(bytes) => crate::scan::hex(bytes).into(),
        }
    }

    /// As text; nothing for none.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Integer(number) => number.to_string(),
            Value::Real(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Bytes(bytes) => crate::scan::hex(bytes),
        }
    }
}

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Table,
    /// An object with columns and rows.
    Json,
    /// RFC 4180, with a header.
    Csv,
    /// A Parquet file.
    Parquet,
}

impl Format {
    /// All of them, by name.
    pub const ALL: [(&'static str, Format); 4] = [
        ("table", Format::Table),
        ("json", Format::Json),
        ("csv", Format::Csv),
        ("parquet", Format::Parquet),
    ];

    /// The format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, format)| *format)
    }

    /// What it is as a content type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Table => "text/plain; charset=utf-8",
            Format::Json => "application/json",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Parquet => "application/vnd.apache.parquet",
        }
    }
}

/// Rows that answer a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
    /// Whether there are more rows than a query may answer with.
    pub truncated: bool,
    /// Rows of the lake that were looked at.
    pub rows_read: u64,
    /// Whether the native scan did the grouping.
    pub native: bool,
}

impl Answer {
    pub(super) fn new(columns: Vec<String>) -> Self {
        Self {
            columns,
            rows: Vec::new(),
            truncated: false,
            rows_read: 0,
            native: false,
        }
    }

    /// In a format.
    ///
    /// # Errors
    /// When no Parquet file can be made of it: two columns have one name.
    pub fn write(&self, format: Format) -> Result<Vec<u8>, String> {
        match format {
            Format::Table => Ok(self.table().into_bytes()),
            Format::Json => Ok(self.json().to_string().into_bytes()),
            Format::Csv => Ok(self.csv().into_bytes()),
            Format::Parquet => crate::file::table(&self.columns, &self.rows),
        }
    }

    /// `columns`, `rows` as lists, `truncated` and `rows_read`.
    #[must_use]
    pub fn json(&self) -> Json {
        let rows = self.rows.iter();
        let rows = rows.map(|row| row.iter().map(Value::json).collect::<Json>());
        serde_json::json!({
            "columns": self.columns,
            "rows": rows.collect::<Json>(),
            "truncated": self.truncated,
            "rows_read": self.rows_read,
        })
    }

    /// From what [`Answer::json`] wrote; bytes stay the digits that they are there.
    #[must_use]
    pub fn from_json(columns: Vec<String>, rows: Vec<Vec<Json>>) -> Self {
        let value = |value: Json| match value {
            Json::Null => Value::Null,
            Json::Number(number) => match number.as_i64() {
                Some(whole) => Value::Integer(whole),
                None => number.as_f64().map_or(Value::Null, Value::Real),
            },
            Json::String(text) => Value::Text(text),
            other => Value::Text(other.to_string()),
        };
        let rows = rows.into_iter();
        let rows = rows.map(|row| row.into_iter().map(value).collect());
        Self {
            rows: rows.collect(),
            ..Self::new(columns)
        }
    }

    fn csv(&self) -> String {
        let quoted = |text: &str| match text.contains(['"', ',', '\n', '\r']) {
            true => format!("\"{}\"", text.replace('"', "\"\"")),
            false => text.to_owned(),
        };
        let line = |cells: Vec<String>| cells.join(",") + "\r\n";
        let head = self.columns.iter().map(|name| quoted(name)).collect();
        let rows = self.rows.iter();
        let rows = rows.map(|row| line(row.iter().map(|value| quoted(&value.text())).collect()));
        line(head) + &rows.collect::<String>()
    }

    /// Columns as wide as what is in them; numbers to the right.
    fn table(&self) -> String {
        // What a terminal would obey is shown instead: texts are what callers sent.
        let shown = |text: String| -> String {
            let visible = |char: char| if char.is_control() { '\u{fffd}' } else { char };
            text.chars().map(visible).collect()
        };
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|name| name.chars().count())
            .collect();
        let cells: Vec<Vec<String>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|value| shown(value.text())).collect())
            .collect();
        for row in &cells {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut table = String::new();
        let mut line = |cells: &[String], right: &dyn Fn(usize) -> bool| {
            let padded = cells.iter().enumerate().map(|(column, cell)| {
                let width = widths[column];
                match right(column) {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                }
            });
            let padded: Vec<String> = padded.collect();
            table.push_str(padded.join("  ").trim_end());
            table.push('\n');
        };
        line(&self.columns, &|_| false);
        for (row, cells) in self.rows.iter().zip(&cells) {
            line(cells, &|column| {
                matches!(row[column], Value::Integer(_) | Value::Real(_))
            });
        }
        table
    }
}
