//! Whether an answer may be kept, and on which terms it may be given again (RFC 9111 sections 3
//! and 4.2).

use crate::control::{Asked, Control, delta_seconds, members};
use crate::targeted::targeted;
use crate::vary::forbids_reuse;
use gate_kit::date::parse_http_date;
use gate_kit::http::{HeaderId, Headers, Method, ResponseHead};

/// What a cache does where an answer leaves it the choice.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Part of the time since its last change for which an answer without a lifetime counts as
    /// fresh (RFC 9111 section 4.2.2 names a tenth); 0 switches that off.
    pub heuristic: f64,
    /// Most seconds that come of it.
    pub heuristic_max: u32,
    /// Seconds of freshness by status, for answers that say nothing of it themselves: the first rule
    /// whose range holds the status counts.
    pub lifetimes: Vec<(std::ops::RangeInclusive<u16>, u32)>,
    /// Seconds for which an answer may be given stale while the target cannot be reached at all,
    /// unless it forbids that (section 4.2.4: a cache that is disconnected).
    pub disconnected: u32,
    /// Seconds of stale-while-revalidate for answers that state none.
    pub while_revalidate: u32,
    /// Seconds of stale-if-error for answers that state none.
    pub if_error: u32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            heuristic: 0.1,
            heuristic_max: 86_400,
            lifetimes: Vec::new(),
            disconnected: 600,
            while_revalidate: 0,
            if_error: 0,
        }
    }
}

/// An answer's head, whose answer it is, and when it was asked for and came.
#[derive(Debug, Clone, Copy)]
pub struct Received<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// Whether the request was somebody's: it carried Authorization, or the gateway knows who calls
    /// (section 3.5). Not, where nobody else is given the answer.
    pub authorized: bool,
    /// What the caller wanted.
    pub asked: Asked,
    /// The answer.
    pub head: &'a ResponseHead,
    /// When the request left, in milliseconds of UNIX time.
    pub request_ms: u64,
    /// When the head came, in milliseconds of UNIX time.
    pub response_ms: u64,
}

/// On which terms a kept answer may be given again. Fixed when it is kept, so that using it costs a
/// few comparisons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// When its age was 0, in milliseconds of UNIX time.
    pub born_ms: u64,
    /// Seconds of age for which it is fresh.
    pub lifetime: u32,
    /// Seconds beyond that, while it is asked for again.
    pub while_revalidate: u32,
    /// Seconds beyond that, instead of an error.
    pub if_error: u32,
    /// Seconds beyond that, while the target cannot be reached.
    pub disconnected: u32,
    /// Whether each use has to be asked for.
    pub no_cache: bool,
    /// Whether it may never be given stale, whatever a caller says.
    pub must_revalidate: bool,
}

/// Why an answer is not kept, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unstorable {
    /// Answers to this method are not.
    Method,
    /// This status is not.
    Status,
    /// It says no-store, or the caller does.
    NoStore,
    /// It is for one caller.
    Private,
    /// It is somebody's, and does not say that others may have it.
    Authorized,
    /// It says that nothing of the request selects it (`Vary: *`).
    Vary,
    /// Neither fresh for any time nor something that could be asked about.
    Lifetime,
}

impl Unstorable {
    /// The word for logs and Cache-Status.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Unstorable::Method => "method",
            Unstorable::Status => "status",
            Unstorable::NoStore => "no_store",
            Unstorable::Private => "private",
            Unstorable::Authorized => "authorized",
            Unstorable::Vary => "vary",
            Unstorable::Lifetime => "lifetime",
        }
    }
}

/// Statuses that may be given a lifetime that nobody stated (RFC 9110 section 15.1); not 206, whose
/// ranges are kept only where they say for how long.
const HEURISTIC: [u16; 11] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501];

/// Statuses whose rules for caching this cache follows (`must-understand`).
const UNDERSTOOD: [u16; 21] = [
    200, 203, 204, 206, 300, 301, 302, 303, 307, 308, 400, 404, 405, 410, 414, 421, 451, 500, 501,
    503, 504,
];

