//! From policies as written to rules that can be evaluated, with what is wrong or can never apply.

use crate::vocabulary::{OWN, Vocabulary};
use cedar_policy::{
    Effect, Entities, EntityUid, Policy, PolicyId, PolicySet, Schema, ValidationError,
    ValidationMode, ValidationWarning, Validator,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Most policies of a set, which are looked at one after the other.
const POLICIES_MAX: usize = 10_000;

/// Something about policies that a person should look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line, from 1 on; 0 where it is about none.
    pub line: usize,
    /// The policy, where it has got that far.
    pub policy: Option<String>,
    /// What it is.
    pub message: String,
    /// Whether the policies cannot be used; otherwise they can, and a rule of them never applies or
    /// misleads.
    pub is_error: bool,
}

/// A set of policies that can be evaluated.
#[derive(Debug)]
pub struct Rules {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) policies: Vec<Policy>,
    /// Lines by the policy's name.
    pub(crate) lines: BTreeMap<String, usize>,
    /// The actions with their groups.
    pub(crate) actions: Entities,
}

/// A set as it was compiled, for whoever asks again.
#[derive(Debug)]
pub struct Compiled {
    /// The rules, unless something is wrong with them.
    pub rules: Option<Arc<Rules>>,
    /// What a person should look at.
    pub problems: Vec<Problem>,
}

impl Compiled {
    /// Reads policies.
    #[must_use]
    pub fn new(text: &str, vocabulary: Vocabulary) -> Self {
        match Rules::compile(text, vocabulary) {
            Ok((rules, problems)) => Self {
                rules: Some(Arc::new(rules)),
                problems,
            },
            Err(problems) => Self {
                rules: None,
                problems,
            },
        }
    }

    /// What tells one compilation from another: the set's name, its text and what it may speak of.
    #[must_use]
    pub fn identity(name: &str, text: &str, vocabulary: &Vocabulary) -> String {
        format!("policy_set/{name}/{vocabulary:?}/{text}")
    }
}

impl Rules {
    /// Reads policies; beside the rules, what never applies.
    ///
    /// # Errors
    /// Everything that is wrong, with its line.
    pub fn compile(
        text: &str,
        vocabulary: Vocabulary,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = names(&vocabulary);
        let (policies, lines) = read(text, &mut problems);
        let schema = Schema::from_json_value(vocabulary.schema());
        let schema = match schema {
            Ok(schema) if problems.is_empty() => schema,
            Ok(_) => return Err(problems),
            Err(error) => {
                problems.push(problem(0, None, format!("{error}"), true));
                return Err(problems);
            }
        };
        let actions = schema.action_entities();
        let actions = actions.map_err(|error| vec![problem(0, None, format!("{error}"), true)])?;
        let rules = Self {
            vocabulary,
            policies,
            lines,
            actions,
        };
        let found = rules.check(schema);
        match found.iter().any(|problem| problem.is_error) {
            true => Err(found),
            false => Ok((rules, found)),
        }
    }

    /// Names of all policies, in the order in which they are written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.policies.iter().map(|policy| policy.id().as_ref())
    }

    /// The line of a policy, from 1 on.
    #[must_use]
    pub fn line(&self, policy: &str) -> usize {
        self.lines.get(policy).copied().unwrap_or_default()
    }

    /// Whether a policy forbids.
    pub(crate) fn forbids(&self, id: &PolicyId) -> bool {
        let mut policies = self.policies.iter();
        policies.any(|policy| policy.id() == id && policy.effect() == Effect::Forbid)
    }

    /// What the analysis says, by line.
    fn check(&self, schema: Schema) -> Vec<Problem> {
        let mut found = BTreeSet::new();
        match PolicySet::from_policies(self.policies.iter().cloned()) {
            Ok(set) => {
                let result = Validator::new(schema).validate(&set, ValidationMode::Strict);
                for error in result.validation_errors() {
                    found.insert(self.error(error));
                }
                for warning in result.validation_warnings() {
                    found.insert(self.warning(warning));
                }
            }
            Err(error) => drop(found.insert((0, None, error.to_string(), true))),
        }
        for policy in &self.policies {
            for entity in policy.entity_literals() {
                if let Some(message) = self.missing(&entity) {
                    let name = policy.id().to_string();
                    found.insert((self.line(&name), Some(name), message, false));
                }
            }
        }
        let found = found.into_iter();
        found
            .map(|(line, policy, message, is_error)| problem(line, policy, message, is_error))
            .collect()
    }

    /// An error of the validator. What names something unknown can never apply; everything else
    /// would fail while it is evaluated.
    fn error(&self, error: &ValidationError) -> (usize, Option<String>, String, bool) {
        let never = matches!(
            error,
            ValidationError::UnrecognizedActionId(_)
                | ValidationError::InvalidActionApplication(_)
                | ValidationError::HierarchyNotRespected(_)
        );
        let name = error.policy_id().to_string();
        // Said once and not once for each action.
        let error = error.to_string();
        let error = error.split(" in context for ").next().unwrap_or_default();
        let message = match never {
            true => format!("this policy never applies: {error}"),
            false => error.to_owned(),
        };
        (self.line(&name), Some(name), message, !never)
    }

    fn warning(&self, warning: &ValidationWarning) -> (usize, Option<String>, String, bool) {
        let name = warning.policy_id().to_string();
        let message = match warning {
            ValidationWarning::ImpossiblePolicy(_) => {
                "this policy never applies: no request can meet its conditions".to_owned()
            }
            other => other.to_string(),
        };
        (self.line(&name), Some(name), message, false)
    }

    /// Why nothing is ever this entity, where that is known.
    fn missing(&self, entity: &EntityUid) -> Option<String> {
        let id = entity.id().unescaped();
        let kind = entity.type_name().to_string();
        let vocabulary = &self.vocabulary;
        let consumers = &vocabulary.consumers;
        let is_known = match kind.as_str() {
            "Consumer" => consumers.contains_key(id),
            "Route" => vocabulary.routes.contains(id),
            "Team" => consumers
                .values()
                .any(|one| one.team.as_deref() == Some(id)),
            "Role" => {
                vocabulary.roles_claim.is_some()
                    || consumers
                        .values()
                        .any(|one| one.roles.iter().any(|role| role == id))
            }
            "Group" => vocabulary.groups_claim.is_some(),
            "Visitor" => id == "anonymous",
            _ => true,
        };
        (!is_known).then(|| format!("nothing is ever {entity}, so that this never applies"))
    }
}

