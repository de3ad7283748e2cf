//! The field's rules for configurations: what is valid and still a bad idea.
//!
//! Rules look at trees, not at typed resources, so that they read a whole configuration, some
//! resources of one, and Terraform's `tidegate_*` resources alike. A rule is one row of [`RULES`] and one
//! function below [`rules`]; a value that a file does not tell (a variable) is never complained
//! about.

mod rules;
mod sarif;
mod subject;
mod terraform;
#[cfg(test)]
mod tests;

pub use sarif::sarif;
pub use subject::{KINDS, Subject};
pub use terraform::parse_terraform;

use gate_kit::order::Order;
use gate_model::document::{Node, Path};
use serde::Serialize;
use std::sync::Arc;
use subject::Entry;

/// How grave a complaint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Worth knowing.
    Note,
    /// A person should look.
    Warning,
    /// Somebody can do harm.
    Error,
}

impl Level {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Level::Note => "note",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// A rule: one row of the table.
pub struct Rule {
    /// Its name in reports, in snake case.
    pub code: &'static str,
    /// How grave a breach is.
    pub level: Level,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Why, and what to do instead.
    pub doc: &'static str,
    check: fn(&View<'_>, &mut Found<'_>),
}

/// One complaint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The rule's code.
    pub code: &'static str,
    /// The rule's level.
    pub level: Level,
    /// The value, such as `routes.orders.policies[0]`.
    pub path: Path,
    /// The file.
    pub file: Arc<str>,
    /// Line from 1; 0 when the value has no place in a file.
    pub line: u32,
    /// Column from 1, in characters.
    pub column: u32,
    /// What was found, in one sentence.
    pub message: String,
}

/// What rules look at.
pub(crate) struct View<'a> {
    subjects: &'a [Subject],
    /// UNIX time in seconds.
    now: u64,
}

impl<'a> View<'a> {
    /// Every resource of a kind.
    pub(crate) fn each(&self, kind: &'static str) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.subjects
            .iter()
            .flat_map(move |subject| subject.each(kind))
    }

    /// The settings of the process, where a file has them.
    pub(crate) fn gateway(&self) -> impl Iterator<Item = Entry<'a>> + use<'a> {
        self.subjects.iter().filter_map(Subject::gateway)
    }
}

/// Takes complaints.
pub(crate) struct Found<'a> {
    rule: &'a Rule,
    complaints: &'a mut Vec<Complaint>,
}

impl Found<'_> {
    /// Complains about a value of a resource.
    pub(crate) fn at(&mut self, entry: &Entry<'_>, path: Path, node: &Node, message: String) {
        self.complaints.push(Complaint {
            code: self.rule.code,
            level: self.rule.level,
            path,
            file: entry.file.clone(),
            line: node.span.line,
            column: node.span.column,
            message,
        });
    }

    /// Complains about a whole resource.
    pub(crate) fn about(&mut self, entry: &Entry<'_>, message: String) {
        self.at(entry, entry.path.clone(), entry.node, message);
    }
}

/// Everything that the rules find in these files, in the order of files and places. `now` is UNIX
/// time in seconds, for what expires.
#[must_use]
pub fn lint(subjects: &[Subject], now: u64) -> Vec<Complaint> {
    let view = View { subjects, now };
    let mut complaints = Vec::new();
    for rule in RULES {
        let mut found = Found {
            rule,
            complaints: &mut complaints,
        };
        (rule.check)(&view, &mut found);
    }
    complaints.order_by(|one, other| {
        let place =
            |complaint: &Complaint| (complaint.file.clone(), complaint.line, complaint.column);
        place(one)
            .cmp(&place(other))
            .then_with(|| other.level.cmp(&one.level))
            .then_with(|| one.code.cmp(other.code))
    });
    complaints
}

/// The reference page of the rules, as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = String::from(
        "# Rules of `tidegate lint`\n\n\
         `tidegate lint FILES…` reads configurations (YAML, JSON) and Terraform files (`.tf`), and\n\
         says what is valid and still a bad idea. Exit code 1 when something of the level of\n\
         `--fail-on` (`error` unless said otherwise) is found.\n\n\
         | Code | Level | What it is about |\n|---|---|---|\n",
    );
    for rule in RULES {
        let (code, level) = (rule.code, rule.level.as_str());
        page.push_str(&format!(
            "| [`{code}`](#{code}) | {level} | {} |\n",
            rule.title
        ));
    }
    for rule in RULES {
        page.push_str(&format!(
            "\n## {}\n\n{}. {}\n",
            rule.code, rule.title, rule.doc
        ));
    }
    page
}

