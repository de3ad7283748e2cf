//! The cache's settings, and what they become.

use super::flight::Flights;
use super::key::{CacheAnonymous, CacheTenant, Key, KeyWriter};
use super::memory::{Memory, SHARDS};
use super::semantic::{CHUNK, Semantic, SemanticConfig};
use super::store::{Health, Shared, Store};
use super::{ModelCache, Rules};
use crate::places::HeaderName;
use gate_flow::{CacheCounts, CompileContext, KeyValueServer, Policy, Purges, Sweep};
use gate_model::resources::{SecretPlace, Target};
use gate_model::units::{ByteSize, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Settings of `model_cache`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ModelCacheConfig {
    /// How long an answer may be given again.
    pub ttl: Period,
    /// Bytes of memory for this route's answers. With `redis` none is used.
    pub size: ByteSize,
    /// Most bytes of one answer; larger ones pass and are not kept.
    pub entry: ByteSize,
    /// Who shares answers.
    pub tenant: CacheTenant,
    /// What callers get whom no policy has authenticated.
    pub anonymous: CacheAnonymous,
    /// Requests that state a higher sampling temperature pass the cache by: they want another
    /// answer each time. A request that states none counts as repeatable.
    pub temperature_max: f64,
    /// Whether requests that declare tools are answered from the cache. What a tool call found may
    /// have changed since.
    pub tools: bool,
    /// How long a request waits for the answer to the same one when that is under way on this
    /// gateway; `0s` asks beside it.
    pub collapse: Period,
    /// Names of further request headers that decide an answer, such as one that a model's
    /// conditions look at.
    pub vary: Vec<String>,
    /// Gives answers to similar questions, too; only to the same ones when left out.
    pub semantic: Option<SemanticConfig>,
    /// Keeps answers in a Redis or Valkey server that several gateways share.
    pub redis: Option<RedisConfig>,
}

impl Default for ModelCacheConfig {
    fn default() -> Self {
        Self {
            ttl: Period::from_seconds(600),
            size: ByteSize::from_kibibytes(32 * 1024),
            entry: ByteSize::from_kibibytes(256),
            tenant: CacheTenant::default(),
            anonymous: CacheAnonymous::default(),
            temperature_max: 0.0,
            tools: false,
            collapse: Period::default(),
            vary: Vec::new(),
            semantic: None,
            redis: None,
        }
    }
}

/// A Redis or Valkey server.
///
/// Answers lie there as they are, so that whoever may read the server may read them. A server that
/// does not answer costs a miss, and is not asked again for 1 s, then 2 s, up to 32 s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RedisConfig {
    /// `host:port`, or `unix:/path`.
    pub address: String,
    /// Whether TLS is spoken; the server's certificate is verified.
    #[serde(default)]
    pub tls: bool,
    /// A file with the authorities that its certificate may be from, instead of Mozilla's set.
    #[serde(default)]
    pub authorities: Option<PathBuf>,
    /// User of its access control list; the default user when left out.
    #[serde(default)]
    pub username: String,
    /// Where its password is kept.
    #[serde(default)]
    pub password: Option<SecretPlace>,
    /// Number of the database.
    #[serde(default)]
    pub database: u32,
    /// How long a question may take, connecting included.
    #[serde(default = "fifty_milliseconds")]
    pub timeout: Period,
    /// How its keys begin.
    #[serde(default = "prefix")]
    pub prefix: String,
}

fn fifty_milliseconds() -> Period {
    Period::from_millis(50)
}

fn prefix() -> String {
    "tidegate:".into()
}

