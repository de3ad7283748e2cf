//! The addresses that the policy answers itself: signing in and out, and what the provider tells.

use super::AuthOidc;
use super::client::Failure;
use super::cookies::Login;
use super::sessions::Session;
use crate::places;
use gate_flow::{Exchange, Fault, Verdict};
use gate_identity::oidc::{Returned, SignInSeal, authorization_url, end_session, logged_out};
use gate_kit::http::{Body, HeaderId, Headers, Method, Response, ResponseHead, Scheme};
use gate_model::fault::FaultCode;
use std::borrow::Cow;

/// Most bytes of what the provider tells.
const NOTICE_BYTES_MAX: usize = 64 * 1024;
/// Longest target that a browser is led back to.
const TARGET_BYTES_MAX: usize = 2_000;

/// An address of the policy's own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Login,
    Callback,
    Logout,
    Backchannel,
}

impl Door {
    /// What is behind the rest of a path.
    pub(super) fn of(rest: &str) -> Option<Self> {
        Some(match rest {
            "/login" => Door::Login,
            "/callback" => Door::Callback,
            "/logout" => Door::Logout,
            "/backchannel" => Door::Backchannel,
            _ => return None,
        })
    }
}

impl AuthOidc {
    pub(super) fn open<'a>(&'a self, door: Door, exchange: &'a mut Exchange) -> Verdict<'a> {
        let method = &exchange.request.head.method;
        let right = match door {
            Door::Login | Door::Callback => *method == Method::Get,
            Door::Logout => matches!(method, Method::Get | Method::Post),
            Door::Backchannel => *method == Method::Post,
        };
        if !right {
            return Verdict::refuse(FaultCode::MethodNotAllowed);
        }
        Verdict::Wait(Box::pin(async move {
            let result = match door {
                Door::Login => {
                    let to = parameter(exchange, "to").unwrap_or_else(|| "/".to_owned());
                    self.lead(exchange, &to).await
                }
                Door::Callback => self.finish(exchange).await,
                Door::Logout => self.leave(exchange).await,
                Door::Backchannel => self.told(exchange).await,
            };
            match result {
                Ok(response) => Verdict::Reply(Box::new(response)),
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }

    /// Leads a browser to the provider, to come back to `to`.
    pub(super) async fn lead(&self, exchange: &mut Exchange, to: &str) -> Result<Response, Fault> {
        let client = &self.client;
        let services = exchange.services.clone();
        let (_, provider) = client.provider(&services).await.map_err(fault)?;
        let now_s = services.clock().unix().as_secs();
        let cookie = SignInSeal::cookie(now_s)
            .map_err(|why| Fault::new(FaultCode::PolicyFailed).detail(why))?;
        let state = client.seal.derive("state", &cookie);
        let callback = self.callback(exchange);
        let location = authorization_url(
            &provider,
            &client.seal,
            &cookie,
            (&client.id, &callback),
            &client.scopes,
            &client.parameters,
        );
        let to = local(to).to_owned();
        self.cookies
            .set_login(exchange, &state, &Login { cookie, to })?;
        redirect(302, &location)
    }

    /// Takes a browser back from the provider.
    async fn finish(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let client = &self.client;
        let of = |name: &str| parameter(exchange, name);
        let (state, code, error, iss) = (of("state"), of("code"), of("error"), of("iss"));
        let headers = &exchange.request.head.headers;
        let login = state
            .as_deref()
            .and_then(|state| self.cookies.login(headers, state));
        let returned = Returned {
            cookie: login.as_ref().map(|login| &*login.cookie),
            state: state.as_deref(),
            code: code.as_deref(),
            error: error.as_deref(),
            iss: iss.as_deref(),
        };
        let services = exchange.services.clone();
        let now_s = services.clock().unix().as_secs();
        let accepted = client.seal.accept(&returned, &client.issuer, now_s);
        let accepted = accepted.map_err(|error| unproven(error.text().to_owned()))?;
        let callback = self.callback(exchange);
        let session = client.redeem(&services, accepted, &callback).await;
        let session = session.map_err(fault)?;
        self.cookies
            .clear_login(exchange, state.as_deref().unwrap_or_default());
        self.cookies.set(exchange, &session)?;
        redirect(303, login.as_ref().map_or("/", |login| local(&login.to)))
    }

    /// Ends a session here, and leads the browser to end it at the provider.
    async fn leave(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let site = exchange.request.head.headers.get_named("sec-fetch-site");
        if site == Some(b"cross-site") {
            let detail = "another site's page asks to sign out";
            return Err(Fault::new(FaultCode::Forbidden).detail(detail));
        }
        let session = self.session(exchange);
        self.cookies.clear(exchange);
        let Some(session) = session else {
            return redirect(303, &self.after_logout);
        };
        let services = exchange.services.clone();
        self.forget(&session, services.clock().unix().as_secs())?;
        // A provider that is down keeps nobody from leaving.
        let Ok((_, provider)) = self.client.provider(&services).await else {
            return redirect(303, &self.after_logout);
        };
        let back = match self.after_logout.starts_with('/') {
            true => format!("{}{}", self.origin(exchange), self.after_logout),
            false => self.after_logout.clone(),
        };
        let hint = session.id_token.as_deref();
        match end_session(&provider, &self.client.id, hint, Some(&back)) {
            Some(door) => redirect(303, &door),
            None => redirect(303, &self.after_logout),
        }
    }

    fn forget(&self, session: &Session, now_s: u64) -> Result<(), Fault> {
        let client = &self.client;
        match client.sessions.end(session, now_s, client.lasting_s) {
            true => Ok(()),
            false => Err(full()),
        }
    }

    /// Hears from the provider that somebody signed out (Back-Channel Logout 1.0, section 2.5).
    async fn told(&self, exchange: &mut Exchange) -> Result<Response, Fault> {
        let body = exchange.request.body.collect(NOTICE_BYTES_MAX).await;
        let body = body.map_err(|error| Fault::from_request_body(&error))?;
        let mut fields = form_urlencoded::parse(&body);
        let token = fields.find(|(name, _)| name == "logout_token");
        let wrong = |detail: String| Fault::new(FaultCode::InvalidBody).detail(detail);
        let (_, token) = token.ok_or_else(|| wrong("there is no logout_token".to_owned()))?;
        let services = exchange.services.clone();
        let verified = self.client.verify(&services, &token).await;
        let (claims, _) = verified.map_err(|failure| match failure {
            Failure::Unproven(why) => wrong(why),
            failure => fault(failure),
        })?;
        let who = logged_out(&claims).map_err(|refusal| wrong(refusal.to_owned()))?;
        let now_s = services.clock().unix().as_secs();
        let client = &self.client;
        match client.sessions.revoke(&who, now_s, client.lasting_s) {
            true => Ok(response(200)),
            false => Err(full()),
        }
    }

    /// How browsers know this site.
    fn origin<'a>(&'a self, exchange: &Exchange) -> Cow<'a, str> {
        match &self.client.address {
            Some(address) => Cow::Borrowed(address),
            None => {
                let scheme = match exchange.client.scheme {
                    Scheme::Https => "https",
                    Scheme::Http => "http",
                };
                Cow::Owned(format!("{scheme}://{}", exchange.request.head.authority))
            }
        }
    }

    fn callback(&self, exchange: &Exchange) -> String {
        format!("{}{}/callback", self.origin(exchange), self.path)
    }
}

/// A target on this site: another's address would make the gateway lead people astray.
fn local(to: &str) -> &str {
    let inside = to.starts_with('/') && !to.starts_with("//") && !to.starts_with("/\\");
    let plain = to
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    match inside && plain && to.len() <= TARGET_BYTES_MAX {
        true => to,
        false => "/",
    }
}

fn parameter(exchange: &Exchange, name: &str) -> Option<String> {
    let query = exchange.request.head.query()?;
    let value = places::query_values(query, name).next()?;
    String::from_utf8(value.into_owned()).ok()
}

fn unproven(why: String) -> Fault {
    Fault::new(FaultCode::CredentialInvalid)
        .detail(why)
        .message("Nobody was signed in. Open the page again to begin anew.")
}

fn full() -> Fault {
    Fault::new(FaultCode::Overloaded).detail("too many sign-outs are remembered")
}

fn fault(failure: Failure) -> Fault {
    match failure {
        Failure::Unproven(why) => unproven(why),
        Failure::Unavailable(why) => Fault::new(FaultCode::PolicyFailed)
            .detail(format!("the identity provider cannot be asked: {why}")),
    }
}

fn redirect(status: u16, location: &str) -> Result<Response, Fault> {
    let mut response = response(status);
    let headers = &mut response.head.headers;
    match headers.try_append(b"location", location.as_bytes()) {
        Ok(()) => Ok(response),
        Err(_) => {
            let detail = "a location holds control characters";
            Err(Fault::new(FaultCode::PolicyFailed).detail(detail))
        }
    }
}

/// An answer that nobody keeps.
fn response(status: u16) -> Response {
    let mut headers = Headers::new();
    headers.append_known(HeaderId::CacheControl, b"no-store");
    Response {
        head: ResponseHead { status, headers },
        body: Body::Empty,
    }
}
