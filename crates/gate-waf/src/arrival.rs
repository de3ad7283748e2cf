//! Puts what arrived of a request's head into variables: addresses, target, fields, cookies, arguments.

use crate::actions::Processor;
use crate::transaction::{Request, Transaction};
use crate::transform::{decode_form, decode_path};
use crate::variables::{Scalar, Set};

impl Transaction {
    pub(crate) fn connection(&mut self, request: &Request<'_>) {
        let client = self
            .store
            .set(Scalar::RemoteAddr, request.client.0.to_string().as_bytes());
        self.store.share(Scalar::RemoteHost, client);
        self.store
            .set(Scalar::RemotePort, request.client.1.to_string().as_bytes());
        self.store
            .set(Scalar::ServerAddr, request.server.0.to_string().as_bytes());
        self.store
            .set(Scalar::ServerPort, request.server.1.to_string().as_bytes());
        self.store.set(Scalar::UniqueId, request.id);
        for scalar in [
            Scalar::UrlencodedError,
            Scalar::MscPcreError,
            Scalar::MscPcreLimitsExceeded,
        ] {
            self.store.set(scalar, b"0");
        }
    }

    pub(crate) fn request_line(&mut self, request: &Request<'_>) {
        let Request {
            method,
            uri,
            protocol,
            ..
        } = request;
        self.store.set(Scalar::RequestMethod, method);
        self.store.set(Scalar::RequestProtocol, protocol);
        self.store.set(
            Scalar::RequestLine,
            &[method, &b" "[..], uri, b" ", protocol].concat(),
        );
        self.store.set(Scalar::RequestUriRaw, uri);
        // A fragment is part of the raw target only.
        let target = uri.split(|byte| *byte == b'#').next().unwrap_or_default();
        let (path, query) = match memchr::memchr(b'?', target) {
            Some(at) => (&target[..at], Some(&target[at + 1..])),
            None => (target, None),
        };
        let mut decoded = Vec::with_capacity(target.len());
        decode_path(path, &mut decoded);
        self.store.set(Scalar::RequestFilename, &decoded);
        self.store.set(Scalar::PathInfo, &decoded);
        let slash = decoded
            .iter()
            .rposition(|byte| matches!(byte, b'/' | b'\\'));
        if let Some(base) = slash
            .map(|at| &decoded[at + 1..])
            .filter(|base| !base.is_empty())
        {
            self.store.set(Scalar::RequestBasename, base);
        }
        decoded.clear();
        decode_path(target, &mut decoded);
        self.store.set(Scalar::RequestUri, without_origin(&decoded));
        if let Some(query) = query {
            self.store.set(Scalar::QueryString, query);
            self.arguments(query, Set::ArgsGet);
        }
    }

    pub(crate) fn request_header(&mut self, name: &[u8], value: &[u8]) {
        self.store.add(Set::RequestHeaders, name, value);
        if name.eq_ignore_ascii_case(b"cookie") {
            self.cookies(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            let begins = |with: &[u8]| {
                value.len() >= with.len() && value[..with.len()].eq_ignore_ascii_case(with)
            };
            if begins(b"multipart/form-data") {
                self.set_processor(Processor::Multipart);
            } else if begins(b"application/x-www-form-urlencoded") {
                self.set_processor(Processor::Urlencoded);
            }
        } else if name.eq_ignore_ascii_case(b"host") {
            let host = value.split(|byte| *byte == b':').next().unwrap_or_default();
            self.store.set(Scalar::ServerName, host);
        } else if name.eq_ignore_ascii_case(b"authorization") {
            let scheme = value.split(|byte| *byte == b' ').next().unwrap_or_default();
            self.store.set(Scalar::AuthType, scheme);
        }
    }

    fn cookies(&mut self, value: &[u8]) {
        for pair in value.trim_ascii_end().split(|byte| *byte == b';') {
            let pair = pair.trim_ascii_start();
            let (name, value) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            if !name.is_empty() {
                self.store.add(Set::Cookies, name, value);
            }
        }
    }

    /// Reads `a=b&c=d`.
    pub(crate) fn arguments(&mut self, text: &[u8], set: Set) {
        let separator = self.rules.settings.argument_separator;
        let (mut key, mut value) = (Vec::new(), Vec::new());
        if text.is_empty() {
            return;
        }
        let text = text.strip_suffix(&[separator]).unwrap_or(text);
        for pair in text.split(|byte| *byte == separator) {
            let (name, rest) = match memchr::memchr(b'=', pair) {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            key.clear();
            value.clear();
            if decode_form(name, &mut key) + decode_form(rest, &mut value) > 0 {
                self.store.set(Scalar::UrlencodedError, b"1");
            }
            if !self.argument(Some(set), &key, &value) {
                return;
            }
        }
    }

    /// Adds an argument, unless there are too many.
    pub(crate) fn argument(&mut self, set: Option<Set>, key: &[u8], value: &[u8]) -> bool {
        if self.store.entries(Set::Args).len() >= self.rules.settings.limits.arguments {
            return false;
        }
        let entry = self.store.add(Set::Args, key, value);
        if let Some(set) = set {
            self.store.add_entry(set, entry);
        }
        self.arguments_size += key.len() + value.len();
        true
    }
}

/// A target's path and query, without scheme and authority.
fn without_origin(target: &[u8]) -> &[u8] {
    if target.first().is_none_or(|byte| *byte == b'/') {
        return target;
    }
    let Some(authority) = memchr::memmem::find(target, b"://") else {
        return target;
    };
    let path = memchr::memchr(b'/', &target[authority + 3..]);
    path.map_or(target, |at| &target[authority + 3 + at..])
}