/// The terms on which an answer may be kept and given to others, and the fields that stay out of it.
///
/// # Errors
/// Why it may not be kept.
pub fn terms(received: &Received<'_>, rules: &Rules) -> Result<(Terms, Vec<String>), Unstorable> {
    let head = received.head;
    let aimed = targeted(&head.headers);
    let is_aimed = aimed.is_some();
    let control = aimed.unwrap_or_else(|| Control::of(&head.headers));
    may_be_kept(received, &control)?;
    let now = received.response_ms / 1000;
    let date = date_of(&head.headers, "date", now).unwrap_or(now);
    let lifetime = lifetime(head, &control, rules, date, now, is_aimed);
    let has_validator =
        head.headers.contains(HeaderId::ETag) || head.headers.get_named("last-modified").is_some();
    let seconds = lifetime.unwrap_or(0);
    let while_revalidate = control
        .stale_while_revalidate
        .unwrap_or(rules.while_revalidate);
    let if_error = control.stale_if_error.unwrap_or(rules.if_error);
    let useless = seconds == 0 && while_revalidate == 0 && if_error == 0 && !has_validator;
    let unusable = control.no_cache && !has_validator;
    if useless || unusable || (lifetime.is_none() && !has_validator) {
        return Err(Unstorable::Lifetime);
    }
    // RFC 9111 section 5.2.2.10: s-maxage means proxy-revalidate as well.
    let must_revalidate = control.must_revalidate || control.s_maxage.is_some();
    let strict = |seconds: u32| {
        if must_revalidate || control.no_cache {
            0
        } else {
            seconds
        }
    };
    let terms = Terms {
        born_ms: born_ms(received, date),
        lifetime: seconds,
        while_revalidate: strict(while_revalidate),
        if_error: strict(if_error),
        disconnected: strict(rules.disconnected),
        no_cache: control.no_cache,
        must_revalidate,
    };
    Ok((terms, control.withheld))
}

/// RFC 9111 section 3, except for freshness.
fn may_be_kept(received: &Received<'_>, control: &Control) -> Result<(), Unstorable> {
    let head = received.head;
    let status = head.status;
    let understands = UNDERSTOOD.contains(&status);
    let no_store = control.no_store && !(control.must_understand && understands);
    let by_method = match received.method {
        Method::Get => true,
        // What it answered with is what a GET of the same place would have (RFC 9110 section 9.3.3).
        Method::Post => control.has_lifetime() && (200..300).contains(&status),
        _ => false,
    };
    if !by_method {
        return Err(Unstorable::Method);
    }
    if status < 200 || status == 304 || (control.must_understand && !understands) {
        return Err(Unstorable::Status);
    }
    if no_store || received.asked.no_store {
        return Err(Unstorable::NoStore);
    }
    if control.private {
        return Err(Unstorable::Private);
    }
    let shared = control.public || control.must_revalidate || control.s_maxage.is_some();
    if received.authorized && !shared {
        return Err(Unstorable::Authorized);
    }
    if forbids_reuse(&head.headers) {
        return Err(Unstorable::Vary);
    }
    Ok(())
}

/// Seconds of freshness (section 4.2.1); `None` where there is nothing that says or suggests any.
fn lifetime(
    head: &ResponseHead,
    control: &Control,
    rules: &Rules,
    date: u64,
    now: u64,
    is_aimed: bool,
) -> Option<u32> {
    let headers = &head.headers;
    if let Some(seconds) = control.s_maxage.or(control.max_age) {
        return Some(seconds);
    }
    let clamp = |seconds: u64| {
        u32::try_from(seconds)
            .unwrap_or(u32::MAX)
            .min(crate::control::SECONDS_MAX)
    };
    let mut expires = headers.all_named("expires").filter(|_| !is_aimed);
    if let Some(first) = expires.next() {
        // Two of them, or one that cannot be read, mean the past (section 5.3).
        let until = parse_http_date(first, now).filter(|_| expires.next().is_none());
        return Some(clamp(until.map_or(0, |until| until.saturating_sub(date))));
    }
    // A cookie is somebody's: it is given to others only where the server says for how long.
    if headers.contains(HeaderId::SetCookie) {
        return None;
    }
    let status = head.status;
    let by_rule = rules
        .lifetimes
        .iter()
        .find(|(statuses, _)| statuses.contains(&status));
    if let Some((_, seconds)) = by_rule {
        return Some(*seconds);
    }
    let guesses = (HEURISTIC.contains(&status) || control.public) && status != 206;
    let changed = date_of(headers, "last-modified", now).filter(|_| guesses)?;
    let part = date.saturating_sub(changed) as f64 * rules.heuristic;
    Some(clamp(part as u64).min(rules.heuristic_max))
}

