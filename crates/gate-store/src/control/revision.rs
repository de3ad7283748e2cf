//! Revisions and the documents they point to.
//!
//! A document is kept once for each digest, compressed; revisions only ever point to it, so that a
//! rollback or a promotion copies nothing.

use super::row::{Row, before, clean, limit, number, optional, row, rows, sha256};
use super::{Answer, ControlError};
use crate::StoreError;
use crate::database::{Database, Value};
use serde::{Deserialize, Serialize};

/// Largest document, in bytes before compression.
pub const DOCUMENT_MAX: usize = 16 << 20;

/// Why a revision was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A document was applied.
    Apply,
    /// One resource was changed.
    Edit,
    /// A person went back.
    Rollback,
    /// It was taken over from another environment.
    Promote,
    /// A rollout's verdict went back.
    AutoRollback,
    /// Nobody confirmed it in time.
    Revert,
    /// A secret was rotated.
    Rotate,
}

impl Cause {
    const ALL: [Self; 7] = [
        Self::Apply,
        Self::Edit,
        Self::Rollback,
        Self::Promote,
        Self::AutoRollback,
        Self::Revert,
        Self::Rotate,
    ];

    /// Its word, as in the API and the tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Edit => "edit",
            Self::Rollback => "rollback",
            Self::Promote => "promote",
            Self::AutoRollback => "auto_rollback",
            Self::Revert => "revert",
            Self::Rotate => "rotate",
        }
    }
}

/// A revision to write.
#[derive(Debug, Clone, Copy)]
pub struct NewRevision<'a> {
    /// The resources as canonical JSON; its SHA-256 is the digest. At most [`DOCUMENT_MAX`] bytes.
    pub document: &'a str,
    /// Who owns which resource, as canonical JSON; at most [`DOCUMENT_MAX`] bytes.
    pub managers: &'a str,
    /// The files that resources refer to and whose contents are promises to callers, by name as a
    /// canonical JSON object; at most [`DOCUMENT_MAX`] bytes. None where there are none, and where
    /// they are not kept.
    pub files: Option<&'a str>,
    /// Which revision it was derived from.
    pub parent: Option<u64>,
    /// Whose words it is.
    pub author: &'a str,
    /// Why it was made.
    pub cause: Cause,
    /// What its author says about it; at most 64 KiB.
    pub message: &'a str,
    /// The commit of the sources it was made from.
    pub source_commit: Option<&'a str>,
    /// A summary of the plan as JSON; at most 64 KiB.
    pub plan: Option<&'a str>,
    /// What was checked and found, as JSON; at most 64 KiB.
    pub checks: &'a str,
}

/// A revision as it is kept; it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RevisionRow {
    /// Its number: from 1, without gaps, over all environments, in the order of their commits.
    pub number: u64,
    /// The environment it was made for.
    pub environment: String,
    /// SHA-256 of its document, in hexadecimal.
    pub digest: String,
    /// SHA-256 of who owns which resource, in hexadecimal; a document like any other.
    pub managers: String,
    /// SHA-256 of the files it was made with, in hexadecimal; a document like any other.
    pub files: Option<String>,
    /// Which revision it was derived from.
    pub parent: Option<u64>,
    /// Whose words it is.
    pub author: String,
    /// Why it was made.
    pub cause: Cause,
    /// What its author says about it.
    pub message: String,
    /// The commit of the sources it was made from.
    pub source_commit: Option<String>,
    /// A summary of the plan, as JSON.
    pub plan: Option<String>,
    /// What was checked and found, as JSON.
    pub checks: String,
    /// When, in UNIX milliseconds.
    pub created_ms: i64,
}

/// Which revisions to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct RevisionQuery<'a> {
    /// Of this environment; of all when empty.
    pub environment: &'a str,
    /// With a smaller number than this; `None`: from the newest.
    pub before: Option<u64>,
    /// How many, at most [`PAGE_MAX`](super::PAGE_MAX).
    pub limit: usize,
}

/// What a revision's row is made of.
const COLUMNS: &str = "number, environment, digest, managers, parent, author, cause, message, \
                       source_commit, plan, checks, created_ms, files";
/// Most bytes of a text that people or plans give.
const TEXT_MAX: usize = 64 << 10;
/// Most bytes of a name.
const NAME_MAX: usize = 1 << 10;
/// How hard documents are compressed: zstd's own default.
const LEVEL: i32 = 3;

impl RevisionRow {
    fn read(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.number(),
            environment: row.text(),
            digest: row.text(),
            managers: row.text(),
            parent: row.optional_number(),
            author: row.text(),
            cause: cause(&row.text())?,
            message: row.text(),
            source_commit: row.optional_text(),
            plan: row.optional_text(),
            checks: row.text(),
            created_ms: row.time(),
            files: row.optional_text(),
        })
    }
}

fn cause(word: &str) -> Result<Cause, StoreError> {
    let found = Cause::ALL.into_iter().find(|cause| cause.word() == word);
    found.ok_or_else(|| StoreError::Broken(format!("the cause `{word}` of a revision")))
}

