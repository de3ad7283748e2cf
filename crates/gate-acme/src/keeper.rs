//! What is done when: taking what lies on the shelf into use, and ordering what is due.

use crate::order::{Orders, Secrets};
use crate::renewal::Held;
use crate::state::{self, ADVICE, Advice, CERTIFICATES, CHALLENGES, Certificate, Challenges};
use crate::wire::Wire;
use crate::{AcmeError, Shelf, validity};
use gate_kit::random;
use gate_model::resources::Acme;
use gate_net::tls::{Managed, ManagedCertificate};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long an authority that did not answer is not asked for advice.
const UNANSWERED: Duration = Duration::from_secs(3600);

/// How patient everything is.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Between two questions to the authority, at first.
    pub poll: Duration,
    /// For each wait for the authority.
    pub patience: Duration,
    /// For other gateways to take a challenge from the shelf.
    pub spread: Duration,
    /// After the first failure of a name; doubled with each that follows.
    pub rest: Duration,
    /// The longest rest.
    pub rest_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            poll: Duration::from_millis(500),
            patience: Duration::from_secs(60),
            spread: Duration::from_secs(4),
            // Let's Encrypt allows five failures an hour for a name.
            rest: Duration::from_secs(300),
            rest_max: Duration::from_secs(6 * 3600),
        }
    }
}

/// What certificates are wanted of whom.
#[derive(Clone)]
pub struct Wanted {
    /// The settings.
    pub settings: Acme,
    /// DNS names, each of which gets a certificate.
    pub names: BTreeSet<String>,
    /// The external account's key, decoded.
    pub external_account: Option<Vec<u8>>,
    /// What the webhook is shown as its bearer token.
    pub webhook: Option<String>,
}

/// One gateway's part in keeping certificates.
pub struct Keeper {
    managed: Arc<Managed>,
    pace: Pace,
    seen: BTreeMap<String, u64>,
    certificates: BTreeMap<String, Held>,
    /// What authorities advise, by name.
    advice: BTreeMap<String, Advice>,
    /// Names about which no advice was to be had, and until when none is asked for.
    unanswered: BTreeMap<String, Duration>,
    resting: BTreeMap<String, Rest>,
    runtime: tokio::runtime::Runtime,
}

/// What is to be done for a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    /// Its certificate is due.
    Order(String),
    /// Its authority may have something to say about renewing it.
    Ask(String),
}

/// A name whose order failed.
struct Rest {
    failures: u32,
    /// UNIX time.
    until: Duration,
}

