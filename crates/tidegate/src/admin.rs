//! The admin address: health and metrics, served on the control thread.
//!
//! Workers never see these requests, so a scrape costs them nothing and answers while they are
//! busy. Connections and request sizes are bounded; nothing here changes anything.

use crate::accept::accept;
use gate_net::connection::server::{Next, ServerConnection, ServerOptions};
use gate_net::http1::Limits;
use gate_net::listen::Sockets;
use gate_proxy::listener::parse_address;
use gate_proxy::process::Process;
use gate_proxy::record::admin;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Most connections at once.
const CONNECTIONS_MAX: usize = 64;

/// The listener of the admin address; closed when dropped.
pub(crate) struct Admin {
    /// The address as configured.
    pub configured: String,
    /// Where it is bound.
    pub local: String,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Admin {
    /// Binds and serves; call it inside a `LocalSet`.
    ///
    /// # Errors
    /// One sentence that names the address.
    pub(crate) fn start(configured: &str, process: &Arc<Process>) -> Result<Self, String> {
        let failed = |error: String| format!("admin address {configured}: {error}");
        let address = parse_address(configured).map_err(failed)?;
        let sockets =
            Sockets::bind(&address, 1).map_err(|error| failed(error.error.to_string()))?;
        let local = sockets
            .local()
            .map_or_else(|| configured.to_owned(), |address| address.to_string());
        let listeners = sockets
            .share(0, 1)
            .map_err(|error| failed(error.to_string()))?;
        let open = Rc::new(Cell::new(0));
        let tasks = listeners
            .into_iter()
            .map(|listener| {
                let process = process.clone();
                let serve = move |connection| serve(connection, process.clone());
                let open = open.clone();
                tokio::task::spawn_local(accept(listener, limits(), open, CONNECTIONS_MAX, serve))
            })
            .collect();
        Ok(Self {
            configured: configured.to_owned(),
            local,
            tasks,
        })
    }
}

fn limits() -> ServerOptions {
    ServerOptions {
        head: Limits::default(),
        body_bytes: 0,
        idle: Duration::from_secs(75),
        head_time: Duration::from_secs(5),
        body_time: Duration::from_secs(5),
        write_time: Duration::from_secs(10),
    }
}

async fn serve(mut connection: ServerConnection, process: Arc<Process>) {
    // Anything but a proper request is not worth an answer on this address.
    while let Next::Request(request) = connection.next().await {
        let response = admin::answer(&request.head, process.health(), |format| {
            process.metrics_page(format)
        });
        match connection.respond(response, false).await {
            gate_net::connection::server::Sent::Complete { reuse: true, .. } => {}
            _ => return,
        }
    }
}
