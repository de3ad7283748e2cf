//! Roles, scopes, sessions, limits.

use crate::support::{PACKED, Server, json_of, keys, open, send};
use gate_api::client::Seen;
use gate_api::problem::Code;
use gate_api::types::{Authentication, EnvironmentInput, Role};
use serde_json::json;

#[test]
fn roles_and_scopes_hold() {
    for server in Server::each(&keys()) {
        let nobody = server.client();
        let (status, problem) = send(&nobody, "GET", "/api/v1/me", b"");
        assert_eq!((status, &problem["code"]), (401, &json!("unauthenticated")));
        let input = EnvironmentInput::default();
        let put = |key: &str| {
            let client = server.as_key(key);
            client
                .put_environment("staging", Seen::Any, &input)
                .map(drop)
        };
        let refused = |key: &str| put(key).unwrap_err().problem().unwrap().code.clone();
        assert_eq!(refused("wrong"), "unauthenticated");
        assert_eq!(refused("viewer"), "forbidden");
        assert_eq!(refused("network"), "forbidden");
        put("operator").unwrap();
        let me = server.as_key("operator").me().unwrap();
        assert_eq!(
            (me.role, me.authentication),
            (Role::Operator, Authentication::Key)
        );
        assert_eq!(server.as_key("network").environments().unwrap().len(), 0);
        assert_eq!(server.as_key("viewer").environments().unwrap().len(), 1);
        // An operator's lock is taken away by an admin only.
        server.as_key("admin").lock("staging", "mine").unwrap();
        let error = server.as_key("operator").unlock("staging").unwrap_err();
        assert!(error.problem().unwrap().is(Code::Locked), "{error}");
        server.as_key("admin").unlock("staging").unwrap();
        // Every refusal of somebody who tried is in the log.
        let audit = server.as_key("viewer").audit(50).unwrap();
        let lines: Vec<_> = audit
            .iter()
            .map(|e| (&*e.actor, &*e.action, &*e.detail))
            .collect();
        assert!(
            lines.contains(&("operator", "unlock", "locked")),
            "{lines:?}"
        );
        assert!(
            lines.contains(&("viewer", "putEnvironment", "forbidden")),
            "{lines:?}"
        );
        assert!(lines.contains(&("127.0.0.1", "putEnvironment", "unauthenticated")));
    }
}

#[test]
fn a_revoked_key_is_refused_at_once() {
    for server in Server::each(&keys()) {
        let client = server.as_key("operator");
        client.me().unwrap();
        let mut fewer = keys();
        fewer.keys.remove("operator");
        server.api.configure(fewer).unwrap();
        assert!(
            client
                .me()
                .unwrap_err()
                .problem()
                .unwrap()
                .is(Code::Unauthenticated)
        );
        server.as_key("viewer").me().unwrap();
    }
}

#[test]
fn a_session_is_a_cookie_that_scripts_cannot_read() {
    for server in Server::each(&keys()) {
        let client = server.client();
        let begin = |key: &str| {
            let body = json!({ "key": key }).to_string();
            client
                .send("POST", "/api/v1/session", &[], body.as_bytes())
                .unwrap()
        };
        assert_eq!(begin("wrong").status, 401);
        let reply = begin("operator");
        assert_eq!(reply.status, 200);
        let cookie = reply.header("set-cookie").unwrap().to_owned();
        for part in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let cookie = cookie.split(';').next().unwrap();
        let ask = |method: &str, path: &str, more: &[(&str, &str)], body: &[u8]| {
            let mut headers = vec![("Cookie", cookie)];
            headers.extend(more);
            json_of(&client.send(method, path, &headers, body).unwrap())
        };
        let (status, me) = ask("GET", "/api/v1/me", &[], b"");
        assert_eq!((status, &me["authentication"]), (200, &json!("session")));
        let put = |more: &[(&str, &str)]| ask("PUT", "/api/v1/environments/staging", more, b"{}");
        assert_eq!(put(&[]).1["code"], "bad_origin");
        let other = [("Tidegate-CSRF", "1"), ("Origin", "https://evil.example")];
        assert_eq!(put(&other).1["code"], "bad_origin");
        assert_eq!(put(&[("Tidegate-CSRF", "1")]).0, 200);
        assert_eq!(
            ask("DELETE", "/api/v1/session", &[("Tidegate-CSRF", "1")], b"").0,
            204
        );
        assert_eq!(ask("GET", "/api/v1/me", &[], b"").0, 401);
    }
}

#[test]
fn one_caller_cannot_ask_without_end() {
    let mut admin = keys();
    admin.rate = 2;
    let server = Server::start(admin);
    let client = server.as_key("viewer");
    let statuses: Vec<u16> = (0..40)
        .map(|_| send(&client, "GET", "/api/v1/me", b"").0)
        .collect();
    assert!(statuses.iter().filter(|status| **status == 200).count() >= 20);
    assert!(statuses.contains(&429));
    // Another caller is not held up.
    assert_eq!(
        send(&server.as_key("operator"), "GET", "/api/v1/me", b"").0,
        200
    );
}

#[test]
fn the_console_is_served_with_its_policy() {
    let server = Server::start(open());
    let client = server.client();
    let page = client.send("GET", "/", &[], b"").unwrap();
    assert_eq!((page.status, &*page.body), (200, &b"<p>console"[..]));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    let packed = client.send("GET", "/", &[("Accept-Encoding", "br, gzip")], b"");
    assert_eq!(packed.unwrap().body, PACKED);
    assert_eq!(
        client.send("GET", "/nowhere", &[], b"").unwrap().status,
        404
    );
    assert_eq!(client.send("POST", "/", &[], b"").unwrap().status, 405);
    let rebound = [("Sec-Fetch-Site", "cross-site")];
    assert_eq!(
        client
            .send("GET", "/api/v1/me", &rebound, b"")
            .unwrap()
            .status,
        403
    );
}
