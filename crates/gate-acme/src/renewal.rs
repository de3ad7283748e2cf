//! When a certificate is renewed: what its life says, and what its authority advises (RFC 9773).

use crate::der::{self, Identity};
use crate::state::{Advice, Certificate};
use crate::{Validity, validity};
use gate_model::resources::Acme;
use gate_net::tls::ManagedCertificate;
use instant_acme::CertificateIdentifier;
use rustls_pki_types::Der;
use std::time::Duration;

/// From when to when a certificate is to be renewed, as UNIX seconds.
pub(crate) type Window = (u64, u64);

/// The limits of how soon an authority is asked again (section 4.3.2).
const AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(86_400));

/// A certificate with what its renewal depends on.
pub(crate) struct Held {
    pub(crate) certificate: Certificate,
    validity: Option<Validity>,
    identity: Option<Identity>,
}

impl Held {
    pub(crate) fn new(certificate: Certificate) -> Self {
        let (chain, key) = (&certificate.chain, &certificate.key);
        let loaded = ManagedCertificate::from_pem(&certificate.name, chain, key).ok();
        let leaf = loaded.as_ref().map(ManagedCertificate::leaf);
        Self {
            validity: leaf.and_then(validity),
            identity: leaf.and_then(der::identity),
            certificate,
        }
    }

    /// What its authority calls it.
    pub(crate) fn identifier(&self) -> Option<CertificateIdentifier<'_>> {
        let identity = self.identity.as_ref()?;
        Some(CertificateIdentifier::new(
            Der::from_slice(&identity.authority),
            Der::from_slice(&identity.serial),
        ))
    }

    /// What it is called in what is kept about it.
    pub(crate) fn called(&self) -> Option<String> {
        self.identifier().map(|identifier| identifier.to_string())
    }

    /// When it is to be renewed; none where that is not known, so that it is due. With a third of its
    /// life left, or as configured, and up to a twentieth of its life earlier, by its name, so that
    /// not all come due at once. An authority that advises a time gets it, though not later than is
    /// configured, or than with a tenth of the life left where nothing is.
    pub(crate) fn renewal(&self, settings: &Acme, advice: Option<&Advice>) -> Option<Duration> {
        let validity = self.validity?;
        let life = validity.ends.saturating_sub(validity.begins);
        let configured = settings
            .renew_before
            .map(|before| before.duration().min(life));
        let name = &self.certificate.name;
        let earlier = life.mul_f64(spread(name) / 20.0);
        let own = validity.ends.saturating_sub(configured.unwrap_or(life / 3));
        let own = own.saturating_sub(earlier);
        let Some((begins, ends)) = self.advised(advice) else {
            return Some(own);
        };
        // A time drawn from the window (section 4.2), the same by every gateway that draws.
        let share = self.called().map_or(0.0, |called| spread(&called));
        let window = Duration::from_secs(ends.saturating_sub(begins));
        let advised = Duration::from_secs(begins) + window.mul_f64(share);
        let latest = match configured {
            Some(_) => own,
            None => validity.ends.saturating_sub(life / 10),
        };
        Some(advised.min(latest))
    }

    /// The window that is advised for this certificate.
    pub(crate) fn advised(&self, advice: Option<&Advice>) -> Option<Window> {
        let advice = advice?;
        (Some(&advice.certificate) == self.called().as_ref())
            .then_some(advice.window)
            .flatten()
    }

    /// Whether the authority is to be asked about it.
    pub(crate) fn is_to_be_asked(&self, advice: Option<&Advice>, now: Duration) -> bool {
        let Some(called) = self.called() else {
            return false;
        };
        advice.is_none_or(|advice| advice.certificate != called || advice.again_s <= now.as_secs())
    }

    /// What is kept of an answer; `None` where the authority advises nothing.
    pub(crate) fn advice(
        &self,
        answer: Option<(Window, Duration)>,
        now: Duration,
    ) -> Option<Advice> {
        let pause = answer.map_or(AGAIN.1, |(_, pause)| pause);
        Some(Advice {
            name: self.certificate.name.clone(),
            certificate: self.called()?,
            window: answer.map(|(window, _)| window),
            again_s: (now + pause.clamp(AGAIN.0, AGAIN.1)).as_secs(),
        })
    }
}

/// A number from 0 to 1 that differs from text to text.
fn spread(text: &str) -> f64 {
    let bytes = text.bytes();
    let sum = bytes.fold(0_u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(byte.into())
    });
    f64::from(sum % 1000) / 1000.0
}
