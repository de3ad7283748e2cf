//! One compiled rule: whether it fits a request, and what follows.

use super::agent::Agent;
use super::blocks::Blocks;
use super::config::{AccessRule, CountBy, Then};
use super::database::{Place, letters};
use super::glob::Glob;
use crate::places::HeaderName;
use crate::rates::{Table, Window, compile_window, secret};
use gate_flow::{CompileContext, Exchange, Reads};
use gate_kit::http::Headers;
use smallvec::SmallVec;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Most labels of one policy: they are bits of a number.
pub(super) const LABELS_MAX: usize = 64;
/// The code of an unknown country, as CLDR writes it.
const UNKNOWN: [u8; 2] = *b"ZZ";

/// One compiled rule.
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) then: Then,
    /// The label it gives, as a bit.
    pub(super) gives: u64,
    /// More bytes of body than this.
    pub(super) larger_than: Option<u64>,
    addresses: Option<Blocks>,
    countries: Vec<[u8; 2]>,
    networks: Vec<u32>,
    methods: Vec<Box<str>>,
    paths: Vec<Glob>,
    headers: Vec<(HeaderName, Glob)>,
    without: Vec<HeaderName>,
    agents: Vec<Agent>,
    labelled: u64,
    rate: Option<Counted>,
}

/// A rate and who is counted together.
struct Counted {
    by: CountBy,
    window: Window,
    table: Arc<Table>,
}

/// What rules look at, besides the request itself.
pub(super) struct Caller {
    pub(super) address: IpAddr,
    pub(super) place: Place,
    pub(super) agent: Agent,
    /// Labels so far, as bits.
    pub(super) labels: u64,
}

/// What came of asking a rule.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fit {
    /// It does not fit.
    No,
    /// It fits.
    Yes,
    /// It fits, because the rate is used up for so long.
    Beyond(Duration),
    /// It fits if the body, whose length is not known, grows beyond `larger_than`.
    IfLarger,
}

impl Rule {
    /// Compiles a rule; `labels` are the names of the bits, to which it adds.
    pub(super) fn compile(
        rule: AccessRule,
        labels: &mut Vec<String>,
        context: &CompileContext<'_>,
        policy: &str,
    ) -> Result<Self, String> {
        let name = rule.name.clone();
        let about = |problem: String| format!("rule `{name}`: {problem}");
        if name.is_empty() || name.len() > 64 {
            return Err(about("a name has 1 to 64 bytes".into()));
        }
        let rate = rule.rate.map(|rate| {
            // Another rate is another state: an allowance of one means nothing in the other.
            let identity = format!("{}/{name}/{rate}/{:?}", context.identity(policy), rule.by);
            let secret = secret()?;
            Ok::<_, String>(Counted {
                by: rule.by,
                window: compile_window(rate, rate.count())?,
                table: context
                    .state
                    .get_or_insert(&identity, || Table::new(secret)),
            })
        });
        let compiled = Self {
            rate: rate.transpose().map_err(about)?,
            labelled: known(&rule.labelled, labels).map_err(about)?,
            gives: given(rule.label.as_deref(), labels).map_err(about)?,
            then: rule.then,
            larger_than: rule.larger_than.map(gate_model::units::ByteSize::bytes),
            addresses: match rule.addresses.as_slice() {
                [] => None,
                list => Some(Blocks::parse(list).map_err(about)?),
            },
            countries: all(&rule.countries, country).map_err(about)?,
            networks: all(&rule.networks, network).map_err(about)?,
            methods: rule.methods.into_iter().map(Into::into).collect(),
            paths: rule
                .paths
                .iter()
                .map(|path| Glob::new(path, false))
                .collect(),
            headers: rule
                .headers
                .iter()
                .map(header)
                .collect::<Result<_, _>>()
                .map_err(about)?,
            without: all(&rule.without, |name| HeaderName::parse(name)).map_err(about)?,
            agents: rule.agents,
            name: rule.name.into(),
        };
        if compiled.looks_at_nothing() && compiled.then != Then::Block {
            return Err(about(
                "it looks at nothing, so that it would fit every request".into(),
            ));
        }
        Ok(compiled)
    }

    fn looks_at_nothing(&self) -> bool {
        self.addresses.is_none()
            && self.countries.is_empty()
            && self.networks.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
            && self.headers.is_empty()
            && self.without.is_empty()
            && self.agents.is_empty()
            && self.larger_than.is_none()
            && self.labelled == 0
            && self.rate.is_none()
    }

    /// Whether countries or networks are looked at, for which a database is needed.
    pub(super) fn needs_place(&self) -> bool {
        let counts = self.rate.as_ref().map(|rate| rate.by);
        let by_place = matches!(counts, Some(CountBy::Country | CountBy::Network));
        !self.countries.is_empty() || !self.networks.is_empty() || by_place
    }

    /// Whether kinds of programs are looked at.
    pub(super) fn needs_agent(&self) -> bool {
        !self.agents.is_empty()
    }

    /// Whether requests are counted.
    pub(super) fn counts(&self) -> bool {
        self.rate.is_some()
    }

