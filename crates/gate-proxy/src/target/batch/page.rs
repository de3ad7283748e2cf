//! Pages of files and batches.

use super::Ask;
use crate::batches::BatchData;
use gate_ai::batch::Api;
use gate_ai::batch::shape::{self, FileShape};
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;
use gate_store::files::{FileRow, PAGE_MAX, Page};
use serde_json::Value;

/// Items of a page where the caller does not say.
const USUAL: usize = 20;

/// What a query asks of a page.
#[derive(Debug, Default)]
struct Wanted {
    after: Option<String>,
    before: Option<String>,
    oldest_first: bool,
    limit: Option<usize>,
    purpose: String,
}

impl Wanted {
    /// Reads a query; what is not known is passed over, as the APIs do.
    fn of(query: Option<&str>) -> Result<Self, &'static str> {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "after" | "after_id" => wanted.after = Some(value.into_owned()),
                "before_id" => wanted.before = Some(value.into_owned()),
                "purpose" => wanted.purpose = value.into_owned(),
                "order" => {
                    wanted.oldest_first = match &*value {
                        "asc" => true,
                        "desc" => false,
                        _ => return Err("order: asc or desc"),
                    }
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| *limit > 0);
                    wanted.limit = Some(limit.ok_or("limit: a whole number from 1 on")?);
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// A file as callers read it.
pub(super) fn file_of(row: &FileRow) -> Value {
    shape::file(&FileShape {
        id: &row.id,
        bytes: row.bytes,
        created_ms: row.created_ms,
        expires_ms: row.expires_ms,
        name: &row.name,
        purpose: &row.purpose,
    })
}

/// Lists the owner's files.
pub(super) async fn files(exchange: &Exchange, ask: &Ask<'_>) -> Result<Response, Fault> {
    let wanted = match Wanted::of(exchange.request.head.query()) {
        Ok(wanted) => wanted,
        Err(message) => return Ok(ask.refuse(400, message)),
    };
    let owner = ask.owner.id.clone();
    let limit = wanted.limit.unwrap_or(PAGE_MAX).min(PAGE_MAX - 1);
    let listed = ask.desk.ask(move |shelf| {
        let page = Page {
            owner: &owner,
            of: &wanted.purpose,
            after: wanted.after.as_deref(),
            oldest_first: wanted.oldest_first,
            limit: limit + 1,
        };
        shelf.store(|store| store.files(&page))
    });
    let rows = match listed.await? {
        Ok(rows) => rows,
        Err(error) => return ask.unkept(&error),
    };
    let items: Vec<Value> = rows.iter().take(limit).map(file_of).collect();
    Ok(ask.json(shape::page(Api::OpenAi, &items, rows.len() > limit)))
}

/// Lists the owner's batches.
pub(super) async fn batches(exchange: &Exchange, ask: &Ask<'_>) -> Result<Response, Fault> {
    let wanted = match Wanted::of(exchange.request.head.query()) {
        Ok(wanted) => wanted,
        Err(message) => return Ok(ask.refuse(400, message)),
    };
    let (owner, api) = (ask.owner.id.clone(), ask.api);
    let limit = wanted.limit.unwrap_or(USUAL).min(PAGE_MAX - 1);
    let backwards = wanted.before.is_some();
    let listed = ask.desk.ask(move |shelf| {
        let page = Page {
            owner: &owner,
            of: api.as_str(),
            after: wanted.before.as_deref().or(wanted.after.as_deref()),
            oldest_first: backwards,
            limit: limit + 1,
        };
        shelf.store(|store| store.batches(&page))
    });
    let rows = match listed.await? {
        Ok(rows) => rows,
        Err(error) => return ask.unkept(&error),
    };
    let shown = rows.iter().take(limit);
    let mut items: Vec<Value> = shown
        .filter_map(|row| Some(BatchData::of(row)?.shape(row)))
        .collect();
    if backwards {
        items.reverse();
    }
    Ok(ask.json(shape::page(ask.api, &items, rows.len() > limit)))
}
