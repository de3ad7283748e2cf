//! What of a row never reaches the lake: columns that are left out, and such that are replaced by a
//! keyed hash, so that rows of one caller can be counted without saying who it is.

use crate::columns::{Batch, NO_ID, NO_NUMBER, Texts, Values};
use crate::schema::{Dataset, Kind};
use aws_lc_rs::hmac;

/// What is done to columns of a data set.
#[derive(Clone, Default)]
pub struct Redaction {
    dropped: Vec<usize>,
    hashed: Vec<usize>,
    key: Option<hmac::Key>,
}

impl std::fmt::Debug for Redaction {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redaction")
            .field("dropped", &self.dropped)
            .field("hashed", &self.hashed)
            .finish_non_exhaustive()
    }
}

/// Why a redaction cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// There is no such column.
    #[error("`{0}` has no column `{1}`")]
    Unknown(&'static str, String),
    /// Every row has a value there.
    #[error("the column `{0}` cannot be dropped: every row has it")]
    Required(String),
    /// It holds no text.
    #[error("the column `{0}` cannot be hashed: it holds no text")]
    NoText(String),
    /// There is nothing to hash with.
    #[error("columns are to be hashed, and there is no key to do it with")]
    NoKey,
}

impl Redaction {
    /// What is done to a data set's columns, by their names.
    ///
    /// # Errors
    /// The first column with which it cannot be done.
    pub fn new(
        dataset: Dataset,
        dropped: &[String],
        hashed: &[String],
        key: Option<&[u8]>,
    ) -> Result<Self, Impossible> {
        let columns = dataset.columns();
        let place = |name: &String| {
            let place = columns.iter().position(|column| column.name == name);
            place.ok_or_else(|| Impossible::Unknown(dataset.name(), name.clone()))
        };
        let mut redaction = Self::default();
        for name in dropped {
            let index = place(name)?;
            if !columns[index].optional {
                return Err(Impossible::Required(name.clone()));
            }
            redaction.dropped.push(index);
        }
        for name in hashed {
            let index = place(name)?;
            if !matches!(columns[index].kind, Kind::Word | Kind::Text) {
                return Err(Impossible::NoText(name.clone()));
            }
            redaction.hashed.push(index);
        }
        if !redaction.hashed.is_empty() {
            let key = key.ok_or(Impossible::NoKey)?;
            redaction.key = Some(hmac::Key::new(hmac::HMAC_SHA256, key));
        }
        Ok(redaction)
    }

    /// What stands in the lake for this text of a column.
    #[must_use]
    pub fn shown(&self, column: usize, text: &str) -> Option<String> {
        if self.dropped.contains(&column) {
            return None;
        }
        match &self.key {
            Some(key) if self.hashed.contains(&column) => Some(hash(key, text.as_bytes())),
            _ => Some(text.to_owned()),
        }
    }

    /// Redacts rows on their way to the lake.
    pub fn apply(&self, batch: &mut Batch) {
        for &index in &self.dropped {
            match &mut batch.columns_mut()[index] {
                Values::Numbers(numbers) => numbers.fill(NO_NUMBER),
                Values::Ids(ids) => ids.fill(NO_ID),
                Values::Words(words) => words.map(|_| None),
                Values::Bytes(texts) => *texts = texts.map(|_| None),
                Values::Flags(flags) => flags.fill(false),
            }
        }
        let Some(key) = &self.key else { return };
        for &index in &self.hashed {
            let hashed = |text: &[u8]| Some(hash(key, text).into_bytes());
            match &mut batch.columns_mut()[index] {
                Values::Words(words) => words.map(hashed),
                Values::Bytes(texts) => *texts = Texts::map(texts, hashed),
                _ => {}
            }
        }
    }
}

