//! Crates depend only downwards: the order of the layout in ARCHITECTURE.md, read from manifests.

use crate::repository::File;

/// Every crate with its layer. A new crate is given one here, with a reason in ARCHITECTURE.md.
const LAYERS: &[(&str, u8)] = &[
    ("gate-model", 0),
    ("gate-kit", 0),
    ("gate-flow", 1),
    ("gate-net", 1),
    ("gate-http3", 1),
    ("gate-ai", 1),
    ("gate-cache", 1),
    ("gate-identity", 1),
    ("gate-import", 1),
    ("gate-contract", 1),
    ("gate-api", 1),
    ("gate-authz", 1),
    ("gate-store", 1),
    ("gate-acme", 2),
    ("gate-lake", 1),
    ("gate-waf", 1),
    ("gate-ops", 2),
    ("gate-policies", 2),
    ("gate-secrets", 2),
    ("gate-proxy", 2),
    ("gate-admin", 3),
    ("gate-terraform", 3),
    ("tidegate", 4),
];

pub(super) fn check(files: &[File]) -> Vec<String> {
    let mut complaints = Vec::new();
    for file in files {
        let Some(name) = file
            .path
            .strip_prefix("crates/")
            .and_then(|rest| rest.strip_suffix("/Cargo.toml"))
        else {
            continue;
        };
        let Some(layer) = layer(name) else {
            complaints.push(format!("{}: `{name}` has no layer", file.path));
            continue;
        };
        for (dependency, for_tests) in dependencies(&file.text) {
            let allowed = match self::layer(dependency) {
                // Tests may look at a neighbour.
                Some(below) if for_tests => below <= layer,
                Some(below) => below < layer,
                None => !["xtask", "gate-bench"].contains(&dependency),
            };
            if !allowed {
                complaints.push(format!("{}: may not depend on `{dependency}`", file.path));
            }
        }
    }
    complaints
}

fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find_map(|(known, layer)| (*known == name).then_some(*layer))
}

/// Names of a manifest's dependencies, and whether only tests have them.
fn dependencies(manifest: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']', ' ']);
            // `[dependencies.name]`
            if let Some((kind, name)) = section.rsplit_once('.')
                && kind.ends_with("dependencies")
            {
                found.push((name, kind.contains("dev-")));
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['.', '=', ' '])
            && !name.starts_with('#')
            && !name.is_empty()
        {
            found.push((name, section.contains("dev-")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::files;
    use super::*;

    #[test]
    fn upward_and_sideways_edges_are_refused() {
        let check_one = |name: &str, manifest: &str| {
            check(&files(&[(&format!("crates/{name}/Cargo.toml"), manifest)]))
        };
        let fine = "[dependencies]\ngate-flow.workspace = true\nbytes = \"1\"\n\
                    [dev-dependencies]\ngate-policies.workspace = true\n";
        assert!(check_one("gate-proxy", fine).is_empty());
        for wrong in [
            "[dependencies]\ngate-policies.workspace = true\n",
            "[dependencies.tidegate]\nworkspace = true\n",
            "[dev-dependencies]\ntidegate = { path = \"../tidegate\" }\n",
            "[target.'cfg(unix)'.dependencies]\ngate-policies.workspace = true\n",
            "[dependencies]\nxtask.workspace = true\n",
        ] {
            assert_eq!(check_one("gate-proxy", wrong).len(), 1, "{wrong}");
        }
        assert_eq!(check_one("gate-utils", "").len(), 1);
    }
}
