//! From a tree to operations. Everything that is wrong is collected, each at its place.

use super::parameter::{Parameter, ParameterPlace};
use super::reference;
use super::security::SecurityNeed;
use super::{Api, Edition, OPERATIONS_MAX, Operation, PARAMETERS_MAX};
use gate_model::document::{Document, FINDINGS_MAX, Node, NodeKind, Path};
use gate_model::finding::Finding;
use std::collections::{HashMap, HashSet};

/// Methods of a path item, in the specification's order.
const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// One reading of a document, with the findings so far.
pub(super) struct Reader<'r> {
    pub(super) root: &'r Node,
    document: &'r Document,
    findings: Vec<Finding>,
}

/// Reads a whole document.
pub(super) fn api(document: Document) -> Result<Api, Vec<Finding>> {
    let mut reader = Reader {
        root: &document.root,
        document: &document,
        findings: Vec::new(),
    };
    let edition = reader.edition();
    let info = Path::root().key("info");
    let (title, version, description) = match document.root.get("info") {
        Some(node) => (
            reader
                .required_text(node, &info, "title")
                .unwrap_or_default(),
            reader.version(node, &info),
            reader.text(node, &info, "description").unwrap_or_default(),
        ),
        None => {
            reader.report(&Path::root(), "the document lacks `info`");
            Default::default()
        }
    };
    let security_schemes = reader.security_schemes();
    let usual = reader
        .security(&Path::root().key("security"))
        .unwrap_or_default();
    let servers = reader.servers();
    let operations = reader.operations(&usual);
    let findings = reader.findings;
    match edition {
        Some(edition) if findings.is_empty() => Ok(Api {
            file: document.file.clone(),
            edition,
            title,
            version,
            description,
            servers,
            operations,
            security_schemes,
            root: document.root,
        }),
        _ => Err(findings),
    }
}

impl<'r> Reader<'r> {
    /// Notes something wrong, at its place.
    pub(super) fn report(&mut self, path: &Path, message: impl Into<String>) {
        self.note(Finding::error("invalid_contract", path.clone(), message));
    }

