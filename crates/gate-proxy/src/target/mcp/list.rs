//! Lists of tools, prompts and resources: every server's, merged, filtered, in pages.

use super::serve::{Incoming, json};
use super::session::{Opened, Session};
use super::{ToMcp, Trouble, Use, lists, oauth};
use crate::target::around::{Around, together};
use gate_ai::rpc::lists::{Entry, Listed, read_page, write_page};
use gate_ai::rpc::quoted;
use gate_flow::{Exchange, Fault};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::Arc;

/// Most entries of a page to a caller.
const PAGE: usize = 1_000;
/// Most entries of a server's list.
const ENTRIES_MAX: usize = 10_000;
/// Most pages of a server's list that are asked for.
const PAGES_MAX: usize = 100;

/// A server, and what it has.
type Asked<'a> = (&'a Use, Result<Vec<Entry>, Trouble>);

impl ToMcp {
    pub(super) async fn list(
        &self,
        exchange: &Exchange,
        around: &Rc<Around>,
        session: &Arc<Session>,
        incoming: &Incoming,
        listed: Listed,
    ) -> Result<Response, Fault> {
        let start = match &incoming.message.cursor {
            None => 0,
            Some(cursor) => cursor.parse::<usize>().map_err(|_| {
                Fault::new(FaultCode::ToolNotFound).message("The cursor is none of this gateway's.")
            })?,
        };
        let all = self.visible(exchange).map(|used| {
            let gather = async move { (used, used.gather(around, session, listed).await) };
            Box::pin(gather) as std::pin::Pin<Box<dyn Future<Output = Asked<'_>> + '_>>
        });
        let allowed = lists(exchange);
        let mut entries: Vec<Box<str>> = Vec::new();
        for (used, result) in together(all).await {
            match result {
                Ok(found) => {
                    let offered = |entry: &Entry| {
                        listed != Listed::Tools || used.offers(allowed, &entry.name)
                    };
                    let found = found.into_iter().filter(offered);
                    entries.extend(found.map(|entry| entry.json));
                }
                Err(Trouble::Challenge { status, wanted }) => {
                    return Ok(oauth::challenge(exchange, status, wanted.as_deref()));
                }
                Err(trouble) => {
                    around.failed(&used.server.name, &trouble.into_fault(&used.server));
                }
            }
        }
        let end = entries.len().min(start.saturating_add(PAGE));
        let next = (end < entries.len()).then(|| end.to_string());
        let page = entries.get(start..end).unwrap_or_default();
        let texts = page.iter().map(|entry| &**entry);
        Ok(json(write_page(
            incoming.id(),
            listed,
            texts,
            next.as_deref(),
        )))
    }
}

impl Use {
    /// All that a server lists, bounded. Where its session was lost, in a new one.
    async fn gather(
        &self,
        around: &Rc<Around>,
        session: &Session,
        listed: Listed,
    ) -> Result<Vec<Entry>, Trouble> {
        let opened = self.server.open(around, session).await?;
        match self.pages(around, &opened, listed).await {
            Err(Trouble::Lost) => {
                session.link(&self.server.name).forget(&opened);
                let opened = self.server.open(around, session).await?;
                self.pages(around, &opened, listed).await
            }
            result => result,
        }
    }

    async fn pages(
        &self,
        around: &Rc<Around>,
        opened: &Opened,
        listed: Listed,
    ) -> Result<Vec<Entry>, Trouble> {
        let offer = &opened.offer;
        let has = match listed {
            Listed::Tools => offer.tools,
            Listed::Prompts => offer.prompts,
            Listed::Resources | Listed::Templates => offer.resources,
        };
        let mut entries = Vec::new();
        let mut cursor: Option<Box<str>> = None;
        for _ in 0..if has { PAGES_MAX } else { 0 } {
            let params = cursor
                .as_deref()
                .map(|c| format!("{{\"cursor\":{}}}", quoted(c)));
            let method = listed.method();
            let answer = self.server.ask(around, opened, method, params.as_deref());
            let answer = answer.await?;
            let prefix = self.prefix.clone();
            let size = answer.len();
            let read = move || read_page(&answer, listed, &prefix);

            let page = around.work(size, read).await?;
            let page = page.map_err(|error| self.server.malformed(&error.to_string()))?;
            if let Some(code) = page.error {
                // Templates are an afterthought of resources, which not every server has.
                if listed == Listed::Templates {
                    return Ok(entries);
                }
                let why = format!("it answered {} with the error {code}", listed.method());
                return Err(self.server.malformed(&why).into());
            }
            entries.extend(page.entries);
            cursor = page.next;
            if cursor.is_none() || entries.len() >= ENTRIES_MAX {
                break;
            }
        }
        entries.truncate(ENTRIES_MAX);
        if listed == Listed::Tools {
            let names = entries.iter().map(|entry: &Entry| &*entry.name);
            self.server.known.learn(names);
        }
        Ok(entries)
    }
}
