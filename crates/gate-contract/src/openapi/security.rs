//! What a document asks callers to show.

use super::read::Reader;
use gate_model::document::{Node, NodeKind, Path};
use std::collections::BTreeMap;

/// One way to prove who calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecurityScheme {
    /// A key in a header, a query parameter or a cookie of this name.
    ApiKey {
        /// Where it is.
        place: KeyPlace,
        /// Name of the header, parameter or cookie.
        name: String,
    },
    /// An HTTP authentication scheme, in lower case, such as `bearer` or `basic`.
    Http(String),
    /// OAuth 2.
    OAuth2,
    /// OpenID Connect.
    OpenIdConnect,
    /// A client certificate (3.1).
    MutualTls,
}

/// Where a key is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a header.
    Header,
    /// In the query.
    Query,
    /// In a cookie.
    Cookie,
}

/// Schemes that have to be satisfied together, with the scopes that each needs. An empty need
/// admits everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecurityNeed(pub BTreeMap<String, Vec<String>>);

impl Reader<'_> {
    pub(super) fn security_schemes(&mut self) -> BTreeMap<String, SecurityScheme> {
        let at = Path::root().key("components").key("securitySchemes");
        let mut schemes = BTreeMap::new();
        let Some(node) = self.root.at(&at) else {
            return schemes;
        };
        for (key, _) in node.entries() {
            let Some((path, node)) = self.follow(&at.key(&key.text)) else {
                continue;
            };
            match scheme(node) {
                Ok(scheme) => drop(schemes.insert(key.text.clone(), scheme)),
                Err(message) => self.report(&path, message),
            }
        }
        schemes
    }

    /// The needs that stand at `path`; none when nothing stands there.
    pub(super) fn security(&mut self, path: &Path) -> Option<Vec<SecurityNeed>> {
        let node = self.root.at(path)?;
        let NodeKind::Sequence(items) = &node.kind else {
            self.report(path, "`security` is a list");
            return None;
        };
        let mut needs = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let mut need = SecurityNeed::default();
            for (key, scopes) in item.entries() {
                let known = self
                    .root
                    .at(&Path::root().key("components").key("securitySchemes"));
                if known.and_then(|known| known.get(&key.text)).is_none() {
                    let message = format!("there is no security scheme `{}`", key.text);
                    self.report(&path.index(index).key(&key.text), message);
                }
                need.0.insert(key.text.clone(), texts(scopes));
            }
            needs.push(need);
        }
        Some(needs)
    }
}

fn scheme(node: &Node) -> Result<SecurityScheme, String> {
    let text = |field: &str| match node.get(field).map(|node| &node.kind) {
        Some(NodeKind::String(text)) => Ok(text.clone()),
        _ => Err(format!("the security scheme lacks `{field}`")),
    };
    Ok(match text("type")?.as_str() {
        "apiKey" => SecurityScheme::ApiKey {
            place: match text("in")?.as_str() {
                "header" => KeyPlace::Header,
                "query" => KeyPlace::Query,
                "cookie" => KeyPlace::Cookie,
                other => return Err(format!("a key cannot be in `{other}`")),
            },
            name: text("name")?,
        },
        "http" => SecurityScheme::Http(text("scheme")?.to_ascii_lowercase()),
        "oauth2" => SecurityScheme::OAuth2,
        "openIdConnect" => SecurityScheme::OpenIdConnect,
        "mutualTLS" => SecurityScheme::MutualTls,
        other => return Err(format!("`{other}` is no type of security scheme")),
    })
}

/// The texts of a list; what is no text is left out.
pub(super) fn texts(node: &Node) -> Vec<String> {
    let NodeKind::Sequence(items) = &node.kind else {
        return Vec::new();
    };
    let text = |item: &Node| match &item.kind {
        NodeKind::String(text) => Some(text.clone()),
        _ => None,
    };
    items.iter().filter_map(text).collect()
}
