//! Where a route sends exchanges, from configuration.

use super::Work;
use crate::batches::DeskPlace;
use crate::events::EventTypes;
use crate::process::Upstreams;
use crate::target::agent::to_agent;
use crate::target::batch::Kept;
use crate::target::fixed::Fixed;
use crate::target::mcp::{self, Servers};
use crate::target::model::{Models, ToModels};
use crate::target::portal::to_portal;
use crate::target::status_page::{StatusBoard, ToStatusPage};
use crate::target::upstream::ToUpstream;
use gate_flow::Target;
use gate_model::document::Path;
use gate_model::finding::Finding;
use gate_model::resources;
use std::sync::Arc;

/// What routes can send exchanges to.
pub(super) struct Called<'a> {
    pub(super) upstreams: &'a Upstreams,
    pub(super) models: &'a Models,
    pub(super) servers: &'a Servers,
    pub(super) event_types: &'a Arc<EventTypes>,
}

impl Work<'_> {
    /// Compiles a route's target; what is wrong goes into the findings.
    pub(super) fn target(
        &mut self,
        name: &str,
        route: &resources::Route,
        path: &Path,
        called: &Called<'_>,
    ) -> Option<Box<dyn Target>> {
        match &route.target {
            resources::Target::Upstream(name) => match called.upstreams.get(name.as_str()) {
                Some(upstream) => Some(Box::new(ToUpstream(upstream.clone()))),
                None => {
                    // An upstream with findings of its own exists all the same.
                    if !self.resources.upstreams.contains_key(name) {
                        self.unknown(
                            path.key("upstream"),
                            "upstream",
                            name,
                            self.resources.upstreams.keys(),
                        );
                    }
                    None
                }
            },
            resources::Target::Models(names) => {
                let mut known = true;
                for (index, name) in names.iter().enumerate() {
                    if !self.resources.models.contains_key(name) {
                        known = false;
                        let path = path.key("models").index(index);
                        self.unknown(path, "model", name, self.resources.models.keys());
                    }
                }
                let keeps = self.resources.gateway.files.is_some();
                let kept = keeps.then(|| Kept(DeskPlace::of(self.compiler.state)));
                known.then(|| {
                    let target = ToModels::new(called.models, names).keeping(kept);
                    Box::new(target) as Box<dyn Target>
                })
            }
            resources::Target::Mcp(uses) => {
                let path = path.key("mcp");
                let target = mcp::to_mcp(self, called.servers, name, route, uses, &path)?;
                Some(Box::new(target))
            }
            resources::Target::Agent(name) => {
                let target = to_agent(self, name, route, &path.key("agent"))?;
                Some(Box::new(target))
            }
            resources::Target::Api(api) => {
                self.versions_target(api, &path.key("api"), called.upstreams)
            }
            resources::Target::Events(intake) => {
                let target = crate::target::events::to_events(
                    self,
                    intake,
                    called.event_types,
                    &path.key("events"),
                )?;
                Some(Box::new(target))
            }
            resources::Target::Fixed(reply) => self.fixed(reply, &path.key("fixed")),
            resources::Target::StatusPage(page) => {
                let board = self
                    .compiler
                    .state
                    .get_or_insert(&page.title, StatusBoard::default);
                Some(Box::new(ToStatusPage(board)))
            }
            resources::Target::Portal(names) => {
                let target = to_portal(self, route, names, &path.key("portal"))?;
                Some(Box::new(target))
            }
        }
    }

    fn fixed(&mut self, reply: &resources::FixedReply, path: &Path) -> Option<Box<dyn Target>> {
        if !(200..=599).contains(&reply.status) {
            let message = format!("{} is no final status", reply.status);
            self.report(Finding::error(
                "invalid_status",
                path.key("status"),
                message,
            ));
            return None;
        }
        match Fixed::new(reply) {
            Ok(fixed) => Some(Box::new(fixed)),
            Err(error) => {
                let path = path.key("headers");
                self.report(Finding::error("invalid_header", path, error.to_string()));
                None
            }
        }
    }
}
