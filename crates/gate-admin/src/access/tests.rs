//! Who is let in, and as whom.

use super::*;
use gate_api::types::Role;
use gate_kit::http::{Method, RequestHead, Version};
use gate_model::resources::{AdminKey, AdminRole};
use gate_model::units::{Sha256Text, Timestamp};

fn key(text: &str, role: AdminRole, expires_s: Option<u64>) -> AdminKey {
    let hash: Sha256Text = gate_api::document::hex_sha256(text.as_bytes())
        .parse()
        .unwrap();
    AdminKey {
        sha256: hash,
        role,
        environments: Some(vec!["staging".into()]),
        teams: None,
        states: Some(vec!["net-*".into(), "dns".into()]),
        expires: expires_s.map(Timestamp::from_unix_s),
    }
}

fn settings() -> Admin {
    let mut settings = Admin::at("127.0.0.1:0");
    let keys = [
        ("ops", key("right", AdminRole::Operator, None)),
        ("old", key("gone", AdminRole::Admin, Some(100))),
    ];
    settings.keys = keys.into_iter().map(|(n, k)| (n.to_owned(), k)).collect();
    settings
}

fn head(fields: &[(&str, &str)]) -> RequestHead {
    let mut headers = Headers::new();
    for (name, value) in fields.iter().filter(|(name, _)| *name != "host") {
        headers.append(name.as_bytes(), value.as_bytes());
    }
    let host = fields.iter().find(|(name, _)| *name == "host");
    RequestHead {
        method: Method::Post,
        authority: host.map_or("localhost:9901", |(_, host)| host).to_owned(),
        target: "/api/v1/me".to_owned(),
        version: Version::Http11,
        headers,
        upgrade: None,
    }
}

fn access(settings: Admin, clock: Clock) -> Access {
    let secrets = |_: &_| Err("there is no secret".to_owned());
    Access::new(settings, std::sync::Arc::new(secrets), clock).unwrap()
}

#[test]
fn keys_expire_and_carry_their_limits() {
    let (clock, hands) = Clock::manual();
    let access = self::access(settings(), clock);
    let identify = |fields: &[(&str, &str)]| access.identify(&presented(&head(fields).headers));
    let ops = identify(&[("authorization", "Bearer right")]).unwrap();
    assert_eq!((&*ops.actor, ops.role), ("ops", Role::Operator));
    assert!(ops.sees("staging") && !ops.sees("production"));
    assert!(ops.uses("net-a") && ops.uses("dns") && !ops.uses("dns2") && !ops.uses("ne"));
    assert!(ops.must_be(Role::Operator).is_ok() && ops.must_be(Role::Admin).is_err());
    // `any:right` as RFC 7617 writes it.
    let basic = identify(&[("authorization", "basic YW55OnJpZ2h0")]).unwrap();
    assert_eq!(basic, ops);
    assert!(identify(&[("authorization", "Bearer gone")]).is_ok());
    hands.advance(Duration::from_secs(100));
    for wrong in [
        "Bearer gone",
        "Bearer wrong",
        "Bearer ",
        "Digest x",
        "Bearer a.b.c",
    ] {
        let problem = identify(&[("authorization", wrong)]).unwrap_err();
        assert!(problem.is(Code::Unauthenticated), "{wrong}");
        assert!(!problem.detail.contains("gone"), "{problem}");
    }
    assert!(identify(&[]).is_err());
}

#[test]
fn sessions_end_by_time_by_hand_and_with_their_key() {
    let (clock, hands) = Clock::manual();
    let access = self::access(settings(), clock.clone());
    let session = |access: &Access, cookie: &str| {
        let cookie = format!("a=b; {COOKIE}={cookie}");
        access.identify(&presented(&head(&[("cookie", &cookie)]).headers))
    };
    let ops = access.credential("right").unwrap();
    let (first, lasting) = access.begin(ops.clone()).unwrap();
    assert_eq!(lasting, Duration::from_secs(12 * 60 * 60));
    let seen = session(&access, &first).unwrap();
    assert_eq!(seen.authentication, Authentication::Session);
    assert_eq!(seen.actor, "ops");
    access.end(&first);
    assert!(session(&access, &first).is_err());
    // One that began with a key that expires ends with it.
    let old = access.credential("gone").unwrap();
    let (short, lasting) = access.begin(old).unwrap();
    assert_eq!(lasting, Duration::from_secs(100));
    let (long, _) = access.begin(ops).unwrap();
    hands.advance(Duration::from_secs(100));
    assert!(session(&access, &short).is_err());
    assert!(session(&access, &long).is_ok());
    // A key that is taken off the list takes its sessions along.
    let mut without = settings();
    without.keys.remove("ops");
    let mut next = self::access(without, clock);
    next.inherit(&access);
    assert!(session(&next, &long).is_err());
}

#[test]
fn a_session_has_the_role_that_its_key_has_today() {
    let (clock, _) = Clock::manual();
    let access = self::access(settings(), clock.clone());
    let (cookie, _) = access.begin(access.credential("right").unwrap()).unwrap();
    let mut lower = settings();
    if let Some(ops) = lower.keys.get_mut("ops") {
        ops.role = AdminRole::Viewer;
        ops.environments = Some(vec!["sandbox".into()]);
    }
    let mut next = self::access(lower, clock);
    next.inherit(&access);
    let who = next.identify(&Presented::Session(cookie)).unwrap();
    assert_eq!(who.role, Role::Viewer);
    assert!(who.sees("sandbox") && !who.sees("staging"));
    assert_eq!(who.authentication, Authentication::Session);
}

#[test]
fn a_browser_led_here_under_another_name_is_refused() {
    let local = Peer {
        address: Some("127.0.0.1:5".parse().unwrap()),
        local: Some("127.0.0.1:9901".parse().unwrap()),
        tls: false,
    };
    let remote = Peer {
        address: Some("10.0.0.9:5".parse().unwrap()),
        ..local
    };
    let exposed = Peer {
        local: Some("10.0.0.1:9901".parse().unwrap()),
        ..local
    };
    for (fields, peer, open, right) in [
        (&[][..], local, true, true),
        (&[], Peer::default(), true, true),
        (&[("host", "[::1]:1")], local, true, true),
        (&[], remote, true, false),
        (&[], exposed, true, false),
        (&[], remote, false, true),
        (&[("host", "evil.example:9901")], local, true, false),
        (&[("host", "gateway.example")], remote, false, true),
        (&[("host", "127.0.0.1.evil.example")], local, true, false),
        (&[("origin", "http://localhost:9901")], local, true, true),
        (&[("origin", "http://localhost:1")], local, true, false),
        (&[("origin", "null")], local, false, false),
        (&[("origin", "https://evil.example")], remote, false, false),
        (&[("sec-fetch-site", "cross-site")], local, true, false),
        (&[("sec-fetch-site", "same-origin")], local, true, true),
    ] {
        let head = head(fields);
        assert_eq!(
            check_origin(&head, peer, open).is_ok(),
            right,
            "{fields:?} {open}"
        );
    }
}
