//! One order, from its beginning to the certificate (RFC 8555 section 7.4).

use crate::state::{self, ACCOUNT, Account, CHALLENGES, Certificate, Challenges, Shown};
use crate::wire::Wire;
use crate::{AcmeError, Pace, Shelf};
use gate_model::resources::{Acme, AcmeChallenge};
use instant_acme::{
    Account as Client, AuthorizationStatus, ChallengeType, ExternalAccountKey, Identifier,
    NewAccount, NewOrder, OrderStatus, RetryPolicy,
};

/// What an order needs besides its name.
pub(crate) struct Orders<'a> {
    pub(crate) settings: &'a Acme,
    /// Credentials that the settings refer to.
    pub(crate) secrets: &'a Secrets,
    pub(crate) wire: Wire,
    pub(crate) pace: &'a Pace,
    /// Called with what has to be shown, once it lies on the shelf.
    pub(crate) show: &'a dyn Fn(&Challenges),
}

/// Values of the settings' references.
#[derive(Default, Clone)]
pub(crate) struct Secrets {
    /// The key of the external account, as the authority gave it (base64url).
    pub(crate) external_account: Option<Vec<u8>>,
    /// What the webhook is shown.
    pub(crate) webhook: Option<String>,
}

fn failed(what: &'static str) -> impl Fn(instant_acme::Error) -> AcmeError {
    move |error| AcmeError::of(what, error)
}

