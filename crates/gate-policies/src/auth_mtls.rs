//! Lets callers in by the certificate of their connection.
//!
//! The listener asks for certificates and verifies them against its authorities and revocation lists
//! (`tls.clients`); this policy says whose count, by subject (RFC 4514, `CN=web,OU=shop`), DNS name,
//! SPIFFE ID or fingerprint. In patterns `*` stands for one whole segment between slashes, and `**` at
//! the end for any number; a certificate with several URIs has no SPIFFE ID. A rule may name a
//! consumer. Callers without a certificate are refused with `credential_missing` (or pass unnamed with
//! `optional`), those whom no rule admits with `forbidden`. Headers that tell the upstream of the
//! certificate are first removed from what the caller sent.
//!
//! ```yaml
//! - auth_mtls:
//!     allow:
//!       - { spiffe: "spiffe://example.org/ns/shop/sa/*", consumer: storefront }
//!       - { subject: "CN=batch,OU=shop,O=Example" }
//!     headers: { spiffe: x-spiffe-id, subject: x-client-subject }
//! ```

use crate::holder::be;
use crate::places::HeaderName;
use gate_flow::{CompileContext, Exchange, Fault, Identity, Policy, PolicyKind, Replay, Verdict};
use gate_identity::certificate::{Certificate, fits};
use gate_model::fault::FaultCode;
use gate_model::units::Sha256Text;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Whose certificates count.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthMtlsConfig {
    /// Rules in order; the first that fits decides who it is. Without any, every certificate counts
    /// that the listener has verified.
    #[serde(default)]
    pub allow: Vec<MtlsRule>,
    /// Request headers that tell the upstream of the certificate.
    #[serde(default)]
    pub headers: MtlsHeaders,
    /// Whether callers without a certificate pass, unnamed.
    #[serde(default)]
    pub optional: bool,
}

/// A certificate that counts: everything that is said here has to fit.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MtlsRule {
    /// The whole subject, the most specific name first.
    pub subject: Option<String>,
    /// The whole issuer, likewise.
    pub issuer: Option<String>,
    /// A DNS name of the certificate.
    pub dns: Option<String>,
    /// Pattern of its SPIFFE ID.
    pub spiffe: Option<String>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: Option<Sha256Text>,
    /// The consumer that it is.
    pub consumer: Option<String>,
}

/// Which headers tell the upstream what.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MtlsHeaders {
    /// The subject.
    pub subject: Option<String>,
    /// The issuer.
    pub issuer: Option<String>,
    /// The SPIFFE ID.
    pub spiffe: Option<String>,
    /// SHA-256 of the certificate, in hexadecimal.
    pub sha256: Option<String>,
    /// The serial number, in hexadecimal.
    pub serial: Option<String>,
}

/// The policy.
pub struct AuthMtls {
    rules: Vec<Rule>,
    headers: Vec<(fn(&Certificate) -> Option<&str>, HeaderName)>,
    optional: bool,
}

struct Rule {
    subject: Option<String>,
    issuer: Option<String>,
    dns: Option<String>,
    spiffe: Option<String>,
    sha256: Option<String>,
    consumer: Option<String>,
}

impl Rule {
    fn fits(&self, certificate: &Certificate) -> bool {
        let same = |wanted: &Option<String>, is: &str| wanted.as_ref().is_none_or(|one| one == is);
        let dns = |wanted: &String| certificate.dns_names.contains(wanted);
        let spiffe = |pattern: &String| {
            let id = certificate.spiffe_id();
            id.is_some_and(|id| fits(pattern, id))
        };
        same(&self.subject, &certificate.subject)
            && same(&self.issuer, &certificate.issuer)
            && same(&self.sha256, &certificate.sha256)
            && self.dns.as_ref().is_none_or(dns)
            && self.spiffe.as_ref().is_none_or(spiffe)
    }
}

impl PolicyKind for AuthMtls {
    const NAME: &'static str = "auth_mtls";
    type Config = AuthMtlsConfig;

    fn compile(
        config: AuthMtlsConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let listeners = context.resources.listeners.values();
        let asks = |listener: &gate_model::resources::Listener| {
            let tls = listener.tls.as_ref();
            tls.is_some_and(|tls| tls.clients.is_some())
        };
        let mut listeners = listeners.peekable();
        // Protection that cannot act is an error.
        if listeners.peek().is_some() && !listeners.any(asks) {
            let message = "no listener asks callers for certificates (`tls.clients`)";
            return Err((None, message.into()));
        }
        let told: [(fn(&Certificate) -> Option<&str>, Option<String>); 5] = [
            (|it| Some(it.subject.as_str()), config.headers.subject),
            (|it| Some(it.issuer.as_str()), config.headers.issuer),
            (Certificate::spiffe_id, config.headers.spiffe),
            (|it| Some(it.sha256.as_str()), config.headers.sha256),
            (|it| Some(it.serial.as_str()), config.headers.serial),
        ];
        let mut headers = Vec::new();
        for (of, name) in told {
            if let Some(name) = name {
                let name = HeaderName::parse(&name).map_err(|error| (Some("headers"), error))?;
                headers.push((of, name));
            }
        }
        Ok(Arc::new(Self {
            rules: rules(config.allow, context)?,
            headers,
            optional: config.optional,
        }))
    }
}

