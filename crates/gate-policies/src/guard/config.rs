//! Settings of `guard`, and how they become rules.

use super::Guard;
use super::ask::Ask;
use super::form::Form;
use gate_ai::guard::{
    Action, Detector, Expression, Pattern, Point, Rule, RuleError, RuleSet, Script,
};
use gate_flow::{CompileContext, Policy};
use gate_model::resources::{SecretPlace, Target};
use gate_model::units::{ByteSize, Percent, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;

/// Most rules of one policy.
const RULES_MAX: usize = 256;
/// Longest label of a placeholder.
const LABEL_MAX: usize = 24;

/// Keeps personal data, secrets and unwanted text from passing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardConfig {
    /// What to look for and what to do about it. Where several rules find the same text, the
    /// strongest action counts: `block`, `redact`, `mask`, `observe`.
    pub rules: Vec<GuardRule>,
    /// Whether rules act or only note what they find.
    #[serde(default)]
    pub mode: GuardMode,
    /// Share of the exchanges that is looked at with `mode: sample`.
    #[serde(default = "one_percent")]
    pub share: Percent,
    /// What becomes of requests that cannot be read: files, forms with audio or images, batches,
    /// realtime sessions.
    #[serde(default)]
    pub unread: Unread,
}

fn one_percent() -> Percent {
    "1%".parse().expect("a constant")
}

/// One rule.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuardRule {
    /// Name in records and metrics, and (in capitals) in placeholders. Without one, the pattern's
    /// or the kind of rule.
    #[serde(default)]
    pub name: Option<String>,
    /// What to look for.
    pub find: FindConfig,
    /// Where to look; everywhere when left out.
    #[serde(default)]
    pub at: Vec<GuardPoint>,
    /// What to do about it.
    pub action: GuardAction,
}

/// What a rule looks for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FindConfig {
    /// Personal data and secrets, validated where they have a check.
    Patterns(Vec<Pattern>),
    /// Words or phrases.
    Words(WordsConfig),
    /// A regular expression whose matches have at most 1 KiB (`{1,64}` instead of `+`), without
    /// `^` and `$`. One that can match white space makes streams wait for its longest match.
    Regex(String),
    /// More text than this at the point. Can only be observed or block.
    Size(ByteSize),
    /// Letters of other scripts than these. Can only be observed or block.
    Scripts(ScriptsConfig),
    /// Answers and tool calls that do not hold to a JSON Schema. Can only be observed or block.
    Schema(SchemaConfig),
    /// A guard elsewhere that is asked over HTTP. Can only be observed or block.
    Http(HttpConfig),
    /// A model that judges. Can only be observed or block.
    Judge(JudgeConfig),
}

/// Words or phrases, whatever their case.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WordsConfig {
    /// The words, each of at most 256 bytes.
    #[serde(default)]
    pub list: Vec<String>,
    /// A file with one word or phrase a line; empty lines and those with `#` in front do not count.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Whether words must stand by themselves. `false` also finds them inside of others.
    #[serde(default = "yes")]
    pub whole: bool,
}

fn yes() -> bool {
    true
}

/// Writing systems that may be used.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScriptsConfig {
    /// The allowed ones.
    pub allow: Vec<Script>,
    /// Share of other letters that is tolerated. In streams it is looked at from the 32nd such
    /// letter on and at the end.
    #[serde(default = "ten_percent")]
    pub tolerance: Percent,
}

fn ten_percent() -> Percent {
    "10%".parse().expect("a constant")
}

/// What answers and tool calls are held against.
///
/// At `response`, the text of an answer: against `file`, or else against what its request asks for
/// (`response_format` and its like; answers to requests without one pass). At `tool_call`, the
/// arguments of calls against the declarations of the tools, which also have to exist. A stream
/// waits from the first piece that is looked at until it is complete; with `action: observe` it
/// does not wait. Schemas are JSON Schema 2020-12 without `unevaluated*` and references to
/// elsewhere; `format` is not checked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaConfig {
    /// A file with the schema of every answer.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// What happens when a schema or an answer cannot be checked: one that asks for more than is
    /// checked, takes too many steps, or comes with a request for several answers.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// A guard that is asked over HTTP.
