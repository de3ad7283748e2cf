//! What of ordered certificates can be known to fail before anything is ordered.

use super::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::AcmeChallenge;

/// Checks the authority's settings against the rest of the document.
pub(super) fn check(work: &mut Work<'_>) {
    let gateway = &work.resources.gateway;
    let Some(acme) = &gateway.acme else {
        return;
    };
    let path = Path::root().key("gateway").key("acme");
    let mut report = |field: Option<&str>, message: &str| {
        let path = field.map_or_else(|| path.clone(), |field| path.key(field));
        work.report(Finding::error("invalid_acme", path, message));
    };
    if !acme.terms_agreed {
        report(
            Some("terms_agreed"),
            "an authority opens no account without agreement to its terms",
        );
    }
    let secure = acme.directory.starts_with("https://") || acme.directory.starts_with("http://");
    if !secure {
        report(Some("directory"), "a directory is an https URL");
    }
    match (&gateway.store, &acme.folder) {
        (Some(store), _) if store.key.is_none() => report(
            None,
            "keys are kept in `gateway.store`, which needs a `key` to encrypt them under",
        ),
        (None, None) => report(
            Some("folder"),
            "without `gateway.store`, a folder has to keep the keys and certificates",
        ),
        _ => {}
    }
    let by_dns = matches!(acme.challenge, AcmeChallenge::Dns { .. });
    for (name, listener) in &work.resources.listeners {
        let names = listener
            .tls
            .iter()
            .flat_map(|tls| tls.names.iter().enumerate());
        for (index, wildcard) in names.filter(|(_, name)| name.starts_with("*.") && !by_dns) {
            let path = crate::process::listener_path(name, "tls")
                .key("names")
                .index(index);
            let message = format!("`{wildcard}` can be proved by the challenge `dns` only");
            work.report(Finding::error("invalid_acme", path, message));
        }
    }
}
