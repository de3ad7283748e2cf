//! Consumers, as the callers that their keys stand for.

use super::Work;
use crate::money::compile::{allowed, check_keys};
use gate_flow::{Caller, Callers};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::units::Timestamp;
use std::collections::HashMap;

impl Work<'_> {
    pub(super) fn callers(&mut self) -> Callers {
        let mut callers = Callers::default();
        let mut seen: HashMap<[u8; 32], &str> = HashMap::new();
        for (name, consumer) in &self.resources.consumers {
            let path = Path::root().key("consumers").key(name);
            for (index, key) in consumer.keys.iter().enumerate() {
                if let Some(other) = seen.insert(*key.sha256.bytes(), name) {
                    let message = format!("this key already belongs to `{other}`");
                    self.report(Finding::error(
                        "repeated_key",
                        path.key("keys").index(index),
                        message,
                    ));
                }
            }
            for (index, model) in consumer.models.iter().flatten().enumerate() {
                if !self.resources.models.contains_key(model) {
                    let path = path.key("models").index(index);
                    self.unknown(path, "model", model, self.resources.models.keys());
                }
            }
            check_keys(self, consumer, &path);
            let team = consumer.team.as_ref();
            let team_models = team.and_then(|team| self.resources.teams.get(team)?.models.as_ref());
            for key in &consumer.keys {
                let lists = [key.models.as_ref(), consumer.models.as_ref(), team_models];
                let tools = [key.tools.as_ref(), consumer.tools.as_ref()];
                let caller = Caller {
                    name: name.as_str().into(),
                    team: team.map(|team| team.as_str().into()),
                    models: allowed(lists),
                    tools: tools.into_iter().flatten().cloned().collect(),
                    key: Some(key.name().into()),
                    expires_unix_s: key.expires.map(Timestamp::unix_s),
                    routes: key.routes.clone(),
                };
                callers.insert(caller, [*key.sha256.bytes()]);
            }
            // Known otherwise than by a key, and the last to be entered under the name.
            let caller = Caller {
                name: name.as_str().into(),
                team: team.map(|team| team.as_str().into()),
                models: allowed([None, consumer.models.as_ref(), team_models]),
                tools: consumer.tools.iter().cloned().collect(),
                ..Caller::default()
            };
            callers.insert(caller, []);
        }
        callers
    }
}
