//! The one shape of an HTTP message, whichever version or codec it came from.
//!
//! Heads are a method or status plus [`Headers`], a compact arena that keeps spelling and order.
//! Bodies are pulled: whoever wants bytes polls for the next [`Frame`], so back-pressure is the
//! absence of a poll. No framing header (Content-Length, Transfer-Encoding, Connection) is looked
//! at outside the codecs: a head in this shape describes the message, not its transport.

mod aside;
mod authority;
mod body;
mod growing;
mod head;
mod header_id;
mod headers;
mod limited;
pub mod multiplexed;
mod sent;
mod tee;

pub use authority::{authority, is_valid_authority};
pub use body::{Body, BodyError, BodyErrorKind, BodyStream, Chunk, Frame, frame};
pub use growing::{Grower, Growing};
pub use head::{Method, Request, RequestHead, Response, ResponseHead, Scheme, Version, reason};
pub use header_id::{HeaderId, is_disguised};
pub use headers::{Headers, InvalidHeader};
pub use limited::Limited;
pub use sent::{SendEnd, Sent};