/// Writes a revision within the transaction of its change.
pub(super) fn insert<D: Database>(
    database: &mut D,
    new: &NewRevision<'_>,
    environment: &str,
    now_ms: i64,
) -> Answer<RevisionRow> {
    let row = RevisionRow {
        number: count(database, "revision")?,
        environment: environment.to_owned(),
        digest: keep(database, "document", new.document)?,
        managers: keep(database, "list of managers", new.managers)?,
        parent: new.parent,
        author: clean(new.author, NAME_MAX),
        cause: new.cause,
        message: clean(new.message, TEXT_MAX),
        source_commit: new.source_commit.map(|commit| clean(commit, NAME_MAX)),
        plan: bounded("plan", new.plan)?,
        checks: bounded("list of checks", Some(new.checks))?.unwrap_or_default(),
        created_ms: now_ms,
        files: match new.files {
            Some(files) => Some(keep(database, "list of files", files)?),
            None => None,
        },
    };
    database.execute(
        "INSERT INTO revision (number, environment, digest, managers, parent, author, cause,
         message, source_commit, plan, checks, created_ms, files)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &[
            number(row.number),
            row.environment.as_str().into(),
            row.digest.as_str().into(),
            row.managers.as_str().into(),
            optional(row.parent),
            row.author.as_str().into(),
            row.cause.word().into(),
            row.message.as_str().into(),
            row.source_commit.as_deref().into(),
            row.plan.as_deref().into(),
            row.checks.as_str().into(),
            now_ms.into(),
            row.files.as_deref().into(),
        ],
    )?;
    Ok(row)
}

/// JSON, which may not be cut.
fn bounded(what: &'static str, text: Option<&str>) -> Answer<Option<String>> {
    let bytes = text.map_or(0, str::len);
    fits(what, bytes, TEXT_MAX)?;
    Ok(text.map(|text| clean(text, TEXT_MAX)))
}

/// Refuses what is larger than what is kept.
pub(super) fn fits(what: &'static str, bytes: usize, limit: usize) -> Answer<()> {
    match bytes > limit {
        true => Err(ControlError::TooLarge { what, bytes, limit }),
        false => Ok(()),
    }
}

/// The next number of a count without gaps; others wait for this transaction.
pub(super) fn count<D: Database>(database: &mut D, name: &str) -> Answer<u64> {
    let sql = "UPDATE head SET number = number + 1 WHERE name = $1 RETURNING number";
    let found = row(database, sql, &[name.into()], |row| Ok(row.number()))?;
    Ok(found.ok_or_else(|| StoreError::Broken(format!("the count `{name}` is gone")))?)
}

/// Keeps a document, unless it is kept already, and returns its digest.
fn keep<D: Database>(database: &mut D, what: &'static str, content: &str) -> Answer<String> {
    fits(what, content.len(), DOCUMENT_MAX)?;
    let digest = sha256(content.as_bytes());
    let known = "SELECT size FROM document WHERE digest = $1";
    let known = row(database, known, &[digest.as_str().into()], |row| {
        Ok(row.number())
    })?;
    if known.is_none() {
        let small = zstd::bulk::compress(content.as_bytes(), LEVEL)
            .map_err(|error| StoreError::Refused(format!("a document: {error}")))?;
        database.execute(
            "INSERT INTO document (digest, size, content) VALUES ($1, $2, $3)",
            &[
                digest.as_str().into(),
                number(content.len() as u64),
                Value::Bytes(small),
            ],
        )?;
    }
    Ok(digest)
}

pub(super) fn document<D: Database>(database: &mut D, digest: &str) -> Answer<Option<String>> {
    let sql = "SELECT size, content FROM document WHERE digest = $1";
    let read = |row: &mut Row| Ok((row.number(), row.bytes()));
    let Some((size, small)) = row(database, sql, &[digest.into()], read)? else {
        return Ok(None);
    };
    let broken = || StoreError::Broken(format!("the document {digest}"));
    let size = usize::try_from(size)
        .unwrap_or(usize::MAX)
        .min(DOCUMENT_MAX);
    let content = zstd::bulk::decompress(&small, size).map_err(|_| broken())?;
    if sha256(&content) != digest {
        return Err(broken().into());
    }
    Ok(Some(String::from_utf8(content).map_err(|_| broken())?))
}

pub(super) fn one<D: Database>(database: &mut D, wanted: u64) -> Answer<Option<RevisionRow>> {
    let sql = format!("SELECT {COLUMNS} FROM revision WHERE number = $1");
    row(database, &sql, &[number(wanted)], RevisionRow::read)
}

/// Fails unless there is such a revision.
pub(super) fn must_exist<D: Database>(database: &mut D, wanted: u64) -> Answer<()> {
    let sql = "SELECT number FROM revision WHERE number = $1";
    match row(database, sql, &[number(wanted)], |row| Ok(row.number()))? {
        Some(_) => Ok(()),
        None => Err(ControlError::Missing(format!("revision {wanted}"))),
    }
}

pub(super) fn page<D: Database>(
    database: &mut D,
    query: &RevisionQuery<'_>,
) -> Answer<Vec<RevisionRow>> {
    let (from, most) = (before(query.before), limit(query.limit));
    let (of, values) = match query.environment {
        "" => (
            "number < $1 ORDER BY number DESC LIMIT $2",
            vec![from, most],
        ),
        name => (
            "environment = $1 AND number < $2 ORDER BY number DESC LIMIT $3",
            vec![name.into(), from, most],
        ),
    };
    let sql = format!("SELECT {COLUMNS} FROM revision WHERE {of}");
    rows(database, &sql, &values, RevisionRow::read)
}
