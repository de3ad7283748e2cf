//! Who else could serve what fails: other providers of a model, other addresses of an upstream. An
//! incident says so when it is known where it fails; moving traffic there is for people and runbooks.

use gate_api::types::{AddressHealth, ProviderHealth, ProviderState};
use gate_kit::order::{Gather, Order};
use gate_model::resources::{Resources, Target};
use gate_ops::attribution::Conjunction;
use gate_ops::incident::{Incident, Opening, Query, What};
use std::collections::{BTreeMap, BTreeSet};

/// Most of them that are named.
const NAMED_MAX: usize = 10;

/// Notes them once, as soon as a place is known that something else could stand in for.
pub(super) fn note(
    incident: &mut Incident,
    resources: &Resources,
    health: &[ProviderHealth],
    now_ms: u64,
) {
    let is_noted = |fact: &gate_ops::incident::Fact| matches!(fact.what, What::Failover { .. });
    if incident.facts.iter().any(is_noted) {
        return;
    }
    // What a revision broke is taken back, not moved.
    if incident.opening == Opening::Rollback {
        return;
    }
    let supposed = incident.hypotheses.iter().map(|one| &one.cell);
    let mut places = std::iter::once(&incident.cell).chain(supposed).flatten();
    let stands_in = places.find_map(|place| candidates(place, resources, health));
    let Some(text) = stands_in.or_else(|| behind(&incident.routes, resources, health)) else {
        return;
    };
    let query = Query {
        of: "providers".into(),
        filter: BTreeMap::new(),
        from_ms: now_ms,
        until_ms: now_ms,
    };
    incident.note(now_ms, What::Failover { text }, query);
}

/// Who could stand in for a place, in words. None for a place that is no provider and no address:
/// a revision is taken back, and a consumer has no other.
fn candidates(
    place: &Conjunction,
    resources: &Resources,
    health: &[ProviderHealth],
) -> Option<String> {
    let of = |key: &str| place.get(key).map(String::as_str);
    if let Some(address) = of("endpoint")
        && let Some((upstream, addresses)) = siblings(address, health)
    {
        let others = addresses
            .iter()
            .map(|one| in_words(&one.address, state(one)));
        let what = format!("{address} of upstreams/{upstream}");
        return Some(said(&what, others.collect()));
    }
    let provider = of("provider")?;
    let models = resources.models.iter().filter(|(name, model)| {
        let mut targets = model.targets.iter().chain(&model.fallback);
        of("model").is_none_or(|one| one == name.as_str())
            && targets.any(|target| target.provider.as_str() == provider)
    });
    let others: BTreeSet<&str> = models
        .flat_map(|(_, model)| model.targets.iter().chain(&model.fallback))
        .map(|target| target.provider.as_str())
        .filter(|name| *name != provider)
        .into_set();
    let others = others
        .into_iter()
        .map(|name| provider_in_words(name, health));
    Some(said(&format!("providers/{provider}"), others.collect()))
}

/// What stands behind routes, where it is not known which of it fails: all of it fails, or nothing
/// tells one from the other. None where there is no choice.
fn behind(
    routes: &BTreeSet<String>,
    resources: &Resources,
    health: &[ProviderHealth],
) -> Option<String> {
    let mut all = BTreeSet::new();
    for (name, route) in &resources.routes {
        if !routes.contains(name.as_str()) {
            continue;
        }
        match &route.target {
            Target::Upstream(upstream) => {
                let is_it =
                    |one: &&ProviderHealth| one.kind == "upstream" && one.name == upstream.as_str();
                let addresses = health.iter().filter(is_it).flat_map(|one| &one.addresses);
                all.extend(addresses.map(|one| in_words(&one.address, state(one))));
            }
            Target::Models(models) => {
                let models = models.iter().filter_map(|name| resources.models.get(name));
                let targets = models.flat_map(|model| model.targets.iter().chain(&model.fallback));
                all.extend(targets.map(|one| provider_in_words(&one.provider, health)));
            }
            _ => {}
        }
    }
    let routes: Vec<&str> = routes.iter().map(String::as_str).collect();
    let place = format!("behind {}", routes.join(", "));
    (all.len() > 1).then(|| format!("{place} are: {}", listed(all.into_iter().collect())))
}

fn provider_in_words(name: &str, health: &[ProviderHealth]) -> (ProviderState, String) {
    let mut providers = health.iter().filter(|one| one.kind == "provider");
    let known = providers.find(|one| one.name == name);
    let state = known.map_or(ProviderState::Unknown, |one| one.state);
    in_words(&format!("providers/{name}"), state)
}

