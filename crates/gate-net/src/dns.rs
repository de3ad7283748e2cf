//! Names to addresses, with the lifetimes DNS gives them.
//!
//! The system's configuration (`/etc/resolv.conf`, `/etc/hosts`) decides who is asked. Answers are
//! kept for their TTL, refusals for a little while, and an answer that has run out still serves
//! when its name server has gone silent (RFC 8767), because yesterday's address beats none. What
//! is connected to, and whether it may be, is not decided here.

use gate_kit::clock::{Clock, Moment};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Names kept; beyond that, the one that runs out first makes room.
pub const NAMES_MAX: usize = 4096;
/// Addresses kept of one name.
pub const ADDRESSES_MAX: usize = 64;
/// Questions under way at once; further ones wait within their deadline.
const QUESTIONS_MAX: usize = 64;
/// Bounds on what a TTL may ask for: no hammering, and no answer for days.
const TTL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
/// How long a name that does not exist is remembered, when the zone does not say (RFC 2308).
const NEGATIVE: Duration = Duration::from_secs(5);
/// How long an answer may serve after it has run out, and for how long at a time (RFC 8767).
const STALE: Duration = Duration::from_secs(24 * 3600);
const STALE_STEP: Duration = Duration::from_secs(30);
/// Longest time one question may take, over all its tries.
const DEADLINE: Duration = Duration::from_secs(5);

/// Addresses of one name, and until when they hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// At least one address, in the order of the answer.
    pub addresses: Arc<[SocketAddr]>,
    /// When to ask again; the far future for a literal address.
    pub expires: Moment,
}

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DnsError {
    /// The name does not exist or has no address; cached.
    #[error("`{0}` does not exist or has no address")]
    NotFound(String),
    /// It cannot be a host name.
    #[error("`{0}` is not a host name")]
    Invalid(String),
    /// No name server answered usefully.
    #[error("no answer for `{name}`: {detail}")]
    Unavailable {
        /// The name asked for.
        name: String,
        /// The cause.
        detail: String,
    },
}

/// A resolver with its cache; clones share both, also between workers. Use it inside runtimes that
/// live as long as the process: a question's socket belongs to the runtime that asked first.
#[derive(Clone)]
pub struct Dns(Arc<Shared>);

struct Shared {
    clock: Clock,
    /// Made with the first question, unless it was said before who is asked.
    resolver: OnceLock<Result<TokioResolver, String>>,
    names: Mutex<HashMap<Box<str>, Entry>>,
    questions: Semaphore,
}

#[derive(Clone)]
struct Entry {
    /// Empty when the name is known not to exist.
    addresses: Arc<[IpAddr]>,
    expires: Moment,
    /// Until when the addresses may serve if no name server answers.
    stale: Moment,
}