    fn note(&mut self, finding: Finding) {
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(finding.locate(self.document));
        }
    }

    /// What stands at `path` after references; what leads nowhere is noted.
    pub(super) fn follow(&mut self, path: &Path) -> Option<(Path, &'r Node)> {
        match reference::follow(self.root, path) {
            Ok(found) => Some(found),
            Err(finding) => {
                self.note(finding);
                None
            }
        }
    }

    /// A text field, if it is there.
    pub(super) fn text(&mut self, node: &Node, at: &Path, field: &str) -> Option<String> {
        match &node.get(field)?.kind {
            NodeKind::String(text) => Some(text.clone()),
            NodeKind::Null => None,
            _ => {
                self.report(&at.key(field), format!("`{field}` is a text"));
                None
            }
        }
    }

    /// A text field that has to be there.
    pub(super) fn required_text(&mut self, node: &Node, at: &Path, field: &str) -> Option<String> {
        if node.get(field).is_none() {
            self.report(at, format!("`{field}` is missing"));
            return None;
        }
        self.text(node, at, field)
    }

    /// A field that is `true` or `false`, if it is there.
    pub(super) fn flag(&mut self, node: &Node, at: &Path, field: &str) -> Option<bool> {
        match &node.get(field)?.kind {
            NodeKind::Bool(value) => Some(*value),
            _ => {
                self.report(&at.key(field), format!("`{field}` is `true` or `false`"));
                None
            }
        }
    }

    /// `info.version`; a number is taken as it is written in YAML without quotes.
    fn version(&mut self, node: &Node, at: &Path) -> String {
        match node.get("version").map(|version| &version.kind) {
            Some(NodeKind::String(text)) => text.clone(),
            Some(NodeKind::Integer(number)) => number.to_string(),
            Some(NodeKind::Float(number)) => number.to_string(),
            Some(_) => {
                self.report(&at.key("version"), "`version` is a text");
                String::new()
            }
            None => {
                self.report(at, "`version` is missing");
                String::new()
            }
        }
    }

    fn edition(&mut self) -> Option<Edition> {
        let path = Path::root().key("openapi");
        if self.root.get("swagger").is_some() {
            let finding = Finding::error(
                "invalid_contract",
                Path::root().key("swagger"),
                "the document is Swagger 2.0",
            );
            self.note(
                finding
                    .expected("OpenAPI 3.0 or 3.1")
                    .help("convert it first"),
            );
            return None;
        }
        let text = match self.root.get("openapi").map(|node| &node.kind) {
            Some(NodeKind::String(text)) => text.clone(),
            Some(NodeKind::Float(number)) => number.to_string(),
            _ => String::new(),
        };
        let is = |edition: &str| {
            text.strip_prefix(edition)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        if is("3.0") {
            return Some(Edition::V3_0);
        }
        if is("3.1") {
            return Some(Edition::V3_1);
        }
        let message = match text.is_empty() {
            true => "`openapi` is missing".to_owned(),
            false => format!("OpenAPI {text} is not known"),
        };
        let finding = Finding::error("invalid_contract", path, message);
        self.note(finding.expected("3.0.x or 3.1.x"));
        None
    }

    fn servers(&mut self) -> Vec<String> {
        let at = Path::root().key("servers");
        let Some(NodeKind::Sequence(items)) = self.root.at(&at).map(|node| &node.kind) else {
            return Vec::new();
        };
        let mut servers = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let at = at.index(index);
            let Some(mut url) = self.required_text(item, &at, "url") else {
                continue;
            };
            for (name, variable) in item.get("variables").map_or(&[][..], Node::entries) {
                if let Some(NodeKind::String(value)) =
                    variable.get("default").map(|node| &node.kind)
                {
                    url = url.replace(&format!("{{{}}}", name.text), value);
                }
            }
            servers.push(url);
        }
        servers
    }

    fn operations(&mut self, usual: &[SecurityNeed]) -> Vec<Operation> {
        let mut operations = Vec::new();
        let mut ids = HashSet::new();
        let mut shapes: HashMap<String, String> = HashMap::new();
        let paths = Path::root().key("paths");
        let Some(node) = self.root.get("paths") else {
            return operations;
        };
        for (key, _) in node.entries() {
            if key.text.starts_with("x-") {
                continue;
            }
            let place = paths.key(&key.text);
            if !key.text.starts_with('/') {
                self.report(&place, "a path begins with `/`");
                continue;
            }
            match shape(&key.text) {
                Ok(shape) => {
                    if let Some(other) = shapes.insert(shape, key.text.clone()) {
                        let message = format!("the path matches the same requests as `{other}`");
                        self.report(&place, message);
                        continue;
                    }
                }
                Err(message) => {
                    self.report(&place, message);
                    continue;
                }
            }
            let Some((at, item)) = self.follow(&place) else {
                continue;
            };
            let shared = self.parameters(item, &at);
            for method in METHODS.iter().filter(|method| item.get(method).is_some()) {
                if operations.len() >= OPERATIONS_MAX {
                    let message = format!("the document has more than {OPERATIONS_MAX} operations");
                    self.report(&place, message);
                    return operations;
                }
                let operation = self.operation(&at.key(*method), &key.text, method, &shared, usual);
                if let Some(id) = &operation.id
                    && !ids.insert(id.clone())
                {
                    let message = format!("the operationId `{id}` stands twice");
                    self.report(&operation.at.key("operationId"), message);
                }
                operations.push(operation);
            }
        }
        operations
    }

    fn operation(
        &mut self,
        at: &Path,
        path: &str,
        method: &str,
        shared: &[Parameter],
        usual: &[SecurityNeed],
    ) -> Operation {
        let root = self.root;
        let node = root.at(at).unwrap_or(root);
        let mut parameters = self.parameters(node, at);
        let own: HashSet<(String, ParameterPlace)> = parameters
            .iter()
            .map(|one| (one.name.clone(), one.place))
            .collect();
        let inherited = |one: &&Parameter| !own.contains(&(one.name.clone(), one.place));
        parameters.extend(shared.iter().filter(inherited).cloned());
        parameters.retain(|one| !is_described_elsewhere(one));
        self.check_path_parameters(at, path, &mut parameters);
        if parameters.len() > PARAMETERS_MAX {
            self.report(at, format!("more than {PARAMETERS_MAX} parameters"));
        }
        let body = node.get("requestBody").map(|_| at.key("requestBody"));
        Operation {
            span: node.span,
            method: method.to_ascii_uppercase(),
            path: path.to_owned(),
            id: self.text(node, at, "operationId"),
            summary: self.text(node, at, "summary").unwrap_or_default(),
            description: self.text(node, at, "description").unwrap_or_default(),
            tags: self.tags(node),
            deprecated: self.flag(node, at, "deprecated").unwrap_or(false),
            parameters,
            body: body.and_then(|at| self.body(&at)),
            responses: self.responses(node, at),
            security: self
                .security(&at.key("security"))
                .unwrap_or_else(|| usual.to_vec()),
            at: at.clone(),
        }
    }

    /// Every template has its parameter and the other way round.
    fn check_path_parameters(&mut self, at: &Path, path: &str, parameters: &mut Vec<Parameter>) {
        let names: Vec<&str> = template_names(path).collect();
        let is_there = |name: &str| {
            parameters
                .iter()
                .any(|one| one.place == ParameterPlace::Path && one.name == name)
        };
        let missing: Vec<&str> = names
            .iter()
            .copied()
            .filter(|name| !is_there(name))
            .collect();
        for name in missing {
            self.report(
                at,
                format!("the parameter `{name}` of the path is not described"),
            );
        }
        parameters.retain(|one| one.place != ParameterPlace::Path || names.contains(&&*one.name));
    }
}

/// Header parameters that the specification has described by other means.
fn is_described_elsewhere(parameter: &Parameter) -> bool {
    parameter.place == ParameterPlace::Header
        && ["accept", "content-type", "authorization"]
            .iter()
            .any(|name| parameter.name.eq_ignore_ascii_case(name))
}

/// The names in a template, in order.
pub(crate) fn template_names(path: &str) -> impl Iterator<Item = &str> {
    path.split('{')
        .skip(1)
        .filter_map(|part| part.split('}').next())
}

/// A template without the names of its parameters: templates of one shape match the same requests.
fn shape(path: &str) -> Result<String, String> {
    let mut shape = String::new();
    let mut seen = HashSet::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after
            .split_once('}')
            .ok_or("a `{` in the path is not closed")?;
        if name.is_empty() || name.contains(['{', '/']) || before.contains('}') {
            return Err("braces in a path hold the name of a parameter".to_owned());
        }
        if !seen.insert(name) {
            return Err(format!("the parameter `{name}` stands twice in the path"));
        }
        shape.push_str(before);
        shape.push_str("{}");
        rest = behind;
    }
    if rest.contains('}') {
        return Err("a `}` in the path was never opened".to_owned());
    }
    shape.push_str(rest);
    Ok(shape)
}
