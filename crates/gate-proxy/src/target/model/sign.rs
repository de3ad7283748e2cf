//! Signing a finished request where the provider's account asks for it (AWS).
//!
//! The signature covers the body's hash, so that this comes last; long bodies are hashed off the
//! worker.

use super::Provider;
use bytes::Bytes;
use gate_flow::{Fault, Services};
use gate_kit::http::{Body, RequestHead};
use gate_kit::sigv4::body_hash;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// Bodies up to this many bytes are hashed on the worker: about 100 µs.
const HASHED_AT_ONCE: usize = 128 * 1024;

/// Signs `head` with `secret` where the account asks for it. May be dropped midway.
pub(super) async fn sign(
    services: &Rc<dyn Services>,
    provider: &Provider,
    secret: Option<&str>,
    head: &mut RequestHead,
    body: &Bytes,
) -> Result<(), Fault> {
    let Some(secret) = secret.filter(|_| provider.config.signs(provider.kind)) else {
        return Ok(());
    };
    let hash = hash(services, body).await?;
    let now_unix_s = services.clock().unix().as_secs();
    provider
        .config
        .sign(provider.kind, head, &hash, secret, now_unix_s)
        .map_err(|error| Fault::new(FaultCode::InternalError).detail(error.to_string()))
}

/// The same for a body that may be absent or on its way; one on its way cannot be signed.
pub(super) async fn sign_body(
    services: &Rc<dyn Services>,
    provider: &Provider,
    secret: Option<&str>,
    head: &mut RequestHead,
    body: &Option<Body>,
) -> Result<(), Fault> {
    if !provider.config.signs(provider.kind) {
        return Ok(());
    }
    let bytes = match body {
        None | Some(Body::Empty) => Bytes::new(),
        Some(Body::Full(chunk)) => Bytes::copy_from_slice(chunk),
        Some(_) => {
            let detail = "a body that is streamed cannot be signed";
            return Err(Fault::new(FaultCode::InternalError).detail(detail));
        }
    };
    sign(services, provider, secret, head, &bytes).await
}

async fn hash(services: &Rc<dyn Services>, body: &Bytes) -> Result<String, Fault> {
    if body.len() <= HASHED_AT_ONCE {
        return Ok(body_hash(body));
    }
    let slot = Arc::new(OnceLock::new());
    let (filled, body) = (slot.clone(), body.clone());
    let work = Box::new(move || {
        let _ = filled.set(body_hash(&body));
    });
    services.offload(work).await?;
    let hash = slot.get().cloned();
    hash.ok_or_else(|| Fault::new(FaultCode::InternalError).detail("a hash was not made"))
}
