//! A pattern's text as branches of conditions. Every refusal names the place in the pattern.
//!
//! `$or` is multiplied out: a pattern holds when one of its branches does, a branch when all its
//! conditions do.

use super::matcher::{Fold, Matcher, Network, Range, Wildcard, address};
use super::node::{Node, read};
use super::number::comparable;
use gate_kit::order::Order;

/// Most bytes of a pattern's text.
pub const PATTERN_BYTES_MAX: usize = 64 << 10;
/// Most branches that `$or` may multiply out to.
pub const BRANCHES_MAX: usize = 256;
/// Most fields in one branch.
pub const FIELDS_MAX: usize = 64;
/// Most objects within each other, `$or` too.
pub const PATTERN_DEPTH_MAX: usize = 32;

/// Words that no field beside `$or` is called, since a pattern that has them there mistook `$or` for
/// a list of tests.
const RESERVED: &[&str] = &[
    "exactly",
    "equals-ignore-case",
    "prefix",
    "suffix",
    "anything-but",
    "exists",
    "wildcard",
    "numeric",
    "cidr",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

/// Why a pattern is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// Where in the pattern: names and numbers of elements, as `detail.state[0].prefix`; empty for
    /// the pattern itself.
    pub place: String,
    /// What is wrong there, as the end of a sentence that begins with the place.
    pub problem: String,
}

impl std::fmt::Display for PatternError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.place.as_str() {
            "" => write!(out, "the pattern {}", self.problem),
            place => write!(out, "`{place}` {}", self.problem),
        }
    }
}

impl std::error::Error for PatternError {}

/// A pattern in EventBridge's language, read and checked.
///
/// Names of fields are joined with dots, so `{"a": {"b": [1]}}` and `{"a.b": [1]}` are the same
/// pattern, as they are in the reference (aws/event-ruler). Stricter than it in two things: a field
/// that is named twice in one branch is refused, where the reference takes the last, and addresses
/// with leading zeros are text.
#[derive(Debug, Clone, PartialEq)]
pub struct Pattern {
    pub(super) branches: Vec<Vec<Condition>>,
    /// How long its text was, for [`RuleSet`](super::RuleSet)'s count.
    pub(super) bytes: usize,
}

/// What is asked of one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Condition {
    /// Names joined with dots.
    pub(super) field: String,
    /// The place in the pattern.
    pub(super) place: String,
    /// Whether the field may be missing (`exists: false`).
    pub(super) absent: bool,
    pub(super) any: Vec<Matcher>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`PatternError`] for what is no pattern, and for one beyond the limits of this module.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let problem = |problem: String| PatternError {
            place: String::new(),
            problem,
        };
        if text.len() > PATTERN_BYTES_MAX {
            return Err(problem(format!(
                "is longer than {PATTERN_BYTES_MAX} bytes; make it two rules"
            )));
        }
        let root = read(text).map_err(|error| problem(format!("is no JSON: {error}")))?;
        let Node::Object(fields) = root else {
            return Err(problem("is no object of fields".into()));
        };
        let mut reader = Reader::default();
        let mut branches = reader.object(&fields, vec![Vec::new()], false)?;
        for branch in &mut branches {
            // The reference's order, which `exists: false` among arrays depends on.
            branch.order_by(|a, b| a.field.encode_utf16().cmp(b.field.encode_utf16()));
        }
        Ok(Pattern {
            branches,
            bytes: text.len(),
        })
    }

    /// The fields that it asks for, joined with dots, each once.
    #[must_use]
    pub fn fields(&self) -> Vec<&str> {
        let all = self.branches.iter().flatten();
        let mut fields: Vec<&str> = all.map(|condition| &*condition.field).collect();
        fields.sort_unstable();
        fields.dedup();
        fields
    }
}

type Branches = Vec<Vec<Condition>>;

/// Where in the pattern we are.
#[derive(Default)]
struct Reader {
    /// Names of fields, without `$or`.
    path: Vec<String>,
    /// All of it, for messages.
    place: Vec<String>,
}

impl Reader {
    fn fail<T>(&self, problem: impl Into<String>) -> Result<T, PatternError> {
        let mut place = String::new();
        for step in &self.place {
            if !place.is_empty() && !step.starts_with('[') {
                place.push('.');
            }
            place.push_str(step);
        }
        let problem = problem.into();
        Err(PatternError { place, problem })
    }

    fn within<T>(
        &mut self,
        step: String,
        work: impl FnOnce(&mut Self) -> Result<T, PatternError>,
    ) -> Result<T, PatternError> {
        self.place.push(step);
        let done = work(self)?;
        self.place.pop();
        Ok(done)
    }

