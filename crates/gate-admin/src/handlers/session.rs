//! Who the caller is, and sessions of the console: begun with a key, with a token, or at an identity
//! provider.

use crate::access::{COOKIE, Identity, Returned, SIGN_IN_COOKIE, SIGN_IN_S};
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::{Code, Problem};
use gate_api::types::{Authentication, SessionInput, SignInMeans};
use gate_store::control::NewAudit;

/// Below which path the cookie of a sign-in is sent.
const SIGN_IN_PATH: &str = "/api/v1/session/oidc";

pub(super) fn me(inner: &Inner, call: &Call) -> Answer {
    let me = call
        .who
        .me(inner.host.environment(), inner.access().has_issuer());
    Reply::json(&me)
}

pub(super) fn means(inner: &Inner, _: &Call) -> Answer {
    let access = inner.access();
    Reply::json(&SignInMeans {
        keys: access.has_keys(),
        tokens: access.has_issuer(),
        oidc: access.signs_in(),
    })
}

pub(super) fn sign_in(inner: &Inner, call: &Call) -> Answer {
    let input: SessionInput = call.json()?;
    let access = inner.access();
    let who = access.credential(input.key.trim())?;
    let me = who.me(inner.host.environment(), access.has_issuer());
    let cookie = enter(inner, call, who)?;
    let reply = Reply::json(&me)?;
    Ok(match cookie {
        Some(cookie) => reply.with("Set-Cookie", cookie),
        None => reply,
    })
}

pub(super) fn sign_out(inner: &Inner, call: &Call) -> Answer {
    if let Some(cookie) = &call.cookie {
        inner.access().end(cookie);
    }
    Ok(Reply::empty(204).with("Set-Cookie", set(call, "", 0)))
}

/// Leads a browser to the identity provider.
pub(super) fn begin(inner: &Inner, call: &Call) -> Answer {
    let begun = inner.access().begin_sign_in(&origin(call));
    let reply = Reply::empty(303);
    match begun {
        Ok(begun) => {
            let cookie = sign_in_cookie(call, &begun.cookie, SIGN_IN_S);
            let reply = reply.with("Location", begun.location);
            Ok(reply.with("Set-Cookie", cookie))
        }
        Err(problem) => refuse(reply, problem),
    }
}

/// A person looks at the answer: a refusal leads to the console, which says it in words.
fn refuse(reply: Reply, problem: Problem) -> Answer {
    match problem.is(Code::NotFound) {
        true => Err(problem),
        false => {
            tracing::info!(why = problem.detail, "a sign-in was refused");
            Ok(reply.with("Location", format!("/#/?sign_in={}", problem.code)))
        }
    }
}

/// Takes a browser back from the identity provider.
pub(super) fn finish(inner: &Inner, call: &Call) -> Answer {
    let access = inner.access();
    let returned = Returned {
        cookie: call.sign_in.as_deref(),
        state: call.parameter("state"),
        code: call.parameter("code"),
        error: call.parameter("error"),
        iss: call.parameter("iss"),
    };
    let entered = access
        .finish_sign_in(&origin(call), &returned)
        .and_then(|who| enter(inner, call, who));
    let used = sign_in_cookie(call, "", 0);
    let reply = Reply::empty(303).with("Set-Cookie", used);
    match entered {
        Ok(cookie) => {
            let reply = reply.with("Location", "/".to_owned());
            Ok(match cookie {
                Some(cookie) => reply.with("Set-Cookie", cookie),
                None => reply,
            })
        }
        Err(problem) => {
            let who = &call.who.actor;
            inner.audit_refusal(who, "", call.operation, "session", &problem);
            refuse(reply, problem)
        }
    }
}

/// Writes down that somebody comes in, and begins their session; gives back its cookie, where one
/// is needed.
fn enter(inner: &Inner, call: &Call, who: Identity) -> Result<Option<String>, Problem> {
    let line = NewAudit {
        actor: &who.actor,
        role: who.role.as_str(),
        action: "signIn",
        subject: "session",
        outcome: "done",
        detail: "",
    };
    // Where there is no store there is no audit log; a store that is down lets nobody in.
    match inner.store() {
        Ok(mut store) => drop(
            store
                .audit(&line, inner.now_ms())
                .map_err(crate::reply::refused)?,
        ),
        Err(problem) if problem.is(Code::FileManaged) => {}
        Err(problem) => return Err(problem),
    }
    if who.authentication == Authentication::None {
        return Ok(None);
    }
    let (cookie, lasting) = inner.access().begin(who)?;
    Ok(Some(set(call, &cookie, lasting.as_secs())))
}

/// How the browser knows this address.
fn origin(call: &Call) -> String {
    let scheme = if call.secure { "https" } else { "http" };
    format!("{scheme}://{}", call.host)
}

/// The cookie (RFC 6265bis): scripts cannot read it and other sites cannot send it.
fn set(call: &Call, value: &str, seconds: u64) -> String {
    let secure = secure(call);
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}

/// The cookie of a sign-in: the way back from the provider is another site's navigation, which
/// `Strict` would keep it from.
fn sign_in_cookie(call: &Call, value: &str, seconds: u64) -> String {
    let secure = secure(call);
    format!(
        "{SIGN_IN_COOKIE}={value}; Path={SIGN_IN_PATH}; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
    )
}

fn secure(call: &Call) -> &'static str {
    if call.secure { "; Secure" } else { "" }
}
