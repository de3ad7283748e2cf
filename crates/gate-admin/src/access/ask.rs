//! Questions to the identity provider: few at once, short, and of bounded answers.
//!
//! They block one of the API's own threads, so that only some may be under way: whoever cannot ask
//! is told to come back, and holders of keys go on being served.

use gate_api::client::Endpoint;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How long connecting may take, and how long nothing may come.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 1 << 20;
/// Most questions at once; the API has one thread more.
const AT_ONCE: usize = 2;

/// Asks one identity provider.
pub(super) struct Asker {
    authorities: Option<PathBuf>,
    under_way: AtomicUsize,
}

/// A place among the questions; given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Asker {
    /// Trusts the authorities of a PEM file instead of the public ones, where there is one.
    pub(super) fn new(authorities: Option<PathBuf>) -> Self {
        Self {
            authorities,
            under_way: AtomicUsize::new(0),
        }
    }

    /// Whether a URL can be asked.
    pub(super) fn endpoint(&self, url: &str) -> Result<Endpoint, String> {
        let endpoint = match &self.authorities {
            Some(file) => Endpoint::with_authorities(url, file),
            None => Endpoint::new(url),
        };
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        Ok(endpoint.patient(PATIENCE))
    }

    /// What a URL answers to GET.
    pub(super) fn get(&self, url: &str, authorization: Option<&str>) -> Result<Vec<u8>, String> {
        let (status, body) = self.call("GET", url, authorization, b"")?;
        match status {
            200 => Ok(body),
            status => Err(format!("{url} answers {status}")),
        }
    }

    /// Status and body that a URL answers to a form.
    pub(super) fn post(
        &self,
        url: &str,
        authorization: Option<&str>,
        form: &str,
    ) -> Result<(u16, Vec<u8>), String> {
        self.call("POST", url, authorization, form.as_bytes())
    }

    fn call(
        &self,
        method: &str,
        url: &str,
        authorization: Option<&str>,
        body: &[u8],
    ) -> Result<(u16, Vec<u8>), String> {
        let _place = self.place().ok_or("it is being asked too often already")?;
        let mut headers = vec![("Accept", "application/json")];
        if !body.is_empty() {
            headers.push(("Content-Type", "application/x-www-form-urlencoded"));
        }
        headers.extend(authorization.map(|value| ("Authorization", value)));
        let endpoint = self.endpoint(url)?;
        let reply = endpoint.call(method, "", &headers, body, ANSWER_BYTES_MAX);
        let reply = reply.map_err(|error| error.to_string())?;
        Ok((reply.status, reply.body))
    }

    fn place(&self) -> Option<Place<'_>> {
        let count = &self.under_way;
        let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, |under_way| {
            (under_way < AT_ONCE).then_some(under_way + 1)
        });
        taken.is_ok().then(|| Place(count))
    }
}
