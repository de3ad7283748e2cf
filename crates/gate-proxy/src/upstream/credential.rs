//! What the gateway shows to an upstream: a key, an access token, a signature.
//!
//! It is put into the request before the first try, and once more when the upstream says that it is
//! no longer good. What the caller sent of the kind is removed, so that no caller's credential
//! reaches the upstream beside the gateway's.

mod oauth;

use super::cloud::{Advice, CloudError};
use crate::compile::Work;
use crate::hashing::body_hash;
use crate::token::Keeper;
use bytes::Bytes;
use gate_flow::{Fault, Services, resolve_secret};
use gate_kit::http::{Body, Chunk, HeaderId, Request};
use gate_kit::sigv4::{Credentials, Scope, UNSIGNED_PAYLOAD, sign};
use gate_model::document::Path;
use gate_model::fault::FaultCode;
use gate_model::finding::Finding;
use gate_model::resources::{SecretPlace, Upstream as Settings, UpstreamCredential};
use oauth::Client;
use std::rc::Rc;
use std::sync::Arc;

/// Longest body that is read whole so that it can be sent again with a fresh token.
const KEPT_MAX: u64 = 64 * 1024;

/// A credential, compiled.
pub(crate) enum Credential {
    /// The same in every request.
    Key {
        /// The header.
        header: String,
        /// Its value.
        value: String,
    },
    /// An access token.
    Oauth(Arc<Keeper<Client>>),
    /// A signature.
    Sigv4(Box<Signer>),
}

/// What requests are signed with.
pub(crate) struct Signer {
    region: String,
    service: String,
    access_key_id: String,
    secret: String,
    session_token: Option<String>,
    unsigned_payload: bool,
    body_max: usize,
    /// The Host that is signed, which is the endpoint's own.
    authority: String,
}

/// What was shown with a request.
#[derive(Default)]
pub(crate) struct Shown {
    token: Option<Arc<str>>,
    hash: Option<String>,
}

impl Credential {
    /// Compiles what an upstream is shown; what is wrong goes into the findings.
    pub(crate) fn compile(
        work: &mut Work<'_>,
        settings: &Settings,
        path: &Path,
    ) -> Option<Arc<Self>> {
        let credential = settings.credential.as_ref()?;
        let path = path.key("credential");
        match Self::read(work, credential, settings) {
            Ok(credential) => Some(Arc::new(credential)),
            Err(message) => {
                work.report(Finding::error("invalid_credential", path, message));
                None
            }
        }
    }

    fn read(
        work: &Work<'_>,
        credential: &UpstreamCredential,
        settings: &Settings,
    ) -> Result<Self, String> {
        let compiler = work.compiler;
        let secret = |place: &SecretPlace| {
            resolve_secret(compiler.secrets, work.resources, compiler.folder, place)
        };
        Ok(match credential {
            UpstreamCredential::Key {
                header,
                scheme,
                secret: place,
            } => {
                let bearer = header
                    .eq_ignore_ascii_case("authorization")
                    .then_some("Bearer");
                let scheme = scheme
                    .as_deref()
                    .or(bearer)
                    .filter(|scheme| !scheme.is_empty());
                let key = secret(place)?;
                let value = scheme.map_or_else(|| key.clone(), |scheme| format!("{scheme} {key}"));
                let mut scratch = gate_kit::http::Headers::new();
                let carried = scratch.try_append(header.as_bytes(), value.as_bytes());
                carried.map_err(|_| "no header field can carry this name and key")?;
                let header = header.to_ascii_lowercase();
                Self::Key { header, value }
            }
            UpstreamCredential::OauthClient { secret: place, .. } => {
                let client = Client::new(credential, secret(place)?)?;
                let identity = format!("oauth-client/{}", client.fingerprint());
                let keeper = || Keeper::new(client);
                Self::Oauth(compiler.state.get_or_insert(&identity, keeper))
            }
            UpstreamCredential::Sigv4 {
                region,
                service,
                access_key_id,
                secret: place,
                session_token,
                unsigned_payload,
                body_max,
            } => Self::Sigv4(Box::new(Signer {
                region: region.clone(),
                service: service.clone(),
                access_key_id: secret(access_key_id)?,
                secret: secret(place)?,
                session_token: session_token.as_ref().map(secret).transpose()?,
                unsigned_payload: *unsigned_payload,
                body_max: body_max.len(),
                authority: authority(settings)?,
            })),
        })
    }