    /// What it reads of a request, for replays.
    pub(super) fn reads(&self) -> Reads {
        let names = self.headers.iter().map(|(name, _)| name.as_str());
        let mut reads = Reads::of_headers(names.chain(self.without.iter().map(HeaderName::as_str)));
        if self.needs_agent() {
            reads.add(&Reads::of_headers([
                "user-agent",
                "accept-language",
                "sec-fetch-mode",
            ]));
        }
        if self.larger_than.is_some() {
            reads.add(&Reads::beyond("the body's length"));
        }
        reads
    }

    /// Whether it fits. Counts the request where it has a rate.
    pub(super) fn fits(&self, exchange: &Exchange, caller: &Caller) -> Fit {
        let head = &exchange.request.head;
        let fits = caller.labels & self.labelled == self.labelled
            && is_any(&self.methods, |method| **method == *head.method.as_str())
            && self
                .addresses
                .as_ref()
                .is_none_or(|blocks| blocks.contain(caller.address))
            && is_any(&self.countries, |code| {
                *code == caller.place.country.unwrap_or(UNKNOWN)
            })
            && is_any(&self.networks, |number| {
                caller.place.network == Some(*number)
            })
            && is_any(&self.paths, |path| path.fits(head.path().as_bytes()))
            && is_any(&self.agents, |agent| *agent == caller.agent)
            && self.fields_fit(&head.headers);
        if !fits {
            return Fit::No;
        }
        if let Some(most) = self.larger_than {
            match exchange.request.body.length() {
                Some(length) if length <= most => return Fit::No,
                None if self.then == Then::Block && self.rate.is_none() => return Fit::IfLarger,
                None => return Fit::No,
                Some(_) => {}
            }
        }
        self.rate
            .as_ref()
            .map_or(Fit::Yes, |rate| rate.fits(exchange, caller))
    }

    fn fields_fit(&self, headers: &Headers) -> bool {
        let has = |(name, glob): &(HeaderName, Glob)| name.all(headers).any(|v| glob.fits(v));
        self.headers.iter().all(has)
            && self
                .without
                .iter()
                .all(|name| name.all(headers).next().is_none())
    }
}

impl Counted {
    fn fits(&self, exchange: &Exchange, caller: &Caller) -> Fit {
        // A copy is none of the caller's requests.
        if exchange.trial.is_copied() {
            return Fit::No;
        }
        let mut key: SmallVec<[u8; 16]> = SmallVec::new();
        let domain = match (self.by, caller.address) {
            (CountBy::Address, IpAddr::V4(address)) => {
                key.extend(address.octets());
                b'4'
            }
            (CountBy::Address, IpAddr::V6(address)) => {
                key.extend_from_slice(&address.octets()[..8]);
                b'6'
            }
            (CountBy::Country, _) => {
                key.extend(caller.place.country.unwrap_or(UNKNOWN));
                b'c'
            }
            (CountBy::Network, _) => {
                key.extend(caller.place.network.unwrap_or(0).to_be_bytes());
                b'n'
            }
            (CountBy::Everybody, _) => b'e',
        };
        let windows = std::slice::from_ref(&self.window);
        let decision = self.table.admit(domain, &key, windows, exchange.moment);
        if decision.admitted {
            return Fit::No;
        }
        Fit::Beyond(
            decision
                .standings
                .first()
                .map(|s| s.wait)
                .unwrap_or_default(),
        )
    }
}

/// Whether a list is empty, which asks for nothing, or one of it fits.
fn is_any<T>(list: &[T], fits: impl Fn(&T) -> bool) -> bool {
    list.is_empty() || list.iter().any(fits)
}

fn all<'a, T, R>(
    list: impl IntoIterator<Item = &'a T>,
    read: impl Fn(&'a T) -> Result<R, String>,
) -> Result<Vec<R>, String>
where
    T: 'a,
{
    list.into_iter().map(read).collect()
}

fn country(text: &String) -> Result<[u8; 2], String> {
    letters(text).ok_or_else(|| format!("`{text}` is no country code (ISO 3166-1 alpha-2)"))
}

fn network(text: &String) -> Result<u32, String> {
    let number = text.strip_prefix("AS").or_else(|| text.strip_prefix("as"));
    let number = number.and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("`{text}` is no autonomous system, such as AS64496"))
}

fn header((name, pattern): (&String, &String)) -> Result<(HeaderName, Glob), String> {
    Ok((HeaderName::parse(name)?, Glob::new(pattern, true)))
}

/// The bits of labels that rules before this one give.
fn known(wanted: &[String], labels: &[String]) -> Result<u64, String> {
    wanted.iter().try_fold(0, |bits, label| {
        let known = labels.iter().position(|known| known == label);
        let bit = known.ok_or_else(|| format!("no rule before it gives the label `{label}`"))?;
        Ok(bits | 1 << bit)
    })
}

/// The bit of the label that this rule gives.
fn given(label: Option<&str>, labels: &mut Vec<String>) -> Result<u64, String> {
    let Some(label) = label else {
        return Ok(0);
    };
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
    if label.is_empty() || label.len() > 64 || !label.bytes().all(fine) {
        return Err(format!(
            "`{label}` is no label: letters, digits, `-`, `_`, `.` and `:`"
        ));
    }
    let bit = match labels.iter().position(|known| known == label) {
        Some(bit) => bit,
        None if labels.len() == LABELS_MAX => {
            return Err(format!("at most {LABELS_MAX} labels are given"));
        }
        None => {
            labels.push(label.to_owned());
            labels.len() - 1
        }
    };
    Ok(1 << bit)
}
