//! What a verified credential says about who calls, beyond the name of a consumer.
//!
//! The policies that verify credentials write it, those that decide what a caller may do read it.
//! It is kept in the exchange's memory, so that an exchange without one pays nothing.

use crate::{Exchange, Memory};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Stands for nobody in particular: what is kept under its address belongs to the exchange.
static OWNER: u8 = 0;

/// What a verified credential says. Nothing in it comes from what callers merely claim.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identity {
    /// Who vouches for it: the `iss` of a token, the issuer of a certificate.
    pub issuer: Option<Arc<str>>,
    /// Who it is about: the `sub` of a token, the subject of a certificate.
    pub subject: Option<Arc<str>>,
    /// Everything that it says.
    pub claims: Map<String, Value>,
}

impl Identity {
    /// A claim by its name, or by a JSON pointer (RFC 6901) such as `/realm_access/roles`.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        gate_model::claims::find(&self.claims, name)
    }
}

impl Exchange {
    /// Keeps what a credential says, once it has been verified; the last one counts.
    pub fn identify(&mut self, identity: Identity) {
        self.memory.keep(&OWNER, identity);
    }

    /// What the caller's verified credential says, where one said more than a consumer's name.
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        identity(&self.memory)
    }
}

fn identity(memory: &Memory) -> Option<&Identity> {
    memory.look(&OWNER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn claims_are_found_by_name_and_by_pointer() {
        let Value::Object(claims) = json!({
            "scope": "a b", "realm": { "roles": ["x", "y"] }, "a/b": 1
        }) else {
            unreachable!("an object");
        };
        let identity = Identity {
            claims,
            ..Identity::default()
        };
        assert_eq!(identity.claim("scope"), Some(&json!("a b")));
        assert_eq!(identity.claim("/realm/roles/1"), Some(&json!("y")));
        assert_eq!(identity.claim("/a~1b"), Some(&json!(1)));
        assert_eq!(identity.claim("/realm/roles/2"), None);
        assert_eq!(identity.claim("realm/roles"), None);
    }

    #[test]
    fn the_last_one_counts() {
        let mut memory = Memory::default();
        assert!(identity(&memory).is_none());
        for subject in ["a", "b"] {
            let subject = Some(Arc::from(subject));
            memory.keep(
                &OWNER,
                Identity {
                    subject,
                    ..Identity::default()
                },
            );
        }
        let found = identity(&memory).and_then(|identity| identity.subject.as_deref());
        assert_eq!(found, Some("b"));
    }
}
