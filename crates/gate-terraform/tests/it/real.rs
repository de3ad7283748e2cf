//! The real `terraform` against a provider in this process.

use crate::calls::provider;
use crate::program::Program;
use crate::server::Server;
use gate_terraform::plugin::serve_plain;
use std::ops::Deref;
use std::sync::Arc;

const SOURCE: &str = "registry.terraform.io/tidegate/tidegate";

/// A folder with a configuration, Terraform to run in it, and the server that it changes.
pub(crate) struct Workbench {
    pub(crate) server: Arc<Server>,
    program: Program,
}

impl Workbench {
    /// `None` where there is no Terraform.
    pub(crate) fn new(test: &str, environments: &[&str]) -> Option<Self> {
        let mut program = Program::find(test)?;
        let server = Arc::new(Server::with(environments));
        let reattach = serve_plain(Some(program.path())).unwrap();
        program.set("TF_REATTACH_PROVIDERS", &reattach.variable(SOURCE));
        let calls = Arc::new(provider(&server));
        std::thread::spawn(move || reattach.serve(calls));
        Some(Self { server, program })
    }
}

impl Deref for Workbench {
    type Target = Program;

    fn deref(&self) -> &Program {
        &self.program
    }
}
