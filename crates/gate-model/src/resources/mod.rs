//! Every kind of resource, as the types that parse, document and check it.
//!
//! A field's doc comment is its reference text in every face (file, schema, `explain`, console).
//! Named things are maps keyed by name; lists stand only where order means something. Components
//! (policies, providers) are kept as located trees here and parsed by their own files, so that a
//! new component edits nothing in this crate.

mod component;
mod consumer;
mod gateway;
mod hedge_after;
mod listener;
mod model;
mod route;
mod upstream;

pub use component::Component;
pub use consumer::{Consumer, Key};
pub use gateway::{AccessLog, Admin, Gateway, LogFormat, LogSink, Tracing};
pub use hedge_after::HedgeAfter;
pub use listener::{
    Certificate, EncodedSlashes, Limits, Listener, ListenerProtocol, ListenerTls, Paths,
    ProxyProtocol, TlsVersion,
};
pub use model::{
    Capability, Model, ModelConcurrency, ModelHedge, ModelRetry, ModelTarget, OnContentFilter,
    Strategy, TokenPrice,
};
pub use route::{FixedReply, Match, Route, Target, ValueMatch};
pub use upstream::{
    Backoff, Balance, HashBy, Health, Hedge, HostHeader, Outlier, Pool, Retry, RetryOn, Timeouts,
    Upstream, UpstreamProtocol, UpstreamTls,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A whole configuration: what `tidegate run FILE` serves.
#[derive(Debug, Clone, Default, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resources {
    /// Settings of the process itself.
    pub gateway: Gateway,
    /// Addresses to listen on, by name.
    pub listeners: BTreeMap<String, Listener>,
    /// Who may call, by name.
    pub consumers: BTreeMap<String, Consumer>,
    /// Balanced services, by name.
    pub upstreams: BTreeMap<String, Upstream>,
    /// AI vendor accounts, by name; each is one provider kind with its settings.
    pub providers: BTreeMap<String, Component>,
    /// Names that callers ask for, mapped to providers' models.
    pub models: BTreeMap<String, Model>,
    /// What is served where, by name.
    pub routes: BTreeMap<String, Route>,
}
