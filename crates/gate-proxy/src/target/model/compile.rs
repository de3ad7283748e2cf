//! Models, from configuration to what a call needs.

use super::provider::{Provider, provider};
use super::road::{Road, roads};
use crate::compile::Work;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::ModelTarget;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// One provider's model.
pub struct ProviderTarget {
    /// The account.
    pub provider: Arc<Provider>,
    /// The provider's name for the model.
    pub model: Arc<str>,
    weight: u32,
    /// Where each operation leads.
    pub(super) roads: Vec<Road>,
}

/// A model that callers ask for.
pub struct Model {
    /// Its name.
    pub name: Arc<str>,
    /// How long a target may take to its first byte.
    pub first_byte: Duration,
    /// How long a stream may stay silent.
    pub idle: Duration,
    targets: Vec<ProviderTarget>,
    fallback: Vec<ProviderTarget>,
}

impl Model {
    /// The targets in the order to try: one by weight, the other weighted ones, the fallbacks.
    #[must_use]
    pub fn order(&self, random: u64) -> Vec<&ProviderTarget> {
        let total: u64 = self
            .targets
            .iter()
            .map(|target| u64::from(target.weight))
            .sum();
        let mut left = if total == 0 { 0 } else { random % total };
        let chosen = self.targets.iter().position(|target| {
            let weight = u64::from(target.weight);
            let found = left < weight;
            left = left.saturating_sub(weight);
            found
        });
        let mut order = Vec::with_capacity(self.targets.len() + self.fallback.len());
        order.extend(chosen.map(|index| &self.targets[index]));
        let others = self.targets.iter().enumerate();
        order.extend(
            others
                .filter(|(i, t)| Some(*i) != chosen && t.weight > 0)
                .map(|(_, target)| target),
        );
        order.extend(&self.fallback);
        order
    }
}

/// Every model by name.
pub struct Models(HashMap<String, Arc<Model>>);

impl Models {
    /// The model of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Model>> {
        self.0.get(name)
    }

    /// Compiles every provider and model; what is wrong goes into the findings.
    #[must_use]
    pub fn compile(work: &mut Work<'_>) -> Self {
        let mut providers: HashMap<&String, Arc<Provider>> = HashMap::new();
        for (name, component) in &work.resources.providers {
            let path = Path::root().key("providers").key(name);
            if let Some(provider) = provider(work, name, component, &path) {
                providers.insert(name, Arc::new(provider));
            }
        }
        let mut models = HashMap::new();
        for (name, settings) in &work.resources.models {
            let path = Path::root().key("models").key(name);
            if settings.targets.is_empty() {
                let message = "a model needs at least one target";
                work.report(Finding::error("empty_list", path.key("targets"), message));
            }
            let mut resolve = |list: &[ModelTarget], path: Path| -> Vec<ProviderTarget> {
                let one = |(index, target): (usize, &ModelTarget)| {
                    let Some(provider) = providers.get(&target.provider) else {
                        if !work.resources.providers.contains_key(&target.provider) {
                            let path = path.index(index).key("provider");
                            let known = work.resources.providers.keys();
                            work.unknown(path, "provider", &target.provider, known);
                        }
                        return None;
                    };
                    Some(ProviderTarget {
                        provider: provider.clone(),
                        model: target.model.as_str().into(),
                        weight: target.weight,
                        roads: roads(provider, &target.model),
                    })
                };
                list.iter().enumerate().filter_map(one).collect()
            };
            let targets = resolve(&settings.targets, path.key("targets"));
            let fallback = resolve(&settings.fallback, path.key("fallback"));
            let model = Model {
                name: name.as_str().into(),
                first_byte: settings.first_byte.duration(),
                idle: settings.idle.duration(),
                targets,
                fallback,
            };
            models.insert(name.clone(), Arc::new(model));
        }
        Self(models)
    }
}
