//! Who the caller is, and sessions of the console.

use crate::access::COOKIE;
use crate::api::Inner;
use crate::call::Call;
use crate::reply::{Answer, Reply};
use gate_api::problem::Code;
use gate_api::types::{Authentication, SessionInput};
use gate_store::control::NewAudit;

pub(super) fn me(inner: &Inner, call: &Call) -> Answer {
    let me = call
        .who
        .me(inner.host.environment(), inner.access().has_issuer());
    Reply::json(&me)
}

pub(super) fn sign_in(inner: &Inner, call: &Call) -> Answer {
    let input: SessionInput = call.json()?;
    let access = inner.access();
    let who = access.credential(input.key.trim())?;
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
    let me = who.me(inner.host.environment(), access.has_issuer());
    let reply = Reply::json(&me)?;
    if who.authentication == Authentication::None {
        return Ok(reply);
    }
    let (cookie, lasting) = access.begin(who)?;
    Ok(reply.with("Set-Cookie", set(call, &cookie, lasting.as_secs())))
}

pub(super) fn sign_out(inner: &Inner, call: &Call) -> Answer {
    if let Some(cookie) = &call.cookie {
        inner.access().end(cookie);
    }
    Ok(Reply::empty(204).with("Set-Cookie", set(call, "", 0)))
}

/// The cookie (RFC 6265bis): scripts cannot read it and other sites cannot send it.
fn set(call: &Call, value: &str, seconds: u64) -> String {
    let secure = if call.secure { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}
