//! What a configuration breaks of the contracts of data products, and which contracts promise less than
//! they did.
//!
//! A promise is kept by settings elsewhere: by what the lake leaves out, hashes and keeps, and by routes
//! that are there, record bodies and know their callers. Each way to break one is told at the setting
//! that does.

use super::dataset;
use gate_lake::schema::Column;
use gate_model::document::{Node, NodeKind, Path};
use gate_model::finding::Finding;
use gate_model::resources::{
    AUTHENTICATING, Component, DataProduct, LakeSet, ProductSource, Resources, Route,
};
use gate_model::units::Percent;
use std::collections::BTreeMap;
use std::fmt::Display;

/// The code of every finding of a broken contract.
pub const BROKEN: &str = "contract_broken";

/// Whether some configuration gives every row a value of a column.
pub(super) fn can_be_required(product: &DataProduct, column: &Column) -> bool {
    !column.optional
        || product.rows.contains_key(column.name)
        || column.name == "consumer" && product.rows.contains_key("route")
}

/// What the configuration breaks of any contract, by the product: warnings, because a gateway serves on
/// without. Routes that follow from APIs are among the resources, or they count as gone.
#[must_use]
pub fn broken(resources: &Resources) -> Vec<(String, Finding)> {
    let products = resources.data_products.iter();
    let found = products.map(|(name, product)| {
        let mut broken = Broken {
            resources,
            name,
            product,
            findings: Vec::new(),
        };
        broken.by_lake();
        broken.by_names();
        broken.by_routes();
        let found = broken.findings.into_iter();
        found.map(|finding| (name.clone(), finding))
    });
    found.flatten().collect()
}

struct Broken<'a> {
    resources: &'a Resources,
    name: &'a str,
    product: &'a DataProduct,
    findings: Vec<Finding>,
}

impl Broken<'_> {
    fn told(&mut self, path: Path, message: impl Display) {
        let (name, owner) = (self.name, &self.product.owner);
        let message = format!("the contract of the data product `{name}` is broken: {message}");
        let help = format!("agree with the team `{owner}`, and change the contract with it");
        let finding = Finding::warning(BROKEN, path, message).help(help);
        self.findings.push(finding);
    }

    /// What the lake leaves out, hashes, and keeps for too short a time.
    fn by_lake(&mut self) {
        let Some(lake) = &self.resources.gateway.lake else {
            return;
        };
        let path = Path::root().key("gateway").key("lake");
        let product = self.product;
        let set: &LakeSet = match (product.from, &lake.bodies) {
            (ProductSource::Records, _) => &lake.records,
            (ProductSource::Bodies, Some(bodies)) => bodies,
            (ProductSource::Bodies, None) => {
                return self.told(
                    path,
                    "no bodies are written: `gateway.lake.bodies` is not set",
                );
            }
        };
        let path = path.key(dataset(product).name());
        for (at, column) in set.drop.iter().enumerate() {
            if product.columns.contains_key(column) {
                let path = path.key("drop").index(at);
                self.told(
                    path,
                    format_args!("it promises `{column}`, which is left out here"),
                );
            }
        }
        for (at, column) in set.hash.iter().enumerate() {
            if product.columns.get(column).is_some_and(|it| !it.hashed) {
                let path = path.key("hash").index(at);
                let message = format!("it promises `{column}` as it is, which is hashed here");
                self.told(path, message);
            }
        }
        // Who reads what would be decided by values that are not there.
        let mut deciding: Vec<&str> = product.rows.keys().map(String::as_str).collect();
        for reader in product.readers.values() {
            deciding.extend(reader.rows.keys().map(String::as_str));
            deciding.extend(reader.own_rows.then_some("team"));
        }
        deciding.sort_unstable();
        deciding.dedup();
        for (field, columns) in [("drop", &set.drop), ("hash", &set.hash)] {
            for (at, column) in columns.iter().enumerate() {
                if deciding.contains(&column.as_str()) {
                    let path = path.key(field).index(at);
                    let message = format!("its rows are told apart by `{column}`: none is left");
                    self.told(path, message);
                }
            }
        }
        if let (Some(kept), Some(promised)) = (set.keep, product.keep)
            && kept < promised
        {
            let message = format!("it promises rows of {promised}, and they are kept for {kept}");
            self.told(path.key("keep"), message);
        }
    }

    /// Values by which rows are told apart, and that no row has any more.
    fn by_names(&mut self) {
        let resources = self.resources;
        let path = Path::root().key("data_products").key(self.name);
        let mut told = vec![(path.key("rows"), &self.product.rows)];
        for (team, reader) in &self.product.readers {
            told.push((path.key("readers").key(team).key("rows"), &reader.rows));
        }
        for (path, rows) in told {
            let routes: Vec<&String> = resources.routes.keys().collect();
            let listeners: Vec<&String> = resources.listeners.keys().collect();
            let providers: Vec<&String> = resources.providers.keys().collect();
            let teams: Vec<&String> = resources.teams.keys().collect();
            for (column, known) in [
                ("route", routes),
                ("listener", listeners),
                ("provider", providers),
                ("team", teams),
            ] {
                // Where no teams are listed, any may call.
                if column == "team" && known.is_empty() {
                    continue;
                }
                for (at, value) in rows.get(column).into_iter().flatten().enumerate() {
                    if !known.contains(&value) {
                        let path = path.key(column).index(at);
                        let message = format!(
                            "its rows are of the {column} `{value}`, which is not there; was it renamed?"
                        );
                        self.told(path, message);
                    }
                }
            }
        }
    }

    /// Routes that do not record what is promised, or not of everybody.
    fn by_routes(&mut self) {
        let routes = self.product.rows.get("route").into_iter().flatten();
        let needs_consumer = (self.product.columns.get("consumer"))
            .is_some_and(|column| column.required && !self.product.rows.contains_key("consumer"));
        for name in routes {
            // One that is not there is told of elsewhere.
            let Some(route) = self.resources.routes.get(name) else {
                continue;
            };
            let path = Path::root().key("routes").key(name).key("policies");
            if self.product.from == ProductSource::Bodies {
                self.by_recording(route, &path);
            }
            let knows = |policy: &Component| {
                kinds(policy).any(|kind| AUTHENTICATING.contains(&kind)) && !has_condition(policy)
            };
            if needs_consumer && !route.policies.iter().any(knows) {
                let message = format!(
                    "it promises a `consumer` in every row, and route `{name}` lets anybody in"
                );
                self.told(path, message);
            }
        }
    }

    fn by_recording(&mut self, route: &Route, path: &Path) {
        let mut found = route.policies.iter().enumerate();
        let found = found.find(|(_, policy)| kinds(policy).any(|kind| kind == "record_bodies"));
        let Some((at, policy)) = found else {
            return self.told(
                path.clone(),
                "its bodies are not recorded: no `record_bodies`",
            );
        };
        let path = path.index(at);
        if has_condition(policy) {
            self.told(path.key("when"), "its bodies are recorded sometimes only");
        }
        let path = path.key("record_bodies");
        let settings = policy.0.get("record_bodies");
        if let Some(share) = settings.and_then(|settings| settings.get("share"))
            && text(share)
                .is_some_and(|it| it.parse().is_ok_and(|it: Percent| it < Percent::HUNDRED))
        {
            self.told(path.key("share"), "its bodies are sampled here");
        }
        let directions = self.product.rows.get("direction");
        for direction in ["request", "response"] {
            let wanted = directions.is_none_or(|all| all.iter().any(|it| it == direction));
            let given = settings.and_then(|settings| settings.get(direction));
            let is_on = given.is_some_and(|given| matches!(given.kind, NodeKind::Bool(true)));
            if wanted && !is_on {
                let message = format!("bodies of its {direction}s are not recorded here");
                self.told(path.key(direction), message);
            }
        }
    }
}

