//! Upstreams, and what makes one: endpoints, credentials, connector, balance.

use super::Work;
use crate::process::Upstreams;
use crate::upstream::connector::{Connector, parse_endpoint};
use crate::upstream::credential::Credential;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::pick::Picker;
use crate::upstream::{State, Upstream};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{self, HostHeader};
use std::sync::Arc;

impl Work<'_> {
    pub(super) fn upstreams(&mut self) -> Upstreams {
        let mut compiled = Upstreams::new();
        for (name, settings) in &self.resources.upstreams {
            let path = Path::root().key("upstreams").key(name);
            if let Some(upstream) = self.upstream(name, settings, &path) {
                compiled.insert(name.as_str().into(), upstream);
            }
        }
        compiled
    }

    /// Compiles one upstream; also used for the services behind providers.
    pub fn upstream(
        &mut self,
        name: &str,
        settings: &resources::Upstream,
        path: &Path,
    ) -> Option<Arc<Upstream>> {
        let mut endpoints = Vec::new();
        if settings.endpoints.is_empty() {
            let message = "an upstream needs at least one endpoint";
            self.report(Finding::error("empty_list", path.key("endpoints"), message));
        }
        for (index, address) in settings.endpoints.iter().enumerate() {
            match parse_endpoint(address) {
                Ok(target) => {
                    let weight = settings.weights.get(address).copied().unwrap_or(1);
                    let identity = format!("{name}/{address}");
                    let endpoint = self
                        .compiler
                        .state
                        .get_or_insert(&identity, || Endpoint::new(address, target));
                    endpoints.push((endpoint, weight));
                }
                Err(message) => {
                    let path = path.key("endpoints").index(index);
                    self.report(Finding::error("invalid_endpoint", path, message));
                }
            }
        }
        for address in settings.weights.keys() {
            if !settings.endpoints.contains(address) {
                let path = path.key("weights").key(address);
                self.unknown(path, "endpoint", address, &settings.endpoints);
            }
        }
        let connector = Connector::new(self.compiler.dns.clone(), settings, self.compiler.folder);
        let connector = match connector {
            Ok(connector) => connector,
            Err((field, message)) => {
                self.report(Finding::error("invalid_upstream", path.key(field), message));
                return None;
            }
        };
        if let Some(certificate) = settings
            .tls
            .as_ref()
            .and_then(|tls| tls.certificate.as_ref())
        {
            // Looked after: a certificate that was renewed is read again.
            for file in [&certificate.chain, &certificate.key] {
                drop(self.compiler.secrets.file(&self.compiler.folder.join(file)));
            }
        }
        let credential = Credential::compile(self, settings, path);
        let mut own = settings.clone();
        if credential
            .as_ref()
            .is_some_and(|credential| credential.keeps_host())
        {
            own.host_header = HostHeader::Preserve;
        }
        Some(Arc::new(Upstream {
            name: name.into(),
            credential,
            picker: Picker::new(endpoints, &settings.balance, settings.slow_start.duration()),
            settings: own,
            connector,
            state: self.compiler.state.get_or_insert(name, State::default),
            clock: self.compiler.clock.clone(),
        }))
    }
}
