//! What an authority takes, finds out and gives: orders, whether a challenge is answered, certificates,
//! and when they are to be renewed.

use super::super::world;
use super::{Authority, Order, Refused, Reply, Signed, jws, object};
use aws_lc_rs::digest;
use gate_kit::clock::Clock;
use gate_model::units::Timestamp;
use rcgen::CertificateSigningRequestParams;
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

impl Authority {
    /// Looks whether the challenge is answered, again and again until patience ends.
    pub(super) fn look(self: &Arc<Self>, number: usize, account: &str) {
        let (authority, account) = (self.clone(), account.to_owned());
        let looking = std::thread::spawn(move || {
            let began = Instant::now();
            let mut shows = authority.shows(number, &account);
            while !shows && began.elapsed() < authority.patience {
                std::thread::sleep(Duration::from_millis(100));
                shows = authority.shows(number, &account);
            }
            let mut state = authority.state.lock().unwrap();
            let order = &mut state.orders[number];
            (order.challenge, order.status) = match shows {
                true => ("valid", "ready"),
                false => ("invalid", "invalid"),
            };
            let name = order.name.trim_start_matches("*.");
            order.error =
                (!shows).then(|| format!("nothing at {name} shows the key authorisation"));
        });
        if self.patience.is_zero() {
            looking.join().unwrap();
        }
    }

    /// Looks in all three ways; one of them must show the key authorisation, wherever the name leads.
    fn shows(&self, number: usize, account: &str) -> bool {
        let (token, name, thumbprint) = {
            let state = self.state.lock().unwrap();
            let order = &state.orders[number];
            let name = order.name.trim_start_matches("*.").to_owned();
            (
                order.token.clone(),
                name,
                jws::thumbprint(&state.accounts[account]),
            )
        };
        let expected = format!("{token}.{thumbprint}");
        let hash = digest::digest(&digest::SHA256, expected.as_bytes());
        let path = format!("/.well-known/acme-challenge/{token}");
        let identifier = [&[0x04, 0x20], hash.as_ref()].concat();
        let fronts = self.world.fronts();
        let by_http = |front: &world::Front| {
            world::fetch(front.http, &name, &path).as_deref() == Some(expected.as_str())
        };
        let by_tls = |front: &world::Front| {
            let shown = world::shown(front.tls, &name);
            shown.is_some_and(|der| der.windows(34).any(|window| window == identifier))
        };
        let record = self.world.record(&format!("_acme-challenge.{name}"));
        !fronts.is_empty() && (fronts.iter().all(by_http) || fronts.iter().all(by_tls))
            || record == Some(jws::encode(hash.as_ref()))
    }

    /// Renewal information (RFC 9773 section 4.2), about certificates that were issued here alone.
    pub(super) fn renewal(&self, path: &str) -> Result<Reply, Refused> {
        let called = path.rsplit('/').next().unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let mut issued = 0..state.orders.len();
        if !issued.any(|number| self.called(number) == called) {
            return Err(format!("malformed: no certificate is called {called}"));
        }
        state.asked += 1;
        let (from, to) = state.advice.ok_or("malformed: no advice")?;
        let now = Clock::System.unix().as_secs();
        let time =
            |ahead: i64| Timestamp::from_unix_s(now.saturating_add_signed(ahead)).to_string();
        let info = json!({ "suggestedWindow": { "start": time(from), "end": time(to) } });
        let (status, mut fields, body) = object(200, &info, None);
        fields.push(("retry-after", "21600".into()));
        Ok((status, fields, body))
    }

    /// The serial number of an order's certificate, whose sign needs a zero.
    fn serial(number: usize) -> Vec<u8> {
        [&[0x87, 0x65][..], &(number as u32).to_be_bytes()].concat()
    }

    /// What an order's certificate is called (RFC 9773 section 4.1).
    pub(super) fn called(&self, number: usize) -> String {
        let serial = [vec![0], Self::serial(number)].concat();
        let authority = jws::encode(&self.key_identifier);
        format!("{authority}.{}", jws::encode(&serial))
    }

    pub(super) fn finalize(
        &self,
        number: usize,
        order: &mut Order,
        signed: &Signed,
    ) -> Result<(), Refused> {
        if order.status != "ready" {
            return Err(format!("orderNotReady: {}", order.status));
        }
        let payload = signed.payload.as_ref().ok_or("malformed: no payload")?;
        let csr = jws::decode(payload["csr"].as_str().unwrap_or_default())?;
        let mut csr = CertificateSigningRequestParams::from_der(&csr.into())
            .map_err(|error| format!("badCSR: {error}"))?;
        let names: Vec<String> = csr
            .params
            .subject_alt_names
            .iter()
            .map(|name| format!("{name:?}"))
            .collect();
        if names.len() != 1 || !names[0].contains(&format!("\"{}\"", order.name)) {
            return Err(format!("badCSR: {names:?}"));
        }
        let now = std::time::UNIX_EPOCH + Clock::System.unix();
        let at = |seconds: i64| match u64::try_from(seconds) {
            Ok(ahead) => now + Duration::from_secs(ahead),
            Err(_) => now - Duration::from_secs(seconds.unsigned_abs()),
        };
        csr.params.serial_number = Some(Self::serial(number).into());
        csr.params.use_authority_key_identifier_extension = true;
        let (begins, ends) = *self.life.lock().unwrap();
        (csr.params.not_before, csr.params.not_after) = (at(begins).into(), at(ends).into());
        let signed = csr
            .signed_by(&self.issuer)
            .map_err(|error| format!("badCSR: {error}"))?;
        order.certificate = Some(signed.pem() + &self.root);
        order.status = "valid";
        Ok(())
    }

    pub(super) fn new_order(&self, account: &str, signed: &Signed) -> Result<Reply, Refused> {
        if *self.closed.lock().unwrap() {
            return Err("rateLimited: come back later".into());
        }
        let payload = signed.payload.as_ref().ok_or("malformed: no payload")?;
        let identifiers = payload["identifiers"]
            .as_array()
            .ok_or("malformed: no identifiers")?;
        let [identifier] = identifiers.as_slice() else {
            return Err("malformed: one identifier".into());
        };
        if identifier["type"] != "dns" {
            return Err("unsupportedIdentifier: dns only".into());
        }
        let name = identifier["value"].as_str().unwrap_or_default().to_owned();
        let replaces = payload["replaces"].as_str().map(str::to_owned);
        let mut state = self.state.lock().unwrap();
        let number = state.orders.len();
        if let Some(replaces) = &replaces {
            let before = (0..number).find(|before| self.called(*before) == *replaces);
            let before = before.ok_or("malformed: it replaces what was never issued")?;
            if state.orders[before].name != name || state.orders[before].account != account {
                return Err("malformed: it replaces another's".into());
            }
            let mut orders = state.orders.iter();
            if state.all_replaced || orders.any(|other| other.replaces.as_ref() == Some(replaces)) {
                return Err("alreadyReplaced: somebody did".into());
            }
        }
        state.orders.push(Order {
            account: account.to_owned(),
            name,
            token: jws::encode(format!("token of order {number}").as_bytes()),
            status: "pending",
            challenge: "pending",
            error: None,
            certificate: None,
            replaces,
        });
        let order = self.order(number, &state.orders[number]);
        Ok(object(
            201,
            &order,
            Some(self.url(&format!("order/{number}"))),
        ))
    }
}
