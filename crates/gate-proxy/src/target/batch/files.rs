//! Files: taken in piece by piece, described, given out, deleted.

use super::spool::Spool;
use super::{Again, Ask, broken, page, read};
use crate::batches::{FILE, Incoming, Kept, ShelfError, new_id};
use gate_ai::batch::shape::file_deleted;
use gate_ai::batch::{Part, Upload};
use gate_ai::operation::boundary;
use gate_flow::{Exchange, Fault};
use gate_kit::http::{Body, Chunk, Frame, HeaderId, Method, Response, frame};
use gate_model::fault::FaultCode;
use gate_store::files::FileRow;
use std::collections::VecDeque;

/// Bytes that are gathered before they go to the disk.
const PIECE: usize = 256 * 1024;
/// Bytes of a form that may stand around its file.
const AROUND_MAX: u64 = 1024 * 1024;
/// Longest name of a file that is kept, in bytes.
const NAME_MAX: usize = 255;
/// Shortest and longest time that a caller may have a file kept, in seconds.
const EXPIRES_S: std::ops::RangeInclusive<u64> = 3_600..=2_592_000;

/// Serves one call; none where it is a provider's.
pub(super) async fn serve(
    exchange: &mut Exchange,
    ask: &Ask<'_>,
) -> Result<Option<Response>, Fault> {
    match (&ask.method, ask.rest.split_once('/')) {
        (Method::Post, None) if ask.rest.is_empty() => upload(exchange, ask).await,
        (Method::Get, None) if ask.rest.is_empty() => page::files(exchange, ask).await.map(Some),
        (Method::Get, None) => describe(ask).await.map(Some),
        (Method::Get, Some((id, "content"))) => content(ask, id).await.map(Some),
        (Method::Delete, None) if !ask.rest.is_empty() => delete(ask).await.map(Some),
        (_, Some((_, what))) if what != "content" => Ok(Some(ask.absent(what))),
        _ => Err(FaultCode::MethodNotAllowed.into()),
    }
}

/// The owner's file of this id.
async fn find(ask: &Ask<'_>, id: &str) -> Result<Option<FileRow>, Fault> {
    let (owner, id) = (ask.owner.id.clone(), id.to_owned());
    let found = ask
        .desk
        .ask(move |shelf| shelf.store(|store| store.file(&owner, &id)));
    found.await?.map_err(|error| broken(&error))
}

async fn describe(ask: &Ask<'_>) -> Result<Response, Fault> {
    Ok(match find(ask, ask.rest).await? {
        Some(row) => ask.json(page::file_of(&row)),
        None => ask.absent(ask.rest),
    })
}

async fn content(ask: &Ask<'_>, id: &str) -> Result<Response, Fault> {
    let Some(row) = find(ask, id).await? else {
        return Ok(ask.absent(id));
    };
    let id = row.id.clone();
    let opened = ask.desk.ask(move |shelf| shelf.open_file(&id));
    let file = match opened.await? {
        Ok(file) => file,
        Err(error) => return ask.unkept(&error),
    };
    let mut response = Response::empty(200);
    let headers = &mut response.head.headers;
    headers.append_known(HeaderId::ContentType, b"application/octet-stream");
    headers.append(b"X-Content-Type-Options", b"nosniff");
    response.body = read::body(ask.desk.clone(), file, row.bytes);
    Ok(response)
}

async fn delete(ask: &Ask<'_>) -> Result<Response, Fault> {
    let (owner, id) = (ask.owner.id.clone(), ask.rest.to_owned());
    let removed = ask.desk.ask(move |shelf| shelf.remove_file(&owner, &id));
    Ok(match removed.await?.map_err(|error| broken(&error))? {
        true => ask.json(file_deleted(ask.rest)),
        false => ask.absent(ask.rest),
    })
}

