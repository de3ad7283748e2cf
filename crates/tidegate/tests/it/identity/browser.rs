//! People: they sign in at `oidc-provider`, stay signed in, and sign out there.
//!
//! The browser is curl with a jar of cookies, which follows redirections one by one and fills in the
//! provider's forms.

use super::{gateway, gateway_with};
use crate::support::provider::Provider;
use crate::support::{Answer, Gateway, curl, eventually};
use serde_json::json;
use std::path::PathBuf;

const COOKIE: (&str, &str) = ("COOKIE_SECRET", "0123456789abcdef0123456789abcdef");

/// A browser: a jar of cookies.
struct Browser {
    jar: PathBuf,
    folder: tempfile::TempDir,
}

impl Browser {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let jar = folder.path().join("jar");
        Self { jar, folder }
    }

    /// The same cookies in another jar, as somebody has them who copied them.
    fn copy(&self) -> Self {
        let copy = Self::new();
        std::fs::copy(&self.jar, &copy.jar).expect("copied");
        copy
    }

    fn ask(&self, url: &str, more: &[&str]) -> Answer {
        let jar = self.jar.to_str().expect("a path");
        let page = ["-H", "accept: text/html", "-b", jar, "-c", jar, url];
        curl(&[&page[..], more].concat())
    }

    /// Opens a page and follows redirections to a page that is there; with its address.
    fn open(&self, url: &str, more: &[&str]) -> (String, Answer) {
        let mut url = url.to_owned();
        let mut answer = self.ask(&url, more);
        for _ in 0..12 {
            let Some(to) = answer.header("location") else {
                return (url, answer);
            };
            url = match to.starts_with('/') {
                true => {
                    let origin = url
                        .match_indices('/')
                        .nth(2)
                        .map_or(&*url, |(at, _)| &url[..at]);
                    format!("{origin}{to}")
                }
                false => to.to_owned(),
            };
            answer = self.ask(&url, &[]);
        }
        panic!("led in circles: {url}");
    }

    /// Sends the form of a page with these fields.
    fn send(&self, page: &Answer, fields: &[&str]) -> (String, Answer) {
        let form = page.body.split("action=\"").nth(1).expect("a form");
        let to = form
            .split('"')
            .next()
            .expect("an address")
            .replace("&amp;", "&");
        let mut more = Vec::new();
        let hidden = page.body.split("<input type=\"hidden\" name=\"").skip(1);
        let hidden: Vec<String> = hidden
            .filter_map(|input| {
                let (name, rest) = input.split_once("\" value=\"")?;
                Some(format!("{name}={}", rest.split('"').next()?))
            })
            .collect();
        for field in hidden
            .iter()
            .map(String::as_str)
            .chain(fields.iter().copied())
        {
            more.extend(["--data-urlencode", field]);
        }
        self.open(&to, &more)
    }

    /// Signs in at the provider, where opening a page has led.
    fn sign_in(&self, url: &str, name: &str) -> (String, Answer) {
        let (at, page) = self.open(url, &[]);
        assert!(at.contains("/interaction/"), "{at}");
        let login = format!("login={name}");
        let (at, page) = self.send(&page, &[&login, "password=x"]);
        assert!(at.contains("/interaction/"), "{at} {page:?}");
        self.send(&page, &[])
    }
}

fn policies(provider: &Provider, more: &serde_json::Value) -> serde_json::Value {
    let mut oidc = json!({
        "issuer": provider.url, "client_id": "tidegate",
        "client_secret": { "env": "CLIENT_SECRET" }, "cookie_secrets": [{ "env": "COOKIE_SECRET" }],
        "cache": { "allow_private": ["127.0.0.1"] },
        "userinfo": true, "claims_to_headers": { "sub": "x-user", "groups": "x-groups" },
        "access_token": "authorization", "after_logout": "/bye",
        "scopes": ["profile", "offline_access"], "parameters": { "prompt": "consent" },
    });
    for (name, value) in more.as_object().expect("an object") {
        oidc[name] = value.clone();
    }
    json!([{ "auth_oidc": oidc }])
}

fn register(provider: &mut Provider, gateway: &Gateway, secret: &str) {
    let url = |path: &str| gateway.url(&format!("/.tidegate/oidc/{path}"));
    provider.register(&json!({
        "client_secret": secret, "redirect_uris": [url("callback")],
        "grant_types": ["authorization_code", "refresh_token"],
        "post_logout_redirect_uris": [gateway.url("/bye")],
        "backchannel_logout_uri": url("backchannel"), "backchannel_logout_session_required": true,
    }));
}