impl Keeper {
    /// A keeper that takes certificates into use here.
    ///
    /// # Errors
    /// When the system has no descriptors for a runtime.
    pub fn new(managed: Arc<Managed>, pace: Pace) -> Result<Self, AcmeError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build();
        Ok(Self {
            managed,
            pace,
            seen: BTreeMap::new(),
            certificates: BTreeMap::new(),
            advice: BTreeMap::new(),
            unanswered: BTreeMap::new(),
            resting: BTreeMap::new(),
            runtime: runtime.map_err(|error| AcmeError::of("no runtime", error))?,
        })
    }

    /// Takes what others laid on the shelf into use, and orders at most one certificate that is due
    /// at `now` (UNIX time), or asks the authority when one should be renewed. Blocks for as long as
    /// that takes, with limits.
    ///
    /// # Errors
    /// Why the shelf could not be asked, or the order failed; what was in use stays so.
    pub fn tick(
        &mut self,
        shelf: &mut dyn Shelf,
        wanted: &Wanted,
        now: Duration,
    ) -> Result<(), AcmeError> {
        self.take(shelf)?;
        let Some(task) = self.task(wanted, now) else {
            return Ok(());
        };
        if !shelf.leads()? {
            return Ok(());
        }
        let done = self.lead(shelf, wanted, &task, now);
        shelf.resign();
        done
    }

    /// Does what is to be done, unless somebody else did it who led until a moment ago.
    fn lead(
        &mut self,
        shelf: &mut dyn Shelf,
        wanted: &Wanted,
        task: &Task,
        now: Duration,
    ) -> Result<(), AcmeError> {
        self.take(shelf)?;
        if self.task(wanted, now).as_ref() != Some(task) {
            return Ok(());
        }
        match task {
            Task::Order(name) => {
                let ordered = self.order(shelf, wanted, name);
                self.settle(name, ordered, now)
            }
            Task::Ask(name) => self.ask(shelf, wanted, name, now),
        }
    }

    fn order(
        &self,
        shelf: &mut dyn Shelf,
        wanted: &Wanted,
        name: &str,
    ) -> Result<Certificate, AcmeError> {
        let held = self.certificates.get(name);
        // Whoever advises wants to know what is replaced; others refuse to hear of it.
        let advised = |held: &&Held| held.advised(self.advice.get(name)).is_some();
        let replaces = held.filter(advised).and_then(Held::identifier);
        let orders = self.orders(wanted)?;
        self.runtime.block_on(orders.order(shelf, name, replaces))
    }

    /// Asks the authority when a certificate should be renewed, and lays the answer on the shelf. An
    /// authority that does not answer is no reason for anything but asking again.
    fn ask(
        &mut self,
        shelf: &mut dyn Shelf,
        wanted: &Wanted,
        name: &str,
        now: Duration,
    ) -> Result<(), AcmeError> {
        let Some(held) = self.certificates.get(name) else {
            return Ok(());
        };
        let Some(identifier) = held.identifier() else {
            return Ok(());
        };
        let answer = {
            let orders = self.orders(wanted)?;
            self.runtime.block_on(orders.advice(shelf, &identifier))
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(name, %error, "the authority does not say when to renew");
                self.unanswered.insert(name.to_owned(), now + UNANSWERED);
                return Ok(());
            }
        };
        let Some(advice) = held.advice(answer, now) else {
            return Ok(());
        };
        shelf.put(&Advice::place(name), &state::write(&advice)?)?;
        self.unanswered.remove(name);
        self.advice.insert(name.to_owned(), advice);
        Ok(())
    }

    fn orders<'a>(&'a self, wanted: &'a Wanted) -> Result<Orders<'a>, AcmeError> {
        let settings = &wanted.settings;
        Ok(Orders {
            settings,
            secrets: Secrets {
                external_account: wanted.external_account.clone(),
                webhook: wanted.webhook.clone(),
            },
            wire: Wire::new(&settings.directory, settings.authorities.clone())?,
            pace: &self.pace,
            show: Box::new(|challenges| show(&self.managed, challenges)),
        })
    }

    /// Takes what came of an order into account.
    fn settle(
        &mut self,
        name: &str,
        ordered: Result<Certificate, AcmeError>,
        now: Duration,
    ) -> Result<(), AcmeError> {
        match ordered {
            Ok(certificate) => {
                tracing::info!(name, "a certificate came");
                self.managed.ordered(true);
                self.resting.remove(name);
                let held = Held::new(certificate);
                self.certificates.insert(name.to_owned(), held);
                self.publish();
                Ok(())
            }
            Err(error) => {
                self.managed.ordered(false);
                let rest = self.resting.entry(name.to_owned()).or_insert(Rest {
                    failures: 0,
                    until: now,
                });
                let doubled = self.pace.rest.saturating_mul(1 << rest.failures.min(16));
                rest.failures += 1;
                // Up to a quarter more, so that gateways and names do not come back together.
                let pause = doubled.min(self.pace.rest_max);
                rest.until = now + pause + pause.mul_f64(fraction() / 4.0);
                Err(AcmeError(format!("no certificate for {name}: {error}")))
            }
        }
    }

    /// Looks whether anything on the shelf is another than it was, and takes that into use.
    fn take(&mut self, shelf: &mut dyn Shelf) -> Result<(), AcmeError> {
        let places = shelf.list()?;
        let mut changed = false;
        for (place, version) in &places {
            if self.seen.get(place) == Some(version) {
                continue;
            }
            if let Some(bytes) = shelf.get(place)? {
                if place == CHALLENGES {
                    show(&self.managed, &state::read::<Challenges>(place, &bytes)?);
                } else if place.starts_with(CERTIFICATES) {
                    let certificate: Certificate = state::read(place, &bytes)?;
                    self.certificates
                        .insert(certificate.name.clone(), Held::new(certificate));
                    changed = true;
                } else if place.starts_with(ADVICE) {
                    let advice: Advice = state::read(place, &bytes)?;
                    self.advice.insert(advice.name.clone(), advice);
                }
            }
            self.seen.insert(place.clone(), *version);
        }
        if changed {
            self.publish();
        }
        Ok(())
    }

    /// Hands all certificates to the handshakes.
    fn publish(&self) {
        let certificates = self.certificates.values();
        let managed = certificates.filter_map(|Held { certificate, .. }| {
            let loaded = ManagedCertificate::from_pem(&certificate.name, &certificate.chain, &certificate.key);
            match loaded {
                Ok(mut loaded) => {
                    loaded.expires = validity(loaded.leaf()).map(|validity| validity.ends);
                    Some(loaded)
                }
                Err(error) => {
                    tracing::error!(name = certificate.name, %error, "a kept certificate cannot be used");
                    None
                }
            }
        });
        self.managed.replace(managed.collect());
    }

    /// What is to be done first.
    fn task(&self, wanted: &Wanted, now: Duration) -> Option<Task> {
        let due = self.due(wanted, now).map(Task::Order);
        due.or_else(|| self.to_ask(wanted, now).map(Task::Ask))
    }

    /// The certificate that is held for a name, from the authority that is configured.
    fn held(&self, wanted: &Wanted, name: &str) -> Option<&Held> {
        let held = self.certificates.get(name);
        held.filter(|held| held.certificate.directory == wanted.settings.directory)
    }

    /// A name whose certificate is due, and that is not resting.
    fn due(&self, wanted: &Wanted, now: Duration) -> Option<String> {
        let rested = |name: &&String| self.resting.get(*name).is_none_or(|rest| rest.until <= now);
        let due = |name: &&String| {
            let held = self.held(wanted, name);
            let renewal =
                held.and_then(|held| held.renewal(&wanted.settings, self.advice.get(*name)));
            renewal.is_none_or(|at| at <= now)
        };
        wanted.names.iter().filter(rested).find(due).cloned()
    }

    /// A name about whose certificate the authority is to be asked.
    fn to_ask(&self, wanted: &Wanted, now: Duration) -> Option<String> {
        let answers = |name: &&String| self.unanswered.get(*name).is_none_or(|until| *until <= now);
        let asked = |name: &&String| {
            let held = self.held(wanted, name);
            held.is_some_and(|held| held.is_to_be_asked(self.advice.get(*name), now))
        };
        wanted.names.iter().filter(answers).find(asked).cloned()
    }
}