fn problem(line: usize, policy: Option<String>, message: String, is_error: bool) -> Problem {
    Problem {
        line,
        policy,
        message,
        is_error,
    }
}

/// Names that stand for two things.
fn names(vocabulary: &Vocabulary) -> Vec<Problem> {
    let mut problems = Vec::new();
    for name in OWN
        .iter()
        .filter(|name| vocabulary.claims.contains_key(**name))
    {
        let message = format!("the attribute `{name}` of principals is the gateway's own");
        problems.push(problem(0, None, message, true));
    }
    if vocabulary.attributes.contains_key("name") {
        let message = "the attribute `name` of routes is the gateway's own".to_owned();
        problems.push(problem(0, None, message, true));
    }
    let groups = vocabulary.action_groups();
    for name in vocabulary
        .all_actions()
        .keys()
        .filter(|name| groups.contains(**name))
    {
        let message = format!("`{name}` is both an action and a group of actions");
        problems.push(problem(0, None, message, true));
    }
    problems
}

/// Reads policies one by one, so that each has its line and the error of one hides no other's.
fn read(text: &str, problems: &mut Vec<Problem>) -> (Vec<Policy>, BTreeMap<String, usize>) {
    let mut policies: Vec<Policy> = Vec::new();
    let mut lines = BTreeMap::new();
    let written = statements(text);
    if written.is_empty() {
        let message = "there is no policy, so that everything would be refused".to_owned();
        problems.push(problem(0, None, message, true));
    }
    if written.len() > POLICIES_MAX {
        let message = format!("a set has at most {POLICIES_MAX} policies");
        problems.push(problem(0, None, message, true));
        return (policies, lines);
    }
    for (index, (line, statement)) in written.into_iter().enumerate() {
        let policy = match Policy::parse(None, statement) {
            Ok(policy) => policy,
            Err(error) => {
                problems.push(problem(line, None, error.to_string(), true));
                continue;
            }
        };
        let name = policy.annotation("id").filter(|name| !name.is_empty());
        let name = name.map_or_else(|| format!("policy{index}"), str::to_owned);
        if lines.insert(name.clone(), line).is_some() {
            let message = format!("another policy is called `{name}`");
            problems.push(problem(line, Some(name), message, true));
            continue;
        }
        policies.push(policy.new_id(PolicyId::new(&name)));
    }
    (policies, lines)
}

/// Each policy with the line on which it begins. A policy ends with `;`, which stands nowhere else
/// outside of strings and comments.
fn statements(text: &str) -> Vec<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let (mut at, mut line) = (0, 1);
    let mut start: Option<(usize, usize)> = None;
    while at < bytes.len() {
        match bytes[at] {
            b'\n' => line += 1,
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                let rest = &bytes[at..];
                at += rest
                    .iter()
                    .position(|byte| *byte == b'\n')
                    .unwrap_or(rest.len());
                continue;
            }
            byte if byte.is_ascii_whitespace() => {}
            b';' => {
                let (line, from) = start.take().unwrap_or((line, at));
                found.push((line, &text[from..=at]));
            }
            byte => {
                start.get_or_insert((line, at));
                if byte == b'"' {
                    at = end_of_string(bytes, at, &mut line);
                }
            }
        }
        at += 1;
    }
    if let Some((line, from)) = start {
        found.push((line, &text[from..]));
    }
    found
}

/// Where the string ends that begins here.
fn end_of_string(bytes: &[u8], from: usize, line: &mut usize) -> usize {
    let mut at = from + 1;
    while at < bytes.len() && bytes[at] != b'"' {
        *line += usize::from(bytes[at] == b'\n');
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_where_policies_do() {
        let text = "// a; comment\npermit(principal, action, resource)\nwhen { \"a;\\\"\" == \"b\" };\n\n\
                    @id(\"x\")\nforbid(principal, action, resource);\n  rest";
        let found: Vec<(usize, usize)> = statements(text)
            .into_iter()
            .map(|(line, text)| (line, text.len()))
            .collect();
        assert_eq!(found, [(2, 59), (5, 45), (7, 4)]);
        assert!(statements(" // nothing\n").is_empty());
        assert_eq!(statements("\"open").len(), 1);
    }
}
