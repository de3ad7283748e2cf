//! What watches a running gateway and what judges its configuration: pure, given what was counted,
//! what is written and the time.
//!
//! [`rollout`] decides about a revision that is tried beside the one in force. [`slo`] knows what was
//! promised and what is left of it; [`attribution`] says where an excess of failures is and
//! [`baseline`] what is usual; [`incident`] writes down what happened, [`notify`] says who is told,
//! [`dora`] what became of deployments, [`forecast`] what is going to be, [`spend`] what costs more than
//! usual,
//! [`runbook`] what is done about it; [`event`] says who wants an event, [`job`] what runs in bulk and
//! when. [`lint`] holds files against the field's rules, [`rules`]
//! against the operator's own, and [`plan`] says what a change takes away. Nothing here does I/O, asks
//! a clock or knows a socket; whoever calls brings what was counted or read and carries out what is
//! decided.

pub mod attribution;
pub mod baseline;
pub mod dora;
pub mod event;
pub mod forecast;
pub mod incident;
pub mod job;
pub mod lint;
pub mod notify;
pub mod plan;
pub mod rollout;
pub mod rules;
pub mod runbook;
pub mod slo;
pub mod spend;