/// What a form has said so far.
#[derive(Default)]
struct Said {
    purpose: Option<String>,
    anchor: Option<String>,
    expires_s: Option<String>,
    name: Option<String>,
    /// Bytes of the file that are not on the disk yet.
    gathered: Vec<u8>,
}

impl Said {
    fn take(&mut self, part: Part<'_>) {
        match part {
            Part::Field { name, value } => {
                let value = Some(value.to_owned());
                match name {
                    "purpose" => self.purpose = value,
                    "expires_after[anchor]" => self.anchor = value,
                    "expires_after[seconds]" => self.expires_s = value,
                    _ => {}
                }
            }
            Part::File { name } => {
                let name = &name[..name.floor_char_boundary(NAME_MAX)];
                self.name = Some(name.to_owned());
            }
            Part::Bytes(bytes) => self.gathered.extend_from_slice(bytes),
            Part::End => {}
        }
    }

    /// Whether the file is known to be for something else than batches.
    fn is_providers(&self) -> bool {
        self.purpose
            .as_deref()
            .is_some_and(|purpose| purpose != "batch")
    }

    /// When the file expires, in milliseconds after it was made.
    fn expires_ms(&self) -> Result<Option<i64>, &'static str> {
        let wrong = "expires_after: anchor is created_at, seconds are from 3600 to 2592000";
        match (self.anchor.as_deref(), self.expires_s.as_deref()) {
            (None, None) => Ok(None),
            (Some("created_at"), Some(seconds)) => {
                let seconds: u64 = seconds.parse().map_err(|_| wrong)?;
                match EXPIRES_S.contains(&seconds) {
                    true => Ok(i64::try_from(seconds * 1000).ok()),
                    false => Err(wrong),
                }
            }
            _ => Err(wrong),
        }
    }
}

/// How an upload ended.
enum Came {
    /// The file is whole, but for what is gathered.
    File(Box<(Said, Incoming)>),
    /// It is a provider's; the request is whole again.
    Providers,
    /// It cannot be kept.
    Refused(u16, String),
}

async fn upload(exchange: &mut Exchange, ask: &Ask<'_>) -> Result<Option<Response>, Fault> {
    let kind = exchange.request.head.headers.get_str(HeaderId::ContentType);
    let Some(boundary) = kind.and_then(boundary) else {
        let message = "Send the file as multipart/form-data.";
        return Ok(Some(ask.refuse(400, message)));
    };
    let form = Upload::new(boundary);
    let (said, incoming) = match take_in(exchange, ask, form).await? {
        Came::Providers => return Ok(None),
        Came::Refused(status, message) => return Ok(Some(ask.refuse(status, &message))),
        Came::File(file) => *file,
    };
    let Some(purpose) = said.purpose.clone().filter(|purpose| !purpose.is_empty()) else {
        return Ok(Some(
            ask.refuse(400, "Missing required parameter: 'purpose'."),
        ));
    };
    let lives_ms = match said.expires_ms() {
        Ok(lives) => lives,
        Err(message) => return Ok(Some(ask.refuse(400, message))),
    };
    let owner = ask.owner.id.clone();
    let kept = ask.desk.ask(move |shelf| -> Kept<FileRow> {
        let mut incoming = incoming;
        incoming.write(&said.gathered)?;
        let now = shelf.now_ms();
        let usual = shelf.settings().keep.duration().as_millis();
        let lives_ms = lives_ms.or_else(|| i64::try_from(usual).ok());
        let row = FileRow {
            number: 0,
            id: new_id(FILE)?,
            owner,
            name: said.name.unwrap_or_default(),
            purpose,
            bytes: 0,
            created_ms: now,
            expires_ms: lives_ms.map(|lives| now.saturating_add(lives)),
        };
        shelf.keep(incoming, row)
    });
    match kept.await? {
        Ok(row) => Ok(Some(ask.json(page::file_of(&row)))),
        Err(error) => ask.unkept(&error).map(Some),
    }
}

