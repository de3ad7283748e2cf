//! Where a service is, from its URL to the settings of an upstream.

use gate_model::resources::{self, HostHeader, UpstreamTls};
use std::collections::BTreeMap;

/// A URL, taken apart.
pub(crate) struct Place {
    pub(crate) tls: bool,
    pub(crate) authority: String,
    endpoint: String,
    pub(crate) path: String,
}

impl Place {
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let tls = match scheme {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        if authority.is_empty() || authority.contains('@') {
            return None;
        }
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let endpoint = match (has_port, tls) {
            (true, _) => authority.to_owned(),
            (false, true) => format!("{authority}:443"),
            (false, false) => format!("{authority}:80"),
        };
        Some(Self {
            tls,
            authority: authority.to_owned(),
            endpoint,
            path: path.to_owned(),
        })
    }

    /// Settings of an upstream that is this address alone. Trying again is the model's business.
    pub(crate) fn upstream(&self) -> resources::Upstream {
        resources::Upstream {
            endpoints: vec![self.endpoint.clone()],
            weights: BTreeMap::new(),
            balance: resources::Balance::default(),
            protocol: resources::UpstreamProtocol::Http1,
            tls: self.tls.then(UpstreamTls::default),
            credential: None,
            host_header: HostHeader::Preserve,
            health: None,
            outlier: resources::Outlier {
                failures: 0,
                ..resources::Outlier::default()
            },
            slow_start: gate_model::units::Period::ZERO,
            pool: resources::Pool::default(),
            timeouts: resources::Timeouts::default(),
            retry: resources::Retry {
                attempts: 0,
                ..resources::Retry::default()
            },
            concurrency: 10_000,
            hedge: None,
            proxy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let place = Place::parse("https://api.example.com/v1/chat/completions").unwrap();
        assert_eq!(
            (place.tls, place.endpoint.as_str()),
            (true, "api.example.com:443")
        );
        assert_eq!(
            (place.authority.as_str(), place.path.as_str()),
            ("api.example.com", "/v1/chat/completions")
        );
        assert_eq!(Place::parse("http://127.0.0.1:8000").unwrap().path, "/");
        assert!(Place::parse("ftp://a/").is_none() && Place::parse("https://user@a/").is_none());
    }
}
