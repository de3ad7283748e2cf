//! Versions of an API: which one a request gets, and what is said about its end.
//!
//! [`Versions::compile`] reads what is configured; [`Asked::parse`] reads what a request names;
//! [`Versions::choose`] decides at a given time. Knows no request and no clock: who calls this reads
//! header, query, path or media type, and brings the time.

mod asked;
mod choose;
mod fields;
mod life;
#[cfg(test)]
mod tests;

pub use asked::{ASKED_BYTES_MAX, Asked};
pub use choose::{Choice, Rule};
pub use life::Window;

use gate_kit::order::Order;
use gate_model::resources::{ApiVersion, ApiVersions, Stage, Unnamed};
use semver::Version as Number;
use std::collections::HashMap;
use std::sync::Arc;

/// Most versions of one API.
pub const VERSIONS_MAX: usize = 200;

/// What is wrong with configured versions: the way to the field below `versions`, and a sentence.
pub type Wrong = (Vec<String>, String);

/// An API's versions, compiled.
#[derive(Debug)]
pub struct Versions {
    /// Every version, the highest first.
    pub list: Vec<Version>,
    unnamed: Rule,
    pinned: HashMap<String, Asked>,
}

/// One version, compiled.
#[derive(Debug)]
pub struct Version {
    /// Its full number, as written.
    pub name: Arc<str>,
    /// The same, to compare.
    pub number: Number,
    /// Where it stands in [`Versions::list`] of the version that its shape leads to.
    pub onto: Option<usize>,
    /// The upstream that it lives on.
    pub upstream: Option<Arc<str>>,
    stage: Stage,
    deprecated_at: Option<u64>,
    sunset_at: Option<u64>,
    windows: Vec<Window>,
    deprecation: Option<String>,
    sunset: Option<String>,
    links: Vec<String>,
}

impl Versions {
    /// Reads what is configured.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn compile(versions: &ApiVersions) -> Result<Self, Wrong> {
        let wrong = |field: &str, text: String| (vec![field.to_owned()], text);
        if versions.by.is_empty() {
            return Err(wrong(
                "by",
                "nothing says where a request names its version".into(),
            ));
        }
        if versions.list.is_empty() || versions.list.len() > VERSIONS_MAX {
            let text = format!("there must be 1 to {VERSIONS_MAX} versions");
            return Err(wrong("list", text));
        }
        let mut list = Vec::with_capacity(versions.list.len());
        for (name, version) in &versions.list {
            let below = |(field, text): (&str, String)| {
                let way = ["list", name, field].map(str::to_owned);
                (
                    way.into_iter().filter(|step| !step.is_empty()).collect(),
                    text,
                )
            };
            list.push(Version::compile(name, version).map_err(below)?);
        }
        list.order_by(|one, other| other.number.cmp(&one.number));
        let mut compiled = Self {
            list,
            unnamed: Rule::Newest,
            pinned: HashMap::new(),
        };
        compiled.chain(versions)?;
        compiled.unnamed = match &versions.unnamed {
            Unnamed::Newest => Rule::Newest,
            Unnamed::Oldest => Rule::Oldest,
            Unnamed::Refuse => Rule::Refuse,
            Unnamed::Range(range) => Rule::Range(
                compiled
                    .range(range)
                    .map_err(|text| wrong("unnamed", text))?,
            ),
        };
        for (consumer, range) in &versions.pinned {
            let asked = compiled
                .range(range)
                .map_err(|text| wrong("pinned", text))?;
            compiled.pinned.insert(consumer.clone(), asked);
        }
        Ok(compiled)
    }

    /// A range of configuration, which must fit some version.
    fn range(&self, text: &str) -> Result<Asked, String> {
        let asked = Asked::parse(text)?;
        match self.list.iter().any(|version| asked.fits(&version.number)) {
            true => Ok(asked),
            false => Err(format!("no version is within `{text}`")),
        }
    }

    /// Finds where shapes lead, and what a version lives on that has no upstream of its own.
    fn chain(&mut self, versions: &ApiVersions) -> Result<(), Wrong> {
        for index in 0..self.list.len() {
            let name = self.list[index].name.clone();
            let Some(shape) = versions
                .list
                .get(&*name)
                .and_then(|version| version.shape.as_ref())
            else {
                continue;
            };
            let target = self
                .list
                .iter()
                .position(|version| *version.name == *shape.onto);
            let Some(target) = target.filter(|target| *target != index) else {
                let way = ["list", &name, "shape", "onto"].map(str::to_owned).to_vec();
                return Err((
                    way,
                    format!("`{}` is no other version of this API", shape.onto),
                ));
            };
            self.list[index].onto = Some(target);
        }
        for index in 0..self.list.len() {
            let mut at = index;
            let mut steps = 0;
            while let Some(next) = self.list[at].onto {
                at = next;
                steps += 1;
                if steps > self.list.len() {
                    let way = ["list", &self.list[index].name, "shape"].map(str::to_owned);
                    return Err((way.to_vec(), "shapes lead in a circle".into()));
                }
                if self.list[index].upstream.is_none() {
                    self.list[index].upstream = self.list[at].upstream.clone();
                }
            }
        }
        Ok(())
    }
}

impl Version {
    fn compile(name: &str, version: &ApiVersion) -> Result<Self, (&'static str, String)> {
        let number = Number::parse(name).map_err(|_| {
            let text = format!("`{name}` is no full version such as `1.4.0`");
            ("", text)
        })?;
        let seconds = |time: Option<gate_model::units::Timestamp>| time.map(|time| time.unix_s());
        let (deprecated_at, sunset_at) =
            (seconds(version.deprecated_at), seconds(version.sunset_at));
        if version.stage == Stage::Deprecated && deprecated_at.is_none() {
            let text = "a deprecated version needs `deprecated_at`, which callers are told";
            return Err(("deprecated_at", text.into()));
        }
        if let (Some(deprecated), Some(sunset)) = (deprecated_at, sunset_at)
            && sunset < deprecated
        {
            // RFC 9745 section 4.
            let text = "a version cannot be retired before it is deprecated";
            return Err(("sunset_at", text.into()));
        }
        let windows = version.brownouts.iter().map(Window::compile);
        let windows: Result<Vec<_>, String> = windows.collect();
        let windows = windows.map_err(|text| ("brownouts", text))?;
        let late = |window: &Window| sunset_at.is_some_and(|sunset| window.until > sunset);
        if windows.iter().any(late) {
            return Err(("brownouts", "a window lies behind `sunset_at`".into()));
        }
        Ok(Self {
            name: name.into(),
            number,
            onto: None,
            upstream: version.upstream.as_deref().map(Into::into),
            stage: version.stage,
            deprecated_at,
            sunset_at,
            windows,
            deprecation: deprecated_at.map(|at| format!("@{at}")),
            sunset: sunset_at.map(fields::http_date),
            links: fields::links(&version.links).map_err(|text| ("links", text))?,
        })
    }
}