impl Dns {
    /// A resolver with the system's configuration.
    ///
    /// A system without a usable one still resolves literal addresses; every other name then fails
    /// with the reason.
    #[must_use]
    pub fn system(clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            resolver: OnceLock::new(),
            names: Mutex::default(),
            questions: Semaphore::new(QUESTIONS_MAX),
        }))
    }

    /// A resolver that asks only these name servers, over UDP and TCP.
    #[must_use]
    pub fn servers(clock: Clock, servers: &[SocketAddr]) -> Self {
        let dns = Self::system(clock);
        dns.ask_only(servers);
        dns
    }

    /// From now on only these name servers are asked, unless somebody has been asked before.
    pub fn ask_only(&self, servers: &[SocketAddr]) {
        use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
        use hickory_resolver::net::runtime::TokioRuntimeProvider;
        let servers = servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
            let connections = connections.map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.cache_size = 0;
        options.timeout = Duration::from_secs(1);
        let resolver = builder.build().map_err(|error| error.to_string());
        let _ = self.0.resolver.set(resolver);
    }

    /// The addresses of a host: a literal (IPv6 with or without brackets) or a name. Takes at most
    /// five seconds; may be dropped midway.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Resolved, DnsError> {
        if let Some(address) = literal(host) {
            return Ok(Resolved {
                addresses: Arc::new([SocketAddr::new(address, port)]),
                expires: Moment(u64::MAX),
            });
        }
        let name = checked_name(host)?;
        let entry = match self.fresh(&name) {
            Some(entry) => entry,
            None => self.ask(&name).await?,
        };
        if entry.addresses.is_empty() {
            return Err(DnsError::NotFound(name));
        }
        Ok(Resolved {
            addresses: entry
                .addresses
                .iter()
                .map(|&address| SocketAddr::new(address, port))
                .collect(),
            expires: entry.expires,
        })
    }

    fn fresh(&self, name: &str) -> Option<Entry> {
        let now = self.0.clock.now();
        self.known(name).filter(|entry| entry.expires > now)
    }

    fn known(&self, name: &str) -> Option<Entry> {
        let names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(name).cloned()
    }

    async fn ask(&self, name: &str) -> Result<Entry, DnsError> {
        let unavailable = |detail: String| DnsError::Unavailable {
            name: name.to_owned(),
            detail,
        };
        let resolver = self.0.resolver.get_or_init(systems).as_ref();
        let resolver = resolver.map_err(|detail| unavailable(detail.clone()))?;
        let answer = tokio::time::timeout(DEADLINE, async {
            let _permit = self.0.questions.acquire().await;
            // Somebody else may have asked while this question waited its turn.
            match self.fresh(name) {
                Some(entry) => Ok(entry),
                None => self.lookup(resolver, name).await,
            }
        });
        let failure = match answer.await {
            Ok(Ok(entry)) => {
                self.keep(name, &entry);
                return Ok(entry);
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the deadline passed".to_owned(),
        };
        let now = self.0.clock.now();
        let stale = self
            .known(name)
            .filter(|entry| entry.stale > now && !entry.addresses.is_empty());
        let Some(mut entry) = stale else {
            return Err(unavailable(failure));
        };
        tracing::warn!(name, detail = %failure, "no name server answers; using the last answer");
        entry.expires = now.plus(STALE_STEP);
        self.keep(name, &entry);
        Ok(entry)
    }

    async fn lookup(&self, resolver: &TokioResolver, name: &str) -> Result<Entry, NetError> {
        let answer = resolver.lookup_ip(name).await;
        let now = self.0.clock.now();
        match answer {
            Ok(found) => {
                let records = found.as_lookup().answers();
                let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
                let ttl = Duration::from_secs(ttl.into()).clamp(*TTL.start(), *TTL.end());
                let expires = now.plus(ttl);
                Ok(Entry {
                    addresses: found.iter().take(ADDRESSES_MAX).collect(),
                    expires,
                    stale: expires.plus(STALE),
                })
            }
            Err(error) if error.is_no_records_found() => Ok(Entry {
                addresses: Arc::new([]),
                expires: now.plus(negative_ttl(&error)),
                stale: now,
            }),
            Err(error) => Err(error),
        }
    }

    fn keep(&self, name: &str, entry: &Entry) {
        let mut names = self.0.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_MAX && !names.contains_key(name) {
            let soonest = names.iter().min_by_key(|(_, entry)| entry.expires);
            if let Some(victim) = soonest.map(|(name, _)| name.clone()) {
                names.remove(&victim);
            }
        }
        names.insert(name.into(), entry.clone());
    }
}

impl std::fmt::Debug for Dns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dns")
    }
}

/// What the system's configuration says.
fn systems() -> Result<TokioResolver, String> {
    let resolver = TokioResolver::builder_tokio().and_then(|mut builder| {
        let options = builder.options_mut();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        options.use_hosts_file = ResolveHosts::Always;
        options.cache_size = 0;
        builder.build()
    });
    resolver.map_err(|error| error.to_string())
}

fn negative_ttl(error: &NetError) -> Duration {
    use hickory_resolver::net::DnsError::NoRecordsFound;
    match error {
        NetError::Dns(NoRecordsFound(none)) => none.negative_ttl.map_or(NEGATIVE, |seconds| {
            Duration::from_secs(seconds.into()).clamp(*TTL.start(), Duration::from_secs(60))
        }),
        _ => NEGATIVE,
    }
}

/// The address that a host is, when it is one.
pub(crate) fn literal(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

/// RFC 1123 names, with the underscore that service names use; at most 253 bytes.
fn checked_name(host: &str) -> Result<String, DnsError> {
    let bare = host.strip_suffix('.').unwrap_or(host);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if bare.len() <= 253 && bare.split('.').all(label) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err(DnsError::Invalid(host.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_need_no_question() {
        assert_eq!(literal("[::1]"), Some("::1".parse().expect("valid")));
        assert_eq!(
            literal("10.0.0.1"),
            Some("10.0.0.1".parse().expect("valid"))
        );
        assert_eq!(literal("example.com"), None);
    }

    #[test]
    fn only_host_names_are_asked_for() {
        assert_eq!(
            checked_name("API.example.com."),
            Ok("api.example.com.".into())
        );
        let long = "a".repeat(64);
        for bad in ["", "a b", "a..b", "a\r\nb", "[::1", long.as_str()] {
            assert_eq!(
                checked_name(bad),
                Err(DnsError::Invalid(bad.into())),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_cache_is_bounded_and_drops_what_runs_out_first() {
        let (clock, _) = Clock::manual();
        let dns = Dns::system(clock);
        for n in 0..=NAMES_MAX as u64 {
            let entry = Entry {
                addresses: Arc::new([]),
                expires: Moment(n),
                stale: Moment(n),
            };
            dns.keep(&format!("n{n}"), &entry);
        }
        assert!(dns.known("n0").is_none());
        assert!(dns.known("n1").is_some());
        assert_eq!(dns.0.names.lock().expect("not poisoned").len(), NAMES_MAX);
    }
}
