//! Chooses the version of an API that a request is for, and says what becomes of it.
//!
//! Versions are listed in `apis.NAME.versions`: where a request names one, what those get that name
//! none, and where each is in its life. A deprecated version works and says so in every answer
//! (Deprecation of RFC 9745, Sunset of RFC 8594, Link). In the windows of its `brownouts` it answers
//! `api_version_paused` (503) with Retry-After; once it is retired, `api_version_retired` (410). A
//! version with a `shape` is turned into the one that the shape leads to, and answers are turned
//! back: policies behind this one, and the service, see the newer form. Bodies are read whole for
//! that, up to the shape's `body`; whole, plain answers are asked for by taking Range and
//! Accept-Encoding out of the request, so put `compress` in front. Bodies that come in gzip, deflate
//! or br all the same are unpacked, and a strong ETag, which is of the service's bytes, becomes a weak
//! one. A body that is no JSON document passes as it is. Who calls which version is counted: `tidegate api callers`.
//!
//! Put it behind authentication (who is pinned is known then, and callers are counted by name), and
//! let the route's target be `api: NAME` where versions live on upstreams of their own.
//!
//! ```yaml
//! - version: { api: orders }
//! ```

#[path = "version/place.rs"]
mod place;
#[path = "version/shaped.rs"]
mod shaped;

use gate_contract::shape::{Chain, Underway};
use gate_contract::version::{Choice, Version, Versions};
use gate_flow::{
    ApiFacts, CompileContext, Exchange, Fault, LocalFuture, Past, Policy, PolicyKind, Reads,
    Replay, Verdict,
};
use gate_kit::http::Response;
use gate_model::fault::FaultCode;
use gate_model::resources::{ApiVersions, Shape};
use gate_model::suggest::nearest;
use place::Place;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;

/// Chooses the version of an API.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionConfig {
    /// The API, by name; it lists its `versions`.
    pub api: String,
}

/// The policy.
pub struct ChooseVersion {
    api: Arc<str>,
    versions: Versions,
    places: Vec<Place>,
    /// For each version, the shapes between it and the service's.
    chains: Vec<Option<Arc<Chain>>>,
    /// Name of the field that says which version answered.
    answer: Option<String>,
    /// Value of Vary, where fields of the request decide.
    vary: Option<String>,
}

/// What is remembered between a request and its answer.
struct Chosen {
    version: usize,
    underway: Option<Underway>,
}

impl PolicyKind for ChooseVersion {
    const NAME: &'static str = "version";
    type Config = VersionConfig;

    fn compile(
        config: VersionConfig,
        context: &CompileContext<'_>,
    ) -> Result<Arc<dyn Policy>, (Option<&'static str>, String)> {
        let apis = &context.resources.apis;
        let refuse = |text: String| (Some("api"), text);
        let Some(api) = apis.get(&config.api) else {
            let near = nearest(&config.api, apis.keys().map(String::as_str));
            let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            return Err(refuse(format!("there is no API `{}`{near}", config.api)));
        };
        let Some(listed) = &api.versions else {
            return Err(refuse(format!(
                "the API `{}` lists no `versions`",
                config.api
            )));
        };
        ChooseVersion::new(&config.api, listed)
            .map(|policy| Arc::new(policy) as Arc<dyn Policy>)
            .map_err(refuse)
    }
}

impl ChooseVersion {
    fn new(api: &str, listed: &ApiVersions) -> Result<Self, String> {
        let located = |(way, text): (Vec<String>, String)| {
            format!("apis.{api}.versions.{}: {text}", way.join("."))
        };
        let versions = Versions::compile(listed).map_err(located)?;
        let places: Result<Vec<_>, String> = listed.by.iter().map(Place::compile).collect();
        let places = places.map_err(|text| located((vec!["by".into()], text)))?;
        if let Some(name) = &listed.answer {
            crate::checks::check_name(name)
                .map_err(|text| located((vec!["answer".into()], text)))?;
        }
        let mut chains = Vec::with_capacity(versions.list.len());
        for index in 0..versions.list.len() {
            chains.push(chain(&versions, listed, index).map_err(located)?);
        }
        let mut names: Vec<&str> = Vec::new();
        for name in places.iter().flat_map(Place::varies) {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                names.push(name);
            }
        }
        let vary = (!names.is_empty()).then(|| names.join(", "));
        Ok(Self {
            api: api.into(),
            chains,
            answer: listed.answer.clone(),
            vary,
            versions,
            places,
        })
    }

    /// Chooses, and notes what was chosen.
    fn choose(&self, exchange: &mut Exchange) -> Result<usize, Fault> {
        let now_s = exchange.record.started_unix.as_secs();
        let named = self.places.iter().find_map(|place| place.read(exchange));
        let consumer = exchange.caller.as_ref().map(|caller| caller.name.clone());
        if let Some(vary) = &self.vary {
            let _ = exchange
                .response_headers
                .try_append(b"Vary", vary.as_bytes());
        }
        let asked = match named.as_ref().map(place::Named::asked) {
            None => None,
            Some(Ok(asked)) => Some(asked),
            Some(Err(text)) => {
                self.note(exchange, None, false);
                let text = format!("What the request names as version cannot be read: {text}.");
                return Err(Fault::new(FaultCode::ApiVersionUnknown).message(text));
            }
        };
        let offered = || format!("It offers {}.", self.versions.offered(now_s));
        match self
            .versions
            .choose(asked.as_ref(), consumer.as_deref(), now_s)
        {
            Choice::Version(index) => {
                let version = &self.versions.list[index];
                let left = version.refuses(now_s);
                self.note(exchange, Some(version), left.is_some());
                if let Some(left) = left {
                    let fault = Fault::new(FaultCode::ApiVersionPaused);
                    return Err(fault.retry_after(Duration::from_secs(left)));
                }
                if let Some(strip) = self.places.iter().find_map(|place| place.strip(exchange)) {
                    strip.apply(exchange);
                }
                Ok(index)
            }
            Choice::Retired(index) => {
                self.note(exchange, Some(&self.versions.list[index]), true);
                Err(Fault::new(FaultCode::ApiVersionRetired).message(offered()))
            }
            Choice::Unknown => {
                self.note(exchange, None, false);
                Err(Fault::new(FaultCode::ApiVersionUnknown).message(offered()))
            }
            Choice::Unnamed => {
                self.note(exchange, None, false);
                let text = format!("The request has to name one. {}", offered());
                Err(Fault::new(FaultCode::ApiVersionUnknown).message(text))
            }
        }
    }

    /// Notes the version for the record, and what its answer has to say.
    fn note(&self, exchange: &mut Exchange, version: Option<&Version>, refused: bool) {
        exchange.record.api = Some(Box::new(ApiFacts {
            api: self.api.clone(),
            version: version.map(|version| version.name.clone()),
            refused,
        }));
        let Some(version) = version else { return };
        let headers = &mut exchange.response_headers;
        // Values were checked when compiling.
        for (name, value) in version.fields() {
            let _ = headers.try_append(name.as_bytes(), value.as_bytes());
        }
        if let Some(name) = &self.answer {
            let _ = headers.try_append(name.as_bytes(), version.name.as_bytes());
        }
    }
}