/// The upstream that has this address, and its other addresses.
fn siblings<'a>(
    address: &str,
    health: &'a [ProviderHealth],
) -> Option<(&'a str, Vec<&'a AddressHealth>)> {
    let upstreams = health.iter().filter(|one| one.kind == "upstream");
    let has = |one: &&ProviderHealth| one.addresses.iter().any(|one| one.address == address);
    let upstream = upstreams.into_iter().find(has)?;
    let others = upstream.addresses.iter();
    let others = others.filter(|one| one.address != address).collect();
    Some((&upstream.name, others))
}

fn state(address: &AddressHealth) -> ProviderState {
    match address.healthy && address.ejected_until.is_none() {
        true if address.last_error.is_none() => ProviderState::Healthy,
        true => ProviderState::Degraded,
        false => ProviderState::Down,
    }
}

fn in_words(name: &str, state: ProviderState) -> (ProviderState, String) {
    let state_in_words = match state {
        ProviderState::Unknown => "not called yet",
        ProviderState::Healthy => "healthy",
        ProviderState::Degraded => "has failed of late",
        ProviderState::Down => "down",
    };
    (state, format!("{name} ({state_in_words})"))
}

fn said(place: &str, others: Vec<(ProviderState, String)>) -> String {
    if others.is_empty() {
        return format!("nothing else is configured that could serve in place of {place}");
    }
    format!("in place of {place} could serve: {}", listed(others))
}

/// What can be used comes first.
fn listed(mut all: Vec<(ProviderState, String)>) -> String {
    all.order_by_key(|(state, _)| match state {
        ProviderState::Healthy => 0,
        ProviderState::Unknown => 1,
        ProviderState::Degraded => 2,
        ProviderState::Down => 3,
    });
    let left_out = all.len().saturating_sub(NAMED_MAX);
    let named: Vec<String> = all
        .into_iter()
        .take(NAMED_MAX)
        .map(|(_, words)| words)
        .collect();
    match left_out {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gate_model::document::Document;

    fn resources() -> Resources {
        let text = r"
listeners: { public: { address: '127.0.0.1:0' } }
providers:
  one: { openai: { base_url: 'http://127.0.0.1:1/v1' } }
  two: { openai: { base_url: 'http://127.0.0.1:2/v1' } }
  three: { openai: { base_url: 'http://127.0.0.1:3/v1' } }
models:
  small: { targets: [{ provider: one, model: m }], fallback: [{ provider: two, model: m }] }
  large: { targets: [{ provider: one, model: m }, { provider: three, model: m }] }
routes:
  ai: { match: { path: '/v1/{*rest}' }, target: { models: [small, large] } }
";
        let document = Document::parse(text.as_bytes(), "test.yaml").unwrap();
        gate_model::resources::Resources::read(&document).unwrap()
    }

    fn provider(name: &str, state: ProviderState) -> ProviderHealth {
        ProviderHealth {
            name: name.into(),
            kind: "provider".into(),
            state,
            ..ProviderHealth::default()
        }
    }

    fn place(pairs: &[(&str, &str)]) -> Conjunction {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn providers_that_a_model_also_has_stand_in() {
        let resources = resources();
        let health = [
            provider("two", ProviderState::Down),
            provider("three", ProviderState::Healthy),
        ];
        let said = |pairs| candidates(&place(pairs), &resources, &health);
        assert_eq!(
            said(&[("provider", "one")]).unwrap(),
            "in place of providers/one could serve: providers/three (healthy), providers/two (down)"
        );
        assert_eq!(
            said(&[("provider", "one"), ("model", "small")]).unwrap(),
            "in place of providers/one could serve: providers/two (down)"
        );
        assert_eq!(
            said(&[("provider", "two"), ("model", "large")]).unwrap(),
            "nothing else is configured that could serve in place of providers/two"
        );
        assert_eq!(said(&[("revision", "7")]), None);
        let routes = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(
            behind(&routes(&["ai"]), &resources, &health).unwrap(),
            "behind ai are: providers/three (healthy), providers/one (not called yet), providers/two (down)"
        );
        assert_eq!(behind(&routes(&["other"]), &resources, &health), None);
    }

    #[test]
    fn other_addresses_of_an_upstream_stand_in() {
        let address = |address: &str, healthy, last_error: Option<&str>| AddressHealth {
            address: address.into(),
            healthy,
            last_error: last_error.map(str::to_owned),
            ..AddressHealth::default()
        };
        let shop = ProviderHealth {
            name: "shop".into(),
            kind: "upstream".into(),
            addresses: vec![
                address("a:1", true, Some("connect_failed")),
                address("b:1", false, None),
                address("c:1", true, Some("reset")),
                address("d:1", true, None),
            ],
            ..ProviderHealth::default()
        };
        let said = candidates(
            &place(&[("endpoint", "a:1")]),
            &Resources::default(),
            &[shop],
        );
        assert_eq!(
            said.unwrap(),
            "in place of a:1 of upstreams/shop could serve: d:1 (healthy), c:1 (has failed of late), b:1 (down)"
        );
    }
}