    fn object(
        &mut self,
        fields: &[(String, Node)],
        mut branches: Branches,
        in_or: bool,
    ) -> Result<Branches, PatternError> {
        if fields.is_empty() {
            return self.fail("is an empty object; a field is missing in it");
        }
        for (name, node) in fields {
            branches = self.within(name.clone(), |reader| {
                if name == "$or" {
                    return reader.or(node, branches);
                }
                if in_or && RESERVED.contains(&name.as_str()) {
                    return reader.fail("is a test's name and cannot name a field below `$or`");
                }
                reader.path.push(name.clone());
                let branches = match node {
                    Node::Object(inner) => reader.object(inner, branches, in_or)?,
                    Node::Array(tests) => reader.field(tests, branches)?,
                    _ => return reader.fail("is neither an object of fields nor a list of values"),
                };
                reader.path.pop();
                Ok(branches)
            })?;
        }
        Ok(branches)
    }

    fn or(&mut self, node: &Node, branches: Branches) -> Result<Branches, PatternError> {
        let Node::Array(ways) = node else {
            return self.fail("is no list of objects");
        };
        if ways.len() < 2 {
            return self.fail("has fewer than two objects to choose from");
        }
        let mut all = Vec::new();
        for (index, way) in ways.iter().enumerate() {
            let more = self.within(format!("[{index}]"), |reader| match way {
                Node::Object(fields) => reader.object(fields, branches.clone(), true),
                _ => reader.fail("is no object of fields"),
            })?;
            all.extend(more);
            if all.len() > BRANCHES_MAX {
                return self.fail(format!(
                    "multiplies out to more than {BRANCHES_MAX} branches; make it several rules"
                ));
            }
        }
        Ok(all)
    }

    fn field(&mut self, tests: &[Node], mut branches: Branches) -> Result<Branches, PatternError> {
        if tests.is_empty() {
            return self.fail("is an empty list, which no value equals");
        }
        let mut condition = Condition {
            field: self.path.join("."),
            place: self.place.join("."),
            absent: false,
            any: Vec::new(),
        };
        for (index, test) in tests.iter().enumerate() {
            let found = self.within(format!("[{index}]"), |reader| reader.test(test))?;
            match found {
                Some(matcher) => condition.any.push(matcher),
                None => condition.absent = true,
            }
        }
        gather_texts(&mut condition.any);
        for branch in &mut branches {
            if branch.iter().any(|other| other.field == condition.field) {
                return self.fail("is asked for twice where both must hold; make it one list");
            }
            if branch.len() == FIELDS_MAX {
                return self.fail(format!(
                    "is one field more than the {FIELDS_MAX} there may be"
                ));
            }
            branch.push(condition.clone());
        }
        Ok(branches)
    }

    /// A value to equal or a test; none for `exists: false`.
    fn test(&mut self, node: &Node) -> Result<Option<Matcher>, PatternError> {
        Ok(Some(match node {
            Node::Text(text) => match address(text.as_bytes()) {
                Some(address) => Matcher::Network(Network::one(address)),
                None => Matcher::Text(bytes(text)),
            },
            Node::Number(spelled) => number(spelled),
            Node::Word(word) => Matcher::Word(bytes(word)),
            Node::Array(_) => return self.fail("is a list within a list"),
            Node::Object(fields) => {
                let [(name, node)] = &fields[..] else {
                    return self.fail("is not one test; write each in an object of its own");
                };
                return self.within(name.clone(), |reader| reader.named(name, node));
            }
        }))
    }

    fn named(&mut self, name: &str, node: &Node) -> Result<Option<Matcher>, PatternError> {
        Ok(Some(match name {
            "exactly" => Matcher::Text(bytes(self.text(node)?)),
            "equals-ignore-case" => Matcher::Fold(Fold::new(self.text(node)?)),
            "prefix" => match node {
                Node::Object(_) => Matcher::FoldPrefix(self.fold(node)?),
                node => Matcher::Prefix(bytes(self.text(node)?)),
            },
            "suffix" => match node {
                Node::Object(_) => Matcher::FoldSuffix(self.fold(node)?),
                node => Matcher::Suffix(bytes(self.text(node)?)),
            },
            "wildcard" => self.wildcard(node)?,
            "anything-but" => self.anything_but(node)?,
            "numeric" => self.numeric(node)?,
            "cidr" => match Network::new(self.text(node)?) {
                Ok(network) => Matcher::Network(network),
                Err(problem) => return self.fail(problem),
            },
            "exists" => match node {
                Node::Word("true") => Matcher::Any,
                Node::Word("false") => return Ok(None),
                _ => return self.fail("is neither `true` nor `false`"),
            },
            _ => {
                return self.fail(
                    "is no test; there are exactly, prefix, suffix, equals-ignore-case, wildcard, \
                     anything-but, numeric, cidr and exists",
                );
            }
        }))
    }

