//! How the gateway proves itself to an upstream.

use super::SecretPlace;
use crate::units::ByteSize;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the gateway shows to an upstream, in place of anything of the kind that the caller sent.
///
/// Where one is set, errors of AWS, Google and Azure are read as well: what they say decides whether
/// a request is repeated, repeated later, repeated with a fresh credential, or given up. A
/// certificate (mTLS) is shown by `tls.certificate`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum UpstreamCredential {
    /// A key in a header.
    Key {
        /// The header.
        #[serde(default = "authorization")]
        header: String,
        /// What stands in front of the key, with a blank between: `Bearer` in `authorization` and
        /// nothing elsewhere when left out.
        #[serde(default)]
        scheme: Option<String>,
        /// Where the key is kept.
        secret: SecretPlace,
    },
    /// An access token that an OAuth server gives for a client's own credentials (RFC 6749 section
    /// 4.4), kept until shortly before it expires.
    OauthClient {
        /// URL of the server's token endpoint.
        token_url: String,
        /// The client.
        client_id: String,
        /// Where the client's secret is kept.
        secret: SecretPlace,
        /// How the client proves itself.
        #[serde(default)]
        auth: OauthClientAuth,
        /// Scopes to ask for.
        #[serde(default)]
        scopes: Vec<String>,
        /// The `audience` to ask for, which some servers need.
        #[serde(default)]
        audience: Option<String>,
        /// The `resource` to ask for (RFC 8707).
        #[serde(default)]
        resource: Option<String>,
        /// Hosts that may resolve to loopback, private or metadata addresses.
        #[serde(default)]
        allow_private: Vec<String>,
    },
    /// AWS Signature Version 4.
    Sigv4 {
        /// The region, such as `eu-central-1`.
        region: String,
        /// The service, such as `execute-api`, `lambda` or `s3`.
        service: String,
        /// Where the id of the access key is kept.
        access_key_id: SecretPlace,
        /// Where its secret is kept.
        secret: SecretPlace,
        /// Where the token of a session is kept, for temporary credentials.
        #[serde(default)]
        session_token: Option<SecretPlace>,
        /// Whether the body is left out of the signature, so that it need not be read first. AWS
        /// allows this to S3 over TLS only.
        #[serde(default)]
        unsigned_payload: bool,
        /// Most bytes of a body that is read for its signature.
        #[serde(default = "body_max")]
        body_max: ByteSize,
    },
}

fn authorization() -> String {
    "authorization".into()
}

fn body_max() -> ByteSize {
    ByteSize::from_kibibytes(10 * 1024)
}

/// How a client proves itself to an OAuth server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OauthClientAuth {
    /// By HTTP basic authentication.
    #[default]
    Basic,
    /// By `client_id` and `client_secret` in the body.
    Post,
}
