//! The key of what is kept: a keyed hash of everything that a request's place is made of.
//!
//! SipHash with 128 bits, keyed at random: whoever chooses addresses cannot make two of them meet,
//! so that keys are compared instead of places. A folder on disk remembers its key, since the names
//! of its files are hashes too.

use super::Settings;
use gate_cache::{Search, Shelved};
use gate_flow::Exchange;
use gate_kit::http::RequestHead;
use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

/// The key of what is kept of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(pub(super) [u64; 2]);

impl Shelved for Key {
    fn bits(&self) -> u64 {
        self.0[0]
    }
}

/// Makes keys.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyMaker(SipHasher13);

impl KeyMaker {
    pub(super) fn new(secret: &[u8; 16]) -> Self {
        Self(SipHasher13::new_with_key(secret))
    }

    /// The key of a request's place, and of whom it is kept for.
    pub(super) fn of(&self, exchange: &Exchange, settings: &Settings) -> Key {
        finish(&self.hash(exchange, &exchange.request.head.target, settings))
    }

    /// The key of a request's path, whatever its query, and of whom it is kept for.
    pub(super) fn path_of(&self, exchange: &Exchange, settings: &Settings) -> Key {
        let target = &exchange.request.head.target;
        let path = target.split('?').next().unwrap_or_default();
        let mut hasher = self.hash(exchange, path, settings);
        hasher.write(b"path");
        finish(&hasher)
    }

    /// The key of what a rule for queries makes one of a path.
    pub(super) fn ruled(&self, path: Key, search: &Search, target: &str) -> Key {
        let query = target.split_once('?').map_or("", |(_, query)| query);
        self.variant(path, search.id(), |write| search.write(query, write))
    }

    fn hash(&self, exchange: &Exchange, target: &str, settings: &Settings) -> SipHasher13 {
        let head = &exchange.request.head;
        let mut hasher = self.0;
        hasher.write_u8(exchange.client.scheme as u8);
        self.place(&mut hasher, head, target, settings);
        if settings.by_consumer {
            let name = exchange.caller.as_ref().map_or("", |caller| &*caller.name);
            hasher.write_u8(u8::from(exchange.caller.is_some()));
            hasher.write(name.as_bytes());
        }
        for name in &settings.by_headers {
            for value in name.all(&head.headers) {
                hasher.write_u64(value.len() as u64);
                hasher.write(value);
            }
            hasher.write_u8(0xff);
        }
        hasher
    }

    /// The key of another target on the host of a request that nothing else sets apart.
    pub(super) fn of_target(
        &self,
        exchange: &Exchange,
        head: &RequestHead,
        target: &str,
        settings: &Settings,
    ) -> Key {
        let mut hasher = self.0;
        hasher.write_u8(exchange.client.scheme as u8);
        self.place(&mut hasher, head, target, settings);
        finish(&hasher)
    }

    /// The key of the path of another target, the same way.
    pub(super) fn path_of_target(
        &self,
        exchange: &Exchange,
        head: &RequestHead,
        target: &str,
        settings: &Settings,
    ) -> Key {
        let path = target.split('?').next().unwrap_or_default();
        let mut hasher = self.0;
        hasher.write_u8(exchange.client.scheme as u8);
        self.place(&mut hasher, head, path, settings);
        hasher.write(b"path");
        finish(&hasher)
    }

    fn place(&self, to: &mut SipHasher13, head: &RequestHead, target: &str, settings: &Settings) {
        let authority = head.authority.as_bytes();
        match authority.iter().any(u8::is_ascii_uppercase) {
            true => to.write(&authority.to_ascii_lowercase()),
            false => to.write(authority),
        }
        // No host holds a space, so that host and target cannot run into each other.
        to.write_u8(b' ');
        match settings.ignore_query.is_empty() {
            true => to.write(target.as_bytes()),
            false => to.write(counted(target, &settings.ignore_query).as_bytes()),
        }
    }

    /// The key of a variant of what `primary` names: of what these bytes select.
    pub(super) fn variant(
        &self,
        primary: Key,
        family: u64,
        write: impl FnOnce(&mut dyn FnMut(&[u8])),
    ) -> Key {
        let mut hasher = self.0;
        hasher.write_u64(primary.0[0]);
        hasher.write_u64(primary.0[1]);
        hasher.write_u64(family);
        write(&mut |bytes| hasher.write(bytes));
        finish(&hasher)
    }

    /// The key of the part of an answer that is kept without the rest.
    pub(super) fn part(&self, primary: Key) -> Key {
        self.variant(primary, u64::MAX, |write| write(b"part"))
    }

    /// A hash for checking that a file is whole.
    pub(super) fn checksum(bytes: &[&[u8]]) -> u64 {
        let mut hasher = SipHasher13::new();
        bytes.iter().for_each(|bytes| hasher.write(bytes));
        hasher.finish128().h1
    }
}

fn finish(hasher: &SipHasher13) -> Key {
    let hash = hasher.finish128();
    Key([hash.h1, hash.h2])
}

/// A target without the parameters that make no difference; a `*` at the end of a name stands for
/// anything.
fn counted(target: &str, ignored: &[String]) -> String {
    let Some((path, query)) = target.split_once('?') else {
        return target.to_owned();
    };
    let is_ignored = |parameter: &&str| {
        let name = parameter.split('=').next().unwrap_or_default();
        !ignored
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(prefix) => name.starts_with(prefix),
                None => name == pattern,
            })
    };
    let left: Vec<&str> = query.split('&').filter(is_ignored).collect();
    match left.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", left.join("&")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_parameters_make_no_difference() {
        let ignored = ["utm_*".to_owned(), "ref".to_owned()];
        for (target, expected) in [
            ("/a", "/a"),
            ("/a?utm_x=1&b=2&ref=3&referer=4", "/a?b=2&referer=4"),
            ("/a?utm_x", "/a"),
            ("/a?", "/a?"),
        ] {
            assert_eq!(counted(target, &ignored), expected);
        }
    }
}