    fn text<'a>(&self, node: &'a Node) -> Result<&'a str, PatternError> {
        match node {
            Node::Text(text) => Ok(text),
            _ => self.fail("is no string"),
        }
    }

    /// `{"equals-ignore-case": TEXT}`.
    fn fold(&mut self, node: &Node) -> Result<Fold, PatternError> {
        match node {
            Node::Object(fields) if fields.len() == 1 && fields[0].0 == "equals-ignore-case" => {
                let text = self.within(fields[0].0.clone(), |reader| reader.text(&fields[0].1))?;
                Ok(Fold::new(text))
            }
            _ => self.fail("is neither a string nor `{\"equals-ignore-case\": STRING}`"),
        }
    }

    fn wildcard(&mut self, node: &Node) -> Result<Matcher, PatternError> {
        match Wildcard::new(self.text(node)?) {
            Ok(wildcard) => Ok(Matcher::Wildcard(wildcard)),
            Err(problem) => self.fail(problem),
        }
    }

    fn anything_but(&mut self, node: &Node) -> Result<Matcher, PatternError> {
        let one;
        let (form, node) = match node {
            Node::Object(fields) => match &fields[..] {
                [(name, node)] => (name.as_str(), node),
                _ => return self.fail("is not one test"),
            },
            node => ("", node),
        };
        let values = match node {
            Node::Array(values) if values.is_empty() => {
                return self.fail("is an empty list, which excepts nothing");
            }
            Node::Array(values) => &values[..],
            node => {
                one = [node.clone()];
                &one[..]
            }
        };
        if form.is_empty() {
            let texts = values.iter().all(|value| matches!(value, Node::Text(_)));
            let numbers = values.iter().all(|value| matches!(value, Node::Number(_)));
            if !texts && !numbers {
                return self.fail("is neither all strings nor all numbers");
            }
        }
        let mut all = Vec::new();
        for (index, value) in values.iter().enumerate() {
            all.push(self.within(format!("[{index}]"), |reader| reader.excepted(form, value))?);
        }
        gather_texts(&mut all);
        Ok(Matcher::Not(all.into()))
    }

    fn excepted(&mut self, form: &str, value: &Node) -> Result<Matcher, PatternError> {
        let affix = |reader: &Self| match reader.text(value)? {
            "" => reader.fail("is empty, which every string begins and ends with"),
            text => Ok(bytes(text)),
        };
        Ok(match (form, value) {
            ("", Node::Number(spelled)) => match comparable(spelled.as_bytes()) {
                Some(number) => Matcher::Number(number),
                None => return self.fail("has more digits than a double says exactly"),
            },
            ("", value) => Matcher::Text(bytes(self.text(value)?)),
            ("equals-ignore-case", value) => Matcher::Fold(Fold::new(self.text(value)?)),
            ("prefix", _) => Matcher::Prefix(affix(self)?),
            ("suffix", _) => Matcher::Suffix(affix(self)?),
            ("wildcard", value) => self.wildcard(value)?,
            _ => {
                return self.fail(format!(
                    "cannot except `{form}`; there are values, prefix, suffix, equals-ignore-case \
                     and wildcard"
                ));
            }
        })
    }

    fn numeric(&mut self, node: &Node) -> Result<Matcher, PatternError> {
        let Node::Array(terms) = node else {
            return self.fail("is no list of comparisons");
        };
        let mut range = Range {
            bottom: f64::NEG_INFINITY,
            top: f64::INFINITY,
            above: false,
            below: false,
        };
        let pairs: Vec<(&str, f64)> = match terms.chunks_exact(2) {
            pairs if pairs.remainder().is_empty() && (2..=4).contains(&terms.len()) => {
                let mut read = Vec::new();
                for pair in pairs {
                    let (Node::Text(sign), Node::Number(spelled)) = (&pair[0], &pair[1]) else {
                        return self.fail("is not comparisons and numbers by turns");
                    };
                    match comparable(spelled.as_bytes()) {
                        Some(number) => read.push((sign.as_str(), number)),
                        None => return self.fail("has a number that no double says exactly"),
                    }
                }
                read
            }
            _ => return self.fail("is not one or two comparisons, as `[\">\", 0, \"<=\", 5]`"),
        };
        for (index, (sign, number)) in pairs.iter().enumerate() {
            match (*sign, index, pairs.len()) {
                ("=", 0, 1) => return Ok(Matcher::Number(*number)),
                (">" | ">=", 0, _) => (range.bottom, range.above) = (*number, *sign == ">"),
                ("<" | "<=", 0, 1) | ("<" | "<=", 1, 2) => {
                    (range.top, range.below) = (*number, *sign == "<");
                }
                _ => return self.fail(format!("has `{sign}` where it cannot stand")),
            }
        }
        if range.bottom >= range.top {
            return self.fail("has a bottom that is not less than its top");
        }
        Ok(Matcher::Range(range))
    }
}

fn bytes(text: &str) -> Box<[u8]> {
    text.as_bytes().into()
}

fn number(spelled: &str) -> Matcher {
    match comparable(spelled.as_bytes()) {
        Some(number) => Matcher::Number(number),
        None => Matcher::Spelling(bytes(spelled)),
    }
}

/// Makes one test of many strings, so that a long list costs one look-up.
fn gather_texts(all: &mut Vec<Matcher>) {
    let is_text = |matcher: &Matcher| matches!(matcher, Matcher::Text(_));
    if all.iter().filter(|matcher| is_text(matcher)).count() <= 8 {
        return;
    }
    let mut texts = rustc_hash::FxHashSet::default();
    all.retain(|matcher| match matcher {
        Matcher::Text(text) => {
            texts.insert(text.clone());
            false
        }
        _ => true,
    });
    all.push(Matcher::Texts(texts));
}
