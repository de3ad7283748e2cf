//! Puts the fields into answers that make browsers careful.
//!
//! Every field has a value that is right for most APIs and sites; name another one, or `off`. A
//! field that the target sends itself stays as it is, unless `override` says otherwise. HSTS
//! (RFC 6797) is sent over TLS only, as its section 7.2 asks. `Server` and `X-Powered-By` are taken
//! out, because they tell attackers which version to look up. Faults carry the fields too.
//!
//! ```yaml
//! - security_headers:
//!     hsts: { max_age: 365d, include_subdomains: true }
//!     content_security_policy: "default-src 'self'; object-src 'none'"
//!     frame_options: SAMEORIGIN
//! ```

use crate::checks::check_name;
use crate::template::scheme;
use gate_flow::{CompileContext, Exchange, Policy, PolicyKind, Replay};
use gate_kit::http::{Headers, Response, Scheme};
use gate_model::units::Period;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Fields of answers that make browsers careful; each may be `off`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityHeadersConfig {
    /// `Strict-Transport-Security` (RFC 6797); none when `null`.
    pub hsts: Option<Hsts>,
    /// `X-Content-Type-Options`: browsers believe the content type.
    pub content_type_options: String,
    /// `X-Frame-Options`: who may show this in a frame. `frame-ancestors` of a content security
    /// policy says the same to newer browsers.
    pub frame_options: String,
    /// `Referrer-Policy`: what other sites learn of where a visitor came from.
    pub referrer_policy: String,
    /// `Content-Security-Policy`: what a page may load; depends on the page, so that there is no
    /// value of its own accord.
    pub content_security_policy: String,
    /// `Content-Security-Policy-Report-Only`: the same, only reported.
    pub content_security_policy_report_only: String,
    /// `Permissions-Policy`: what a page may use of the device.
    pub permissions_policy: String,
    /// `Cross-Origin-Opener-Policy`: whether pages of others share a browsing context.
    pub cross_origin_opener_policy: String,
    /// `Cross-Origin-Resource-Policy`: which sites may load this.
    pub cross_origin_resource_policy: String,
    /// `Cross-Origin-Embedder-Policy`.
    pub cross_origin_embedder_policy: String,
    /// `X-Permitted-Cross-Domain-Policies`: for Flash and PDF readers.
    pub permitted_cross_domain_policies: String,
    /// Fields that are taken out of the target's answers.
    pub remove: Vec<String>,
    /// Whether these values take the place of the target's own.
    pub r#override: bool,
}

/// `Strict-Transport-Security`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hsts {
    /// How long browsers insist on TLS, counted from every answer. `0s` makes them forget it.
    pub max_age: Period,
    /// Whether subdomains are meant too: all of them, those of others included.
    pub include_subdomains: bool,
    /// Whether the host may be put on the list that browsers ship, which cannot be undone soon.
    /// Needs `include_subdomains` and a year.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self {
            max_age: Period::from_seconds(365 * 86_400),
            include_subdomains: false,
            preload: false,
        }
    }
}

impl Default for SecurityHeadersConfig {
    fn default() -> Self {
        let off = || "off".to_owned();
        Self {
            hsts: Some(Hsts::default()),
            content_type_options: "nosniff".into(),
            frame_options: "DENY".into(),
            referrer_policy: "strict-origin-when-cross-origin".into(),
            content_security_policy: off(),
            content_security_policy_report_only: off(),
            permissions_policy: off(),
            cross_origin_opener_policy: "same-origin".into(),
            cross_origin_resource_policy: off(),
            cross_origin_embedder_policy: off(),
            permitted_cross_domain_policies: "none".into(),
            remove: vec!["Server".into(), "X-Powered-By".into()],
            r#override: false,
        }
    }
}

/// The policy.
pub struct SecurityHeaders {
    hsts: Option<String>,
    fields: Vec<(&'static str, String)>,
    remove: Vec<String>,
    overrides: bool,
}

const HSTS: &str = "Strict-Transport-Security";
/// What the list that browsers ship asks for (hstspreload.org).
const PRELOAD_SECONDS_MIN: u64 = 365 * 86_400;

impl PolicyKind for SecurityHeaders {
    const NAME: &'static str = "security_headers";
    type Config = SecurityHeadersConfig;

