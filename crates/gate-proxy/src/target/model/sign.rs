//! Signing a finished request where the provider's account asks for it (AWS).
//!
//! The signature covers the body's hash, so that this comes last; long bodies are hashed off the
//! worker.

use super::Provider;
use crate::hashing::body_hash;
use bytes::Bytes;
use gate_flow::{Fault, Services};
use gate_kit::http::{Body, RequestHead};
use gate_model::fault::FaultCode;
use std::rc::Rc;

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
    let hash = body_hash(services, body).await?;
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