/// The shapes that lead from a version to the one that the service has.
fn chain(
    versions: &Versions,
    listed: &ApiVersions,
    from: usize,
) -> Result<Option<Arc<Chain>>, (Vec<String>, String)> {
    let mut names: Vec<&str> = Vec::new();
    let mut shapes: Vec<&Shape> = Vec::new();
    let mut at = Some(from);
    // `Versions::compile` refuses circles.
    while let Some(index) = at {
        let version = &versions.list[index];
        let shape = listed
            .list
            .get(&*version.name)
            .and_then(|version| version.shape.as_ref());
        if let Some(shape) = shape {
            names.push(&version.name);
            shapes.push(shape);
        }
        at = version.onto;
    }
    if shapes.is_empty() {
        return Ok(None);
    }
    let chain = Chain::compile(&shapes).map_err(|(index, (way, text))| {
        let mut full = vec![
            "list".to_owned(),
            names[index].to_owned(),
            "shape".to_owned(),
        ];
        full.extend(way);
        (full, text)
    })?;
    Ok(Some(Arc::new(chain)))
}

impl Policy for ChooseVersion {
    fn request<'a>(&'a self, exchange: &'a mut Exchange) -> Verdict<'a> {
        let version = match self.choose(exchange) {
            Ok(version) => version,
            Err(fault) => return Verdict::refuse(fault),
        };
        let Some(chain) = &self.chains[version] else {
            exchange.memory.keep(
                self,
                Chosen {
                    version,
                    underway: None,
                },
            );
            return Verdict::Next;
        };
        let underway = shaped::begin(chain, exchange);
        let reads = shaped::reads_request(chain, &underway, exchange);
        let kept = Chosen {
            version,
            underway: Some(underway.clone()),
        };
        exchange.memory.keep(self, kept);
        if !reads {
            return Verdict::Next;
        }
        Verdict::Wait(Box::pin(async move {
            match self.shape_request(version, underway, exchange).await {
                Ok(()) => Verdict::Next,
                Err(fault) => Verdict::refuse(fault),
            }
        }))
    }

    fn answer<'a>(
        &'a self,
        exchange: &'a mut Exchange,
        response: &'a mut Response,
    ) -> Option<LocalFuture<'a, Result<(), Fault>>> {
        let chosen: Chosen = exchange.memory.take(self)?;
        // The gateway says when this version ends, and not the service.
        for (name, _) in self.versions.list[chosen.version].fields() {
            if name != "Link" {
                response.head.headers.remove_named(name);
            }
        }
        let underway = chosen.underway?;
        let chain = self.chains[chosen.version].as_ref()?;
        if matches!(response.head.status, 200..=299 | 304) && chain.reads_response(&underway, None)
        {
            shaped::about_answer(&mut response.head.headers);
        }
        if !shaped::reads_response(chain, &underway, exchange, response) {
            return None;
        }
        let work = self.shape_response(chosen.version, underway, exchange, response);
        Some(Box::pin(work))
    }

    fn replay(&self) -> Replay {
        let mut reads = Reads::of_headers(self.places.iter().flat_map(Place::varies));
        let parameters = self.places.iter().filter_map(Place::parameter);
        reads.parameters.extend(parameters.map(str::to_owned));
        Replay::again(reads)
    }

    /// Chooses again, and changes path and query as a shape does; bodies are not there.
    fn again<'a>(&'a self, exchange: &'a mut Exchange, _: &Past<'_>) -> Verdict<'a> {
        match self.choose(exchange) {
            Ok(version) => {
                if let Some(chain) = &self.chains[version] {
                    shaped::begin(chain, exchange);
                }
                Verdict::Next
            }
            Err(fault) => Verdict::refuse(fault),
        }
    }
}

#[cfg(test)]
#[path = "version/tests.rs"]
mod tests;