fn kinds(policy: &Component) -> impl Iterator<Item = &str> {
    let entries = policy.0.entries().iter();
    entries.map(|(key, _)| key.text.as_str())
}

fn has_condition(policy: &Component) -> bool {
    policy.0.get("when").is_some()
}

fn text(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::String(text) => Some(text),
        _ => None,
    }
}

/// Contracts that promise less than they did, or to fewer: warnings, for whoever reads them.
#[must_use]
pub fn loosened(before: &Resources, after: &Resources) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, was) in &before.data_products {
        let path = Path::root().key("data_products").key(name);
        let mut told = |path: Path, message: String| {
            let message = format!("the data product `{name}` {message}");
            let help = "tell the teams that read it first";
            let finding = Finding::warning("contract_loosened", path, message);
            findings.push(finding.help(help));
        };
        let Some(is) = after.data_products.get(name) else {
            told(path, "goes".into());
            continue;
        };
        for (column, promised) in &was.columns {
            let at = path.key("columns").key(column);
            match is.columns.get(column) {
                None => told(at, format!("loses the column `{column}`")),
                Some(now) if now.kind != promised.kind => {
                    told(at, format!("has another type of `{column}`"));
                }
                Some(now) if promised.required && !now.required => {
                    told(at, format!("no longer promises `{column}` in every row"));
                }
                Some(now) if !promised.hashed && now.hashed => {
                    told(at, format!("no longer promises `{column}` as it is"));
                }
                Some(_) => {}
            }
        }
        if narrower(&was.rows, &is.rows) || was.from != is.from {
            told(path.key("rows"), "has other rows".into());
        }
        if was
            .fresh_within
            .is_some_and(|was| is.fresh_within.is_none_or(|is| is > was))
        {
            told(path.key("fresh_within"), "is fresh later".into());
        }
        if is
            .keep
            .is_some_and(|is| was.keep.is_none_or(|was| is < was))
        {
            told(path.key("keep"), "can be read for a shorter time".into());
        }
        for (team, read) in &was.readers {
            let at = path.key("readers").key(team);
            let Some(reads) = is.readers.get(team) else {
                if *team != is.owner {
                    told(at, format!("can no longer be read by the team `{team}`"));
                }
                continue;
            };
            let fewer = |is: &Vec<String>| match &read.columns {
                None => was.columns.keys().any(|column| !is.contains(column)),
                Some(was) => was.iter().any(|column| !is.contains(column)),
            };
            let less = narrower(&read.rows, &reads.rows)
                || reads.own_rows && !read.own_rows
                || reads.columns.as_ref().is_some_and(fewer);
            if less {
                told(at, format!("shows less to the team `{team}`"));
            }
        }
    }
    findings
}

/// Whether conditions leave out rows that others let through.
fn narrower(was: &BTreeMap<String, Vec<String>>, is: &BTreeMap<String, Vec<String>>) -> bool {
    is.iter().any(|(column, values)| {
        (was.get(column)).is_none_or(|was| was.iter().any(|value| !values.contains(value)))
    })
}

#[cfg(test)]
#[path = "contract_tests.rs"]
mod tests;
