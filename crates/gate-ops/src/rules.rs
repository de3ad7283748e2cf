//! Policy as code: the operator's own rules over resources and over plans, written in CEL.
//!
//! A rule of a kind sees each resource of it as `resource` (as written) with its `name`; a rule `on:
//! plan` sees `plan`. Both see all `resources` by kind and name, and the `environment`. A rule that has
//! no value for what it looks at is broken, and what it guards is forbidden or warned about as if it
//! had said no: configured protection is never silently inert.

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, Program, Value as Cel};
use gate_api::types::{Finding, Plan, Severity};
use gate_model::resources::{Rule, RuleLevel};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Longest expression in bytes.
const EXPRESSION_BYTES_MAX: usize = 4096;
/// Most findings of one rule.
const FINDINGS_MAX: usize = 100;

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The environment that the document is for.
    pub environment: &'a str,
    /// Resources by kind and name, as they would be.
    pub document: &'a Value,
    /// The plan, where there is one: rules over plans are passed over without.
    pub plan: Option<&'a Plan>,
}

/// Whether a rule can be evaluated at all.
///
/// # Errors
/// The field at fault and a sentence.
pub fn check(rule: &Rule) -> Result<(), (&'static str, String)> {
    for (field, text) in [("check", Some(&rule.check)), ("when", rule.when.as_ref())] {
        let Some(text) = text else { continue };
        let program = compile(text).map_err(|message| (field, message))?;
        let known: &[&str] = match rule.on.as_str() {
            "plan" => &["plan", "resources", "environment"],
            _ => &["resource", "name", "resources", "environment"],
        };
        if let Some(name) = free(&program.expression().expr, &mut Vec::new(), known) {
            let known = known.join(", ");
            let message = format!("there is no variable `{name}` here; there are {known}");
            return Err((field, message));
        }
    }
    Ok(())
}

pub(crate) fn compile(text: &str) -> Result<Program, String> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(format!(
            "the expression is longer than {EXPRESSION_BYTES_MAX} bytes"
        ));
    }
    Program::compile(text).map_err(|errors| format!("this is no CEL expression: {errors}"))
}

/// The first name that is neither known nor bound by a macro.
pub(crate) fn free(expression: &Expr, bound: &mut Vec<String>, known: &[&str]) -> Option<String> {
    match expression {
        Expr::Ident(name) => {
            let is_known = known.contains(&name.as_str()) || bound.contains(name);
            (!is_known).then(|| name.clone())
        }
        Expr::Select(select) => free(&select.operand.expr, bound, known),
        Expr::Call(call) => {
            let mut parts = call.target.as_deref().into_iter().chain(&call.args);
            parts.find_map(|part| free(&part.expr, bound, known))
        }
        Expr::List(list) => list
            .elements
            .iter()
            .find_map(|part| free(&part.expr, bound, known)),
        Expr::Map(map) => map.entries.iter().find_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => free(&entry.key.expr, bound, known)
                .or_else(|| free(&entry.value.expr, bound, known)),
            EntryExpr::StructField(field) => free(&field.value.expr, bound, known),
        }),
        Expr::Comprehension(all) => {
            let outside = free(&all.iter_range.expr, bound, known)
                .or_else(|| free(&all.accu_init.expr, bound, known));
            let depth = bound.len();
            bound.extend([all.iter_var.clone(), all.accu_var.clone()]);
            bound.extend(all.iter_var2.clone());
            let inside = [&all.loop_cond, &all.loop_step, &all.result];
            let found = outside.or_else(|| {
                inside
                    .into_iter()
                    .find_map(|part| free(&part.expr, bound, known))
            });
            bound.truncate(depth);
            found
        }
        Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => None,
    }
}

/// What the rules of a document say about it. A finding of severity `error` forbids it.
#[must_use]
pub fn evaluate(rules: &BTreeMap<String, Rule>, facts: &Facts<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if rules.is_empty() {
        return findings;
    }
    let resources = cel::to_value(facts.document).unwrap_or(Cel::Null);
    for (name, rule) in rules {
        let mut found = evaluate_one(name, rule, facts, &resources);
        found.truncate(FINDINGS_MAX);
        findings.append(&mut found);
    }
    findings
}