/// Every rule.
pub const RULES: &[Rule] = &[
    Rule {
        code: "admin_exposed",
        level: Level::Error,
        title: "The admin address listens beyond this machine without authentication",
        doc: "Health and metrics tell strangers about your traffic. Use a loopback address, or add `gateway.admin.keys` or `gateway.admin.oidc`.",
        check: rules::exposure::admin,
    },
    Rule {
        code: "ai_route_without_auth",
        level: Level::Error,
        title: "A route to models lets anybody in",
        doc: "Whoever finds it spends your money. Add `auth_key`, `auth_jwt` or another policy that authenticates in front.",
        check: rules::access::ai_without_auth,
    },
    Rule {
        code: "ai_route_without_limit",
        level: Level::Warning,
        title: "Nothing bounds what a caller of models may use",
        doc: "One loop in one client uses up a month's money. Add a `limit` policy, `limits` to keys, or a budget.",
        check: rules::access::ai_without_limit,
    },
    Rule {
        code: "auth_optional",
        level: Level::Warning,
        title: "An authentication policy lets callers without credentials pass",
        doc: "With `optional: true` only a wrong credential is refused. Make sure that what follows tells named callers from others.",
        check: rules::access::optional,
    },
    Rule {
        code: "cache_before_auth",
        level: Level::Error,
        title: "Answers are given from a cache before the caller is known",
        doc: "A policy in front of `auth_*` answers whoever asks. Put `cache` and `model_cache` behind it.",
        check: rules::access::cache_before_auth,
    },
    Rule {
        code: "cors_any_origin",
        level: Level::Note,
        title: "Pages of any origin may call",
        doc: "Right for public data, wrong for anything that a browser is authorised for. List the origins.",
        check: rules::exposure::cors_any,
    },
    Rule {
        code: "cors_wildcard_credentials",
        level: Level::Error,
        title: "Pages of any origin may call with the user's credentials",
        doc: "Any page that a user visits could act as that user. List the origins, or turn `credentials` off.",
        check: rules::exposure::cors_credentials,
    },
    Rule {
        code: "guard_observes_only",
        level: Level::Note,
        title: "A guard finds and lets pass",
        doc: "With `mode: observe` nothing is blocked, masked or redacted. Right while trying out; set `mode: act` when the findings look right.",
        check: rules::traffic::guard_observes,
    },
    Rule {
        code: "inert_condition",
        level: Level::Error,
        title: "A policy has a condition that never holds",
        doc: "A policy with `when: 'false'` protects nothing. Remove it, or give it the condition that was meant.",
        check: rules::traffic::inert_condition,
    },
    Rule {
        code: "ip_allows_everyone",
        level: Level::Error,
        title: "A list of allowed addresses holds all of them",
        doc: "`0.0.0.0/0` or `::/0` in `ip.allow` makes the list mean nothing. Name the networks.",
        check: rules::exposure::ip_everyone,
    },
    Rule {
        code: "jwt_unbound",
        level: Level::Warning,
        title: "Tokens of any issuer or for any audience are accepted",
        doc: "A token that was made for another service of the same issuer would pass. Set `issuer` and `audiences`.",
        check: rules::access::jwt_unbound,
    },
    Rule {
        code: "jwt_without_expiry",
        level: Level::Warning,
        title: "Tokens that never expire are accepted",
        doc: "A leaked token then works for ever. Leave `require_expiry` on.",
        check: rules::access::jwt_expiry,
    },
    Rule {
        code: "key_expired",
        level: Level::Warning,
        title: "A consumer's key has expired",
        doc: "Its callers are refused. Remove it, or replace it.",
        check: rules::access::key_expired,
    },
    Rule {
        code: "key_expires_soon",
        level: Level::Warning,
        title: "A consumer's key expires within 14 days",
        doc: "Add the next key beside it, give it to the consumer, and let this one expire.",
        check: rules::access::key_expires,
    },
    Rule {
        code: "key_forwarded",
        level: Level::Warning,
        title: "Callers' keys are sent on to the upstream",
        doc: "With `forward: true` every upstream and its logs see keys of your callers. Leave it off.",
        check: rules::access::key_forwarded,
    },
    Rule {
        code: "key_in_query",
        level: Level::Warning,
        title: "Keys are accepted in URLs",
        doc: "URLs end up in histories, referrers and logs of others. Accept keys in headers only.",
        check: rules::access::key_in_query,
    },
    Rule {
        code: "key_without_expiry",
        level: Level::Note,
        title: "A consumer's key never expires",
        doc: "A key that leaks unnoticed works for ever. Give keys an `expires`.",
        check: rules::access::key_for_ever,
    },
    Rule {
        code: "large_bodies",
        level: Level::Warning,
        title: "A listener accepts bodies beyond 1 GiB",
        doc: "A few callers fill disks and memory of upstreams. Lower `limits.body`.",
        check: rules::traffic::large_bodies,
    },
    Rule {
        code: "limit_before_auth",
        level: Level::Warning,
        title: "A limit by consumer stands before anybody is authenticated",
        doc: "It counts by address there, so that callers behind one address share it and one caller with many escapes it. Put it behind `auth_*`.",
        check: rules::access::limit_before_auth,
    },
    Rule {
        code: "mirror_credentials",
        level: Level::Warning,
        title: "Copies of requests carry callers' credentials",
        doc: "What receives copies can act as your callers. Leave `credentials` off.",
        check: rules::traffic::mirror_credentials,
    },
    Rule {
        code: "model_without_fallback",
        level: Level::Note,
        title: "A model has one target and nothing to fall back to",
        doc: "When that provider is down, so are its callers. Add a second target or a `fallback`.",
        check: rules::traffic::no_fallback,
    },
    Rule {
        code: "no_access_log",
        level: Level::Note,
        title: "Nothing is written about requests",
        doc: "After an incident there is nothing to read. Set `gateway.access_log`.",
        check: rules::traffic::no_access_log,
    },
    Rule {
        code: "no_health_check",
        level: Level::Note,
        title: "An upstream of several endpoints has no health check",
        doc: "Only failing requests tell that an endpoint is down. Set `health`.",
        check: rules::traffic::no_health,
    },
    Rule {
        code: "no_timeout",
        level: Level::Warning,
        title: "A wait for an upstream has no end",
        doc: "A stuck upstream holds connections and callers until they give up. Give `first_byte`, `idle` and `connect` a time.",
        check: rules::traffic::no_timeout,
    },
    Rule {
        code: "plain_text_provider",
        level: Level::Error,
        title: "Credentials and prompts go to a provider in plain text",
        doc: "Everybody on the way can read them. Use `https://`; plain text is for this machine only.",
        check: rules::exposure::plain_provider,
    },
    Rule {
        code: "route_without_auth",
        level: Level::Warning,
        title: "A route to an upstream lets anybody in",
        doc: "Right for public pages only. Add `auth_key`, `auth_jwt`, another policy that authenticates, or `access`, or silence this rule for the file.",
        check: rules::access::without_auth,
    },
    Rule {
        code: "secret_in_clear",
        level: Level::Error,
        title: "Something that looks like a credential stands in the file",
        doc: "Files are copied, committed and mailed. Refer to an environment variable or a file, and change the credential: it has leaked.",
        check: rules::secrets::in_clear,
    },
    Rule {
        code: "tls_off",
        level: Level::Warning,
        title: "A listener beyond this machine speaks plain text",
        doc: "Keys, prompts and answers can be read and changed on the way. Set `tls`, or let the listener stand behind a proxy on this machine.",
        check: rules::exposure::tls_off,
    },
    Rule {
        code: "tls_old",
        level: Level::Note,
        title: "A listener accepts TLS 1.2",
        doc: "TLS 1.3 (RFC 8446) is faster and leaves out what has been broken. Set `minimum: \"1.3\"` where all callers can.",
        check: rules::exposure::tls_old,
    },
    Rule {
        code: "trusted_proxies_everyone",
        level: Level::Error,
        title: "Everybody may say which address a request came from",
        doc: "With `0.0.0.0/0` or `::/0` in `gateway.trusted_proxies`, any caller passes `access` and any limit by address. Name the proxies.",
        check: rules::exposure::proxies_everyone,
    },
];