    fn compile(
        config: SecurityHeadersConfig,
        _: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        for name in &config.remove {
            check_name(name).map_err(|problem| (Some("remove"), problem))?;
        }
        let hsts = config.hsts.as_ref().map(hsts).transpose();
        let hsts = hsts.map_err(|problem| (Some("hsts"), problem))?;
        let csp = config.content_security_policy;
        let fields = [
            (
                "content_type_options",
                "X-Content-Type-Options",
                config.content_type_options,
            ),
            ("frame_options", "X-Frame-Options", config.frame_options),
            ("referrer_policy", "Referrer-Policy", config.referrer_policy),
            ("content_security_policy", "Content-Security-Policy", csp),
            (
                "content_security_policy_report_only",
                "Content-Security-Policy-Report-Only",
                config.content_security_policy_report_only,
            ),
            (
                "permissions_policy",
                "Permissions-Policy",
                config.permissions_policy,
            ),
            (
                "cross_origin_opener_policy",
                "Cross-Origin-Opener-Policy",
                config.cross_origin_opener_policy,
            ),
            (
                "cross_origin_resource_policy",
                "Cross-Origin-Resource-Policy",
                config.cross_origin_resource_policy,
            ),
            (
                "cross_origin_embedder_policy",
                "Cross-Origin-Embedder-Policy",
                config.cross_origin_embedder_policy,
            ),
            (
                "permitted_cross_domain_policies",
                "X-Permitted-Cross-Domain-Policies",
                config.permitted_cross_domain_policies,
            ),
        ];
        let mut wanted = Vec::new();
        for (setting, name, value) in fields {
            check(&value).map_err(|problem| (Some(setting), problem))?;
            if value != "off" {
                wanted.push((name, value));
            }
        }
        if hsts.is_none() && wanted.is_empty() && config.remove.is_empty() {
            return Err((None, "every field is `off`, and none is removed".into()));
        }
        Ok(Arc::new(SecurityHeaders {
            hsts,
            fields: wanted,
            remove: config.remove,
            overrides: config.r#override,
        }))
    }
}

fn check(value: &str) -> Result<(), String> {
    let visible = !value.is_empty() && value.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    visible
        .then_some(())
        .ok_or_else(|| "a value is text in ASCII without line ends, or `off`".into())
}

fn hsts(hsts: &Hsts) -> Result<String, String> {
    let seconds = hsts.max_age.duration().as_secs();
    if hsts.preload && !(hsts.include_subdomains && seconds >= PRELOAD_SECONDS_MIN) {
        return Err("`preload` needs `include_subdomains` and a `max_age` of a year".into());
    }
    let subdomains = if hsts.include_subdomains {
        "; includeSubDomains"
    } else {
        ""
    };
    let preload = if hsts.preload { "; preload" } else { "" };
    Ok(format!("max-age={seconds}{subdomains}{preload}"))
}

impl Policy for SecurityHeaders {
    fn response(&self, exchange: &mut Exchange, response: &mut Response) {
        let headers = &mut response.head.headers;
        for name in &self.remove {
            headers.remove_named(name);
        }
        for (name, value) in &self.fields {
            self.put(headers, name, value);
        }
        if let Some(hsts) = &self.hsts {
            // RFC 6797 section 7.2: never over plain HTTP.
            if scheme(exchange) == Scheme::Https {
                self.put(headers, HSTS, hsts);
            } else {
                headers.remove_named(HSTS);
            }
        }
    }

    fn replay(&self) -> Replay {
        Replay::Passive
    }
}

impl SecurityHeaders {
    fn put(&self, headers: &mut Headers, name: &str, value: &str) {
        if headers.get_named(name).is_none() {
            headers.append(name.as_bytes(), value.as_bytes());
        } else if self.overrides {
            headers.remove_named(name);
            headers.append(name.as_bytes(), value.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Harness, response};
    use std::rc::Rc;

    fn answer(settings: &str, https: bool, fields: &[(&str, &str)]) -> Headers {
        let harness = Harness::new();
        let policy = harness.policy::<SecurityHeaders>(settings);
        let mut exchange = harness.exchange("GET /");
        if !https {
            let client = Rc::make_mut(&mut exchange.client);
            client.scheme = Scheme::Http;
        }
        let answer = response(200, fields, gate_kit::http::Body::Empty);
        harness.respond(&policy, &mut exchange, answer).head.headers
    }

    fn value(headers: &Headers, name: &str) -> String {
        let all: Vec<_> = headers
            .all_named(name)
            .map(String::from_utf8_lossy)
            .collect();
        all.join(" | ")
    }

    #[test]
    fn the_defaults_make_browsers_careful() {
        let headers = answer("{}", true, &[("Server", "x/1"), ("X-Powered-By", "y")]);
        for (name, expected) in [
            ("strict-transport-security", "max-age=31536000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "strict-origin-when-cross-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-permitted-cross-domain-policies", "none"),
            ("content-security-policy", ""),
            ("server", ""),
            ("x-powered-by", ""),
        ] {
            assert_eq!(value(&headers, name), expected, "{name}");
        }
    }

    #[test]
    fn hsts_is_for_tls_only() {
        let settings = "hsts: { max_age: 730d, include_subdomains: true, preload: true }";
        let expected = "max-age=63072000; includeSubDomains; preload";
        assert_eq!(value(&answer(settings, true, &[]), HSTS), expected);
        assert_eq!(
            value(&answer(settings, false, &[(HSTS, "max-age=1")]), HSTS),
            ""
        );
        assert_eq!(value(&answer("hsts: null", true, &[]), HSTS), "");
    }

    #[test]
    fn the_targets_own_value_stays_unless_it_is_overridden() {
        let own = [("X-Frame-Options", "SAMEORIGIN")];
        assert_eq!(
            value(&answer("{}", true, &own), "x-frame-options"),
            "SAMEORIGIN"
        );
        let settings = "override: true";
        assert_eq!(
            value(&answer(settings, true, &own), "x-frame-options"),
            "DENY"
        );
    }

    #[test]
    fn settings_that_cannot_act_are_refused() {
        for (settings, says) in [
            ("frame_options: \"a\\nb\"", "text in ASCII"),
            ("referrer_policy: ''", "text in ASCII"),
            ("hsts: { preload: true }", "`preload` needs"),
            ("remove: [Host]", "changed by `rewrite"),
        ] {
            let finding = Harness::new().compile::<SecurityHeaders>(settings).err();
            let finding = finding.expect("refused").to_string();
            assert!(finding.contains(says), "{settings}: {finding}");
        }
    }
}
