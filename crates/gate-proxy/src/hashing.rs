//! The hash of a body that is signed, made off the worker where it takes long.

use bytes::Bytes;
use gate_flow::{Fault, Services};
use gate_kit::sigv4;
use gate_model::fault::FaultCode;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

/// Bodies up to this many bytes are hashed on the worker: about 100 µs.
const HASHED_AT_ONCE: usize = 128 * 1024;

/// The SHA-256 of a body, in hexadecimal digits.
pub(crate) async fn body_hash(services: &Rc<dyn Services>, body: &Bytes) -> Result<String, Fault> {
    if body.len() <= HASHED_AT_ONCE {
        return Ok(sigv4::body_hash(body));
    }
    let slot = Arc::new(OnceLock::new());
    let (filled, body) = (slot.clone(), body.clone());
    let work = Box::new(move || {
        let _ = filled.set(sigv4::body_hash(&body));
    });
    services.offload(work).await?;
    let hash = slot.get().cloned();
    hash.ok_or_else(|| Fault::new(FaultCode::InternalError).detail("a hash was not made"))
}
