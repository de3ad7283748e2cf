//! What a spent error budget and a freeze hold up, and who may pass all the same.
//!
//! The decision is the engine's. What the gate of an environment holds is a text in the store; words
//! that let a revision pass are signed with keys whose public halves stand in
//! `gateway.admin.override_keys`, so that a document cannot let itself pass.

#![allow(
    clippy::result_large_err,
    reason = "problems are what the admin API answers"
)]

use super::Promises;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gate_admin::GateEdit;
use gate_api::problem::{Code, Problem};
use gate_api::types::{Finding, FreezeState, GateState, OverrideState, Severity};
use gate_ops::slo::{Candidate, Freeze, Full, Gate, Override, Passage, Purpose};
use std::collections::BTreeMap;

/// The longest freeze, in seconds: 90 days.
const FREEZE_MAX_S: u64 = 90 * 86_400;

/// What a gate holds.
fn read(held: &str) -> Result<Gate, Problem> {
    if held.is_empty() {
        return Ok(Gate::default());
    }
    serde_json::from_str(held)
        .map_err(|error| Problem::new(Code::Internal, format!("the gate cannot be read: {error}")))
}

/// What a gate holds that is in force.
pub(crate) fn show(held: &str, now_s: u64) -> GateState {
    let gate = read(held).unwrap_or_default();
    let freezes = gate.freezes().filter(|(_, freeze)| freeze.until_s > now_s);
    let overrides = gate.overrides().filter(|word| word.until_s > now_s);
    GateState {
        freezes: freezes
            .map(|(route, freeze)| FreezeState {
                route: route.map(str::to_owned),
                reason: freeze.reason.clone(),
                until_s: freeze.until_s,
            })
            .collect(),
        overrides: overrides
            .map(|word| OverrideState {
                digest: word.digest.clone(),
                by: word.by.clone(),
                reason: word.reason.clone(),
                until_s: word.until_s,
            })
            .collect(),
    }
}

/// What a gate holds after a change, and what the audit log says of it.
pub(crate) fn edit(
    held: &str,
    edit: &GateEdit<'_>,
    keys: &BTreeMap<String, String>,
    now_s: u64,
) -> Result<(String, String), Problem> {
    let mut gate = read(held)?;
    let full = |Full| Problem::new(Code::Conflict, "the gate holds too much already");
    let invalid = |text: String| Problem::new(Code::Invalid, text);
    let detail = match edit {
        GateEdit::Freeze(input) => {
            let lasts_s = input.lasts.microseconds() / 1_000_000;
            if lasts_s > FREEZE_MAX_S {
                return Err(invalid("a freeze lasts for at most 90d".into()));
            }
            let freeze = Freeze {
                reason: input.reason.clone(),
                until_s: now_s + lasts_s.max(1),
            };
            let until_s = freeze.until_s;
            gate.freeze(input.route.as_deref(), freeze, now_s)
                .map_err(full)?;
            serde_json::json!({ "route": input.route, "reason": input.reason, "until_s": until_s })
        }
        GateEdit::Thaw(route) => {
            if !gate.thaw(*route) {
                return Err(Problem::new(Code::NotFound, "nothing is frozen there"));
            }
            serde_json::json!({ "route": route })
        }
        GateEdit::Allow(input) => {
            let signature = STANDARD.decode(&input.signature);
            let signature = signature.map_err(|_| invalid("`signature` is no base64".into()))?;
            let word = Override {
                digest: input.digest.clone(),
                by: input.by.clone(),
                reason: input.reason.clone(),
                until_s: input.until_s,
                signature,
            };
            if word.until_s <= now_s {
                return Err(invalid("`until_s` is over".into()));
            }
            if !is_signed(keys, &word.by, &word.message(), &word.signature) {
                let text = format!(
                    "that is not the signature of `{}` in `gateway.admin.override_keys`",
                    word.by
                );
                return Err(Problem::new(Code::Forbidden, text));
            }
            gate.allow(word, now_s).map_err(full)?;
            serde_json::json!({
                "digest": input.digest, "by": input.by, "reason": input.reason,
                "until_s": input.until_s, "signature": input.signature,
            })
        }
    };
    let next = serde_json::to_string(&gate)
        .map_err(|error| Problem::new(Code::Internal, error.to_string()))?;
    Ok((next, detail.to_string()))
}

/// Whether a message was signed by whom it names.
fn is_signed(keys: &BTreeMap<String, String>, by: &str, message: &[u8], signature: &[u8]) -> bool {
    let key = keys.get(by).and_then(|key| STANDARD.decode(key).ok());
    key.is_some_and(|key| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(message, signature)
            .is_ok()
    })
}

/// What is asked of the gate.
pub(crate) struct Question<'a> {
    /// What the gate holds.
    pub held: &'a str,
    /// Digest of what would be in force.
    pub digest: &'a str,
    /// What it is for.
    pub purpose: Purpose,
    /// Routes that it touches; none for all.
    pub routes: Option<&'a [String]>,
    /// Public keys of those who may sign, by name.
    pub keys: &'a BTreeMap<String, String>,
    /// The time.
    pub now_s: u64,
}

