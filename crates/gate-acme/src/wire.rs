//! The library's requests over the control plane's own blocking client.
//!
//! An authority names absolute URLs; each host gets a client of its own, with the configured
//! authorities. Plain HTTP is spoken only where the directory itself is configured so.

use crate::AcmeError;
use bytes::Bytes;
use gate_api::Endpoint;
use http::{Request, Response};
use http_body_util::BodyExt;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most bytes of an answer: a chain is a few thousand.
const ANSWER_BYTES_MAX: u64 = 256 * 1024;
/// How long nothing may come.
const QUIET: Duration = Duration::from_secs(20);

/// The client for one directory. Its futures block: they run on a thread of their own.
#[derive(Clone)]
pub(crate) struct Wire {
    scheme: String,
    authorities: Option<PathBuf>,
    endpoints: Arc<Mutex<HashMap<String, Endpoint>>>,
}

impl Wire {
    /// The client for a directory's URL.
    pub(crate) fn new(directory: &str, authorities: Option<PathBuf>) -> Result<Self, AcmeError> {
        let (scheme, _) = split(directory)?;
        Ok(Self {
            scheme: scheme.to_owned(),
            authorities,
            endpoints: Arc::default(),
        })
    }

    fn endpoint(&self, base: &str) -> Result<Endpoint, AcmeError> {
        let mut known = self
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(endpoint) = known.get(base) {
            return Ok(endpoint.clone());
        }
        let endpoint = match self
            .authorities
            .as_deref()
            .filter(|_| self.scheme == "https")
        {
            Some(file) => Endpoint::with_authorities(base, file),
            None => Endpoint::new(base),
        };
        let endpoint = endpoint
            .map_err(|error| AcmeError::of(base, error))?
            .patient(QUIET);
        known.insert(base.to_owned(), endpoint.clone());
        Ok(endpoint)
    }

    /// Sends one request and reads its whole answer.
    pub(crate) fn send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<gate_api::Reply, AcmeError> {
        let (scheme, behind) = split(url)?;
        if scheme != self.scheme {
            return Err(AcmeError(format!(
                "{url} leads from {} to {scheme}",
                self.scheme
            )));
        }
        let (base, path) = match behind.find('/') {
            Some(at) => (&url[..url.len() - behind.len() + at], &behind[at..]),
            None => (url, "/"),
        };
        let endpoint = self.endpoint(base)?;
        let reply = endpoint.call(method, path, headers, body, ANSWER_BYTES_MAX);
        reply.map_err(|error| AcmeError::of(base, error))
    }
}

/// The scheme of a URL and what stands behind it.
fn split(url: &str) -> Result<(&str, &str), AcmeError> {
    url.split_once("://")
        .filter(|(scheme, _)| matches!(*scheme, "http" | "https"))
        .ok_or_else(|| AcmeError(format!("`{url}` is no http or https URL")))
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match body.collect().await {
                Ok(collected) => collected.to_bytes(),
                Err(never) => match never {},
            };
            let fields = parts.headers.iter();
            let headers: Vec<(&str, &str)> = fields
                .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)))
                .collect();
            let url = parts.uri.to_string();
            let reply = wire.send(parts.method.as_str(), &url, &headers, &body);
            let reply = reply.map_err(|error| Error::Other(Box::new(error)))?;
            let mut response = Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(name, value);
            }
            let response = response
                .body(())
                .map_err(|error| Error::Other(Box::new(error)))?;
            Ok(BytesResponse {
                parts: response.into_parts().0,
                body: Box::new(Bytes::from(reply.body)),
            })
        })
    }
}
