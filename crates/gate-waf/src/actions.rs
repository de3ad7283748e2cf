//! What rules do when they match.

use crate::decision::Engine;
use crate::exclusions::Removal;
use crate::macros::{Template, TxName};
use crate::variables::Bag;

/// `setvar`.
#[derive(Debug)]
pub(crate) struct SetVar {
    pub(crate) bag: Bag,
    pub(crate) name: VarName,
    pub(crate) change: Change,
}

impl SetVar {
    /// All templates in it.
    pub(crate) fn templates(&self) -> impl Iterator<Item = &Template> {
        let name = match &self.name {
            VarName::Tx(_) => None,
            VarName::Made(template) => Some(template),
        };
        let change = match &self.change {
            Change::Set(template) | Change::Add(template) | Change::Subtract(template) => {
                Some(template)
            }
            Change::Unset => None,
        };
        name.into_iter().chain(change)
    }
}

/// Which variable is set.
#[derive(Debug)]
pub(crate) enum VarName {
    /// One of `TX` that rules write out.
    Tx(TxName),
    /// One whose name is known when the rule matches.
    Made(Template),
}

/// What becomes of it.
#[derive(Debug)]
pub(crate) enum Change {
    Set(Template),
    Add(Template),
    Subtract(Template),
    Unset,
}

/// Whom an `allow` lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allow {
    /// Nothing is looked at any more.
    All,
    /// The rest of this phase is left out.
    Phase,
    /// The rest of the request is left out.
    Request,
}

/// What ends a rule's phase, or the exchange.
#[derive(Debug)]
pub(crate) enum Disruptive {
    Pass,
    /// What the phase's default says.
    Block,
    Deny,
    Drop,
    Redirect(Template),
    Allow(Allow),
}

/// What else is done when all of a rule's chain matched.
#[derive(Debug)]
pub(crate) enum Effect {
    /// `ctl:ruleRemove...`
    Remove(Removal),
    /// `ctl:ruleEngine`
    Engine(Engine),
    /// `ctl:requestBodyProcessor`
    Processor(Processor),
    /// `ctl:forceRequestBodyVariable`
    ForceBody(bool),
    /// `ctl:requestBodyAccess`
    RequestBodyAccess(bool),
    /// `ctl:responseBodyAccess`
    ResponseBodyAccess(bool),
    /// `skip`
    Skip(u32),
}

/// How a request's body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Processor {
    Urlencoded,
    Multipart,
    Json,
    Xml,
}

impl Processor {
    /// By its name.
    pub(crate) fn by_name(name: &str) -> Option<Processor> {
        Some(match name.to_ascii_uppercase().as_str() {
            "URLENCODED" => Processor::Urlencoded,
            "MULTIPART" => Processor::Multipart,
            "JSON" => Processor::Json,
            "XML" => Processor::Xml,
            _ => return None,
        })
    }

    /// The value of `REQBODY_PROCESSOR`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Processor::Urlencoded => "URLENCODED",
            Processor::Multipart => "MULTIPART",
            Processor::Json => "JSON",
            Processor::Xml => "XML",
        }
    }
}
