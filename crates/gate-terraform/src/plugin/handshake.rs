//! Who talks to whom: the cookie, the protocol's version, the certificates.
//!
//! Terraform starts a plug-in with a cookie, the versions it speaks and its client certificate in
//! the environment; the plug-in answers with one line (hashicorp/go-plugin, docs/internals.md).

use super::pin::{self, Identity};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rustls::ServerConfig;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The variable that says that Terraform started this program.
pub const COOKIE_NAME: &str = "TF_PLUGIN_MAGIC_COOKIE";
/// Its value, the same for every provider.
pub const COOKIE_VALUE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";
/// Version of go-plugin's own protocol.
const CORE: u32 = 1;
/// The one version of the plug-in protocol that is spoken.
const PROTOCOL: u32 = 6;
/// What the program is called in a folder of providers, with its version behind it.
const PROGRAM: &str = "terraform-provider-tidegate";

/// Why there will be no conversation.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// Started by hand.
    #[error(
        "this is a Terraform provider: Terraform starts it, from a folder of providers \
         (filesystem_mirror) or a link named `terraform-provider-tidegate`; to try it with a \
         running process, use `tidegate terraform-provider --debug`"
    )]
    NoCookie,
    /// An old Terraform.
    #[error(
        "Terraform offers plug-in protocol {offered}, and this provider speaks 6 (Terraform 1.0 and later)"
    )]
    Version {
        /// What it offers.
        offered: String,
    },
    /// Anybody could connect.
    #[error(
        "no certificate of the client in PLUGIN_CLIENT_CERT: without one, every program of this \
         machine could use the provider's key"
    )]
    NoClientCertificate,
    /// It is none.
    #[error("PLUGIN_CLIENT_CERT: {0}")]
    ClientCertificate(String),
    /// Ours could not be made.
    #[error("the provider's own certificate: {0}")]
    Certificate(String),
    /// The socket.
    #[error("the provider's socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The runtime.
    #[error("the provider's log and output: {0}")]
    Output(String),
}

/// What Terraform says through the environment.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `TF_PLUGIN_MAGIC_COOKIE`.
    pub cookie: Option<String>,
    /// `PLUGIN_PROTOCOL_VERSIONS`.
    pub versions: Option<String>,
    /// `PLUGIN_CLIENT_CERT`, in PEM.
    pub client_certificate: Option<String>,
    /// `PLUGIN_UNIX_SOCKET_DIR`.
    pub socket_folder: Option<PathBuf>,
}

impl Environment {
    /// This process's.
    #[must_use]
    pub fn of_process() -> Self {
        let text = |name: &str| std::env::var(name).ok();
        Self {
            cookie: text(COOKIE_NAME),
            versions: text("PLUGIN_PROTOCOL_VERSIONS"),
            client_certificate: text("PLUGIN_CLIENT_CERT"),
            socket_folder: std::env::var_os("PLUGIN_UNIX_SOCKET_DIR")
                .filter(|folder| !folder.is_empty())
                .map(PathBuf::from),
        }
    }
}

/// Whether this process was started to be a provider: by its name, or by Terraform's cookie.
///
/// The cookie counts only without arguments: programs that another plug-in starts inherit it, and
/// `tidegate plan` stays `tidegate plan` there.
#[must_use]
pub fn is_wanted(program: &Path, arguments: usize, cookie: Option<&str>) -> bool {
    let name = program.file_name().and_then(|name| name.to_str());
    let by_name = name.is_some_and(|name| name.starts_with(PROGRAM));
    by_name || (arguments == 0 && cookie == Some(COOKIE_VALUE))
}

/// The settled side of a handshake: how to accept connections, and what to say of it.
pub(super) struct Settled {
    pub(super) tls: Arc<ServerConfig>,
    certificate: Vec<u8>,
}

/// Checks what Terraform offers and makes a certificate for this process.
pub(super) fn settle(environment: &Environment) -> Result<Settled, HandshakeError> {
    if environment.cookie.as_deref() != Some(COOKIE_VALUE) {
        return Err(HandshakeError::NoCookie);
    }
    let offered = environment.versions.clone().unwrap_or_default();
    if !offered
        .split(',')
        .any(|version| version.trim().parse() == Ok(PROTOCOL))
    {
        return Err(HandshakeError::Version { offered });
    }
    let client = environment.client_certificate.as_deref();
    let client = client.filter(|pem| !pem.is_empty());
    let client = client.ok_or(HandshakeError::NoClientCertificate)?;
    let client = pin::certificate(client).map_err(HandshakeError::ClientCertificate)?;
    let Identity { certificate, key } = pin::identity().map_err(HandshakeError::Certificate)?;
    let tls = pin::server(client, certificate.clone(), key);
    Ok(Settled {
        tls: Arc::new(tls.map_err(HandshakeError::Certificate)?),
        certificate: certificate.to_vec(),
    })
}

impl Settled {
    /// The line that Terraform reads from the output.
    pub(super) fn line(&self, socket: &Path) -> String {
        let certificate = STANDARD_NO_PAD.encode(&self.certificate);
        let socket = socket.display();
        format!("{CORE}|{PROTOCOL}|unix|{socket}|grpc|{certificate}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_wanted_by_name_or_by_cookie_without_arguments() {
        let cookie = Some(COOKIE_VALUE);
        for (program, arguments, cookie, wanted) in [
            ("/mirror/terraform-provider-tidegate_v0.1.0", 0, None, true),
            ("terraform-provider-tidegate", 0, None, true),
            ("/usr/bin/tidegate", 0, cookie, true),
            ("/usr/bin/tidegate", 1, cookie, false),
            ("/usr/bin/tidegate", 0, None, false),
            ("/usr/bin/tidegate", 0, Some("another"), false),
        ] {
            assert_eq!(is_wanted(Path::new(program), arguments, cookie), wanted);
        }
    }

    #[test]
    fn without_cookie_version_or_certificate_there_is_no_conversation() {
        let good = Environment {
            cookie: Some(COOKIE_VALUE.into()),
            versions: Some("6,5".into()),
            client_certificate: Some(pin::tests::pem()),
            socket_folder: None,
        };
        let line = settle(&good).unwrap().line(Path::new("/s/socket"));
        assert!(line.starts_with("1|6|unix|/s/socket|grpc|MII"), "{line}");
        assert!(!line.contains('='), "{line}");
        let refused = |change: fn(&mut Environment)| {
            let mut changed = good.clone();
            change(&mut changed);
            settle(&changed).err().map(|error| error.to_string())
        };
        for (change, words) in [
            (
                (|e| e.cookie = None) as fn(&mut Environment),
                "Terraform starts it",
            ),
            (
                |e| e.versions = Some("5".into()),
                "offers plug-in protocol 5",
            ),
            (|e| e.versions = None, "offers plug-in protocol"),
            (|e| e.client_certificate = None, "no certificate"),
            (
                |e| e.client_certificate = Some("x".into()),
                "PLUGIN_CLIENT_CERT",
            ),
        ] {
            let told = refused(change).expect("it is refused");
            assert!(told.contains(words), "{told}");
        }
    }
}
