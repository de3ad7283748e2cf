//! The example of who calls: every proof is asked for, and those that need no provider are given.

use super::Example;
use crate::support::{Reply, Upstream};

#[test]
fn identity() {
    let site = Upstream::echo();
    let decider = Upstream::start(|seen| match seen.header("cookie") {
        Some("let=me") => Reply::text("yes").header("x-user", "ada"),
        _ => Reply::text("no").status(403),
    });
    let secret = "0123456789abcdef0123456789abcdef";
    let gateway = Example::new("identity.yaml")
        .replace("127.0.0.1:9001", &site.address)
        .replace("127.0.0.1:9002", &site.address)
        .replace("127.0.0.1:9003", &decider.address)
        .run(&[
            ("SHOP_OIDC_SECRET", secret),
            ("SHOP_SESSION_COOKIE_SECRET", secret),
            ("INTROSPECTION_SECRET", secret),
            ("PARTNER_SIGNING_SECRET", secret),
        ]);
    for path in ["/api/orders/1", "/api/opaque/1", "/api/partners/1", "/page"] {
        let answer = gateway.curl(path, &[]).expect(401);
        assert_eq!(answer.json()["code"], "credential_missing", "{path}");
    }
    let echo = gateway.curl("/operators/1", &["-u", "ada:U*U"]).expect(200);
    assert!(echo.body.contains("x-user: ada"), "{}", echo.body);
    gateway
        .curl("/operators/1", &["-u", "ada:other"])
        .expect(401);
    gateway.curl("/decided/1", &[]).expect(403);
    let echo = gateway
        .curl("/decided/1", &["-H", "cookie: let=me"])
        .expect(200);
    assert!(echo.body.contains("x-user: ada"), "{}", echo.body);
}