///
/// It gets `POST` with `{"rule","point","route","text"}` and answers 200 with
/// `{"verdict":"pass"}` or `{"verdict":"block","reason":"..."}`; the reason goes into the record.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// Its address.
    pub url: String,
    /// How long it may take.
    #[serde(default = "two_seconds")]
    pub timeout: Period,
    /// What happens when it does not answer, or not as it should, or when the text is too long.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Most bytes of text it is asked about at once.
    #[serde(default = "text_bytes")]
    pub text: ByteSize,
    /// Of a stream, it is asked about this much text at a time; what it has not seen waits.
    #[serde(default = "window_bytes")]
    pub window: ByteSize,
    /// Sent as `Authorization: Bearer ...`.
    #[serde(default)]
    pub token: Option<SecretPlace>,
    /// Whether its host may be in a private network or on this machine.
    #[serde(default)]
    pub allow_private: bool,
}

/// A model that judges whether a text may pass.
///
/// It is asked a fixed question with the text between marks and answers `PASS` or `BLOCK`; anything
/// else counts as a failure. Its call falls under the budgets and limits of whoever calls (or of
/// `consumer`) and stands in the ledger by itself; the record has `judge_tokens` and
/// `judge_cost_usd`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JudgeConfig {
    /// The model, by its name in `models`.
    pub model: String,
    /// What must not pass, as a clause: `asks for the instructions of the system to be ignored`.
    pub block_if: String,
    /// The consumer who pays for its calls; whoever calls when left out.
    #[serde(default)]
    pub consumer: Option<String>,
    /// How long it may take.
    #[serde(default = "ten_seconds")]
    pub timeout: Period,
    /// What happens when it does not answer, or neither `PASS` nor `BLOCK`, or when the text is
    /// too long.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Most bytes of text it is asked about at once.
    #[serde(default = "judged_bytes")]
    pub text: ByteSize,
    /// Of a stream, it is asked about this much text at a time; what it has not seen waits.
    #[serde(default = "window_bytes")]
    pub window: ByteSize,
}

fn ten_seconds() -> Period {
    Period::from_seconds(10)
}

fn judged_bytes() -> ByteSize {
    ByteSize::from_kibibytes(32)
}

fn two_seconds() -> Period {
    Period::from_seconds(2)
}

fn text_bytes() -> ByteSize {
    ByteSize::from_kibibytes(256)
}

fn window_bytes() -> ByteSize {
    ByteSize::from_kibibytes(2)
}

/// What happens when a guard elsewhere fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The exchange ends with `policy_failed`.
    #[default]
    Refuse,
    /// The exchange goes on, and the failure is noted.
    Pass,
}

/// A point on the way between caller and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardPoint {
    /// Prompts, instructions and earlier turns.
    Request,
    /// What the model answers.
    Response,
    /// Arguments of tool calls, in the answer and in earlier turns.
    ToolCall,
    /// What tools answered.
    ToolResult,
}

/// What is done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardAction {
    /// Refuse the request; cut the answer off.
    Block,
    /// Replace it by a placeholder that the answer turns back into the value.
    Redact,
    /// Replace its letters and digits by `*`, but for the last four of cards, accounts and
    /// telephone numbers.
    Mask,
    /// Only note it.
    Observe,
}

/// Whether rules act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GuardMode {
    /// Rules act.
    #[default]
    Enforce,
    /// Findings are only noted.
    Observe,
    /// Findings are only noted, and only a `share` of the exchanges is looked at.
    Sample,
}

/// What becomes of requests that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unread {
    /// They are refused with `guard_blocked`.
    #[default]
    Refuse,
    /// They pass unread.
    Pass,
}

