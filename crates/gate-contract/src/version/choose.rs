//! Which version a request gets.

use super::{Asked, Version, Versions};
use gate_model::resources::Stage;

/// Which version requests get that name none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// The highest for everybody.
    Newest,
    /// The lowest that works.
    Oldest,
    /// None.
    Refuse,
    /// The highest within.
    Range(Asked),
}

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// It gets this version, by its place in the list.
    Version(usize),
    /// It asks for a version that is retired.
    Retired(usize),
    /// It asks for what there is not.
    Unknown,
    /// It names none, and has to.
    Unnamed,
}

impl Versions {
    /// Which version a request gets that names `asked`, at a time in UNIX seconds. `consumer` is who
    /// calls, where that is known.
    #[must_use]
    pub fn choose(&self, asked: Option<&Asked>, consumer: Option<&str>, now_s: u64) -> Choice {
        if let Some(asked) = asked {
            return self.within(asked, now_s);
        }
        if let Some(pinned) = consumer.and_then(|consumer| self.pinned.get(consumer)) {
            return self.within(pinned, now_s);
        }
        match &self.unnamed {
            Rule::Newest => self.within(&Asked::Newest, now_s),
            Rule::Range(asked) => self.within(asked, now_s),
            Rule::Refuse => Choice::Unnamed,
            Rule::Oldest => {
                let works = |version: &Version| {
                    matches!(version.stage_at(now_s), Stage::Active | Stage::Deprecated)
                };
                match self.list.iter().rposition(works) {
                    Some(index) => Choice::Version(index),
                    None => self.within(&Asked::Newest, now_s),
                }
            }
        }
    }

    fn within(&self, asked: &Asked, now_s: u64) -> Choice {
        let mut retired = None;
        let mut deprecated = None;
        for (index, version) in self.list.iter().enumerate() {
            if !asked.fits(&version.number) {
                continue;
            }
            match version.stage_at(now_s) {
                Stage::Active => return Choice::Version(index),
                Stage::Deprecated if *asked == Asked::Newest => {
                    deprecated = deprecated.or(Some(index));
                }
                Stage::Deprecated => return Choice::Version(index),
                // Who names it in full knows what they do.
                Stage::Preview if matches!(asked, Asked::Exact(_)) => {
                    return Choice::Version(index);
                }
                Stage::Preview => {}
                Stage::Retired => retired = retired.or(Some(index)),
            }
        }
        match (deprecated, retired) {
            (Some(index), _) => Choice::Version(index),
            (None, Some(index)) => Choice::Retired(index),
            (None, None) => Choice::Unknown,
        }
    }

    /// The numbers of the versions that work for everybody, the highest first, as one text.
    #[must_use]
    pub fn offered(&self, now_s: u64) -> String {
        let works = |version: &&Version| {
            matches!(version.stage_at(now_s), Stage::Active | Stage::Deprecated)
        };
        let names: Vec<&str> = self
            .list
            .iter()
            .filter(works)
            .take(10)
            .map(|version| &*version.name)
            .collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    }
}