/// The rules, each of which says something.
fn rules(
    listed: Vec<MtlsRule>,
    context: &CompileContext<'_>,
) -> Result<Vec<Rule>, (Option<&'static str>, String)> {
    let wrong = |message: String| (Some("allow"), message);
    let mut rules = Vec::new();
    for rule in listed {
        if let Some(consumer) = &rule.consumer
            && !context.resources.consumers.contains_key(consumer)
        {
            return Err(wrong(format!("there is no consumer `{consumer}`")));
        }
        if let Some(pattern) = &rule.spiffe
            && !pattern.starts_with("spiffe://")
        {
            return Err(wrong(format!("`{pattern}` is no SPIFFE ID")));
        }
        let hex = |hash: Sha256Text| {
            let digits = hash.bytes().iter().map(|byte| format!("{byte:02x}"));
            digits.collect::<String>()
        };
        let rule = Rule {
            subject: rule.subject,
            issuer: rule.issuer,
            dns: rule.dns.map(|name| name.to_ascii_lowercase()),
            spiffe: rule.spiffe,
            sha256: rule.sha256.map(hex),
            consumer: rule.consumer,
        };
        let parts = [
            &rule.subject,
            &rule.issuer,
            &rule.dns,
            &rule.spiffe,
            &rule.sha256,
        ];
        if parts.iter().all(|part| part.is_none()) {
            return Err(wrong("a rule says what a certificate has to have".into()));
        }
        rules.push(rule);
    }
    Ok(rules)
}

impl Policy for AuthMtls {
    fn replay(&self) -> Replay {
        Replay::Unknown("the connection's certificate")
    }

    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        for (_, header) in &self.headers {
            header.remove(&mut exchange.request.head.headers);
        }
        let tls = exchange.client.tls.as_ref();
        let Some(der) = tls.and_then(|tls| tls.certificate.clone()) else {
            return match self.optional {
                true => Verdict::Next,
                false => Verdict::refuse(FaultCode::CredentialMissing),
            };
        };
        let Some(certificate) = Certificate::parse(&der) else {
            let detail = "the certificate cannot be read";
            return Verdict::refuse(Fault::new(FaultCode::CredentialInvalid).detail(detail));
        };
        let rule = self.rules.iter().find(|rule| rule.fits(&certificate));
        if rule.is_none() && !self.rules.is_empty() {
            let detail = format!(
                "no rule admits the certificate of `{}`",
                certificate.subject
            );
            return Verdict::refuse(Fault::new(FaultCode::Forbidden).detail(detail));
        }
        if let Some(consumer) = rule.and_then(|rule| rule.consumer.as_deref())
            && !be(exchange, consumer)
        {
            let detail = "the certificate's consumer is gone";
            return Verdict::refuse(Fault::new(FaultCode::Forbidden).detail(detail));
        }
        exchange.identify(identity(&certificate));
        let headers = &mut exchange.request.head.headers;
        for (of, name) in &self.headers {
            let Some(text) = of(&certificate) else {
                continue;
            };
            let added = headers.try_append(name.as_str().as_bytes(), text.as_bytes());
            if added.is_err() {
                let detail = "the certificate's names hold control characters";
                return Verdict::refuse(Fault::new(FaultCode::CredentialInvalid).detail(detail));
            }
        }
        Verdict::Next
    }
}

/// What later policies read of a certificate.
fn identity(certificate: &Certificate) -> Identity {
    let mut claims = serde_json::Map::new();
    let mut put = |name: &str, value: serde_json::Value| claims.insert(name.to_owned(), value);
    put("subject", certificate.subject.clone().into());
    put("dns_names", certificate.dns_names.clone().into());
    if let Some(name) = &certificate.common_name {
        put("common_name", name.clone().into());
    }
    if let Some(id) = certificate.spiffe_id() {
        put("spiffe_id", id.into());
    }
    Identity {
        issuer: Some(certificate.issuer.as_str().into()),
        subject: Some(certificate.subject.as_str().into()),
        claims,
    }
}

#[cfg(test)]
#[path = "auth_mtls/tests.rs"]
mod tests;
