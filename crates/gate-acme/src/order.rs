//! One order, from its beginning to the certificate (RFC 8555 section 7.4).

use crate::renewal::Window;
use crate::state::{self, ACCOUNT, Account, CHALLENGES, Certificate, Challenges, Shown};
use crate::wire::Wire;
use crate::{AcmeError, Pace, Shelf};
use gate_model::resources::{Acme, AcmeChallenge};
use instant_acme::{
    Account as Client, AuthorizationStatus, CertificateIdentifier, ChallengeType, Error,
    ExternalAccountKey, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};

/// What an order needs besides its name.
pub(crate) struct Orders<'a> {
    pub(crate) settings: &'a Acme,
    /// Credentials that the settings refer to.
    pub(crate) secrets: Secrets,
    pub(crate) wire: Wire,
    pub(crate) pace: &'a Pace,
    /// Called with what has to be shown, once it lies on the shelf.
    pub(crate) show: Box<dyn Fn(&Challenges) + 'a>,
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
    /// Orders a certificate for one name and lays it on the shelf. `replaces` names the one before,
    /// where the authority likes to know (RFC 9773 section 5).
    pub(crate) async fn order(
        &self,
        shelf: &mut dyn Shelf,
        name: &str,
        replaces: Option<CertificateIdentifier<'_>>,
    ) -> Result<Certificate, AcmeError> {
        let client = self.client(shelf).await?;
        let identifiers = [Identifier::Dns(name.to_owned())];
        let plain = NewOrder::new(&identifiers);
        let mut order = match replaces {
            None => client.new_order(&plain).await,
            Some(before) => {
                let order = NewOrder::new(&identifiers).replaces(before);
                match client.new_order(&order).await {
                    // The hint is a courtesy: an authority that wants none of it gets none.
                    Err(error) if is_about_the_hint(&error) => client.new_order(&plain).await,
                    ordered => ordered,
                }
            }
        }
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
        let piece = state::write(&certificate)?;
        aside(|| shelf.put(&Certificate::place(name), &piece))?;
        Ok(certificate)
    }

    /// When the authority would like a certificate to be renewed, and after how long it wants to be
    /// asked again; none where it does not advise about renewals.
    pub(crate) async fn advice(
        &self,
        shelf: &mut dyn Shelf,
        certificate: &CertificateIdentifier<'_>,
    ) -> Result<Option<(Window, std::time::Duration)>, AcmeError> {
        let client = self.client(shelf).await?;
        match client.renewal_info(certificate).await {
            Ok((info, pause)) => {
                let [begins, ends] = [info.suggested_window.start, info.suggested_window.end]
                    .map(|at| u64::try_from(at.unix_timestamp()).unwrap_or(0));
                if ends < begins {
                    return Err(AcmeError("what is advised ends before it begins".into()));
                }
                if let Some(page) = info.explanation_url {
                    tracing::info!(page, "the authority explains its advice about renewal");
                }
                Ok(Some(((begins, ends), pause)))
            }
            Err(Error::Unsupported(_)) => Ok(None),
            Err(error) => Err(failed("no advice about renewal")(error)),
        }
    }

    /// The account: the one on the shelf, or a new one.
    async fn client(&self, shelf: &mut dyn Shelf) -> Result<Client, AcmeError> {
        let builder = Client::builder_with_http(Box::new(self.wire.clone()));
        if let Some(bytes) = aside(|| shelf.get(ACCOUNT))? {
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
        let piece = state::write(&account)?;
        aside(|| shelf.put(ACCOUNT, &piece))?;
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
        let piece = state::write(challenges)?;
        aside(|| shelf.put(CHALLENGES, &piece))?;
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

/// Asks the shelf on a thread of its own. A store blocks, and PostgreSQL's client does so on a runtime,
/// which must not be entered within the one that an order runs on.
fn aside<T: Send>(ask: impl FnOnce() -> Result<T, AcmeError> + Send) -> Result<T, AcmeError> {
    let asked = std::thread::scope(|scope| scope.spawn(ask).join());
    asked.unwrap_or_else(|_| Err(AcmeError("the shelf was not asked to its end".into())))
}

/// Whether an order was refused because of what it was said to replace: somebody replaced that
/// already, or the authority does not repeat what it was told, as it would have to.
fn is_about_the_hint(error: &Error) -> bool {
    match error {
        Error::Api(problem) => {
            let kind = problem.r#type.as_deref().unwrap_or_default();
            kind.ends_with(":alreadyReplaced") || kind.ends_with(":malformed")
        }
        Error::Other(_) => true,
        _ => false,
    }
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
