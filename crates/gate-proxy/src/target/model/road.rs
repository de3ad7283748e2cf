//! Where each operation leads at one provider's model: what is sent, and to which address.
//!
//! Made when the configuration is compiled, so that a call only looks it up.

use super::ProviderTarget;
use super::provider::Provider;
use crate::target::place::Place;
use gate_ai::{Dialect, Operation};

/// One operation's way.
pub struct Road {
    /// What the caller asks for.
    asked: Operation,
    /// What is sent: the same, or what it is translated to.
    pub sent: Operation,
    /// Path and query to send to.
    target: String,
    /// The same for streamed answers, where it is another.
    stream_target: Option<String>,
}

impl Road {
    /// What is sent.
    pub(super) const fn sent(&self) -> Operation {
        self.sent
    }

    /// Path and query to send to.
    #[must_use]
    pub fn target(&self, streams: bool) -> &str {
        let own = self.stream_target.as_deref().filter(|_| streams);
        own.unwrap_or(&self.target)
    }
}

/// The ways to a provider's model.
pub(super) fn roads(provider: &Provider, model: &str) -> Vec<Road> {
    let (kind, config) = (provider.kind, &provider.config);
    let path = |row, streams| {
        let url = kind.url(config, row, model, streams).ok()?;
        Some(Place::parse(&url)?.path)
    };
    let road = |asked| {
        let row = kind.serving(asked, model, config)?;
        Some(Road {
            asked,
            sent: row.operation,
            target: path(row, false)?,
            stream_target: row.stream_path.and_then(|_| path(row, true)),
        })
    };
    Operation::all().filter_map(road).collect()
}

impl ProviderTarget {
    /// The way for what a caller asks; none when the provider does not serve it.
    #[must_use]
    pub fn road(&self, asked: Operation) -> Option<&Road> {
        self.roads.iter().find(|road| road.asked == asked)
    }

    /// The version of Anthropic's interface that a body in this dialect has in the model's place,
    /// where the vendor wants one there.
    #[must_use]
    pub fn version_in_body(&self, spoken: Dialect) -> Option<&'static str> {
        if spoken != Dialect::Messages {
            return None;
        }
        let provider = &self.provider;
        let quirks = provider.config.quirks.unwrap_or(provider.kind.quirks);
        quirks.version_in_body
    }

    /// The dialect spoken to it for a caller who asks for this: of conversations, or of errors
    /// where it is another operation.
    #[must_use]
    pub fn spoken(&self, asked: Operation) -> Dialect {
        match self.road(asked).map(|road| road.sent) {
            Some(Operation::Conversation(spoken)) => spoken,
            Some(other) => other.error_dialect(),
            None => self.provider.kind.dialect,
        }
    }
}
