//! Who depends on whom, and what of that is down.

use gate_api::types::{Dependency, ProviderHealth, ProviderState};
use gate_kit::order::Gather;
use gate_model::resources::{Resources, Target};
use std::collections::BTreeSet;

/// Who calls what, and what of that is down. A model is down when each of its providers is.
pub(super) fn dependencies(resources: &Resources, health: &[ProviderHealth]) -> Vec<Dependency> {
    let down: BTreeSet<String> = health
        .iter()
        .filter(|one| one.state == ProviderState::Down)
        .map(|one| format!("{}s/{}", one.kind, one.name))
        .into_set();
    let mut all = Vec::new();
    let mut models_down = BTreeSet::new();
    for (name, model) in &resources.models {
        let used: BTreeSet<String> = model
            .targets
            .iter()
            .chain(&model.fallback)
            .map(|target| format!("providers/{}", target.provider))
            .into_set();
        if !used.is_empty() && used.iter().all(|one| down.contains(one)) {
            models_down.insert(format!("models/{name}"));
        }
        all.extend(used.into_iter().map(|to| Dependency {
            from: format!("models/{name}"),
            is_down: down.contains(&to),
            to,
        }));
    }
    for (name, route) in &resources.routes {
        let used: Vec<String> = match &route.target {
            Target::Upstream(upstream) => vec![format!("upstreams/{upstream}")],
            Target::Models(models) => models.iter().map(|one| format!("models/{one}")).collect(),
            Target::Mcp(servers) => {
                let servers = servers.iter();
                servers
                    .map(|one| format!("mcp_servers/{}", one.server))
                    .collect()
            }
            Target::Agent(agent) => vec![format!("agents/{agent}")],
            Target::Api(api) => vec![format!("apis/{api}")],
            _ => Vec::new(),
        };
        all.extend(used.into_iter().map(|to| Dependency {
            from: format!("routes/{name}"),
            is_down: down.contains(&to) || models_down.contains(&to),
            to,
        }));
    }
    all
}
