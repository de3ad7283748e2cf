//! Which version of an API a request was for, and where that lives, before and after.
//!
//! The policy `version` chooses again; what follows from its choice is compared here: another version,
//! what its answers say of its end, the upstream it lives on, and whether it is shaped.

use super::lane::text;
use super::side::Side;
use super::tally::Outcome;
use super::target::Passed;
use super::{Examples, Replay};
use gate_api::types::What;
use gate_contract::version::Versions;
use gate_flow::{ApiFacts, Exchange};
use gate_kit::http::Headers;
use gate_model::resources::{Resources, Target};

/// Fields of answers by which a version announces its end.
const ANNOUNCED: [&str; 3] = ["Deprecation", "Sunset", "Link"];
/// Most shapes between a version and its service's.
const CHAIN_MAX: usize = 200;

/// What a request that both sides let through was for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    facts: ApiFacts,
    /// What its answers say of its end.
    announced: Vec<(String, String)>,
}

impl Chosen {
    /// Of an exchange whose policies were walked; none where none chose a version.
    pub(super) fn of(exchange: &Exchange) -> Option<Self> {
        let facts = exchange.record.api.as_deref();
        let facts = facts.filter(|facts| facts.version.is_some())?;
        let announced = exchange.response_headers.iter().filter_map(|field| {
            let (_, name, value) = field;
            let name = String::from_utf8_lossy(name);
            let known = ANNOUNCED
                .iter()
                .find(|known| known.eq_ignore_ascii_case(&name))?;
            Some((
                (*known).to_owned(),
                String::from_utf8_lossy(value).into_owned(),
            ))
        });
        Some(Self {
            facts: facts.clone(),
            announced: announced.collect(),
        })
    }

    fn version(&self) -> &str {
        self.facts.version.as_deref().unwrap_or_default()
    }

    fn shown(&self) -> String {
        let (api, version) = (&self.facts.api, self.version());
        let mut names: Vec<&str> = self.announced.iter().map(|(name, _)| &**name).collect();
        names.dedup();
        match names.is_empty() {
            true => format!("{api} {version}"),
            false => format!("{api} {version}, with {}", names.join(", ")),
        }
    }

    /// Whether a field of an answer follows from the version, so that it is compared here.
    fn explains(&self, side: &Side, name: &[u8]) -> bool {
        let apis = &side.resources().apis;
        let listed = apis
            .get(&*self.facts.api)
            .and_then(|api| api.versions.as_ref());
        let answer = listed.and_then(|listed| listed.answer.as_deref());
        let mut names = ANNOUNCED.into_iter().chain(answer);
        names.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
    }
}

/// The fields of answers that do not follow from a version.
pub(super) fn other_fields<'a>(
    headers: &'a Headers,
    side: &'a Side,
    chosen: Option<&'a Chosen>,
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    let other = move |name: &[u8]| chosen.is_none_or(|chosen| !chosen.explains(side, name));
    let pairs = headers.iter().map(|(_, name, value)| (name, value));
    pairs.filter(move |(name, _)| other(name))
}

impl Replay {
    /// Compares the versions that two sides chose.
    pub(super) fn versions(
        &mut self,
        (was, is): (&Chosen, &Chosen),
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) {
        if was != is {
            self.tally.change(outcome, What::Version, 1.0, || {
                example(was.shown(), is.shown())
            });
            return;
        }
        let api = &*is.facts.api;
        let shapes = |side: &Side| shapes(side.resources(), api, is.version());
        if shapes(&self.current) != shapes(&self.candidate) {
            outcome.doubt(vec![format!("what the shapes of `apis.{api}` come to")]);
        }
    }

    /// Compares where the chosen versions live.
    pub(super) fn homes(
        &mut self,
        passed: &Passed<'_>,
        outcome: &mut Outcome,
        example: Examples<'_>,
    ) {
        let Some((was, is)) = passed.versions else {
            return outcome.doubt(vec!["which version of an API was asked for".into()]);
        };
        let (current, candidate) = (self.current.clone(), self.candidate.clone());
        let home = |side: &Side, chosen: &Chosen| home(side.resources(), chosen);
        match (home(&current, was), home(&candidate, is)) {
            (Some(before), Some(after)) if before == after => {
                self.same_upstream(&after, passed.line, outcome, example);
            }
            (Some(before), Some(after)) => {
                let shown = |name: &str| format!("upstream {name}");
                self.tally.change(outcome, What::Version, 1.0, || {
                    example(shown(&before), shown(&after))
                });
            }
            _ => outcome.doubt(vec![format!("where versions of `{}` live", is.facts.api)]),
        }
    }
}

/// Whether a target is chosen by version.
pub(super) fn is_by_version(was: &Target, is: &Target) -> bool {
    matches!((was, is), (Target::Api(was), Target::Api(is)) if was == is)
}

/// The upstream that a version lives on.
fn home(resources: &Resources, chosen: &Chosen) -> Option<String> {
    let listed = resources.apis.get(&*chosen.facts.api)?.versions.as_ref()?;
    let versions = Versions::compile(listed).ok()?;
    let mut versions = versions.list.iter();
    let version = versions.find(|version| *version.name == *chosen.version())?;
    version.upstream.as_deref().map(str::to_owned)
}

/// The shapes from a version to its service's, as text.
fn shapes(resources: &Resources, api: &str, version: &str) -> Vec<String> {
    let listed = resources
        .apis
        .get(api)
        .and_then(|api| api.versions.as_ref());
    let shape = |version: &str| listed?.list.get(version)?.shape.as_ref();
    let mut at = version.to_owned();
    let mut found = Vec::new();
    while let Some(shape) = shape(&at).filter(|_| found.len() < CHAIN_MAX) {
        found.push(text(shape));
        at.clone_from(&shape.onto);
    }
    found
}
