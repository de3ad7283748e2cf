//! The handshake of a session: what a client says, what servers offer, and the sum of the offers.

use super::request;
use crate::DialectError;
use crate::json::object::{Object, Raw};
use crate::json::write::Writer;

/// Revisions of the protocol that are spoken, the latest first.
pub const VERSIONS: [&str; 4] = ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"];
/// Most bytes of what a client says about itself.
pub const HELLO_MAX: usize = 16 * 1024;
/// Most bytes of the joined instructions of servers.
const INSTRUCTIONS_MAX: usize = 32 * 1024;

/// The revision that is answered to an offered one: the same where it is spoken, else the latest.
#[must_use]
pub fn negotiate(offered: &str) -> &'static str {
    known(offered).unwrap_or(VERSIONS[0])
}

/// A revision that is spoken.
#[must_use]
pub fn known(version: &str) -> Option<&'static str> {
    VERSIONS.into_iter().find(|known| *known == version)
}

/// What a client says when a session begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The revision that both sides will speak.
    pub version: &'static str,
    /// What to say to servers in its name, as JSON.
    pub params: Box<str>,
}

impl Hello {
    /// Reads the request `initialize`.
    ///
    /// # Errors
    /// When its parameters are missing or too long.
    pub fn read(bytes: &[u8]) -> Result<Self, DialectError> {
        let message = Object::parse(bytes)?;
        let missing = DialectError::Missing { field: "params" };
        let params = Object::of(message.get("params").ok_or(missing)?, "params")?;
        let offered = params.text("protocolVersion");
        let offered = offered.ok_or(DialectError::Missing {
            field: "protocolVersion",
        })?;
        let version = negotiate(&offered);
        let mut out = Vec::with_capacity(256);
        let mut w = Writer::new(&mut out);
        w.open().member("protocolVersion", version);
        let capabilities = params.get("capabilities").map_or("{}", |raw| raw.get());
        w.key("capabilities").raw(capabilities);
        let anonymous = r#"{"name":"tidegate","version":"1"}"#;
        let info = params.get("clientInfo").map_or(anonymous, |raw| raw.get());
        w.key("clientInfo").raw(info).close();
        if out.len() > HELLO_MAX {
            return Err(DialectError::wrong_type("params", "shorter"));
        }
        let params = String::from_utf8(out).expect("JSON of texts is UTF-8");
        Ok(Self {
            version,
            params: params.into(),
        })
    }

    /// The request that begins a session with a server.
    #[must_use]
    pub fn request(&self, id: &str) -> Vec<u8> {
        request(Some(id), "initialize", Some(&self.params))
    }
}

/// What a server offers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offer {
    /// The revision that it speaks.
    pub version: &'static str,
    /// It has tools.
    pub tools: bool,
    /// It has prompts.
    pub prompts: bool,
    /// It has resources.
    pub resources: bool,
    /// It tells when a resource changes.
    pub subscribe: bool,
    /// It completes arguments.
    pub completions: bool,
    /// It logs to its client.
    pub logging: bool,
    /// It tells when its tools, prompts or resources change.
    pub changes: [bool; 3],
    /// What it says about its use.
    pub instructions: Option<Box<str>>,
}

impl Offer {
    /// Reads a server's answer to `initialize`.
    ///
    /// # Errors
    /// When it is an error, is none, or speaks a revision that is not known.
    pub fn read(bytes: &[u8]) -> Result<Self, DialectError> {
        let message = Object::parse(bytes)?;
        let missing = DialectError::Missing { field: "result" };
        let result = Object::of(message.get("result").ok_or(missing)?, "result")?;
        let version = result.text("protocolVersion");
        let version = version.as_deref().and_then(known);
        let version = version.ok_or(DialectError::wrong_type(
            "protocolVersion",
            "a revision that is spoken here",
        ))?;
        let mut offer = Self {
            version,
            instructions: result.text("instructions").map(Into::into),
            ..Self::default()
        };
        if let Some(raw) = result.get("capabilities") {
            offer.read_capabilities(&Object::of(raw, "capabilities")?);
        }
        Ok(offer)
    }

