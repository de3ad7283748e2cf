//! The developer portal: pages of APIs, served by the gateway itself.
//!
//! Everything is made when a revision is compiled, so that a request costs a look-up: one page, its
//! script and style, and the OpenAPI document of each API. Only `me.json` is made for its caller:
//! names and first digits of the hashes of its own keys and how often it called, never a secret.
//! Nothing comes from elsewhere, and the policy of the page (CSP) says so.

use crate::compile::Work;
use bytes::Bytes;
use gate_contract::openapi::Api as Contract;
use gate_flow::{ContractUse, Exchange, Fault, LocalFuture, Target, read_api_document};
use gate_kit::http::{Body, Chunk, HeaderId, Method, Response};
use gate_model::document::Path;
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::{Api, Resources, Route};
use gate_store::books::{SPAN_DAYS, Usage};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

const PAGE: &str = include_str!("page.html");
const SCRIPT: &str = include_str!("page.js");
const STYLE: &str = include_str!("page.css");

/// The portal of some APIs.
pub(crate) struct Portal {
    /// Name of the parameter that holds the rest of the path.
    rest: Arc<str>,
    files: BTreeMap<String, (&'static str, Bytes)>,
    users: Vec<(String, Arc<ContractUse>)>,
    /// Calls over every gateway of the store; none without a store.
    shared: Option<Arc<Usage>>,
    security_policy: String,
}

/// Compiles a portal; what is wrong goes into the findings.
pub(crate) fn to_portal(
    work: &mut Work<'_>,
    route: &Route,
    names: &[String],
    path: &Path,
) -> Option<Portal> {
    let rest = route.matches.path.as_deref().and_then(|path| {
        let (_, last) = path.rsplit_once('/')?;
        last.strip_prefix("{*")?.strip_suffix('}')
    });
    let Some(rest) = rest else {
        let message = "a portal's route has a path that ends in a parameter for any rest";
        let finding = Finding::error("invalid_path", path.clone(), message);
        work.report(finding.expected("such as `/developers/{*rest}`"));
        return None;
    };
    let mut portal = Portal {
        rest: rest.into(),
        files: BTreeMap::new(),
        users: Vec::new(),
        shared: work.compiler.books.map(|books| books.usage()),
        security_policy: String::new(),
    };
    let mut listed = Vec::new();
    let mut hosts = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(api) = work.resources.apis.get(name) else {
            let known = work.resources.apis.keys();
            work.unknown(path.index(index), "API", name, known);
            return None;
        };
        let users = work
            .compiler
            .state
            .get_or_insert(name, ContractUse::default);
        portal.users.push((name.clone(), users));
        // What is wrong with the document stands at the API already.
        let (contract, document) = read(work, api)?;
        let base = match &api.base {
            Some(base) => base.trim_end_matches('/').to_owned(),
            None => contract.base_path().to_owned(),
        };
        let host = api
            .matches
            .host
            .as_deref()
            .filter(|host| !host.starts_with('*'));
        hosts.extend(host.map(|host| format!(" https://{host}")));
        listed.push(json!({
            "name": name, "title": contract.title, "version": contract.version,
            "description": contract.description, "base": base, "host": host,
        }));
        let file = format!("apis/{name}/openapi.json");
        portal.files.insert(file, ("application/json", document));
    }
    let listed = Value::Array(listed).to_string();
    portal
        .files
        .insert("apis.json".to_owned(), ("application/json", listed.into()));
    for (name, kind, text) in [
        ("", "text/html; charset=utf-8", PAGE),
        ("page.js", "text/javascript; charset=utf-8", SCRIPT),
        ("page.css", "text/css; charset=utf-8", STYLE),
    ] {
        let bytes = Bytes::from_static(text.as_bytes());
        portal.files.insert(name.to_owned(), (kind, bytes));
    }
    portal.security_policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'{}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hosts.concat()
    );
    Some(portal)
}

/// An API's document: read, and as JSON.
fn read(work: &Work<'_>, api: &Api) -> Option<(Contract, Bytes)> {
    let compiler = work.compiler;
    let file = &work.document.file;
    let document = read_api_document(compiler.secrets, compiler.folder, file, &api.openapi).ok()?;
    let json = serde_json::to_vec(&document.root).ok()?;
    Some((Contract::from_document(document).ok()?, json.into()))
}

impl Portal {
    fn answer(&self, exchange: &Exchange) -> Result<Response, Fault> {
        if !matches!(exchange.request.head.method, Method::Get | Method::Head) {
            return Err(Fault::new(FaultCode::MethodNotAllowed));
        }
        let rest = exchange.parameters.get(&self.rest);
        let rest = rest.unwrap_or_default();
        let mut response = match rest {
            "me.json" => {
                let me = self.me(exchange).to_string();
                let mut response = Response::full(200, "application/json", Chunk::from(me));
                response
                    .head
                    .headers
                    .append_known(HeaderId::CacheControl, b"no-store");
                response
            }
            // Relative links of the page need the slash.
            "" if !exchange.request.head.path().ends_with('/') => {
                let mut response = Response::empty(308);
                let to = format!("{}/", exchange.request.head.path());
                let sent = response.head.headers.try_append(b"Location", to.as_bytes());
                sent.map_err(|_| Fault::new(FaultCode::InvalidPath))?;
                response
            }
            name => {
                let (kind, bytes) = self.files.get(name).ok_or(FaultCode::RouteNotFound)?;
                let mut response = Response::full(200, kind, Chunk::Shared(bytes.clone()));
                response
                    .head
                    .headers
                    .append_known(HeaderId::CacheControl, b"no-cache");
                response
            }
        };
        let headers = &mut response.head.headers;
        headers.append(b"Content-Security-Policy", self.security_policy.as_bytes());
        headers.append(b"X-Content-Type-Options", b"nosniff");
        headers.append(b"Referrer-Policy", b"no-referrer");
        if exchange.request.head.method == Method::Head {
            response.body = Body::Empty;
        }
        Ok(response)
    }

    /// What the caller may know about itself.
    fn me(&self, exchange: &Exchange) -> Value {
        let Some(caller) = &exchange.caller else {
            return json!({ "consumer": null });
        };
        let resources: &Resources = &exchange.snapshot.resources;
        let consumer = resources.consumers.get(&*caller.name);
        let keys = consumer.map_or(&[][..], |consumer| &consumer.keys);
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                let digits: String = key.sha256.to_string().chars().take(8).collect();
                json!({ "name": key.name(), "sha256_prefix": digits, "expires": key.expires })
            })
            .collect();
        let usage: Vec<Value> = self
            .users
            .iter()
            .map(|(api, users)| {
                let used = users.of(&caller.name);
                let shared = self.shared.as_ref();
                let shared = shared.and_then(|shared| shared.of(api, &caller.name));
                let all = shared.map(|all| {
                    json!({
                        "requests": all.calls, "failed": all.failed,
                        "last_unix_s": all.last_ms / 1000,
                    })
                });
                json!({
                    "api": api, "requests": used.requests, "broken": used.broken,
                    "last_unix_s": used.last.as_secs(), "all_gateways": all,
                })
            })
            .collect();
        json!({
            "consumer": &*caller.name, "team": caller.team.as_deref(), "keys": keys, "usage": usage,
            "days": SPAN_DAYS,
        })
    }
}

impl Target for Portal {
    fn call<'a>(&'a self, exchange: &'a mut Exchange) -> LocalFuture<'a, Result<Response, Fault>> {
        Box::pin(std::future::ready(self.answer(exchange)))
    }
}
