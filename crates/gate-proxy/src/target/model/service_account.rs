//! Access tokens of Google's services, exchanged for the key of a service account.
//!
//! The key signs a statement of who asks for what (RFC 7523), which Google exchanges for a token
//! that is good for an hour. How tokens are kept is in [`crate::token`]; keys are never logged.

use crate::token::{ANSWER_MAX, Keeper, Source, TIMEOUT, Token, host, read};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use gate_flow::{Fault, FetchRequest, LocalFuture, Services};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use serde::Deserialize;
use std::rc::Rc;
use std::sync::Arc;

/// How long a signed statement is good for, which Google limits to an hour.
const STATEMENT_S: u64 = 3_600;

/// What a key file says: <https://cloud.google.com/iam/docs/keys-create-delete>.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    #[serde(default)]
    private_key_id: String,
    #[serde(default = "usual_token_uri")]
    token_uri: String,
}

fn usual_token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// A service account's key and the token that was last exchanged for it.
#[derive(Debug)]
pub(super) struct ServiceAccount(Arc<Keeper<Signer>>);

/// What signs statements.
struct Signer {
    key: Arc<RsaKeyPair>,
    key_id: String,
    email: String,
    token_uri: String,
    scope: &'static str,
}

/// Whether a credential is a service account's key and not a token.
pub(super) fn is_key(secret: &str) -> bool {
    secret.trim_ascii_start().starts_with('{')
}

impl ServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    /// What is wrong with it, without any of its contents.
    pub(super) fn parse(json: &str, scope: &'static str) -> Result<Self, String> {
        let file: KeyFile = serde_json::from_str(json).map_err(|_| {
            "the credential is no JSON key of a service account with client_email and private_key"
        })?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(file.private_key.as_bytes())
            .map_err(|_| "private_key of the service account is no PEM of PKCS #8")?;
        let key = RsaKeyPair::from_pkcs8(der.secret_pkcs8_der())
            .map_err(|_| "private_key of the service account is no RSA key")?;
        Ok(Self(Arc::new(Keeper::new(Signer {
            key: Arc::new(key),
            key_id: file.private_key_id,
            email: file.client_email,
            token_uri: file.token_uri,
            scope,
        }))))
    }

    /// Tells keys apart without telling them.
    pub(super) fn fingerprint(&self) -> String {
        let signer = &self.0.source;
        let digest = digest(&SHA256, signer.key.public_key().as_ref());
        let told = format!("{}/{}/{}", signer.email, signer.key_id, signer.token_uri);
        format!("{}/{told}", BASE64.encode(digest))
    }

    /// A token that is good now. May be dropped while it waits.
    ///
    /// # Errors
    /// When none could be had.
    pub(super) async fn token(&self, services: &Rc<dyn Services>) -> Result<Arc<str>, Fault> {
        self.0.token(services).await
    }
}

impl Source for Signer {
    fn url(&self) -> &str {
        &self.token_uri
    }

    fn exchange<'a>(
        &'a self,
        services: &'a Rc<dyn Services>,
    ) -> LocalFuture<'a, Result<Token, String>> {
        Box::pin(self.ask(services))
    }
}

impl Signer {
    async fn ask(&self, services: &Rc<dyn Services>) -> Result<Token, String> {
        let now = services.clock().unix().as_secs();
        let statement = self.statement(now);
        let key = self.key.clone();
        let (send, receive) = tokio::sync::oneshot::channel();
        // A signature takes about a millisecond, too long for a worker.
        let signing = services.offload(Box::new(move || {
            let _ = send.send(sign(&key, statement));
        }));
        signing
            .await
            .map_err(|fault| fault.code.title().to_owned())?;
        let assertion = receive.await.map_err(|_| "the signature was not made")??;
        let form = format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
        );
        let answer = services.fetch(FetchRequest {
            url: self.token_uri.clone(),
            timeout: TIMEOUT,
            bytes_max: ANSWER_MAX,
            // Whoever wrote the key file trusts the source.
            allow_private: host(&self.token_uri).into_iter().collect(),
            post: Some(gate_flow::FetchPost {
                content_type: "application/x-www-form-urlencoded",
                body: form.into_bytes(),
                headers: Vec::new(),
            }),
        });
        read(&answer.await.map_err(|error| error.to_string())?)
    }

    /// The statement to sign: header and claims of a JWT.
    fn statement(&self, now_unix_s: u64) -> String {
        let header = serde_json::json!({ "alg": "RS256", "typ": "JWT", "kid": self.key_id });
        let claims = serde_json::json!({
            "iss": self.email,
            "scope": self.scope,
            "aud": self.token_uri,
            "iat": now_unix_s,
            "exp": now_unix_s + STATEMENT_S,
        });
        let [header, claims] = [header, claims].map(|part| BASE64.encode(part.to_string()));
        format!("{header}.{claims}")
    }
}

/// The statement with its signature.
fn sign(key: &RsaKeyPair, statement: String) -> Result<String, String> {
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        statement.as_bytes(),
        &mut signature,
    )
    .map_err(|_| "the key cannot sign")?;
    Ok(format!("{statement}.{}", BASE64.encode(signature)))
}
