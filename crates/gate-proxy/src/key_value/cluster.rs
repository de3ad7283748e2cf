//! Which node of a cluster keeps a key (<https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/>).
//!
//! A node that is asked for another's key names the node to ask. Nothing is known of a cluster
//! beforehand, and a server that is none costs nothing: what a node has said about a slot is
//! remembered, until that node does not answer.

use std::collections::HashMap;

/// Slots of a cluster.
const SLOTS: u16 = 16_384;
/// Places that are remembered; a worker knows one or two clusters.
const PLACES_MAX: usize = 4 * SLOTS as usize;

/// The slot of a key: CRC-16/XMODEM, of what stands between the first braces where there are any.
pub(super) fn slot(key: &[u8]) -> u16 {
    let tag = memchr::memchr(b'{', key).and_then(|open| {
        let rest = &key[open + 1..];
        let close = memchr::memchr(b'}', rest)?;
        (close > 0).then(|| &rest[..close])
    });
    let step = |crc: u16, byte: &u8| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ (0x1021 * (crc >> 15))
        })
    };
    tag.unwrap_or(key).iter().fold(0, step) % SLOTS
}

/// The node to ask instead, by the words of the one at `asked`: `MOVED 3999 10.0.0.7:6381`. A node
/// that does not know its own host leaves it out.
pub(super) fn moved(words: &str, asked: &str) -> Option<String> {
    let mut parts = words.strip_prefix("MOVED ")?.split(' ');
    let (_, node) = (parts.next()?.parse::<u16>().ok()?, parts.next()?);
    let (host, port) = node.rsplit_once(':')?;
    port.parse::<u16>().ok()?;
    match host {
        "" => Some(format!("{}:{port}", asked.rsplit_once(':')?.0)),
        host if host.contains(':') && !host.starts_with('[') => Some(format!("[{host}]:{port}")),
        _ => Some(node.to_owned()),
    }
}

/// Where slots were found, by the address that is configured.
#[derive(Default)]
pub(super) struct Places(HashMap<(String, u16), String>);

impl Places {
    /// The node that has a slot, as far as is known.
    pub(super) fn find(&self, server: &str, slot: u16) -> Option<String> {
        // Most servers are no cluster, and cost no copy of their name.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(server.to_owned(), slot)).cloned()
    }

    /// Remembers the node that has a slot, or that it is not known.
    pub(super) fn note(&mut self, server: &str, slot: u16, node: Option<String>) {
        let place = (server.to_owned(), slot);
        match node {
            None => {
                self.0.remove(&place);
            }
            Some(node) => {
                if self.0.len() >= PLACES_MAX {
                    self.0.clear();
                }
                self.0.insert(place, node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        for (key, expected) in [
            ("", 0),
            ("123456789", 0x31C3),
            ("foo", 12_182),
            ("{foo}.bar", 12_182),
            ("a{foo}{bar}", 12_182),
        ] {
            assert_eq!(slot(key.as_bytes()), expected % SLOTS, "{key}");
        }
        // Empty braces are part of the key.
        assert_ne!(slot(b"{}a"), slot(b"{}b"));
    }

    #[test]
    fn a_node_names_the_one_to_ask() {
        let of = |words| moved(words, "cache:6379");
        assert_eq!(
            of("MOVED 3999 10.0.0.7:6381").as_deref(),
            Some("10.0.0.7:6381")
        );
        assert_eq!(of("MOVED 3999 :6381").as_deref(), Some("cache:6381"));
        assert_eq!(of("MOVED 1 ::1:6381").as_deref(), Some("[::1]:6381"));
        for other in [
            "ERR x",
            "MOVED",
            "MOVED x a:1",
            "MOVED 1 a",
            "ASK 1 a:1",
            "MOVED 1 a:x",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn places_are_forgotten_and_bounded() {
        let mut places = Places::default();
        places.note("a", 1, Some("b".into()));
        assert_eq!(places.find("a", 1).as_deref(), Some("b"));
        places.note("a", 1, None);
        assert_eq!(places.find("a", 1), None);
        for server in 0..5 {
            for slot in 0..SLOTS {
                places.note(&server.to_string(), slot, Some("n".into()));
            }
        }
        assert!(places.0.len() <= PLACES_MAX);
    }
}