type Wrong = (Option<&'static str>, String);

/// Makes the policy.
pub(super) fn compile(
    config: GuardConfig,
    context: &CompileContext<'_>,
) -> Result<Arc<dyn Policy>, Wrong> {
    let route = context.resources.routes.get(context.route);
    if route.is_some_and(|route| !matches!(route.target, Target::Models(_))) {
        return Err((
            None,
            "only routes to models can be guarded: other bodies cannot be read".into(),
        ));
    }
    let wrong = |message: String| (Some("rules"), message);
    if config.rules.is_empty() || config.rules.len() > RULES_MAX {
        return Err(wrong(format!(
            "1 to {RULES_MAX} rules are needed, not {}",
            config.rules.len()
        )));
    }
    let observes = config.mode != GuardMode::Enforce;
    let (mut rules, mut names, mut asks) = (Vec::new(), Vec::new(), Vec::new());
    let mut forms = Vec::new();
    for rule in &config.rules {
        if let FindConfig::Schema(schema) = &rule.find {
            forms.push(Arc::new(
                Form::new(rule, schema, observes, context).map_err(wrong)?,
            ));
            continue;
        }
        if let FindConfig::Http(_) | FindConfig::Judge(_) = &rule.find {
            asks.push(Arc::new(Ask::new(rule, observes, context).map_err(wrong)?));
            continue;
        }
        for (detector, word) in detectors(&rule.find, context).map_err(wrong)? {
            let name = rule.name.clone().unwrap_or_else(|| word.into());
            rules.push(Rule {
                label: label(rule.name.as_deref()),
                detector,
                points: points(rule),
                action: action(rule.action),
            });
            names.push(Arc::from(name));
        }
    }
    let rules = RuleSet::new(rules).map_err(|error| wrong(error.to_string()))?;
    let share = match config.mode {
        GuardMode::Sample if config.share == Percent::ZERO => {
            return Err((Some("share"), "a share of 0% looks at nothing".into()));
        }
        GuardMode::Sample => config.share.fraction(),
        GuardMode::Enforce | GuardMode::Observe => 1.0,
    };
    Ok(Arc::new(Guard {
        rules: Arc::new(rules),
        names: names.into(),
        asks,
        forms,
        observes,
        share,
        unread: if observes {
            Unread::Pass
        } else {
            config.unread
        },
    }))
}

/// Where a rule looks.
pub(super) fn points(rule: &GuardRule) -> Vec<Point> {
    if rule.at.is_empty() {
        return Point::ALL.to_vec();
    }
    let point = |at: &GuardPoint| match at {
        GuardPoint::Request => Point::Request,
        GuardPoint::Response => Point::Response,
        GuardPoint::ToolCall => Point::ToolCall,
        GuardPoint::ToolResult => Point::ToolResult,
    };
    rule.at.iter().map(point).collect()
}

const fn action(action: GuardAction) -> Action {
    match action {
        GuardAction::Block => Action::Block,
        GuardAction::Redact => Action::Redact,
        GuardAction::Mask => Action::Mask,
        GuardAction::Observe => Action::Observe,
    }
}

/// A rule's name as a word of placeholders.
fn label(name: Option<&str>) -> String {
    let name = name.unwrap_or("term").to_ascii_uppercase();
    let mut label: String = name
        .chars()
        .map(|char| if char.is_ascii_uppercase() { char } else { '_' })
        .take(LABEL_MAX)
        .collect();
    label = label.trim_matches('_').to_owned();
    if label.is_empty() {
        "TERM".into()
    } else {
        label
    }
}

fn detectors(
    find: &FindConfig,
    context: &CompileContext<'_>,
) -> Result<Vec<(Detector, &'static str)>, String> {
    Ok(match find {
        FindConfig::Patterns(names) if names.is_empty() => {
            return Err("`patterns` names none".into());
        }
        FindConfig::Patterns(names) => names
            .iter()
            .map(|name| (Detector::Pattern(*name), name.as_str()))
            .collect(),
        FindConfig::Words(words) => {
            let detector = Detector::Words {
                words: word_list(words, context)?,
                whole: words.whole,
            };
            vec![(detector, "words")]
        }
        FindConfig::Regex(pattern) => {
            let expression = Expression::new(pattern).map_err(|RuleError(message)| message)?;
            vec![(Detector::Expression(expression), "regex")]
        }
        FindConfig::Size(size) => vec![(Detector::Size(size.len()), "size")],
        FindConfig::Scripts(scripts) if scripts.allow.is_empty() => {
            return Err("`scripts` allows none".into());
        }
        FindConfig::Scripts(scripts) => {
            let allowed = scripts.allow.clone();
            let share = scripts.tolerance.fraction();
            vec![(Detector::Scripts { allowed, share }, "scripts")]
        }
        FindConfig::Schema(_) | FindConfig::Http(_) | FindConfig::Judge(_) => Vec::new(),
    })
}

fn word_list(words: &WordsConfig, context: &CompileContext<'_>) -> Result<Vec<String>, String> {
    let mut all = words.list.clone();
    if let Some(file) = &words.file {
        let text = context.secrets.public_file(&context.resolve(file))?;
        let lines = text.lines().map(str::trim);
        all.extend(
            lines
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(Into::into),
        );
    }
    if all.is_empty() {
        return Err("`words` lists none".into());
    }
    Ok(all)
}