    /// Puts the credential into a request, whose body is read where it is signed.
    ///
    /// # Errors
    /// When there is no token, or the request cannot be signed. May be dropped midway.
    pub(crate) async fn show(
        &self,
        services: &Rc<dyn Services>,
        request: &mut Request,
    ) -> Result<Shown, Fault> {
        let mut shown = Shown::default();
        match self {
            Self::Key { .. } => {}
            Self::Oauth(keeper) => {
                shown.token = Some(keeper.token(services).await?);
                // So that it can be sent again with another token.
                if request
                    .body
                    .length()
                    .is_some_and(|length| length <= KEPT_MAX)
                {
                    collect(request, KEPT_MAX as usize).await?;
                }
            }
            Self::Sigv4(signer) => shown.hash = Some(signer.hash(services, request).await?),
        }
        self.put(services, request, &shown)?;
        Ok(shown)
    }

    /// The same again after the upstream has refused it.
    ///
    /// # Errors
    /// As [`Self::show`].
    pub(crate) async fn renew(
        &self,
        services: &Rc<dyn Services>,
        request: &mut Request,
        shown: &mut Shown,
    ) -> Result<(), Fault> {
        if let (Self::Oauth(keeper), Some(token)) = (self, &shown.token) {
            keeper.refused(token);
            shown.token = Some(keeper.token(services).await?);
        }
        self.put(services, request, shown)
    }

    /// Whether the request's Host is a part of it, and stays as it was put there.
    pub(crate) const fn keeps_host(&self) -> bool {
        matches!(self, Self::Sigv4(_))
    }

    /// Whether another one can be had than the one that was refused.
    pub(crate) const fn can_renew(&self) -> bool {
        !matches!(self, Self::Key { .. })
    }

    /// What a status alone says about the credential: a token that is refused is told by 401 (RFC
    /// 6750 section 3.1).
    pub(super) fn refusal(&self, status: u16) -> Option<CloudError> {
        (status == 401 && matches!(self, Self::Oauth(_))).then(|| CloudError {
            code: "401".to_owned(),
            advice: Advice::Renew,
            after: None,
        })
    }

    fn put(
        &self,
        services: &Rc<dyn Services>,
        request: &mut Request,
        shown: &Shown,
    ) -> Result<(), Fault> {
        let wrong = |what: &'static str| Fault::new(FaultCode::InternalError).detail(what);
        match self {
            Self::Key { header, value } => {
                let headers = &mut request.head.headers;
                // A field of the caller's own that shows who it is goes with it.
                headers.remove(HeaderId::Authorization);
                headers.remove_named(header);
                let put = headers.try_append(header.as_bytes(), value.as_bytes());
                put.map_err(|_| wrong("no field can carry the key"))
            }
            Self::Oauth(_) => {
                let token = shown.token.as_deref().unwrap_or_default();
                let headers = &mut request.head.headers;
                headers.remove(HeaderId::Authorization);
                let value = format!("Bearer {token}");
                let put = headers.try_append(b"authorization", value.as_bytes());
                put.map_err(|_| wrong("no field can carry the token"))
            }
            Self::Sigv4(signer) => {
                let now_unix_s = services.clock().unix().as_secs();
                let head = &mut request.head;
                head.authority.clone_from(&signer.authority);
                let credentials = Credentials {
                    access_key_id: &signer.access_key_id,
                    secret: &signer.secret,
                    session_token: signer.session_token.as_deref(),
                };
                let scope = Scope {
                    region: &signer.region,
                    service: &signer.service,
                };
                let hash = shown.hash.as_deref().unwrap_or(UNSIGNED_PAYLOAD);
                sign(head, hash, &credentials, &scope, now_unix_s)
                    .map_err(|_| wrong("the request cannot be signed"))
            }
        }
    }
}

impl Signer {
    /// The hash of the body, which is read for it.
    async fn hash(
        &self,
        services: &Rc<dyn Services>,
        request: &mut Request,
    ) -> Result<String, Fault> {
        if self.unsigned_payload {
            return Ok(UNSIGNED_PAYLOAD.to_owned());
        }
        let body = collect(request, self.body_max).await?;
        body_hash(services, &body).await
    }
}

/// Reads the request's body whole.
async fn collect(request: &mut Request, most: usize) -> Result<Bytes, Fault> {
    let body = request.body.collect(most).await;
    let body = body
        .map_err(|error| Fault::from_request_body(&error))?
        .into_bytes();
    request.body = match body.is_empty() {
        true => Body::Empty,
        false => Body::Full(Chunk::Shared(body.clone())),
    };
    Ok(body)
}

/// The Host that the endpoint expects: its name, and the port where it is not the usual one.
fn authority(settings: &Settings) -> Result<String, String> {
    let tls = settings.tls.as_ref();
    if let Some(name) = tls.and_then(|tls| tls.server_name.clone()) {
        return Ok(name);
    }
    let [endpoint] = &*settings.endpoints else {
        return Err(
            "a signature names one host: list one endpoint, or set `tls.server_name`".into(),
        );
    };
    let usual = if tls.is_some() { ":443" } else { ":80" };
    Ok(endpoint.strip_suffix(usual).unwrap_or(endpoint).to_owned())
}
