//! Batches: handed in, described, cancelled, deleted; and the results of message batches.

use super::{Ask, broken, create, page, read};
use crate::batches::{BatchData, Shelf, ShelfError};
use gate_ai::batch::shape::batch_deleted;
use gate_ai::batch::{Api, BatchState};
use gate_flow::{Exchange, Fault};
use gate_kit::http::{HeaderId, Method, Response};
use gate_model::fault::FaultCode;
use gate_store::files::BatchRow;
use serde_json::Value;
use std::fs::File;

/// How often a cancellation is tried that others write beside.
const TRIES: usize = 20;

/// Serves one call; none where it is a provider's.
pub(super) async fn serve(
    exchange: &mut Exchange,
    ask: &Ask<'_>,
) -> Result<Option<Response>, Fault> {
    let (id, what) = match ask.rest.split_once('/') {
        Some((id, what)) => (id, Some(what)),
        None => (ask.rest, None),
    };
    match (&ask.method, what) {
        (Method::Post, None) if id.is_empty() => match ask.api {
            Api::OpenAi => create::over_file(exchange, ask).await,
            Api::Anthropic => create::inline(exchange, ask).await.map(Some),
        },
        (Method::Get, None) if id.is_empty() => page::batches(exchange, ask).await.map(Some),
        (Method::Get, None) => describe(ask, id).await.map(Some),
        (Method::Post, Some("cancel")) => cancel(ask, id).await.map(Some),
        (Method::Get, Some("results")) if ask.api == Api::Anthropic => {
            results(ask, id).await.map(Some)
        }
        (Method::Delete, None) if ask.api == Api::Anthropic && !id.is_empty() => {
            delete(ask, id).await.map(Some)
        }
        (_, Some(what)) if !["cancel", "results"].contains(&what) => Ok(Some(ask.absent(what))),
        _ => Err(FaultCode::MethodNotAllowed.into()),
    }
}

/// The owner's batch of this id, and what is known of it.
fn find(
    shelf: &mut Shelf,
    owner: &str,
    id: &str,
    api: Api,
) -> Result<Option<(BatchRow, BatchData)>, ShelfError> {
    let row = shelf.store(|store| store.batch(owner, id))?;
    let row = row.filter(|row| row.api == api.as_str());
    Ok(row.and_then(|row| BatchData::of(&row).map(|data| (row, data))))
}

async fn describe(ask: &Ask<'_>, id: &str) -> Result<Response, Fault> {
    let (owner, wanted, api) = (ask.owner.id.clone(), id.to_owned(), ask.api);
    let found = ask.desk.ask(move |shelf| find(shelf, &owner, &wanted, api));
    let found = found.await?.map_err(|error| broken(&error))?;
    Ok(match found {
        Some((row, data)) => ask.json(data.shape(&row)),
        None => ask.absent(id),
    })
}

/// What became of a wish to cancel.
enum Cancelled {
    Yes(Value),
    Over(String, Value),
    Absent,
}

async fn cancel(ask: &Ask<'_>, id: &str) -> Result<Response, Fault> {
    let (owner, wanted, api) = (ask.owner.id.clone(), id.to_owned(), ask.api);
    let cancelled = ask.desk.ask(move |shelf| {
        for _ in 0..TRIES {
            let Some((mut row, mut data)) = find(shelf, &owner, &wanted, api)? else {
                return Ok(Cancelled::Absent);
            };
            let state = BatchState::named(&row.state).unwrap_or(BatchState::Failed);
            if state == BatchState::Cancelling {
                return Ok(Cancelled::Yes(data.shape(&row)));
            }
            if !state.may_become(BatchState::Cancelling) {
                let state = row.state.clone();
                return Ok(Cancelled::Over(state, data.shape(&row)));
            }
            let now = shelf.now_ms();
            data.write(&mut row, BatchState::Cancelling, now);
            match shelf.store(|store| store.save_batch(&row, &[], now)) {
                // Its runner wrote it meanwhile: it is read again.
                Err(error) if error.is_stale() => {}
                saved => return saved.map(|_| Cancelled::Yes(data.shape(&row))),
            }
        }
        let busy = std::io::Error::other("a batch is written too often to be cancelled");
        Err(ShelfError::Disk(busy))
    });
    let cancelled = cancelled.await?.map_err(|error| broken(&error))?;
    Ok(match cancelled {
        Cancelled::Yes(batch) => {
            ask.desk.note_change();
            ask.json(batch)
        }
        Cancelled::Over(_, batch) if ask.api == Api::Anthropic => ask.json(batch),
        Cancelled::Over(state, _) => ask.refuse(
            409,
            &format!("Cannot cancel a batch with status '{state}'."),
        ),
        Cancelled::Absent => ask.absent(id),
    })
}

async fn delete(ask: &Ask<'_>, id: &str) -> Result<Response, Fault> {
    let (owner, wanted, api) = (ask.owner.id.clone(), id.to_owned(), ask.api);
    let deleted = ask.desk.ask(move |shelf| {
        let Some((row, _)) = find(shelf, &owner, &wanted, api)? else {
            return Ok::<_, ShelfError>(None);
        };
        if !row.is_over {
            return Ok(Some(false));
        }
        shelf.store(|store| store.remove_batch(&owner, &wanted))?;
        shelf.remove_parts(&wanted)?;
        Ok(Some(true))
    });
    Ok(match deleted.await?.map_err(|error| broken(&error))? {
        Some(true) => ask.json(batch_deleted(id)),
        Some(false) => {
            let message = "A message batch is deleted once it has ended; cancel it first.";
            ask.refuse(400, message)
        }
        None => ask.absent(id),
    })
}

async fn results(ask: &Ask<'_>, id: &str) -> Result<Response, Fault> {
    let (owner, wanted, api) = (ask.owner.id.clone(), id.to_owned(), ask.api);
    let opened = ask.desk.ask(move |shelf| {
        let Some((row, _)) = find(shelf, &owner, &wanted, api)? else {
            return Ok::<_, ShelfError>(None);
        };
        if !row.is_over {
            return Ok(Some(None));
        }
        let file = File::open(shelf.batch_path(&wanted, "output"))?;
        let bytes = file.metadata()?.len();
        Ok(Some(Some((file, bytes))))
    });
    let opened = match opened.await? {
        Ok(opened) => opened,
        Err(error) => return ask.unkept(&error),
    };
    Ok(match opened {
        Some(Some((file, bytes))) => {
            let mut response = Response::empty(200);
            let headers = &mut response.head.headers;
            headers.append_known(HeaderId::ContentType, b"application/x-jsonl");
            response.body = read::body(ask.desk.clone(), file, bytes);
            response
        }
        Some(None) => ask.refuse(404, "The results are there once the batch has ended."),
        None => ask.absent(id),
    })
}
