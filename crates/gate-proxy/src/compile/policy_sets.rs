//! Policy sets: whether they can be evaluated, and what in them can never apply.

use super::Work;
use gate_authz::{Compiled, Vocabulary};
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources::{CedarSource, PolicySet};

impl Work<'_> {
    /// Checks every policy set, whether a route uses it or not.
    pub(super) fn policy_sets(&mut self) {
        let resources = self.resources;
        for (name, set) in &resources.policy_sets {
            let path = Path::root().key("policy_sets").key(name);
            self.policy_set(name, set, &path);
        }
    }

    fn policy_set(&mut self, name: &str, set: &PolicySet, path: &Path) {
        let resources = self.resources;
        for (role, members) in &set.roles {
            for (index, member) in members.iter().enumerate() {
                if !resources.consumers.contains_key(member) {
                    let path = path.key("roles").key(role).index(index);
                    self.unknown(path, "consumer", member, resources.consumers.keys());
                }
            }
        }
        let (text, place, file) = match &set.policies {
            CedarSource::Inline(text) => {
                (Ok(text.clone()), path.key("policies").key("inline"), None)
            }
            CedarSource::File(file) => {
                let full = self.compiler.folder.join(file);
                let text = self.compiler.secrets.public_file(&full);
                (text, path.key("policies").key("file"), Some(file))
            }
        };
        let text = match text {
            Ok(text) => text,
            Err(message) => {
                self.report(Finding::error("unreadable_file", place, message));
                return;
            }
        };
        let vocabulary = Vocabulary::of(resources, set);
        let identity = Compiled::identity(name, &text, &vocabulary);
        let state = self.compiler.state;
        let compiled = state.get_or_insert(&identity, || Compiled::new(&text, vocabulary));
        for problem in &compiled.problems {
            let mut at = String::new();
            if let Some(file) = file {
                at = format!("{}: ", file.display());
            }
            if problem.line > 0 {
                at.push_str(&format!("line {} of the policies", problem.line));
            }
            if let Some(policy) = &problem.policy {
                at.push_str(&format!(", `{policy}`"));
            }
            let at = at.trim_start_matches(", ");
            let message = match at.is_empty() {
                true => problem.message.clone(),
                false => format!("{at}: {}", problem.message),
            };
            let path = place.clone();
            self.report(match problem.is_error {
                true => Finding::error("invalid_policies", path, message),
                false => Finding::warning("inert_policies", path, message),
            });
        }
    }
}
