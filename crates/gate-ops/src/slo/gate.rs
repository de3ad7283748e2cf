//! What an error budget lets through: below a threshold only rollbacks and fixes.
//!
//! A [`Gate`] also holds freezes, per route or of everything, and takes overrides: signed, for one
//! revision, until a time. It decides and says why; whoever asks refuses the change and writes the
//! audit line. Signatures are checked by the caller's function over [`Override::message`].

use super::Budget;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most freezes and overrides that are held.
pub const HELD_MAX: usize = 1000;

/// Why a revision exists.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Something new.
    Change,
    /// It mends what an incident is about, named here.
    Fix(String),
    /// It takes a revision back.
    Rollback,
}

/// A revision that asks to be applied or rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its content's digest.
    pub digest: &'a str,
    /// Why it exists.
    pub purpose: &'a Purpose,
    /// Routes that it touches; none where it touches all.
    pub routes: Option<&'a [String]>,
}

/// An objective, as far as the gate cares.
#[derive(Debug, Clone, PartialEq)]
pub struct Promise<'a> {
    /// Its name.
    pub objective: &'a str,
    /// The route that it is about; none for all.
    pub route: Option<&'a str>,
    /// Share of its budget that must be left for changes; the gate's own where there is none.
    pub left_min: Option<f64>,
    /// What is left of it.
    pub budget: Budget,
}

/// No changes for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// Why, in a sentence.
    pub reason: String,
    /// Until when, in UNIX seconds.
    pub until_s: u64,
}

/// Somebody's word that one revision may pass in spite of the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// Digest of the revision that may pass; no other one.
    pub digest: String,
    /// Who said so, by name of the key that signed it.
    pub by: String,
    /// Why, in a sentence.
    pub reason: String,
    /// Until when, in UNIX seconds.
    pub until_s: u64,
    /// Signature over [`Override::message`].
    pub signature: Vec<u8>,
}

impl Override {
    /// What is signed: every field, each with its length before it, so that no two overrides have the
    /// same message.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        let mut out = b"tidegate error budget override v1\n".to_vec();
        for field in [&self.digest, &self.by, &self.reason] {
            out.extend((field.len() as u64).to_be_bytes());
            out.extend(field.as_bytes());
        }
        out.extend(self.until_s.to_be_bytes());
        out
    }
}

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passage {
    /// Nothing is in its way.
    Free,
    /// Something is; it passes because of what it is for.
    Excused {
        /// What would have been in its way.
        against: Vec<String>,
    },
    /// Something is; it passes because somebody signed for it. To be written into the audit log.
    Overridden {
        /// What would have been in its way.
        against: Vec<String>,
        /// Who signed.
        by: String,
        /// Why.
        reason: String,
    },
    /// It does not pass.
    Refused {
        /// Why, one sentence each.
        against: Vec<String>,
    },
}

/// The gate of an environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// Share of a budget that must be left for changes, from 0 to 1.
    pub left_min: f64,
    /// Freezes by route; under an empty name, of everything.
    freezes: BTreeMap<String, Freeze>,
    overrides: Vec<Override>,
}

/// More freezes or overrides than can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

impl Gate {
    /// A gate that lets changes through while at least that share of each budget is left.
    #[must_use]
    pub fn new(left_min: f64) -> Self {
        Self {
            left_min,
            ..Self::default()
        }
    }

    /// Freezes a route (everything: none) until a time, in place of an earlier freeze.
    ///
    /// # Errors
    /// When there are [`HELD_MAX`] already.
    pub fn freeze(&mut self, route: Option<&str>, freeze: Freeze, now_s: u64) -> Result<(), Full> {
        self.freezes.retain(|_, held| held.until_s > now_s);
        let route = route.unwrap_or_default();
        if self.freezes.len() >= HELD_MAX && !self.freezes.contains_key(route) {
            return Err(Full);
        }
        self.freezes.insert(route.to_owned(), freeze);
        Ok(())
    }

    /// Ends a freeze; says whether there was one.
    pub fn thaw(&mut self, route: Option<&str>) -> bool {
        self.freezes.remove(route.unwrap_or_default()).is_some()
    }

