//! What else is known of objectives: which experiment explains an alarm, what is left, the seconds.

use super::{Raised, Watch};
use gate_ops::incident::{About, Moment, Run};
use gate_ops::slo::Count;

/// Seconds that are known one by one.
const SECONDS: u64 = 120;

impl Watch {
    /// Marks what has just begun as made by the run that explains it, if one does.
    pub(in super::super) fn explain<'a>(&mut self, runs: impl Iterator<Item = &'a Run> + Clone) {
        let now_s = self.now_s;
        for watched in self.objectives.values_mut() {
            let scope = &watched.definition.scope;
            let about = About {
                route: scope.route.as_deref(),
                provider: scope.provider.as_deref(),
                model: scope.model.as_deref(),
                consumer: scope.consumer.as_deref(),
            };
            let attribution = watched.attribution.as_ref();
            let is_new = |raised: &&mut Raised| raised.since_s == Some(now_s);
            for raised in watched.raised.iter_mut().filter(is_new) {
                let explains = |run: &&Run| run.explains(about, attribution, now_s * 1000);
                let by = runs.clone().find(explains);
                raised.experiment = by.map(|run| run.experiment.clone());
            }
        }
    }

    /// Share of an objective's error budget that is left; none without events.
    pub(in super::super) fn left(&self, name: &str) -> Option<f64> {
        self.objectives.get(name)?.monitor.budget().left
    }

    /// What was counted for an objective in each of the last two minutes' seconds, in order.
    pub(in super::super) fn seconds(&self, name: &str) -> Vec<Moment> {
        let Some(watched) = self.objectives.get(name) else {
            return Vec::new();
        };
        let rings = watched.monitor.counts().rings();
        let (now_s, mut before) = (rings.now_s(), Count::default());
        let mut seconds = Vec::new();
        for age in 0..SECONDS.min(now_s) {
            let sum = rings.sum(0, age + 1);
            let (total, bad) = (sum.total - before.total, sum.bad - before.bad);
            before = sum;
            seconds.push(Moment {
                at_ms: (now_s - age) * 1000,
                count: Count::new(total, bad),
            });
        }
        // The second that has begun is not whole yet.
        seconds.into_iter().skip(1).rev().collect()
    }
}
