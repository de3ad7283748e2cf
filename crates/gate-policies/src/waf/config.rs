//! The settings of `waf`.

use gate_model::units::{ByteSize, Percent};
use gate_waf::{Exclusion, Exclusions, RuleSet};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

type Refusal = (Option<&'static str>, String);

/// Refuses requests and answers that look like attacks; at least one of `rules` and `directives` is
/// needed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WafConfig {
    /// Rule files in SecLang, in their order, relative to this document; `*` stands for any letters
    /// of a file's name. CRS needs its `crs-setup.conf` in front of its `rules/*.conf`.
    #[serde(default)]
    pub rules: Vec<PathBuf>,
    /// Directives in SecLang that are read before `rules`.
    #[serde(default)]
    pub directives: String,
    /// What is done about what is found.
    #[serde(default)]
    pub mode: WafMode,
    /// Share of the requests that are looked at; with `mode: sample` only.
    #[serde(default)]
    pub share: Option<Percent>,
    /// Rules that are left out here.
    #[serde(default)]
    pub exclude: Vec<WafExclusion>,
    /// Most bytes of a request's body that are looked at; longer ones are refused in mode `block`,
    /// and looked at as far as that otherwise.
    #[serde(default = "body")]
    pub body: ByteSize,
    /// Whether answers are looked at: their head, and bodies of the types that the rules name.
    #[serde(default = "yes")]
    pub responses: bool,
}

fn body() -> ByteSize {
    ByteSize::from_kibibytes(128)
}

fn yes() -> bool {
    true
}

/// What is done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WafMode {
    /// Refuses what the rules refuse.
    #[default]
    Block,
    /// Notes what would have been refused, and lets it pass.
    Detect,
    /// Counts which rules match, and writes nothing to logs.
    Count,
    /// Detects on a `share` of the requests.
    Sample,
}

/// Leaves out one rule, or all with a tag; with `target`, for that variable only.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WafExclusion {
    /// The rule's id.
    #[serde(default)]
    pub rule: Option<u32>,
    /// A tag that rules have, such as `attack-sqli`.
    #[serde(default)]
    pub tag: Option<String>,
    /// A variable, such as `ARGS:q`, `REQUEST_COOKIES:/^_ga/` or `REQUEST_HEADERS:Referer`.
    #[serde(default)]
    pub target: Option<String>,
}

impl WafConfig {
    /// Settings that contradict each other.
    pub(super) fn validate(&self) -> Result<(), Refusal> {
        if self.rules.is_empty() && self.directives.trim().is_empty() {
            return Err((None, "neither `rules` nor `directives` holds a rule".into()));
        }
        match (self.mode, self.share) {
            (WafMode::Sample, None) => {
                return Err((Some("share"), "`mode: sample` needs a `share`".into()));
            }
            (WafMode::Sample, Some(share)) if share == Percent::ZERO => {
                return Err((Some("share"), "a share of 0% looks at nothing".into()));
            }
            (WafMode::Sample, Some(_)) | (_, None) => {}
            (_, Some(_)) => {
                return Err((
                    Some("share"),
                    "`share` goes with `mode: sample` only".into(),
                ));
            }
        }
        match self.body.len() {
            1..=13_107_200 => Ok(()),
            _ => Err((
                Some("body"),
                "1 byte to 12.5 MiB of a body can be looked at".into(),
            )),
        }
    }

    /// The exclusions, found in the rules.
    pub(super) fn exclusions(&self, rules: &RuleSet) -> Result<Option<Exclusions>, Refusal> {
        let mut list = Vec::new();
        for exclusion in &self.exclude {
            list.push(
                exclusion
                    .read()
                    .map_err(|message| (Some("exclude"), message))?,
            );
        }
        if list.is_empty() {
            return Ok(None);
        }
        let compiled = Exclusions::compile(rules, &list);
        let refusal = |(at, reason): (usize, String)| {
            (
                Some("exclude"),
                format!("the exclusion number {} cannot act: {reason}", at + 1),
            )
        };
        compiled.map(Some).map_err(refusal)
    }
}

impl WafExclusion {
    fn read(&self) -> Result<Exclusion, String> {
        Ok(match (self.rule, &self.tag, &self.target) {
            (Some(rule), None, None) => Exclusion::Rule(rule),
            (Some(rule), None, Some(target)) => Exclusion::RuleTarget(rule, target.clone()),
            (None, Some(tag), None) => Exclusion::Tag(tag.clone()),
            (None, Some(tag), Some(target)) => Exclusion::TagTarget(tag.clone(), target.clone()),
            (Some(_), Some(_), _) => {
                return Err("an exclusion names a `rule` or a `tag`, not both".into());
            }
            (None, None, _) => return Err("an exclusion names a `rule` or a `tag`".into()),
        })
    }
}