fn evaluate_one(name: &str, rule: &Rule, facts: &Facts<'_>, resources: &Cel) -> Vec<Finding> {
    let compiled = compile(&rule.check).and_then(|check| {
        let when = rule.when.as_deref().map(compile).transpose()?;
        Ok((check, when))
    });
    let (check, when) = match compiled {
        Ok(programs) => programs,
        Err(cause) => return vec![broken(name, rule, format!("rules.{name}"), &cause)],
    };
    let judge = |path: String, variables: &[(&str, Cel)]| -> Option<Finding> {
        let mut context = Context::default();
        context.add_variable_from_value("resources", resources.clone());
        context.add_variable_from_value("environment", facts.environment.to_owned());
        for (variable, value) in variables {
            context.add_variable_from_value(*variable, value.clone());
        }
        match when.as_ref().map(|when| holds(when, &context)) {
            Some(Ok(false)) => return None,
            Some(Err(cause)) => return Some(broken(name, rule, path, &cause)),
            Some(Ok(true)) | None => {}
        }
        match holds(&check, &context) {
            Ok(true) => None,
            Ok(false) => {
                let message = format!("{} (rule `{name}`)", rule.message);
                Some(finding(rule, "rule_violated", path, message))
            }
            Err(cause) => Some(broken(name, rule, path, &cause)),
        }
    };
    if rule.on == "plan" {
        let plan = facts.plan.map(plan_value);
        let plan = plan.map(|plan| cel::to_value(plan).unwrap_or(Cel::Null));
        let found = plan.and_then(|plan| judge(String::new(), &[("plan", plan)]));
        return found.into_iter().collect();
    }
    let kind = facts.document.get(&rule.on).and_then(Value::as_object);
    let resources = kind.into_iter().flatten();
    resources
        .filter_map(|(resource_name, resource)| {
            let value = cel::to_value(resource).unwrap_or(Cel::Null);
            let named = ("name", Cel::from(resource_name.as_str()));
            judge(
                format!("{}.{resource_name}", rule.on),
                &[("resource", value), named],
            )
        })
        .collect()
}

