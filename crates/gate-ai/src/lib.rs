//! What the gateway knows about AI providers: dialects, translation, streams, usage, errors.
//!
//! Bytes in, bytes out: this crate owns no socket, no clock and no task, so all of it can be
//! fuzzed. There are two ways through it. The **native** way ([`inspect()`], [`prepare_native`],
//! [`StreamTap`], [`response_facts`]) serves a caller whose dialect is the provider's own: bytes
//! pass untouched but for the model name, and only as much is read as must be known. The
//! **translated** way ([`translate_request`], [`translate_response`], [`StreamTranslator`]) goes
//! through the neutral form of [`conversation`], so that each dialect is one folder, not one per
//! pair. What a target cannot express is a [`Loss`], listed in [`losses`].

pub mod batch;
pub mod conversation;
pub mod dialect;
pub mod endpoint;
mod error;
pub mod event_stream;
pub mod failure;
mod framing;
pub mod guard;
pub mod inspect;
mod json;
mod json_list;
mod listing;
pub mod losses;
pub mod operation;
pub mod otel;
mod prefix;
mod prepare;
pub mod prices;
mod probe;
pub mod prompt;
pub mod provider;
pub mod repeat;
mod resume;
pub mod rpc;
pub mod service_tier;
pub mod sse;
mod stream_error;
mod tap;
pub mod tokenizer;
pub mod tokens;
pub mod translate;
mod usage;
mod wants;

pub use dialect::Dialect;
pub use dialect::generate_content::{target_in_form, wants_json_list};
pub use endpoint::{Endpoint, ModelPlace, NoEndpoint, Operation};
pub use error::DialectError;
pub use event_stream::{EventFrame, EventStreamFramer};
pub use failure::{
    Blame, ErrorClass, ProviderError, error_body, error_event, error_header, provider_error,
    with_error_kind,
};
pub use inspect::{RequestFacts, inspect, inspect_with_reach};
pub use listing::{ListedModel, ListingShape, model_body, models_body};
pub use losses::{Loss, Losses};
pub use prefix::prompt_prefix;
pub use prepare::{Prepared, Segment, prepare_native, versioned_body};
pub use probe::{Beginning, StreamProbe};
pub use resume::prefill;
pub use sse::{SseEvent, SseFramer};
pub use stream_error::{answer_error, may_be_error};
pub use tap::{StreamTap, Tapped};
pub use translate::{
    StreamTranslator, TranslateOptions, TranslatedRequest, TranslatedResponse, read_request,
    read_response, read_stream, translate_request, translate_response,
    translate_response_as_stream,
};
pub use usage::{ResponseFacts, Usage, response_facts, response_model, usage_of};
pub use wants::Wants;
