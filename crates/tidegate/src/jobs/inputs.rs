//! What items ask: templates filled in, lines read from files.

use super::shelf::{Shelf, is_blank};
use gate_ops::job::Link;
use gate_ops::job::order::{Asked, Input, LINE_MAX, Order};
use gate_store::jobs::{ItemResult, PAGE};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes of what a parent answered that an item is filled in with.
const PARENT_MAX: usize = 1 << 20;

/// A job's items.
pub(super) struct Inputs {
    pub(super) order: Arc<Order>,
    /// What people call the job.
    name: String,
    /// Where its lines are.
    file: PathBuf,
    offsets: Vec<u64>,
    reader: Option<Lines>,
    /// What a parent that is waited for whole answered, once it was asked for.
    whole: Option<Value>,
}

/// A file of lines, and which comes next.
struct Lines {
    reader: BufReader<File>,
    next: u32,
}

impl Inputs {
    pub(super) fn new(order: Order, name: String, file: PathBuf, offsets: Vec<u64>) -> Self {
        Self {
            order: Arc::new(order),
            name,
            file,
            offsets,
            reader: None,
            whole: None,
        }
    }

    /// What people call the job, and how many items it has.
    pub(super) fn called(&self) -> (String, u32) {
        (self.name.clone(), self.order.spec.count)
    }

    /// What an item asks.
    ///
    /// # Errors
    /// Why there is nothing to ask: a failure of the item.
    pub(super) fn asked(&mut self, index: u32, shelf: &Shelf) -> Result<Asked, String> {
        let order = self.order.clone();
        let Input::Lines { url, headers, .. } = &order.input else {
            let parent = match order.wants_parent() {
                true => Some(self.parent(index, shelf)?),
                false => None,
            };
            let asked = order.asked(index, parent.as_ref())?;
            return asked.ok_or_else(|| "it has no template".to_owned());
        };
        let line = self.line(index)?;
        Asked::of_line(&line, url, headers)
    }

    /// A line of the file: mostly the next one, else found from the beginning of its page.
    fn line(&mut self, index: u32) -> Result<Vec<u8>, String> {
        let file = self.file.display();
        let wrong = |error: std::io::Error| format!("{file}: {error}");
        if self.reader.as_ref().is_none_or(|lines| lines.next != index) {
            let page = (index / PAGE) as usize;
            let missing = || format!("{file} has no line {}", index + 1);
            let at = self.offsets.get(page).ok_or_else(missing)?;
            let mut reader = match self.reader.take() {
                Some(lines) => lines.reader,
                None => BufReader::with_capacity(1 << 16, File::open(&self.file).map_err(wrong)?),
            };
            reader.seek(SeekFrom::Start(*at)).map_err(wrong)?;
            let next = index / PAGE * PAGE;
            let mut lines = Lines { reader, next };
            while lines.next < index {
                lines.read().map_err(wrong)?;
            }
            self.reader = Some(lines);
        }
        let lines = self.reader.as_mut();
        let lines = lines.ok_or_else(|| "the file is not open".to_owned())?;
        lines.read().map_err(wrong)
    }

    /// What the parent of an item answered.
    fn parent(&mut self, index: u32, shelf: &Shelf) -> Result<Value, String> {
        let spec = &self.order.spec;
        if spec.sequential {
            return match index.checked_sub(1) {
                Some(before) => one(shelf, &spec.id, before),
                None => Ok(Value::Null),
            };
        }
        let Some(first) = spec.after.first() else {
            return Err("it has no parent".into());
        };
        if first.link == Link::Each {
            return one(shelf, &first.job, index);
        }
        if let Some(known) = &self.whole {
            return Ok(known.clone());
        }
        let results = shelf
            .ask(|store| store.results(&first.job, 0, 10_000, PARENT_MAX))
            .map_err(|error| error.to_string())?;
        let mut values: Vec<Value> = results.iter().map(value).collect();
        let size: usize = results.iter().map(|result| result.body.len()).sum();
        if size > PARENT_MAX {
            return Err(format!(
                "`{}` answered more than {PARENT_MAX} bytes",
                first.job
            ));
        }
        let all = match values.len() {
            1 => values.remove(0),
            _ => Value::Array(values),
        };
        self.whole = Some(all.clone());
        Ok(all)
    }
}

impl Lines {
    /// The next line that is not blank.
    fn read(&mut self) -> std::io::Result<Vec<u8>> {
        loop {
            let mut line = Vec::new();
            let read = (&mut self.reader)
                .take(LINE_MAX as u64 + 1)
                .read_until(b'\n', &mut line)?;
            if read == 0 {
                return Err(std::io::Error::other("it is shorter than it was"));
            }
            if read > LINE_MAX {
                return Err(std::io::Error::other(format!(
                    "a line is over {LINE_MAX} bytes"
                )));
            }
            if !is_blank(&line) {
                self.next += 1;
                return Ok(line);
            }
        }
    }
}

/// What an item answered.
fn one(shelf: &Shelf, job: &str, index: u32) -> Result<Value, String> {
    let results = shelf.ask(|store| store.results(job, index, 1, 1));
    let results = results.map_err(|error| error.to_string())?;
    let result = results.first().filter(|result| result.index == index);
    let result = result.ok_or_else(|| format!("`{job}` has no answer of item {index}"))?;
    match result.body.len() > PARENT_MAX {
        true => Err(format!("item {index} of `{job}` answered too much")),
        false => Ok(value(result)),
    }
}

/// An answer as a value: what is JSON, or else the text.
fn value(result: &ItemResult) -> Value {
    serde_json::from_slice(&result.body)
        .unwrap_or_else(|_| String::from_utf8_lossy(&result.body).into_owned().into())
}