/// When its age was 0 (section 4.2.3).
fn born_ms(received: &Received<'_>, date: u64) -> u64 {
    let now = received.response_ms;
    let apparent = (now / 1000).saturating_sub(date) * 1000;
    let first = received.head.headers.get(HeaderId::Age);
    // A list is no number; its first member is what the nearest cache said.
    let stated = first.and_then(|value| delta_seconds(members(value).next()?));
    let delay = now.saturating_sub(received.request_ms);
    let corrected = u64::from(stated.unwrap_or(0)) * 1000 + delay;
    now.saturating_sub(apparent.max(corrected))
}

/// Seconds of UNIX time that a field says.
pub(crate) fn date_of(headers: &Headers, name: &str, now: u64) -> Option<u64> {
    parse_http_date(headers.get_named(name)?, now)
}

/// How a kept answer may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// As it is.
    Fresh,
    /// As it is, stale as the caller allows or while it is asked for again: that is the flag.
    Stale {
        /// Whether it is to be asked for again meanwhile.
        revalidate: bool,
    },
    /// After the target was asked.
    Validate,
}

impl Terms {
    /// Seconds of age.
    #[must_use]
    pub fn age(&self, now_ms: u64) -> u32 {
        u32::try_from(now_ms.saturating_sub(self.born_ms) / 1000).unwrap_or(u32::MAX)
    }

    /// Whether it is fresh for somebody who asks for nothing special.
    #[must_use]
    pub fn is_fresh(&self, now_ms: u64) -> bool {
        !self.no_cache && self.age(now_ms) < self.lifetime
    }

    /// How it may be used for a caller who wants `asked`.
    #[must_use]
    pub fn use_at(&self, now_ms: u64, asked: &Asked) -> Use {
        if self.no_cache || asked.no_cache {
            return Use::Validate;
        }
        let age = self.age(now_ms);
        if asked.max_age.is_some_and(|most| age > most) {
            return Use::Validate;
        }
        let left = self.lifetime.saturating_sub(age);
        if left > 0 && asked.min_fresh.is_none_or(|least| left >= least) {
            return Use::Fresh;
        }
        let beyond = age.saturating_sub(self.lifetime);
        if left > 0 || self.must_revalidate {
            return Use::Validate;
        }
        if asked.max_stale.is_some_and(|most| beyond <= most) {
            return Use::Stale { revalidate: false };
        }
        match beyond < self.while_revalidate && asked.min_fresh.is_none() {
            true => Use::Stale { revalidate: true },
            false => Use::Validate,
        }
    }

    /// Whether it may be given instead of an error; `disconnected` where the target could not be
    /// reached at all.
    #[must_use]
    pub fn may_replace_error(&self, now_ms: u64, asked: &Asked, disconnected: bool) -> bool {
        if self.must_revalidate || self.no_cache {
            return false;
        }
        let beyond = self.age(now_ms).saturating_sub(self.lifetime);
        let asked_for = asked.stale_if_error.unwrap_or(0);
        let most = self.if_error.max(asked_for);
        beyond < most || (disconnected && beyond < self.disconnected)
    }
}

#[cfg(test)]
#[path = "terms_tests.rs"]
mod tests;
