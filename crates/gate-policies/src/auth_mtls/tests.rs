//! Certificates against rules; that they are verified is the listener's part.

use super::*;
use crate::testing::{Harness, VerdictExt};
use gate_flow::{Client, TlsFacts};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use std::rc::Rc;

const ID: &str = "spiffe://example.org/ns/shop/sa/web";

fn certificate(uris: &[&str]) -> Arc<[u8]> {
    let mut params = CertificateParams::new(vec!["web.example.org".to_owned()]).expect("params");
    params.distinguished_name = rcgen::DistinguishedName::new();
    let name = &mut params.distinguished_name;
    name.push(DnType::OrganizationName, "Example");
    name.push(DnType::CommonName, "web");
    for uri in uris {
        let uri = SanType::URI((*uri).try_into().expect("a URI"));
        params.subject_alt_names.push(uri);
    }
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    certificate.der().as_ref().into()
}

fn harness() -> Harness {
    Harness::new().callers(&[("storefront", Some("shop"), &[])])
}

fn ask(
    harness: &Harness,
    policy: &Arc<dyn Policy>,
    certificate: Option<Arc<[u8]>>,
) -> Result<Exchange, FaultCode> {
    let mut exchange = harness.exchange("GET /\nx-id: made-up\nx-subject: made-up");
    let mut client = Client::clone(&exchange.client);
    client.tls = Some(TlsFacts {
        server_name: None,
        version: "1.3",
        certificate,
    });
    exchange.client = Rc::new(client);
    let refused = harness.request(policy, &mut exchange).refused();
    refused.map_or(Ok(exchange), |fault| Err(fault.code))
}

#[test]
fn rules_that_cannot_hold_are_refused() {
    let harness = Harness::new().resources("listeners: { a: { address: '127.0.0.1:0' } }");
    let finding = harness
        .compile::<AuthMtls>("{}")
        .err()
        .expect("no listener");
    assert!(finding.to_string().contains("tls.clients"), "{finding}");
    let harness = self::harness();
    for (settings, message) in [
        ("{ allow: [{}] }", "what a certificate has to have"),
        ("{ allow: [{ consumer: storefront }] }", "no consumer"),
        ("{ allow: [{ spiffe: 'https://a' }] }", "no SPIFFE ID"),
        ("{ headers: { subject: 'a b' } }", "cannot be the name"),
    ] {
        let finding = harness.compile::<AuthMtls>(settings).err().expect(settings);
        assert!(finding.to_string().contains(message), "{finding}");
    }
}

#[test]
fn rules_decide_by_what_the_certificate_names() {
    let harness = harness();
    let (web, two) = (
        certificate(&[ID]),
        certificate(&[ID, "spiffe://example.org/root"]),
    );
    let sha256 = Certificate::parse(&web).expect("a certificate").sha256;
    for (rule, right) in [
        ("subject: 'CN=web,O=Example'".to_owned(), true),
        ("subject: 'CN=web'".to_owned(), false),
        (
            "issuer: 'CN=web,O=Example', dns: Web.example.org".to_owned(),
            true,
        ),
        ("dns: example.org".to_owned(), false),
        (
            "spiffe: 'spiffe://example.org/ns/*/sa/web'".to_owned(),
            true,
        ),
        ("spiffe: 'spiffe://example.org/ns/shop/**'".to_owned(), true),
        ("spiffe: 'spiffe://example.com/**'".to_owned(), false),
        (format!("sha256: '{sha256}'"), true),
        (format!("sha256: '{}'", "0".repeat(64)), false),
        (format!("sha256: '{sha256}', dns: other"), false),
    ] {
        let policy = harness.policy::<AuthMtls>(&format!("{{ allow: [{{ {rule} }}] }}"));
        let result = ask(&harness, &policy, Some(web.clone())).map(|_| ());
        let expected = if right {
            Ok(())
        } else {
            Err(FaultCode::Forbidden)
        };
        assert_eq!(result, expected, "{rule}");
        if rule.starts_with("spiffe") {
            let result = ask(&harness, &policy, Some(two.clone())).map(|_| ());
            assert_eq!(
                result,
                Err(FaultCode::Forbidden),
                "two URIs are no SPIFFE ID"
            );
        }
    }
}

#[test]
fn callers_without_a_certificate_are_refused_or_unnamed() {
    let harness = harness();
    let policy = harness.policy::<AuthMtls>("{}");
    let missing = ask(&harness, &policy, None).map(|_| ());
    assert_eq!(missing, Err(FaultCode::CredentialMissing));
    let broken = ask(&harness, &policy, Some([1, 2, 3][..].into())).map(|_| ());
    assert_eq!(broken, Err(FaultCode::CredentialInvalid));
    let optional = harness.policy::<AuthMtls>("{ optional: true, headers: { spiffe: x-id } }");
    let exchange = ask(&harness, &optional, None).expect("passes");
    assert_eq!(exchange.request.head.headers.get_named("x-id"), None);
}

#[test]
fn the_upstream_is_told_what_was_verified() {
    let harness = harness();
    let policy = harness.policy::<AuthMtls>("{ headers: { spiffe: x-id, subject: x-subject } }");
    let exchange = ask(&harness, &policy, Some(certificate(&[ID]))).expect("passes");
    let all = |name| {
        exchange
            .request
            .head
            .headers
            .all_named(name)
            .collect::<Vec<_>>()
    };
    assert_eq!(all("x-id"), [ID.as_bytes()]);
    assert_eq!(all("x-subject"), [&b"CN=web,O=Example"[..]]);
    let nameless = ask(&harness, &policy, Some(certificate(&[]))).expect("passes");
    assert_eq!(nameless.request.head.headers.get_named("x-id"), None);
}
