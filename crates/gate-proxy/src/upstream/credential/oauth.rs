//! Tokens for a client's own credentials (RFC 6749 section 4.4).

use crate::token::{ANSWER_MAX, Source, TIMEOUT, Token, read};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use form_urlencoded::Serializer;
use gate_flow::{FetchPost, FetchRequest, LocalFuture, Services};
use gate_model::resources::{OauthClientAuth, UpstreamCredential};
use std::rc::Rc;

/// A client of an OAuth server.
pub(crate) struct Client {
    token_url: String,
    allow_private: Vec<String>,
    form: String,
    /// The value of `authorization`, where the client proves itself by it.
    basic: Option<String>,
}

impl Client {
    /// From its settings and its secret.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub(super) fn new(settings: &UpstreamCredential, secret: String) -> Result<Self, String> {
        let UpstreamCredential::OauthClient {
            token_url,
            client_id,
            auth,
            scopes,
            audience,
            resource,
            allow_private,
            ..
        } = settings
        else {
            return Err("this is no OAuth client".into());
        };
        if !(token_url.starts_with("https://") || token_url.starts_with("http://")) {
            return Err("`token_url` starts with neither https:// nor http://".into());
        }
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !scopes.is_empty() {
            form.append_pair("scope", &scopes.join(" "));
        }
        for (name, value) in [("audience", audience), ("resource", resource)] {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        if *auth == OauthClientAuth::Post {
            form.append_pair("client_id", client_id);
            form.append_pair("client_secret", &secret);
        }
        // RFC 6749 section 2.3.1: both are encoded as in forms before they are joined.
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = (*auth == OauthClientAuth::Basic).then(|| {
            let pair = format!("{}:{}", encoded(client_id), encoded(&secret));
            format!("Basic {}", STANDARD.encode(pair))
        });
        Ok(Self {
            token_url: token_url.clone(),
            allow_private: allow_private.clone(),
            form: form.finish(),
            basic,
        })
    }

    /// Tells clients apart without telling their secrets.
    pub(super) fn fingerprint(&self) -> String {
        let basic = self.basic.as_deref().unwrap_or_default();
        let private = self.allow_private.join(",");
        let all = [&*self.token_url, &self.form, basic, &private].join("\0");
        URL_SAFE_NO_PAD.encode(digest(&SHA256, all.as_bytes()))
    }
}

impl Source for Client {
    fn url(&self) -> &str {
        &self.token_url
    }

    fn exchange<'a>(
        &'a self,
        services: &'a Rc<dyn Services>,
    ) -> LocalFuture<'a, Result<Token, String>> {
        let basic = self.basic.iter();
        let headers = basic.map(|value| ("authorization".to_owned(), value.clone()));
        let answer = services.fetch(FetchRequest {
            url: self.token_url.clone(),
            timeout: TIMEOUT,
            bytes_max: ANSWER_MAX,
            allow_private: self.allow_private.clone(),
            post: Some(FetchPost {
                content_type: "application/x-www-form-urlencoded",
                body: self.form.clone().into_bytes(),
                headers: headers.collect(),
            }),
        });
        Box::pin(async move { read(&answer.await.map_err(|error| error.to_string())?) })
    }
}
