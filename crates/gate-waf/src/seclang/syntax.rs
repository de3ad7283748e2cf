//! What reading a rule yields, before anything is known to exist.

/// One variable of a rule, such as `!REQUEST_HEADERS:Cookie` or `&ARGS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawTarget {
    /// `!`: leave this out.
    pub(crate) excluded: bool,
    /// `&`: how many there are, instead of their values.
    pub(crate) counted: bool,
    /// Collection or variable, in capitals.
    pub(crate) name: String,
    /// Which members of a collection.
    pub(crate) selector: RawSelector,
}

/// Which members of a collection are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RawSelector {
    /// All.
    All,
    /// Those with this key, without regard to case.
    Key(String),
    /// Those whose key this expression finds.
    Pattern(String),
}

/// A rule's operator, such as `!@rx ^a`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawOperator {
    /// `!`: match where the operator does not.
    pub(crate) negated: bool,
    /// Name without `@`, in lower case.
    pub(crate) name: String,
    /// The rest.
    pub(crate) argument: String,
}

/// One action, such as `setvar:'tx.a=1'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RawAction {
    /// Name in lower case.
    pub(crate) name: String,
    /// What follows the colon, without its quotes; empty if nothing does.
    pub(crate) argument: String,
}
