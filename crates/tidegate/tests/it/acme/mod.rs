//! Certificates that come by themselves, through the program: an authority that is as strict as
//! RFC 8555 lets it be comes to the gateway's listeners, and callers verify what they are shown.

#[allow(dead_code, reason = "the tests of gate-acme use the rest")]
#[path = "../../../../gate-acme/tests/it/authority.rs"]
mod authority;
#[path = "../../../../gate-acme/tests/it/jws.rs"]
mod jws;
mod real;
#[allow(dead_code, reason = "the tests of gate-acme use the rest")]
#[path = "../../../../gate-acme/tests/it/world.rs"]
mod world;

pub(crate) use authority::Authority;
pub(crate) use world::{World, served, stapled};

use crate::support::{Gateway, curl, eventually};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the authority looks again: the gateway has to be known to the world first.
pub(crate) const LOOKS: Duration = Duration::from_secs(40);

/// An authority in a world whose names lead nowhere yet.
pub(crate) fn authority() -> (Arc<World>, Arc<Authority>) {
    let world = World::start();
    let authority = Authority::patient(world.clone(), LOOKS);
    (world, authority)
}

/// Has the world's names lead to a gateway's listeners.
pub(crate) fn lead(world: &World, plain: &str, secure: &str) -> SocketAddr {
    let [plain, secure] = [plain, secure].map(|address| address.parse().expect("an address"));
    world.leads_to(plain, secure);
    secure
}

/// Settings of `gateway.acme`, as one line of YAML.
pub(crate) fn settings(authority: &Authority, challenge: &str, more: &str) -> String {
    settings_at(&authority.directory(), challenge, more)
}

fn settings_at(directory: &str, challenge: &str, more: &str) -> String {
    format!(
        "acme: {{ directory: \"{directory}\", contact: [\"mailto:ops@example.com\"], terms_agreed: true, \
         challenge: {challenge}{more} }}"
    )
}

fn start(authority: &Authority, challenge: &str, name: &str, more: &str) -> Gateway {
    start_at(&authority.directory(), challenge, name, more)
}

fn start_at(directory: &str, challenge: &str, name: &str, more: &str) -> Gateway {
    let acme = settings_at(directory, challenge, &format!(", folder: acme{more}"));
    let text = format!(
        "gateway: {{ admin: {{ address: \"127.0.0.1:0\" }}, {acme} }}\n\
         listeners:\n  plain: {{ address: \"127.0.0.1:0\" }}\n  \
         secure: {{ address: \"127.0.0.1:0\", tls: {{ names: [\"{name}\"] }} }}\n\
         routes: {{ all: {{ match: {{ path: \"/{{*rest}}\" }}, target: {{ fixed: {{ status: 200, body: served }} }} }} }}\n"
    );
    Gateway::run(&text, &[], &[("WEBHOOK", "s3cret")])
}

/// Calls the gateway by a name over TLS, trusting the authority alone.
fn call(gateway: &Gateway, root: &Path, name: &str) -> crate::support::Answer {
    let port = gateway.address("secure").rsplit(':').next().unwrap_or("");
    let resolve = format!("{name}:{port}:127.0.0.1");
    let root = root.display().to_string();
    let url = format!("https://{name}:{port}/");
    curl(&["--resolve", &resolve, "--cacert", &root, &url])
}

/// The value of a family's line on the metrics page; 0 where there is none.
fn metric(gateway: &Gateway, line: &str) -> f64 {
    let page = gateway.metrics();
    let found = page.lines().find_map(|known| known.strip_prefix(line));
    found.map_or(0.0, |value| value.trim().parse().expect("a number"))
}

const COMPLETE: &str = "tidegate_acme_orders_total{outcome=\"complete\"}";
const FAILED: &str = "tidegate_acme_orders_total{outcome=\"failed\"}";

#[test]
fn an_authority_is_answered_by_every_way_and_callers_trust_what_came() {
    let webhook = |world: &World| {
        let url = format!("http://{}/dns", world.webhook);
        format!("{{ dns: {{ webhook: \"{url}\", token: {{ env: WEBHOOK }}, wait: 0s }} }}")
    };
    type Challenge<'a> = &'a dyn Fn(&World) -> String;
    let ways: [(Challenge<'_>, &str, &str); 3] = [
        (&|_| "{ http: {} }".into(), "a.example.com", "a.example.com"),
        (
            &|_| "{ tls_alpn: {} }".into(),
            "a.example.com",
            "a.example.com",
        ),
        (&webhook, "*.example.com", "b.example.com"),
    ];
    for (challenge, ordered, called) in ways {
        let (world, authority) = authority();
        let challenge = challenge(&world);
        let gateway = start(&authority, &challenge, ordered, "");
        lead(&world, gateway.address("plain"), gateway.address("secure"));
        let root = gateway.path().join("root.pem");
        std::fs::write(&root, &authority.root).unwrap();
        eventually(&format!("{challenge}: the name is served"), || {
            call(&gateway, &root, called).status == 200
        });
        assert_eq!(metric(&gateway, COMPLETE), 1.0, "{challenge}");
        let line = format!("tidegate_certificate_expiry_seconds{{name=\"{ordered}\"}}");
        assert!(metric(&gateway, &line) > 1.7e9, "{challenge}");
        assert_eq!(authority.orders(), 1, "{challenge}");
        // What was shown is not shown any more: a stranger's path is the routes' matter.
        let path = "/.well-known/acme-challenge/dG9rZW4gb2Ygb3JkZXIgMA";
        let plain = curl(&[&format!("http://{}{path}", gateway.address("plain"))]);
        assert_eq!(plain.expect(200).body, "served", "{challenge}");
        assert_ne!(
            call(&gateway, &root, "stranger.test").code,
            0,
            "{challenge}"
        );
    }
}

#[test]
fn while_the_authority_is_down_the_old_certificate_goes_on_and_that_is_told() {
    let (world, authority) = authority();
    *authority.life.lock().unwrap() = (-3600, 3600);
    let gateway = start(
        &authority,
        "{ http: {} }",
        "a.example.com",
        ", renew_before: 10m",
    );
    let secure = lead(&world, gateway.address("plain"), gateway.address("secure"));
    let mut first = None;
    eventually("the name is served", || {
        first = served(secure, "a.example.com");
        first.is_some()
    });
    *authority.down.lock().unwrap() = true;
    gateway.rewrite(|text| text.replace("renew_before: 10m", "renew_before: 2h"));
    eventually("an order fails", || metric(&gateway, FAILED) > 0.0);
    let said = gateway.process.line_with("certificates are not ordered");
    assert!(said.contains("no certificate for a.example.com"), "{said}");
    assert_eq!(served(secure, "a.example.com"), first);
    assert_eq!(metric(&gateway, COMPLETE), 1.0);
    // A restart needs no authority for what lies in the folder.
    let folder = gateway.folder.clone();
    drop(gateway);
    let gateway = Gateway::run_in(folder, &[], &[]);
    let secure: SocketAddr = gateway.address("secure").parse().unwrap();
    eventually("it is served after a restart", || {
        served(secure, "a.example.com") == first
    });
}