#[test]
fn people_sign_in_stay_signed_in_and_sign_out() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    // Characters that a form and a header must carry unharmed.
    let secret = "s:ecr+t/%20 &=x";
    let policies = policies(&provider, &json!({}));
    let gateway = gateway(&policies, &[("CLIENT_SECRET", secret), COOKIE]);
    register(&mut provider, &gateway, secret);
    let browser = Browser::new();
    let (at, page) = browser.sign_in(&gateway.url("/page?a=b"), "ada");
    assert_eq!(at, gateway.url("/page?a=b"));
    let page = page.expect(200);
    assert!(page.body.starts_with("GET /page?a=b\n"), "{}", page.body);
    let told = |page: &Answer, field: &str| {
        let line = page.body.lines().find(|line| line.starts_with(field));
        line.unwrap_or_else(|| panic!("{field} in {}", page.body))
            .to_owned()
    };
    assert_eq!(told(&page, "x-user: "), "x-user: ada");
    assert_eq!(told(&page, "x-groups: "), "x-groups: deploy");
    assert!(!page.body.contains("tidegate_login"), "{}", page.body);
    let token = told(&page, "authorization: Bearer ");
    // The access token lasts 15 seconds: it is refreshed before it ends, and the page never asks.
    eventually("a new token", || {
        let page = browser.ask(&gateway.url("/page"), &[]).expect(200);
        told(&page, "authorization: Bearer ") != token
    });
    let copy = browser.copy();
    let (_, page) = browser.open(&gateway.url("/.tidegate/oidc/logout"), &[]);
    let (at, _) = browser.send(&page, &["logout=yes"]);
    assert!(
        at.starts_with(&provider.url) && at.contains("interaction"),
        "{at}"
    );
    let (at, _) = copy.open(&gateway.url("/page"), &[]);
    assert!(
        at.contains("/interaction/"),
        "a copied cookie is worth nothing: {at}"
    );
    drop(browser.folder);
}

#[test]
fn the_provider_signs_out_whoever_signed_out_elsewhere() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    let policies = policies(&provider, &json!({}));
    let gateway = gateway(&policies, &[("CLIENT_SECRET", "secret"), COOKIE]);
    register(&mut provider, &gateway, "secret");
    let browser = Browser::new();
    let (_, page) = browser.sign_in(&gateway.url("/page"), "ada");
    page.expect(200);
    // At the provider itself, which tells the gateway.
    let (_, page) = browser.open(&format!("{}/session/end", provider.url), &[]);
    browser.send(&page, &["logout=yes"]);
    eventually("the session ends", || {
        let answer = browser.ask(&gateway.url("/page"), &[]);
        answer.status == 302
    });
    let service = curl(&[&gateway.url("/orders")]).expect(401);
    assert_eq!(service.json()["code"], "credential_missing");
}

/// Two gateways that share a store: the provider tells one of them.
#[test]
fn whoever_signed_out_at_one_gateway_is_signed_out_at_all_that_share_its_store() {
    let Some(mut provider) = Provider::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("shared.db").display().to_string();
    let store = format!(", store: {{ engine: {{ sqlite: {{ path: '{file}' }} }} }}");
    let secrets = [("CLIENT_SECRET", "secret"), COOKIE];
    let policies = policies(&provider, &json!({}));
    let start = |store: &str| gateway_with(&policies, store, &secrets);
    let (told, other, alone) = (start(&store), start(&store), start(""));
    register(&mut provider, &told, "secret");
    let goes_on = |gateway: &Gateway, browser: &Browser| {
        let answer = browser.ask(&gateway.url("/page"), &[]);
        assert!(matches!(answer.status, 200 | 302), "{answer:?}");
        answer.status == 200
    };
    let browser = Browser::new();
    let (_, page) = browser.sign_in(&told.url("/page"), "ada");
    page.expect(200);
    // Cookies know no ports: every gateway with the same secrets knows the session.
    for gateway in [&told, &other, &alone] {
        assert!(goes_on(gateway, &browser.copy()));
    }
    let copy = browser.copy();
    let (_, page) = browser.open(&format!("{}/session/end", provider.url), &[]);
    browser.send(&page, &["logout=yes"]);
    eventually("the one that was told ends the session", || {
        !goes_on(&told, &copy.copy())
    });
    let since = std::time::Instant::now();
    eventually("the other ends it too", || !goes_on(&other, &copy.copy()));
    println!(
        "SCORE sign-out, heard by the other gateway after {:?}",
        since.elapsed()
    );
    assert!(goes_on(&alone, &copy.copy()), "it shares nothing");
    // One that starts later knows it from the store.
    let late = start(&store);
    eventually("a gateway that starts later ends it", || {
        !goes_on(&late, &copy.copy())
    });
    // A session of one's own that is ended at its gateway, by whom it belongs to.
    let browser = Browser::new();
    let (_, page) = browser.sign_in(&told.url("/page"), "eve");
    page.expect(200);
    let copy = browser.copy();
    assert!(goes_on(&other, &copy.copy()));
    browser
        .ask(&told.url("/.tidegate/oidc/logout"), &[])
        .expect(303);
    eventually("a copy of its cookie is worth nothing anywhere", || {
        !goes_on(&other, &copy.copy())
    });
}
