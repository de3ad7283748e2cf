//! Where a lake lies, from its settings; the way to a store of objects.

use gate_api::client::Endpoint;
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_lake::objects::s3::{Access, Answer, Transport};
use gate_lake::objects::{Directory, Objects, S3};
use gate_model::resources::{LakeBucket, LakePlace, StorePlace};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a store may be quiet.
const QUIET: Duration = Duration::from_secs(10);
/// How long a call of a store may take.
const WHOLE: Duration = Duration::from_secs(60);

/// The place, checked as far as it can be without asking anybody.
pub(super) fn open(
    place: &LakePlace,
    folder: &Path,
    secrets: &dyn SecretSource,
    clock: &Clock,
) -> Result<Arc<dyn Objects>, String> {
    match place {
        LakePlace::Directory { path } => {
            let path = folder.join(path);
            let opened = Directory::open(&path)
                .map_err(|error| format!("the lake's folder `{}`: {error}", path.display()));
            Ok(Arc::new(opened?))
        }
        LakePlace::S3(bucket) => Ok(Arc::new(open_bucket(bucket, folder, secrets, clock)?)),
    }
}

/// Whether a bucket's names are such.
///
/// # Errors
/// The first one that is not.
pub(crate) fn check(bucket: &LakeBucket) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    if bucket.bucket.is_empty() || !bucket.bucket.bytes().all(plain) {
        return Err("the bucket's name is none".into());
    }
    if bucket.region.is_empty() || !bucket.region.bytes().all(plain) {
        return Err("the region's name is none".into());
    }
    let in_prefix = |byte: u8| plain(byte) || b"/=".contains(&byte);
    if !bucket.prefix.bytes().all(in_prefix) {
        return Err("the prefix may hold letters, digits, `-`, `.`, `_`, `=` and `/`".into());
    }
    Ok(())
}

fn open_bucket(
    bucket: &LakeBucket,
    folder: &Path,
    secrets: &dyn SecretSource,
    clock: &Clock,
) -> Result<S3, String> {
    check(bucket)?;
    let wrong = |what: &str| format!("`gateway.lake.to.s3`: {what}");
    let prefix = bucket.prefix.trim_matches('/');
    let vendors = format!("https://s3.{}.amazonaws.com", bucket.region);
    let url = bucket.endpoint.as_deref().unwrap_or(&vendors);
    let authorities = bucket.authorities.as_ref().map(|path| folder.join(path));
    let endpoint = match &authorities {
        None => Endpoint::new(url),
        Some(file) => Endpoint::with_authorities(url, file),
    };
    let endpoint = endpoint
        .map_err(|error| wrong(&error.to_string()))?
        .patient(QUIET)
        .within(WHOLE);
    let read = |place: &StorePlace| secret(place, secrets, folder);
    let access = Access {
        bucket: bucket.bucket.clone(),
        prefix: prefix.to_owned(),
        region: bucket.region.clone(),
        access_key_id: read(&bucket.access_key_id)?,
        secret: read(&bucket.secret_access_key)?,
        session_token: bucket.session_token.as_ref().map(read).transpose()?,
    };
    Ok(S3::new(Box::new(Way(endpoint)), access, clock.clone()))
}

/// What a place of the gateway's own holds.
pub(super) fn secret(
    place: &StorePlace,
    secrets: &dyn SecretSource,
    folder: &Path,
) -> Result<String, String> {
    match place {
        StorePlace::Env(name) => secrets.env(name),
        StorePlace::File(path) => secrets.file(&folder.join(path)),
    }
}

/// What the host is called.
pub(super) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The client that the gateway uses off the data path.
struct Way(Endpoint);

impl Transport for Way {
    fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(String, String)],
        body: &[u8],
        most: u64,
    ) -> io::Result<Answer> {
        let headers: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (&**n, &**v)).collect();
        let reply = self.0.call(method, target, &headers, body, most);
        let reply = reply.map_err(io::Error::other)?;
        Ok(Answer {
            status: reply.status,
            body: reply.body,
        })
    }

    fn host(&self) -> String {
        self.0.host_field()
    }
}
