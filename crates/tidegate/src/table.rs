//! Tables for people.

use std::fmt::Write;

/// A table for people: names on the left, numbers on the right.
pub(crate) struct Table {
    names: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose first columns are names.
    pub(crate) fn new(names: &[&str]) -> Self {
        let head = names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            names: names.len(),
            rows: vec![head],
        }
    }

    /// Names further columns, of numbers.
    pub(crate) fn head(&mut self, columns: &[&str]) {
        self.rows[0].extend(columns.iter().map(|column| (*column).to_owned()));
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// The table as text, columns aligned.
    pub(crate) fn finish(self) -> String {
        let columns = self.rows[0].len();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = widths[column];
                let _ = match column < self.names {
                    true => write!(line, "{cell:<width$}  "),
                    false => write!(line, "{cell:>width$}  "),
                };
            }
            let _ = writeln!(text, "{}", line.trim_end());
        }
        text
    }
}