/// Reads the form, and writes the file while it comes.
async fn take_in(exchange: &mut Exchange, ask: &Ask<'_>, mut form: Upload) -> Result<Came, Fault> {
    let most = ask.desk.settings().file_size.bytes();
    let limit = exchange.overrides.body.unwrap_or(u64::MAX);
    let mut body = std::mem::take(&mut exchange.request.body);
    let mut said = Said::default();
    let mut incoming: Option<Incoming> = None;
    // Until the file comes, what came before it.
    let mut held: Option<VecDeque<Chunk>> = Some(VecDeque::new());
    // Where it is not known by then whose the file is, all that came, until it is.
    let mut spool: Option<Spool> = None;
    let mut came = 0_u64;
    while let Some(next) = frame(&mut body).await {
        let Frame::Data(chunk) = next.map_err(|error| Fault::from_request_body(&error))? else {
            break;
        };
        came += chunk.len() as u64;
        if came > limit {
            return Err(FaultCode::BodyTooLarge.into());
        }
        if let Err(error) = form.push(&chunk, |part| said.take(part)) {
            return Ok(Came::Refused(400, error.to_string()));
        }
        if let Some(spool) = &mut spool {
            spool.push(&ask.desk, &chunk).await?;
        }
        if let Some(chunks) = &mut held {
            chunks.push_back(chunk);
            if said.name.is_none() {
                if came > PIECE as u64 {
                    return Ok(Came::Refused(400, "The form's file is not found.".into()));
                }
                continue;
            }
            let chunks = std::mem::take(chunks);
            if ask.provider_keeps && said.is_providers() {
                exchange.request.body = Again::body(chunks, body);
                return Ok(Came::Providers);
            }
            if ask.provider_keeps && said.purpose.is_none() {
                let mut begun = Spool::new(begun(ask).await?);
                for chunk in &chunks {
                    begun.push(&ask.desk, chunk).await?;
                }
                spool = Some(begun);
            }
            held = None;
            incoming = Some(begun(ask).await?);
        }
        // Nothing more is asked of it then.
        if said.purpose.is_some() && !said.is_providers() {
            spool = None;
        }
        if spool.is_some() && came > most.saturating_add(AROUND_MAX) {
            let message = format!("The form is larger than its file of {most} bytes may make it.");
            return Ok(Came::Refused(413, message));
        }
        let written = incoming.as_ref().map_or(0, Incoming::bytes);
        if written + said.gathered.len() as u64 > most {
            let message = format!("The file is larger than {most} bytes.");
            return Ok(Came::Refused(413, message));
        }
        if said.gathered.len() >= PIECE
            && let Some(file) = incoming.take()
        {
            let bytes = std::mem::take(&mut said.gathered);
            incoming = Some(written_to(ask, file, bytes).await?);
        }
    }
    exchange.request.body = Body::Empty;
    if let Err(error) = form.finish() {
        return Ok(Came::Refused(400, error.to_string()));
    }
    if let Some(spool) = spool.filter(|_| said.is_providers()) {
        exchange.request.body = spool.body(&ask.desk).await?;
        return Ok(Came::Providers);
    }
    Ok(match incoming {
        Some(incoming) => Came::File(Box::new((said, incoming))),
        None => Came::Refused(400, "Missing required parameter: 'file'.".into()),
    })
}

/// A file to write into.
async fn begun(ask: &Ask<'_>) -> Result<Incoming, Fault> {
    let begun = ask.desk.ask(|shelf| shelf.begin()).await?;
    begun.map_err(|error| broken(&error))
}

/// The same file with these bytes more.
async fn written_to(ask: &Ask<'_>, mut file: Incoming, bytes: Vec<u8>) -> Result<Incoming, Fault> {
    let written = ask.desk.ask(move |_| {
        file.write(&bytes)?;
        Ok::<_, ShelfError>(file)
    });
    written.await?.map_err(|error| broken(&error))
}