/// 64 bits of a keyed hash, as hexadecimal digits behind a mark.
fn hash(key: &hmac::Key, text: &[u8]) -> String {
    use std::fmt::Write;
    let tag = hmac::sign(key, text);
    tag.as_ref()[..8].iter().fold("#".into(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{BodyField, BodyRow, Field, Row};

    #[test]
    fn columns_are_dropped_and_hashed() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|&name| name.to_owned())
                .collect::<Vec<_>>()
        };
        let set = Dataset::Records;
        let (dropped, hashed) = (
            names(&["key", "cost_nano"]),
            names(&["consumer", "request_id"]),
        );
        let redaction = Redaction::new(set, &dropped, &hashed, Some(b"k")).expect("possible");
        let mut batch = Batch::new(set);
        for consumer in ["ann", "bob", "ann"] {
            batch.push(&Row {
                node: "n",
                method: "GET",
                consumer: Some(consumer),
                key: Some("one"),
                request_id: Some("id"),
                cost_nano: Some(7),
                ..Row::default()
            });
        }
        redaction.apply(&mut batch);
        let consumer = Field::Consumer.index();
        let ann = redaction.shown(consumer, "ann").expect("hashed");
        assert!(ann.starts_with('#') && ann.len() == 17, "{ann}");
        assert_eq!(batch.word(consumer, 0), Some(&*ann));
        assert_eq!(batch.word(consumer, 0), batch.word(consumer, 2));
        assert_ne!(batch.word(consumer, 0), batch.word(consumer, 1));
        assert_eq!(batch.word(Field::Key.index(), 0), None);
        let Values::Numbers(costs) = batch.column(Field::CostNano.index()) else {
            panic!("costs are numbers");
        };
        assert_eq!(costs[..], [NO_NUMBER; 3]);
        let wrong = |dropped: &[&str], hashed: &[&str], key| {
            Redaction::new(set, &names(dropped), &names(hashed), key).map(drop)
        };
        assert_eq!(
            wrong(&["time"], &[], None),
            Err(Impossible::Required("time".into()))
        );
        assert_eq!(
            wrong(&[], &["status"], None),
            Err(Impossible::NoText("status".into()))
        );
        assert_eq!(wrong(&[], &["team"], None), Err(Impossible::NoKey));
        assert_eq!(
            wrong(&["x"], &[], None),
            Err(Impossible::Unknown("records", "x".into()))
        );
    }

    /// Each data set has columns of its own: what is said of one is not done to the other's.
    #[test]
    fn columns_of_bodies_are_dropped_and_hashed() {
        let names = |name: &str| vec![name.to_owned()];
        let set = Dataset::Bodies;
        let redaction = Redaction::new(set, &names("team"), &names("consumer"), Some(b"k"));
        let redaction = redaction.expect("possible");
        let mut batch = Batch::new(set);
        batch.push_body(&BodyRow {
            route: Some("pay"),
            consumer: Some("ann"),
            team: Some("sales"),
            body: b"{}",
            ..BodyRow::default()
        });
        redaction.apply(&mut batch);
        let consumer = BodyField::Consumer.index();
        assert_eq!(
            batch.word(consumer, 0),
            redaction.shown(consumer, "ann").as_deref()
        );
        assert_ne!(batch.word(consumer, 0), Some("ann"));
        assert_eq!(batch.word(BodyField::Team.index(), 0), None);
        assert_eq!(batch.word(BodyField::Route.index(), 0), Some("pay"));
        let Values::Bytes(bodies) = batch.column(BodyField::Body.index()) else {
            panic!("bodies are texts");
        };
        assert_eq!(bodies.get(0), Some(&b"{}"[..]));
        let wrong = |dropped: &str, hashed: &str| {
            Redaction::new(set, &names(dropped), &names(hashed), Some(b"k")).map(drop)
        };
        let required = Err(Impossible::Required("body".into()));
        assert_eq!(wrong("body", "team"), required);
        assert_eq!(
            wrong("team", "bytes"),
            Err(Impossible::NoText("bytes".into()))
        );
        // A column of the other data set.
        let unknown = Err(Impossible::Unknown("bodies", "key".into()));
        assert_eq!(wrong("key", "team"), unknown);
    }
}
