//! Signing requests to vendors whose credentials are AWS access keys.
//!
//! Unlike other credentials these are not shown but used, on the whole request, last of all.

use super::{CredentialPlace, ProviderConfig, ProviderKind, UnusableCredential};
use gate_kit::http::RequestHead;
use gate_kit::sigv4::{Credentials, Scope, sign};

impl ProviderConfig {
    /// Whether requests of this account have to be signed once they are complete.
    #[must_use]
    pub fn signs(&self, kind: &ProviderKind) -> bool {
        matches!(self.place(kind), CredentialPlace::SigV4(_))
    }

    /// Signs a request that goes out exactly as `head` says, with a body of this hash
    /// ([`gate_kit::sigv4::body_hash`]), where the account asks for it. `secret` has the lines
    /// access key id, secret access key and, for a session, its token.
    ///
    /// # Errors
    /// [`UnusableCredential`] when a part is missing or no header field can hold it.
    pub fn sign(
        &self,
        kind: &ProviderKind,
        head: &mut RequestHead,
        body_hash: &str,
        secret: &str,
        unix_s: u64,
    ) -> Result<(), UnusableCredential> {
        let CredentialPlace::SigV4(service) = self.place(kind) else {
            return Ok(());
        };
        let mut lines = secret.lines();
        let (Some(access_key_id), Some(secret)) = (lines.next(), lines.next()) else {
            return Err(UnusableCredential);
        };
        let credentials = Credentials {
            access_key_id,
            secret,
            session_token: lines.next(),
        };
        let scope = Scope {
            region: self.settings.get("region").unwrap_or("us-east-1"),
            service,
        };
        sign(head, body_hash, &credentials, &scope, unix_s).map_err(|_| UnusableCredential)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, bedrock, openai};
    use super::*;
    use gate_kit::http::{Headers, Method, Version};
    use gate_kit::sigv4::body_hash;

    fn head() -> RequestHead {
        RequestHead {
            method: Method::Post,
            authority: "bedrock-runtime.eu-west-1.amazonaws.com".into(),
            target: "/model/a%3A0/converse".into(),
            version: Version::Http11,
            headers: Headers::new(),
            upgrade: None,
        }
    }

    #[test]
    fn requests_are_signed_for_the_accounts_region_and_session() {
        let config = ProviderConfig {
            settings: Settings::of([("region", Some("eu-west-1".into()))]),
            ..ProviderConfig::default()
        };
        let (kind, hash) = (&bedrock::KIND, body_hash(b"{}"));
        let mut head = head();
        config
            .sign(kind, &mut head, &hash, "AKID\nsecret\ntoken", 0)
            .unwrap();
        let value = head.headers.get_named("authorization").unwrap();
        let value = std::str::from_utf8(value).unwrap();
        assert!(value.contains("Credential=AKID/19700101/eu-west-1/bedrock/aws4_request"));
        assert!(value.contains(";x-amz-security-token,"));
        let token = head.headers.get_named("x-amz-security-token");
        assert_eq!(token, Some(&b"token"[..]));
        let broken = config.sign(kind, &mut head, &hash, "one line", 0);
        assert_eq!(broken, Err(UnusableCredential));
    }

    #[test]
    fn other_vendors_requests_are_left_alone() {
        let config = ProviderConfig::default();
        let mut head = head();
        assert!(!config.signs(&openai::KIND));
        config.sign(&openai::KIND, &mut head, "", "k", 0).unwrap();
        assert!(head.headers.is_empty());
    }
}
