//! Telling that the store is silent: once when it begins, again now and then, and when it ends.

use super::Followed;
use gate_kit::clock::Clock;
use gate_proxy::process::Process;
use gate_store::control::ControlError;
use std::sync::Arc;
use std::time::Duration;

/// How often a silence that lasts is told again.
const AGAIN: Duration = Duration::from_secs(60);

/// What was told.
pub(super) struct Silence {
    process: Arc<Process>,
    followed: Arc<Followed>,
    clock: Clock,
    /// How long the silence was when it was last told; none while the store answers.
    told: Option<Duration>,
}

impl Silence {
    /// Following begins now.
    pub(super) fn new(process: &Arc<Process>, followed: &Arc<Followed>, clock: Clock) -> Self {
        let readers = &process.shared().readers;
        readers.metrics().contact().begins(clock.unix());
        Self {
            process: process.clone(),
            followed: followed.clone(),
            clock,
            told: None,
        }
    }

    /// How long the store has not answered.
    fn lasts(&self) -> Duration {
        let contact = self.process.shared().readers.metrics().contact();
        contact.silence(self.clock.unix()).unwrap_or_default()
    }

    /// The store has answered.
    pub(super) fn ends(&mut self) {
        if self.told.take().is_some() {
            let silent_s = self.lasts().as_secs();
            tracing::info!(silent_s, "the store answers again");
        }
        let readers = &self.process.shared().readers;
        readers.metrics().contact().answered(self.clock.unix());
    }

    /// The store has not answered.
    pub(super) fn goes_on(&mut self, error: &ControlError) {
        let readers = &self.process.shared().readers;
        readers.metrics().contact().failed();
        let lasts = self.lasts();
        if self.told.is_some_and(|told| lasts < told + AGAIN) {
            return;
        }
        let environment = &*self.followed.environment;
        let served = self.followed.content();
        let revision = served.map_or(0, |content| content.revision.number);
        let silent_s = lasts.as_secs();
        tracing::error!(
            %error,
            environment,
            revision,
            silent_s,
            "the store does not answer; what is served stays"
        );
        self.told = Some(lasts);
    }
}