/// What the gate says of a change: nothing where it passes freely, an error for each thing that
/// stands against it, or a warning for each that would.
pub(crate) fn findings(promises: &Promises, question: &Question<'_>) -> Vec<Finding> {
    let gate = match read(question.held) {
        Ok(gate) => gate,
        Err(problem) => return vec![Finding::error("gate_shut", "", problem.detail)],
    };
    let candidate = Candidate {
        digest: question.digest,
        purpose: &question.purpose,
        routes: question.routes,
    };
    let open = promises.open_incidents();
    let passage = promises.with_promises(|held| {
        gate.decide(
            &candidate,
            held,
            &open,
            question.now_s,
            |by, message, signature| is_signed(question.keys, by, message, signature),
        )
    });
    let passed = |against: Vec<String>, why: String| {
        let warning = |text: String| Finding {
            severity: Severity::Warning,
            ..Finding::error("gate_passed", "", format!("{text}; {why}"))
        };
        against.into_iter().map(warning).collect()
    };
    match passage {
        Passage::Free => Vec::new(),
        Passage::Excused { against } => {
            let why = match &question.purpose {
                Purpose::Fix(incident) => {
                    format!("it passes, because it mends incident `{incident}`")
                }
                _ => "it passes, because it goes back".to_owned(),
            };
            passed(against, why)
        }
        Passage::Overridden {
            against,
            by,
            reason,
        } => passed(
            against,
            format!("it passes, because `{by}` signed for it: {reason}"),
        ),
        Passage::Refused { against } => {
            let help = format!(
                "roll back, name the open incident that this mends, or have somebody sign for it: \
                 tidegate objectives override --digest {}",
                question.digest
            );
            let error =
                |text: String| Finding::error("gate_shut", "", text).with_help(help.clone());
            against.into_iter().map(error).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use gate_api::types::{FreezeInput, OverrideInput};

    fn keys(pair: &Ed25519KeyPair) -> BTreeMap<String, String> {
        let public = STANDARD.encode(pair.public_key().as_ref());
        BTreeMap::from([("ops".to_owned(), public)])
    }

    fn ask(
        held: &str,
        keys: &BTreeMap<String, String>,
        digest: &str,
        purpose: Purpose,
    ) -> Vec<Finding> {
        let question = Question {
            held,
            digest,
            purpose,
            routes: None,
            keys,
            now_s: 1000,
        };
        findings(&Promises::default(), &question)
    }

    #[test]
    fn a_freeze_holds_changes_up_and_a_signed_word_lets_one_pass() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let keys = keys(&pair);
        assert_eq!(ask("", &keys, "d", Purpose::Change), []);
        let freeze = FreezeInput {
            route: None,
            reason: "the sale".into(),
            lasts: gate_model::units::Period::from_seconds(3600),
        };
        let (held, detail) = edit("", &GateEdit::Freeze(&freeze), &keys, 1000).unwrap();
        assert!(
            detail.contains("the sale") && detail.contains("4600"),
            "{detail}"
        );
        let refused = ask(&held, &keys, "d", Purpose::Change);
        assert_eq!((refused.len(), &*refused[0].code), (1, "gate_shut"));
        assert!(
            refused[0]
                .message
                .contains("everything is frozen: the sale")
        );
        let back = ask(&held, &keys, "d", Purpose::Rollback);
        assert_eq!(
            (&*back[0].code, back[0].severity),
            ("gate_passed", Severity::Warning)
        );
        let word = Override {
            digest: "d".into(),
            by: "ops".into(),
            reason: "prices".into(),
            until_s: 2000,
            signature: Vec::new(),
        };
        let mut input = OverrideInput {
            digest: "d".into(),
            by: "ops".into(),
            reason: "prices".into(),
            until_s: 2000,
            signature: STANDARD.encode(pair.sign(&word.message()).as_ref()),
        };
        let (held, _) = edit(&held, &GateEdit::Allow(&input), &keys, 1000).unwrap();
        let passed = ask(&held, &keys, "d", Purpose::Change);
        assert!(
            passed[0].message.contains("`ops` signed for it: prices"),
            "{passed:?}"
        );
        assert_eq!(ask(&held, &keys, "e", Purpose::Change)[0].code, "gate_shut");
        // A key that is taken away signs no more, and what was altered was not signed.
        assert_eq!(
            ask(&held, &BTreeMap::new(), "d", Purpose::Change)[0].code,
            "gate_shut"
        );
        input.reason = "more".into();
        let refused = edit(&held, &GateEdit::Allow(&input), &keys, 1000).unwrap_err();
        assert!(refused.is(Code::Forbidden), "{refused:?}");
        let shown = show(&held, 1000);
        assert_eq!((shown.freezes.len(), shown.overrides.len()), (1, 1));
        let (held, _) = edit(&held, &GateEdit::Thaw(None), &keys, 1000).unwrap();
        assert_eq!(ask(&held, &keys, "e", Purpose::Change), []);
        assert!(edit(&held, &GateEdit::Thaw(None), &keys, 1000).is_err());
    }

    #[test]
    fn a_gate_that_cannot_be_read_is_shut() {
        let found = ask("{", &BTreeMap::new(), "d", Purpose::Change);
        assert_eq!(found[0].code, "gate_shut");
    }
}
