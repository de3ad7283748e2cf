//! What is secret in a configuration, and what Terraform may be given in its place.
//!
//! Documents refer to secrets and hold none, with few exceptions, which Terraform hides. A key of a
//! consumer is kept as its hash: here the key itself may be given, as a write-only attribute that
//! reaches neither state nor plan nor server, and the provider makes the hash.

use super::{Attribute, Object, Origin, Shape, Text};
use serde_json::Value as Json;

/// Fields that hold what should not be shown, by definition and name in the schema.
const SENSITIVE: [(&str, &str); 2] = [("EnvValue", "text"), ("JwtKeys", "inline")];
/// The attribute with a key itself.
pub(crate) const KEY: &str = "key";
const SHA256: &str = "sha256";

/// Whether Terraform hides a field.
pub(super) fn is_sensitive(definition: &str, field: &str, schema: &Json) -> bool {
    schema["writeOnly"] == true || SENSITIVE.contains(&(definition, field))
}

/// Adds what only Terraform has.
pub(super) fn complete(definition: &str, object: &mut Object) {
    if definition != "Key" {
        return;
    }
    let Some(hash) = object.attributes.iter_mut().find(|a| a.name == SHA256) else {
        return;
    };
    hash.required = false;
    hash.origin = Origin::HashOf(KEY);
    object.attributes.push(Attribute {
        name: KEY.into(),
        field: KEY.into(),
        shape: Shape::Text(Text::Any),
        about:
            "The key itself, instead of `sha256`. It is hashed here and kept nowhere: neither in \
                state nor in plans nor on the server. Needs Terraform 1.11."
                .into(),
        required: false,
        default: None,
        nullable: true,
        sensitive: true,
        origin: Origin::WriteOnly,
    });
}