    /// Holds an override until it expires. Its signature is checked when it is used.
    ///
    /// # Errors
    /// When there are [`HELD_MAX`] already.
    pub fn allow(&mut self, word: Override, now_s: u64) -> Result<(), Full> {
        self.overrides.retain(|held| held.until_s > now_s);
        if self.overrides.len() >= HELD_MAX {
            return Err(Full);
        }
        self.overrides.push(word);
        Ok(())
    }

    /// What is frozen, by route; everything under none.
    pub fn freezes(&self) -> impl Iterator<Item = (Option<&str>, &Freeze)> {
        let named = |name: &str| !name.is_empty();
        self.freezes
            .iter()
            .map(move |(name, freeze)| (Some(name.as_str()).filter(|name| named(name)), freeze))
    }

    /// Words that let revisions pass.
    pub fn overrides(&self) -> impl Iterator<Item = &Override> {
        self.overrides.iter()
    }

    /// Whether a revision may pass. `is_signed` says whether the message of an override was signed by
    /// whom it names, with that signature: `(by, message, signature)`. `open` are incidents that a fix
    /// may name.
    #[must_use]
    pub fn decide(
        &self,
        candidate: &Candidate<'_>,
        promises: &[Promise<'_>],
        open: &[String],
        now_s: u64,
        is_signed: impl Fn(&str, &[u8], &[u8]) -> bool,
    ) -> Passage {
        let touches = |route: Option<&str>| match (route, candidate.routes) {
            (Some(route), Some(routes)) => routes.iter().any(|touched| touched == route),
            _ => true,
        };
        let mut against = Vec::new();
        for promise in promises.iter().filter(|promise| touches(promise.route)) {
            let least = promise.left_min.unwrap_or(self.left_min);
            if let Some(left) = promise.budget.left.filter(|left| *left < least) {
                against.push(format!(
                    "objective `{}` has {:.1} % of its error budget left, changes need {:.1} %",
                    promise.objective,
                    left * 100.0,
                    least * 100.0
                ));
            }
        }
        for (route, freeze) in self.freezes.iter().filter(|(_, held)| held.until_s > now_s) {
            let name = (!route.is_empty()).then_some(route.as_str());
            if touches(name) {
                let what = name.map_or("everything".into(), |route| format!("route `{route}`"));
                against.push(format!("{what} is frozen: {}", freeze.reason));
            }
        }
        if against.is_empty() {
            return Passage::Free;
        }
        match candidate.purpose {
            Purpose::Rollback => return Passage::Excused { against },
            Purpose::Fix(incident) if open.contains(incident) => {
                return Passage::Excused { against };
            }
            Purpose::Fix(_) | Purpose::Change => {}
        }
        let is_valid = |word: &&Override| {
            word.digest == candidate.digest
                && word.until_s > now_s
                && is_signed(&word.by, &word.message(), &word.signature)
        };
        match self.overrides.iter().find(is_valid) {
            Some(word) => Passage::Overridden {
                against,
                by: word.by.clone(),
                reason: word.reason.clone(),
            },
            None => Passage::Refused { against },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Count;
    use super::*;

    fn budget(left: f64) -> Budget {
        Budget {
            count: Count::new(1000, 1),
            left: Some(left),
            burn: None,
        }
    }

    fn promise(left: f64) -> [Promise<'static>; 2] {
        [
            Promise {
                objective: "orders-available",
                route: Some("orders"),
                left_min: None,
                budget: budget(left),
            },
            Promise {
                objective: "search-fast",
                route: Some("search"),
                left_min: Some(0.05),
                budget: budget(0.9),
            },
        ]
    }

    fn decide(gate: &Gate, purpose: &Purpose, routes: Option<&[String]>, left: f64) -> Passage {
        let candidate = Candidate {
            digest: "d1",
            purpose,
            routes,
        };
        let is_signed = |by: &str, message: &[u8], signature: &[u8]| {
            by == "ops" && signature == [&b"signed "[..], message].concat()
        };
        gate.decide(
            &candidate,
            &promise(left),
            &["inc-7".into()],
            1000,
            is_signed,
        )
    }

    #[test]
    fn below_the_threshold_only_rollbacks_and_fixes_pass() {
        let gate = Gate::new(0.1);
        let change = Purpose::Change;
        assert_eq!(decide(&gate, &change, None, 0.1), Passage::Free);
        let Passage::Refused { against } = decide(&gate, &change, None, 0.099) else {
            panic!("a change passed without a budget");
        };
        assert_eq!(
            against,
            [
                "objective `orders-available` has 9.9 % of its error budget left, changes need 10.0 %"
            ]
        );
        let excused = Passage::Excused { against };
        assert_eq!(decide(&gate, &Purpose::Rollback, None, 0.099), excused);
        assert_eq!(
            decide(&gate, &Purpose::Fix("inc-7".into()), None, 0.099),
            excused
        );
        // A fix of what is no open incident is a change.
        let other = Purpose::Fix("inc-8".into());
        assert!(matches!(
            decide(&gate, &other, None, 0.099),
            Passage::Refused { .. }
        ));
        // It does not touch what is spent.
        assert_eq!(
            decide(&gate, &change, Some(&["search".into()]), -2.0),
            Passage::Free
        );
        assert!(matches!(
            decide(&gate, &change, Some(&["orders".into()]), -2.0),
            Passage::Refused { .. }
        ));
    }

    #[test]
    fn a_freeze_holds_for_its_route_and_time() {
        let mut gate = Gate::new(0.0);
        let freeze = |until_s| Freeze {
            reason: "sale".into(),
            until_s,
        };
        gate.freeze(Some("orders"), freeze(1001), 0).unwrap();
        let change = Purpose::Change;
        assert!(matches!(
            decide(&gate, &change, None, 1.0),
            Passage::Refused { .. }
        ));
        assert_eq!(
            decide(&gate, &change, Some(&["search".into()]), 1.0),
            Passage::Free
        );
        gate.freeze(Some("orders"), freeze(1000), 0).unwrap();
        assert_eq!(decide(&gate, &change, None, 1.0), Passage::Free);
        gate.freeze(None, freeze(2000), 0).unwrap();
        assert!(matches!(
            decide(&gate, &change, Some(&["search".into()]), 1.0),
            Passage::Refused { .. }
        ));
        assert!(gate.thaw(None) && !gate.thaw(None));
        for number in 0..HELD_MAX + 1 {
            let held = gate.freeze(Some(&number.to_string()), freeze(9), 1);
            assert_eq!(held.is_err(), number >= HELD_MAX - 1, "{number}");
        }
    }

    #[test]
    fn an_override_is_signed_and_for_one_revision() {
        let mut gate = Gate::new(0.5);
        let word = |digest: &str, by: &str, until_s| {
            let mut word = Override {
                digest: digest.into(),
                by: by.into(),
                reason: "the sale needs it".into(),
                until_s,
                signature: vec![],
            };
            word.signature = [&b"signed "[..], &word.message()].concat();
            word
        };
        let change = Purpose::Change;
        let mut forged = word("d1", "ops", 2000);
        forged.until_s = 3000;
        for useless in [
            word("d2", "ops", 2000),
            word("d1", "guest", 2000),
            word("d1", "ops", 1000),
            forged,
        ] {
            gate.allow(useless, 0).unwrap();
            assert!(matches!(
                decide(&gate, &change, None, 0.2),
                Passage::Refused { .. }
            ));
        }
        gate.allow(word("d1", "ops", 2000), 0).unwrap();
        let passage = decide(&gate, &change, None, 0.2);
        let Passage::Overridden {
            against,
            by,
            reason,
        } = passage
        else {
            panic!("{passage:?}");
        };
        assert_eq!(
            (against.len(), by.as_str(), reason.as_str()),
            (1, "ops", "the sale needs it")
        );
    }

    #[test]
    fn no_two_overrides_are_signed_alike() {
        let word = |digest: &str, by: &str| Override {
            digest: digest.into(),
            by: by.into(),
            reason: String::new(),
            until_s: 0,
            signature: vec![],
        };
        assert_ne!(word("ab", "c").message(), word("a", "bc").message());
    }
}