pub(crate) fn holds(program: &Program, context: &Context<'_, '_>) -> Result<bool, String> {
    match program.execute(context) {
        Ok(Cel::Bool(holds)) => Ok(holds),
        Ok(_) => Err("it is no boolean".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// What is said of a rule that has no value.
fn broken(name: &str, rule: &Rule, path: String, cause: &str) -> Finding {
    let message = format!(
        "rule `{name}` has no value here ({cause}): {}",
        rule.message
    );
    finding(rule, "rule_broken", path, message)
}

/// A plan as rules see it: its changes, and of its effect the shares by respect.
fn plan_value(plan: &Plan) -> Value {
    let changes: Vec<Value> = plan
        .changes
        .iter()
        .map(|change| json!({ "kind": change.kind, "name": change.name, "action": change.action }))
        .collect();
    let effect = plan.effect.as_ref();
    let mut shares =
        json!({ "route": 0.0, "version": 0.0, "verdict": 0.0, "provider": 0.0, "cost": 0.0 });
    for change in effect.into_iter().flat_map(|effect| &effect.changed) {
        if let Ok(Value::String(what)) = serde_json::to_value(change.what) {
            shares[what] = change.share.into();
        }
    }
    json!({
        "changes": changes,
        "effect": {
            "records": effect.map_or(0, |effect| effect.records),
            "changed": shares,
            "unknown": effect.map_or(0.0, |effect| effect.unknown.share),
        },
    })
}

fn finding(rule: &Rule, code: &str, path: String, message: String) -> Finding {
    let severity = match rule.level {
        RuleLevel::Warn => Severity::Warning,
        RuleLevel::Forbid => Severity::Error,
    };
    Finding {
        severity,
        ..Finding::error(code, path, message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_api::types::{Effect, EffectChange, What};

    fn rule(on: &str, when: Option<&str>, check: &str) -> Rule {
        Rule {
            on: on.into(),
            when: when.map(Into::into),
            check: check.into(),
            level: RuleLevel::Forbid,
            message: "no public route without auth".into(),
        }
    }

    fn found(rule: Rule, plan: Option<&Plan>) -> Vec<String> {
        super::check(&rule).unwrap_or_else(|error| panic!("{error:?}"));
        let document = json!({
            "routes": {
                "orders": { "policies": [{ "auth_key": {} }], "target": { "upstream": "orders" } },
                "open": { "target": { "upstream": "orders" } },
                "page": { "target": { "fixed": { "status": 200 } } },
            },
        });
        let facts = Facts {
            environment: "production",
            document: &document,
            plan,
        };
        let rules = BTreeMap::from([("auth".to_owned(), rule)]);
        evaluate(&rules, &facts)
            .into_iter()
            .map(|finding| format!("{:?} {} {}", finding.severity, finding.code, finding.path))
            .collect()
    }

    const AUTH: &str =
        "has(resource.policies) && resource.policies.exists(p, has(p.auth_key) || has(p.auth_jwt))";

    #[test]
    fn resources_are_held_against_rules() {
        let upstream = Some("has(resource.target.upstream)");
        assert_eq!(
            found(rule("routes", upstream, AUTH), None),
            ["Error rule_violated routes.open"]
        );
        let elsewhere = Some("environment == 'staging' && has(resource.target.upstream)");
        assert_eq!(
            found(rule("routes", elsewhere, AUTH), None),
            Vec::<String>::new()
        );
        let named = rule(
            "routes",
            None,
            "name != 'page' || size(resources.routes) == 3",
        );
        assert_eq!(found(named, None), Vec::<String>::new());
        let mut warned = rule("routes", None, "name != 'page'");
        warned.level = RuleLevel::Warn;
        assert_eq!(found(warned, None), ["Warning rule_violated routes.page"]);
    }

    #[test]
    fn a_rule_without_a_value_forbids() {
        let blind = rule(
            "routes",
            Some("name == 'open'"),
            "resource.policies.exists(p, has(p.auth_key))",
        );
        assert_eq!(found(blind, None), ["Error rule_broken routes.open"]);
        let text = rule("routes", Some("name == 'open'"), "name");
        assert_eq!(found(text, None), ["Error rule_broken routes.open"]);
    }

    #[test]
    fn plans_are_held_against_rules() {
        let limit = || {
            rule(
                "plan",
                None,
                "plan.effect.changed.verdict <= 0.01 && plan.effect.unknown < 0.5",
            )
        };
        assert_eq!(found(limit(), None), Vec::<String>::new());
        let mut plan = Plan {
            base: None,
            digest: String::new(),
            changes: Vec::new(),
            findings: Vec::new(),
            effect: None,
            verdict: gate_api::types::Verdict::Allowed,
        };
        assert_eq!(found(limit(), Some(&plan)), Vec::<String>::new());
        plan.effect = Some(Effect {
            changed: vec![EffectChange {
                what: What::Verdict,
                count: 1,
                share: 0.2,
                examples: Vec::new(),
                before: None,
                after: None,
            }],
            ..Effect::default()
        });
        assert_eq!(found(limit(), Some(&plan)), ["Error rule_violated "]);
    }

    #[test]
    fn rules_that_cannot_work_are_refused_beforehand() {
        for (on, check_text, field, part) in [
            ("routes", "resource.policies.", "check", "no CEL expression"),
            (
                "routes",
                "plan.changes == []",
                "check",
                "no variable `plan`",
            ),
            ("plan", "resource.x", "check", "no variable `resource`"),
        ] {
            let (at, message) = super::check(&rule(on, None, check_text)).unwrap_err();
            assert_eq!(at, field);
            assert!(message.contains(part), "{message}");
        }
        let long = "true || ".repeat(600) + "true";
        assert!(super::check(&rule("routes", None, &long)).is_err());
    }
}
