//! An agent's card, rewritten so that its callers come through the gateway.
//!
//! Addresses below the agent's become addresses below the gateway's; an interface elsewhere would
//! lead past the gateway and is taken out. Where the gateway shows a credential of its own, the
//! card asks for the gateway's. A signature would no longer hold and is taken out. Source:
//! <https://a2a-protocol.org/latest/specification/>, revisions 0.3 and 1.0.

use crate::DialectError;
use crate::json::object::{Object, list, text};
use crate::json::write::Writer;

/// How a card is rewritten.
#[derive(Debug, Clone, Copy)]
pub struct Rewrite<'a> {
    /// Scheme, host and port of the agent: `http://10.0.0.7:9000`.
    pub origin: &'a str,
    /// Path below which the agent is, without a slash at its end.
    pub path: &'a str,
    /// The gateway's address for it, without a slash at its end.
    pub public: &'a str,
    /// Whose credentials the card asks for.
    pub security: Security,
}

/// Whose credentials a card asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// The agent's, which callers' requests carry through.
    Agents,
    /// A key of the gateway.
    Gateways,
    /// Nobody's.
    Nothing,
}

impl Rewrite<'_> {
    /// The gateway's address for one of the agent's; none for one that is not the agent's.
    #[must_use]
    pub fn address(&self, url: &str) -> Option<String> {
        let rest = url.strip_prefix(self.origin)?;
        let rest = match rest.as_bytes().first() {
            None | Some(b'/' | b'?') => rest,
            Some(_) => return None,
        };
        // Whatever is at the agent's host but not below its path cannot be reached.
        let below = rest.strip_prefix(self.path)?;
        let fits = below.is_empty() || below.starts_with(['/', '?']);
        fits.then(|| format!("{}{below}", self.public))
    }
}

/// Rewrites a card.
///
/// # Errors
/// When the bytes are no JSON object, or a list in it is none.
pub fn rewrite(bytes: &[u8], how: &Rewrite<'_>) -> Result<Vec<u8>, DialectError> {
    let card = Object::parse(bytes)?;
    let mut out = Vec::with_capacity(bytes.len() + 256);
    let mut w = Writer::new(&mut out);
    w.open();
    for (name, raw) in card.iter() {
        match name {
            "url" => {
                let url = text(raw, "url")?;
                let url = how.address(&url).unwrap_or_else(|| how.public.to_owned());
                w.member("url", &url);
            }
            "additionalInterfaces" | "supportedInterfaces" => {
                w.named(name).open_list();
                for raw in list(raw, "supportedInterfaces")? {
                    interface(&mut w, &Object::of(raw, "supportedInterfaces")?, how);
                }
                w.close_list();
            }
            "signatures" => {}
            "securitySchemes" | "security" | "securityRequirements"
                if how.security != Security::Agents => {}
            name => drop(w.named(name).raw(raw.get())),
        }
    }
    if how.security == Security::Gateways {
        // Revision 1.0 lists its interfaces under another name than 0.3, and spells schemes in
        // another way.
        if card.get("supportedInterfaces").is_some() {
            let scheme = r#"{"gateway":{"httpAuthSecurityScheme":{"scheme":"Bearer"}}}"#;
            w.key("securitySchemes").raw(scheme);
            let asked = r#"[{"schemes":{"gateway":{"list":[]}}}]"#;
            w.key("securityRequirements").raw(asked);
        } else {
            let scheme = r#"{"gateway":{"type":"http","scheme":"Bearer"}}"#;
            w.key("securitySchemes").raw(scheme);
            w.key("security").raw(r#"[{"gateway":[]}]"#);
        }
    }
    w.close();
    Ok(out)
}

fn interface(w: &mut Writer<'_>, object: &Object<'_>, how: &Rewrite<'_>) {
    let Some(url) = object.text("url").and_then(|url| how.address(&url)) else {
        return;
    };
    w.open();
    for (name, raw) in object.iter() {
        match name {
            "url" => w.member("url", &url),
            name => w.named(name).raw(raw.get()),
        };
    }
    w.close();
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HOW: Rewrite<'static> = Rewrite {
        origin: "http://agent:9000",
        path: "/travel",
        public: "https://gate.example/agents/travel",
        security: Security::Gateways,
    };

    fn rewritten(card: &Value, how: &Rewrite<'_>) -> Value {
        serde_json::from_slice(&rewrite(card.to_string().as_bytes(), how).unwrap()).unwrap()
    }

    #[test]
    fn a_card_of_0_3_leads_through_the_gateway() {
        let card = rewritten(
            &json!({
                "name": "Travel", "url": "http://agent:9000/travel/rpc", "preferredTransport": "JSONRPC",
                "additionalInterfaces": [
                    {"url": "http://agent:9000/travel/v1", "transport": "HTTP+JSON"},
                    {"url": "http://elsewhere:1/", "transport": "GRPC"},
                ],
                "securitySchemes": {"own": {"type": "apiKey"}}, "security": [{"own": []}],
                "signatures": [{"protected": "x", "signature": "y"}],
            }),
            &HOW,
        );
        assert_eq!(
            card,
            json!({
                "name": "Travel", "url": "https://gate.example/agents/travel/rpc", "preferredTransport": "JSONRPC",
                "additionalInterfaces": [
                    {"url": "https://gate.example/agents/travel/v1", "transport": "HTTP+JSON"},
                ],
                "securitySchemes": {"gateway": {"type": "http", "scheme": "Bearer"}},
                "security": [{"gateway": []}],
            })
        );
    }

    #[test]
    fn a_card_of_1_0_does_and_may_keep_its_security() {
        let own = json!({
            "supportedInterfaces": [{"url": "http://agent:9000/travel", "protocolBinding": "JSONRPC"}],
            "securitySchemes": {"own": {}}, "securityRequirements": [],
        });
        let card = rewritten(&own, &HOW);
        let url = &card["supportedInterfaces"][0]["url"];
        assert_eq!(url, "https://gate.example/agents/travel");
        assert!(card["securitySchemes"]["gateway"]["httpAuthSecurityScheme"].is_object());
        let how = Rewrite {
            security: Security::Agents,
            ..HOW
        };
        assert_eq!(rewritten(&own, &how)["securitySchemes"], json!({"own": {}}));
    }

    #[test]
    fn a_host_that_only_begins_alike_is_another() {
        assert_eq!(HOW.address("http://agent:90001/travel"), None);
        assert_eq!(HOW.address("http://agent:9000/travelled"), None);
        assert!(rewrite(b"[]", &HOW).is_err());
    }
}