type Wrong = (Option<&'static str>, String);

/// Makes the policy.
pub(super) fn compile(
    config: ModelCacheConfig,
    context: &CompileContext<'_>,
) -> Result<Arc<dyn Policy>, Wrong> {
    if config.ttl.is_zero() {
        return Err((Some("ttl"), "`ttl: 0s` would keep nothing".into()));
    }
    if config.entry.len() > config.size.len() / SHARDS {
        let message = format!("an entry may be at most 1/{SHARDS} of `size`");
        return Err((Some("entry"), message));
    }
    if !config.temperature_max.is_finite() || config.temperature_max < 0.0 {
        return Err((Some("temperature_max"), "a temperature is 0 or more".into()));
    }
    let vary: Result<Vec<_>, _> = config
        .vary
        .iter()
        .map(|name| HeaderName::parse(name))
        .collect();
    let vary = vary.map_err(|message| (Some("vary"), message))?;
    let models = models(context)?;
    let identity = format!("{}/{}", context.identity("model_cache"), config.size.len());
    let counts = context
        .state
        .get_or_insert(&context.identity("model_cache"), CacheCounts::default);
    let purges = context.state.get_or_insert("", Purges::default);
    let store = match &config.redis {
        Some(redis) => {
            shared(redis, &config, &counts, context).map_err(|message| (Some("redis"), message))?
        }
        None => {
            let make = || Memory::new(config.size.len(), counts.clone());
            let memory = context.state.get_or_insert(&identity, make);
            let sweeper: Arc<dyn Sweep> = memory.clone();
            purges.join(Arc::downgrade(&sweeper));
            Store::Memory(memory)
        }
    };
    let semantic = config.semantic.as_ref();
    let ttl = config.ttl.duration();
    let semantic = semantic.map(|semantic| Semantic::new(semantic, ttl, &counts, context));
    let semantic = semantic
        .transpose()
        .map_err(|message| (Some("semantic"), message))?;
    Ok(Arc::new(ModelCache {
        semantic: semantic.map(Arc::new),
        _purges: purges,
        flights: context.state.get_or_insert(&identity, Flights::default),
        rules: Rules {
            ttl: config.ttl.duration(),
            most: config.entry.len(),
            tenant: config.tenant,
            anonymous: config.anonymous,
            temperature_max: config.temperature_max,
            tools: config.tools,
            collapse: config.collapse.duration(),
            vary,
        },
        models,
        store,
        counts,
    }))
}

/// The route's models, each with a hash of what decides its answers besides the request: how the
/// model and its providers are configured, and which policies stand behind the cache. A change of
/// any of these is a new key, so that no answer outlives what it was made by.
pub(super) fn models(context: &CompileContext<'_>) -> Result<HashMap<String, Key>, Wrong> {
    let route = context.resources.routes.get(context.route);
    let (names, behind) = match route {
        Some(route) => match &route.target {
            Target::Models(names) => {
                let behind = route.policies.get(context.position + 1..);
                (names.clone(), behind.unwrap_or_default())
            }
            _ => return Err((None, "only routes to models have answers to keep".into())),
        },
        // A policy that is checked by itself, without a document around it.
        None => (context.resources.models.keys().cloned().collect(), &[][..]),
    };
    let written = |name: &String| -> Result<(String, Key), serde_json::Error> {
        let mut writer = KeyWriter::new("tidegate cache: model");
        writer.part(name.as_bytes());
        writer.part(&serde_json::to_vec(behind)?);
        let model = context.resources.models.get(name);
        writer.part(&serde_json::to_vec(&model)?);
        let targets = model
            .into_iter()
            .flat_map(|model| model.targets.iter().chain(&model.fallback));
        for target in targets {
            let provider = context.resources.providers.get(&target.provider);
            writer.part(&serde_json::to_vec(&provider)?);
        }
        Ok((name.clone(), writer.finish()))
    };
    let all: Result<_, _> = names.iter().map(written).collect();
    all.map_err(|error| (None, format!("a model cannot be written down: {error}")))
}

fn shared(
    redis: &RedisConfig,
    config: &ModelCacheConfig,
    counts: &Arc<CacheCounts>,
    context: &CompileContext<'_>,
) -> Result<Store, String> {
    if redis.timeout.is_zero() {
        return Err("`timeout: 0s` would let no server answer".into());
    }
    if !redis.address.contains(':') {
        return Err(format!("`{}` names no port", redis.address));
    }
    if redis.prefix.len() > 128 {
        return Err("a prefix has at most 128 bytes".into());
    }
    let password = match &redis.password {
        None => String::new(),
        Some(place) => context.secret(place)?,
    };
    let authorities = redis.authorities.as_ref();
    let authorities = authorities.map(|file| context.resolve(file));
    if let Some(file) = &authorities {
        if !redis.tls {
            return Err("`authorities` without `tls: true` would verify nothing".into());
        }
        context.secrets.public_file(file)?;
    }
    let server = KeyValueServer {
        address: redis.address.clone(),
        tls: redis.tls,
        authorities,
        username: redis.username.clone(),
        password,
        database: redis.database,
        timeout: redis.timeout.duration(),
        // Beside its body, an entry has a short header.
        value_max: config.entry.len().saturating_add(8 * 1024).max(CHUNK),
    };
    let health = context
        .state
        .get_or_insert(&format!("redis/{}", redis.address), Health::default);
    Ok(Store::Shared(Arc::new(Shared {
        server: Arc::new(server),
        prefix: redis.prefix.clone(),
        counts: counts.clone(),
        health,
    })))
}