impl Orders<'_> {
    /// Orders a certificate for one name and lays it on the shelf.
    pub(crate) async fn order(
        &self,
        shelf: &mut dyn Shelf,
        name: &str,
    ) -> Result<Certificate, AcmeError> {
        let client = self.client(shelf).await?;
        let identifiers = [Identifier::Dns(name.to_owned())];
        let mut order = client
            .new_order(&NewOrder::new(&identifiers))
            .await
            .map_err(failed("the order was refused"))?;
        let mut shown = Showing::default();
        let ordered = self.finish(&mut order, shelf, &mut shown).await;
        // Whatever came of it, nothing needs to be shown any more.
        self.hide(shelf, &shown);
        let (chain, key) = ordered?;
        let certificate = Certificate {
            name: name.to_owned(),
            chain,
            key,
            directory: self.settings.directory.clone(),
        };
        shelf.put(&Certificate::place(name), &state::write(&certificate)?)?;
        Ok(certificate)
    }

    /// The account: the one on the shelf, or a new one.
    async fn client(&self, shelf: &mut dyn Shelf) -> Result<Client, AcmeError> {
        let builder = Client::builder_with_http(Box::new(self.wire.clone()));
        if let Some(bytes) = shelf.get(ACCOUNT)? {
            let account: Account = state::read(ACCOUNT, &bytes)?;
            if account.directory == self.settings.directory {
                let client = builder.from_credentials(account.credentials).await;
                return client.map_err(failed("the account cannot be used"));
            }
        }
        let contact: Vec<&str> = self.settings.contact.iter().map(String::as_str).collect();
        let external = self
            .settings
            .external_account
            .as_ref()
            .zip(self.secrets.external_account.as_ref());
        let external =
            external.map(|(account, key)| ExternalAccountKey::new(account.id.clone(), key));
        let new = NewAccount {
            contact: &contact,
            terms_of_service_agreed: self.settings.terms_agreed,
            only_return_existing: false,
        };
        let directory = self.settings.directory.clone();
        let (client, credentials) = builder
            .create(&new, directory.clone(), external.as_ref())
            .await
            .map_err(failed("no account was opened"))?;
        let account = Account {
            directory,
            credentials,
        };
        shelf.put(ACCOUNT, &state::write(&account)?)?;
        Ok(client)
    }

    async fn finish(
        &self,
        order: &mut instant_acme::Order,
        shelf: &mut dyn Shelf,
        shown: &mut Showing,
    ) -> Result<(String, String), AcmeError> {
        self.prove(order, shelf, shown).await?;
        let patience = RetryPolicy::new()
            .initial_delay(self.pace.poll)
            .timeout(self.pace.patience);
        let status = order.poll_ready(&patience).await;
        let status = status.map_err(failed("the authority did not decide"))?;
        if status == OrderStatus::Invalid {
            return Err(AcmeError(why(order).await));
        }
        if status == OrderStatus::Ready {
            let key = order
                .finalize()
                .await
                .map_err(failed("the request was refused"))?;
            let chain = order.poll_certificate(&patience).await;
            return Ok((chain.map_err(failed("no certificate came"))?, key));
        }
        Err(AcmeError(format!("the order stays {status:?}")))
    }

    /// Answers a challenge of every authorisation that still asks for one.
    async fn prove(
        &self,
        order: &mut instant_acme::Order,
        shelf: &mut dyn Shelf,
        shown: &mut Showing,
    ) -> Result<(), AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization =
                authorization.map_err(failed("an authorisation cannot be read"))?;
            match authorization.status {
                AuthorizationStatus::Valid => continue,
                AuthorizationStatus::Pending => {}
                other => return Err(AcmeError(format!("an authorisation is {other:?}"))),
            }
            let wanted = match self.settings.challenge {
                AcmeChallenge::Http {} => ChallengeType::Http01,
                AcmeChallenge::TlsAlpn {} => ChallengeType::TlsAlpn01,
                AcmeChallenge::Dns { .. } => ChallengeType::Dns01,
            };
            let challenge = authorization.challenge(wanted.clone());
            let mut challenge = challenge.ok_or_else(|| {
                AcmeError(format!(
                    "the authority offers no challenge of type {wanted:?}"
                ))
            })?;
            let key_authorization = challenge.key_authorization();
            let at = match wanted {
                ChallengeType::Http01 => challenge.token.clone(),
                _ => challenge
                    .identifier()
                    .to_string()
                    .trim_start_matches("*.")
                    .to_owned(),
            };
            let new = Shown {
                at,
                key_authorization: key_authorization.as_str().to_owned(),
            };
            match wanted {
                ChallengeType::Http01 => shown.challenges.http.push(new),
                ChallengeType::TlsAlpn01 => shown.challenges.tls_alpn.push(new),
                _ => {
                    self.webhook("present", &new.at, &key_authorization.dns_value())?;
                    shown.records.push((new.at, key_authorization.dns_value()));
                }
            }
            self.lay(shelf, &shown.challenges)?;
            // Others look about once a second; a name server takes what it takes.
            let pause = match &self.settings.challenge {
                AcmeChallenge::Dns { wait, .. } => wait.duration(),
                _ if shelf.is_shared() => self.pace.spread,
                _ => std::time::Duration::ZERO,
            };
            tokio::time::sleep(pause).await;
            challenge
                .set_ready()
                .await
                .map_err(failed("the challenge was refused"))?;
        }
        Ok(())
    }

    fn lay(&self, shelf: &mut dyn Shelf, challenges: &Challenges) -> Result<(), AcmeError> {
        shelf.put(CHALLENGES, &state::write(challenges)?)?;
        (self.show)(challenges);
        Ok(())
    }

    fn hide(&self, shelf: &mut dyn Shelf, shown: &Showing) {
        if let Err(error) = self.lay(shelf, &Challenges::default()) {
            tracing::warn!(%error, "what was shown to the authority still is");
        }
        for (name, value) in &shown.records {
            if let Err(error) = self.webhook("clean_up", name, value) {
                tracing::warn!(%error, "a record of a challenge is left behind");
            }
        }
    }

    /// Has a record written or removed: `{"action", "name", "type", "value"}` by POST.
    fn webhook(&self, action: &str, name: &str, value: &str) -> Result<(), AcmeError> {
        let AcmeChallenge::Dns { webhook, .. } = &self.settings.challenge else {
            return Ok(());
        };
        let body = serde_json::json!({
            "action": action,
            "name": format!("_acme-challenge.{name}"),
            "type": "TXT",
            "value": value,
        });
        let bearer = self
            .secrets
            .webhook
            .as_ref()
            .map(|token| format!("Bearer {token}"));
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let wire = Wire::new(webhook, self.settings.authorities.clone())?;
        let reply = wire.send("POST", webhook, &headers, body.to_string().as_bytes())?;
        match reply.status {
            200..=299 => Ok(()),
            status => Err(AcmeError(format!(
                "the webhook answered {action} with {status}"
            ))),
        }
    }
}

/// What is shown while an order is under way.
#[derive(Default)]
struct Showing {
    challenges: Challenges,
    /// Names and values of TXT records.
    records: Vec<(String, String)>,
}

/// Why an order is invalid, in the authority's words.
async fn why(order: &mut instant_acme::Order) -> String {
    let mut reasons = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(Ok(authorization)) = authorizations.next().await {
        let problems = authorization
            .challenges
            .iter()
            .filter_map(|challenge| challenge.error.as_ref());
        reasons.extend(problems.map(ToString::to_string));
    }
    match reasons.is_empty() {
        true => "the authority calls the order invalid".to_owned(),
        false => format!("the authority refused: {}", reasons.join("; ")),
    }
}