    fn read_capabilities(&mut self, capabilities: &Object<'_>) {
        let says = |raw: Raw<'_>, key: &str| {
            let object = Object::of(raw, "capabilities");
            object.is_ok_and(|object| object.get(key).is_some_and(|raw| raw.get() == "true"))
        };
        let names = ["tools", "prompts", "resources"];
        for (name, changes) in names.into_iter().zip(&mut self.changes) {
            *changes = capabilities
                .get(name)
                .is_some_and(|raw| says(raw, "listChanged"));
        }
        let resources = capabilities.get("resources");
        self.tools = capabilities.get("tools").is_some();
        self.prompts = capabilities.get("prompts").is_some();
        self.resources = resources.is_some();
        self.subscribe = resources.is_some_and(|raw| says(raw, "subscribe"));
        self.completions = capabilities.get("completions").is_some();
        self.logging = capabilities.get("logging").is_some();
    }

    fn join(&mut self, other: &Self) {
        self.tools |= other.tools;
        self.prompts |= other.prompts;
        self.resources |= other.resources;
        self.subscribe |= other.subscribe;
        self.completions |= other.completions;
        self.logging |= other.logging;
        for (mine, theirs) in self.changes.iter_mut().zip(other.changes) {
            *mine |= theirs;
        }
    }
}

/// The gateway's answer to `initialize`: the sum of what servers offer. Each offer comes with the
/// name under which its instructions are given. `all` says that servers are missing, so that tools
/// may come yet.
#[must_use]
pub fn answer<'a>(
    id: &str,
    version: &str,
    offers: impl Iterator<Item = (&'a str, &'a Offer)>,
    some_missing: bool,
) -> Vec<u8> {
    let mut sum = Offer {
        tools: some_missing,
        ..Offer::default()
    };
    let mut instructions = String::new();
    for (name, offer) in offers {
        sum.join(offer);
        if let Some(text) = &offer.instructions
            && instructions.len() + name.len() + text.len() < INSTRUCTIONS_MAX
        {
            instructions.push_str(&format!("# {name}\n\n{text}\n\n"));
        }
    }
    let mut out = Vec::with_capacity(512 + instructions.len());
    let mut w = Writer::new(&mut out);
    w.open()
        .member("jsonrpc", "2.0")
        .key("id")
        .raw(id)
        .key("result");
    w.open().member("protocolVersion", version);
    w.key("capabilities").open();
    if sum.tools {
        let tools = w.key("tools").open().key("listChanged");
        tools.boolean(sum.changes[0]).close();
    }
    if sum.prompts {
        let prompts = w.key("prompts").open().key("listChanged");
        prompts.boolean(sum.changes[1]).close();
    }
    if sum.resources {
        let resources = w.key("resources").open().key("subscribe");
        resources.boolean(sum.subscribe).key("listChanged");
        w.boolean(sum.changes[2]).close();
    }
    if sum.completions {
        w.key("completions").open().close();
    }
    if sum.logging {
        w.key("logging").open().close();
    }
    w.close().key("serverInfo").open();
    w.member("name", "tidegate");
    w.member("version", env!("CARGO_PKG_VERSION")).close();
    let instructions = Some(instructions.trim_end()).filter(|text| !text.is_empty());
    w.member_if("instructions", instructions).close().close();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_of_offers_is_offered() {
        let one = Offer::read(
            br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18","capabilities":{"tools":{"listChanged":true},"logging":{}},"serverInfo":{"name":"a","version":"1"},"instructions":"Be kind."}}"#,
        )
        .unwrap();
        let two = Offer::read(
            br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2024-11-05","capabilities":{"resources":{"subscribe":true}}}}"#,
        )
        .unwrap();
        let offers = [("a", &one), ("b", &two)];
        let said = answer("1", "2025-11-25", offers.into_iter(), false);
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(
            said["result"]["capabilities"],
            serde_json::json!({
                "tools": {"listChanged": true},
                "resources": {"subscribe": true, "listChanged": false},
                "logging": {},
            })
        );
        assert_eq!(said["result"]["instructions"], "# a\n\nBe kind.");
        let none = answer("1", "2025-11-25", std::iter::empty(), false);
        let none: serde_json::Value = serde_json::from_slice(&none).unwrap();
        assert_eq!(none["result"]["capabilities"], serde_json::json!({}));
    }

    #[test]
    fn an_unknown_revision_is_answered_with_the_latest() {
        let hello = Hello::read(
            br#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2099-01-01","capabilities":{"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}"#,
        )
        .unwrap();
        assert_eq!(hello.version, VERSIONS[0]);
        assert!(
            hello.params.contains("\"sampling\":{}") && hello.params.contains("\"name\":\"c\"")
        );
        let broken = br#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2099-01-01"}}"#;
        assert!(Offer::read(broken).is_err());
        let long = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"initialize","params":{{"protocolVersion":"2025-06-18","clientInfo":{{"name":"{}"}}}}}}"#,
            "x".repeat(HELLO_MAX)
        );
        assert!(Hello::read(long.as_bytes()).is_err());
    }
}
