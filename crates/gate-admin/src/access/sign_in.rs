//! Signing in with a browser: OpenID Connect's authorization code flow (Core 1.0, section 3.1) with
//! PKCE (RFC 7636), as RFC 9700 wants it.
//!
//! What is asked and how answers are judged is `gate_identity::oidc`; here is who asks, and what
//! becomes of it.

use super::oidc::{Issuer, Refusal};
use super::{Access, Identity};
use gate_api::problem::{Code, Problem};
use gate_identity::claims::Claims;
use gate_identity::oidc::{
    Begun, Returned, SignInError, SignInSeal, TokenAnswer, TokenError, TokenRequest,
    authorization_url, check_id_token, merge_userinfo,
};
use gate_model::resources::{AdminSignIn, SecretPlace};
use std::sync::Arc;

/// Where the provider leads the browser back to.
pub(crate) const CALLBACK: &str = "/api/v1/session/oidc/callback";

/// Reads the secrets that settings refer to.
pub type ReadSecret = Arc<dyn Fn(&SecretPlace) -> Result<String, String> + Send + Sync>;

fn unavailable(why: &str) -> Problem {
    tracing::warn!(why, "the identity provider cannot be asked");
    let text = "the identity provider cannot be asked now; the gateway's log says why";
    Problem::new(Code::StoreUnavailable, text)
}

fn unproven(text: &str) -> Problem {
    Problem::new(Code::Unauthenticated, text)
}

impl Access {
    fn at_issuer(&self) -> Result<(&Issuer, &AdminSignIn), Problem> {
        let found = self.issuer.as_ref();
        let found = found.and_then(|issuer| Some((issuer, issuer.sign_in()?)));
        found.ok_or_else(|| {
            let text = "nobody signs in here with a browser (`gateway.admin.oidc.sign_in`)";
            Problem::new(Code::NotFound, text)
        })
    }

    /// Whether people sign in at an identity provider.
    pub(crate) fn signs_in(&self) -> bool {
        self.at_issuer().is_ok()
    }

    /// Leads a browser to the provider; `origin` is how it knows this address. May wait for the
    /// provider.
    pub(crate) fn begin_sign_in(&self, origin: &str) -> Result<Begun, Problem> {
        let (issuer, settings) = self.at_issuer()?;
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        let cookie = SignInSeal::cookie(self.now().as_secs())
            .map_err(|why| Problem::new(Code::Internal, why))?;
        let callback = callback(settings, origin);
        let location = authorization_url(
            &provider,
            &self.seal,
            &cookie,
            (&settings.client_id, &callback),
            &settings.scopes,
            [],
        );
        Ok(Begun { location, cookie })
    }

    /// Who a browser's user is that comes back from the provider. Waits for the provider.
    pub(crate) fn finish_sign_in(
        &self,
        origin: &str,
        returned: &Returned<'_>,
    ) -> Result<Identity, Problem> {
        let (issuer, settings) = self.at_issuer()?;
        let expected = &issuer.settings.issuer;
        let accepted = self.seal.accept(returned, expected, self.now().as_secs());
        let (code, cookie) = accepted.map_err(|error| match error {
            SignInError::NotBegun => Problem::new(Code::BadOrigin, error.text()),
            error => unproven(error.text()),
        })?;
        let callback = callback(settings, origin);
        let verifier = self.seal.derive("verifier", cookie);
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &*callback),
            ("code_verifier", &*verifier),
        ];
        let tokens = self.redeem(issuer, settings, &fields)?;
        let nonce = self.seal.derive("nonce", cookie);
        let claims = self.claims(issuer, settings, &tokens, &nonce)?;
        let expires_s = (self.now() + settings.session.duration()).as_secs();
        issuer
            .holder(&claims, expires_s)
            .map_err(|refusal| match refusal {
                Refusal::Unproven(text) => unproven(&text),
                Refusal::Forbidden(text) => Problem::new(Code::Forbidden, text),
            })
    }

    /// Tokens for a code.
    fn redeem(
        &self,
        issuer: &Issuer,
        settings: &AdminSignIn,
        fields: &[(&str, &str)],
    ) -> Result<TokenAnswer, Problem> {
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        let place = settings.client_secret.as_ref();
        let secret = place.map(|place| (self.secrets)(place)).transpose();
        let secret = secret.map_err(|why| unavailable(&why))?;
        let client = provider.client(&settings.client_id, secret.as_deref());
        let request = TokenRequest::new(fields, client);
        let authorization = request.authorization.as_deref();
        let door = &provider.token_endpoint;
        let asked = issuer.asker.post(door, authorization, &request.form);
        let (status, body) = asked.map_err(|why| unavailable(&why))?;
        TokenAnswer::read(status, &body).map_err(|error| match error {
            TokenError::Refused(error) => {
                tracing::warn!(status, error, "the identity provider refuses a code");
                unproven("the identity provider does not accept the code")
            }
            TokenError::Unavailable(why) => unavailable(&why),
        })
    }

    /// What the tokens say of their holder: the ID token's claims, and the provider's other ones
    /// where it alone names no groups.
    fn claims(
        &self,
        issuer: &Issuer,
        settings: &AdminSignIn,
        tokens: &TokenAnswer,
        nonce: &str,
    ) -> Result<Claims, Problem> {
        let client = &settings.client_id;
        let id_token = tokens.id_token.as_deref();
        let id_token =
            id_token.ok_or_else(|| unavailable("the token endpoint gives no ID token"))?;
        let verified = issuer.verify(id_token, &[client], &self.clock);
        let (mut claims, _) = verified.map_err(|text| unproven(&text))?;
        check_id_token(&claims, client, nonce).map_err(unproven)?;
        let provider = issuer
            .provider(&self.clock)
            .map_err(|why| unavailable(&why))?;
        if let (false, Some(url), Some(token)) = (
            issuer.names_groups(&claims),
            &provider.userinfo_endpoint,
            &tokens.access_token,
        ) {
            let bearer = format!("Bearer {token}");
            let said = issuer.asker.get(url, Some(&bearer));
            let said = said.map_err(|why| unavailable(&why))?;
            merge_userinfo(&mut claims, &said).map_err(unproven)?;
        }
        Ok(claims)
    }
}

/// Where the provider leads the browser back to.
fn callback(settings: &AdminSignIn, origin: &str) -> String {
    let base = settings.address.as_deref().unwrap_or(origin);
    format!("{}{CALLBACK}", base.trim_end_matches('/'))
}