/// A number from 0 to 1.
fn fraction() -> f64 {
    (random::bits() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Takes challenges into use: tokens as they are, names as self-signed certificates that carry the
/// authorisation's digest (RFC 8737 section 3).
fn show(managed: &Managed, challenges: &Challenges) {
    let tokens = challenges.http.iter();
    managed.show_tokens(tokens.map(|shown| (shown.at.clone(), shown.key_authorization.clone())));
    let certificates = challenges.tls_alpn.iter().filter_map(|shown| {
        let made = proof(&shown.at, &shown.key_authorization);
        made.inspect_err(|error| tracing::error!(name = shown.at, %error, "nothing can be shown"))
            .ok()
    });
    managed.show_certificates(certificates.collect());
}

fn proof(name: &str, key_authorization: &str) -> Result<ManagedCertificate, AcmeError> {
    let fail = |error: rcgen::Error| AcmeError::of(name, error);
    let digest = gate_net::tls::sha256(key_authorization.as_bytes());
    let mut parameters = CertificateParams::new([name.to_owned()]).map_err(fail)?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate().map_err(fail)?;
    let certificate = parameters.self_signed(&key).map_err(fail)?;
    let made = ManagedCertificate::proof(name, &certificate.pem(), &key.serialize_pem());
    made.map_err(|error| AcmeError::of(name, error))
}
