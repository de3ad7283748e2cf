//! The one shape of an HTTP message, whichever version or codec it came from.
//!
//! Heads are a method or status plus [`Headers`], a compact arena that keeps spelling and order.
//! Bodies are pulled: whoever wants bytes polls for the next [`Frame`], so back-pressure is the
//! absence of a poll. No framing header (Content-Length, Transfer-Encoding, Connection) is looked
//! at outside the codecs: a head in this shape describes the message, not its transport.

mod body;
mod growing;
mod head;
mod header_id;
mod headers;
mod limited;
mod tee;

pub use body::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, frame};
pub use growing::{Grower, Growing};
pub use head::{Method, Request, RequestHead, Response, ResponseHead, Scheme, Version, reason};
pub use header_id::HeaderId;
pub use headers::{Headers, InvalidHeader};
pub use limited::Limited;
