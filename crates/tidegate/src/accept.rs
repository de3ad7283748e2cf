//! Accepting connections off the data plane, for the admin address and the samples of the demo.
//!
//! A bound on connections and a task for each, with TLS ended where there is some; what is said on
//! them is the caller's business.

use gate_net::connection::server::{ServerConnection, ServerOptions};
use gate_net::io::Io;
use gate_net::listen::Listener;
use gate_net::tls::ServerTls;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// TLS of the next connections, exchanged while serving; plain text while it is none.
#[derive(Clone, Default)]
pub(crate) struct Secured(Rc<RefCell<Option<Arc<ServerTls>>>>);

impl Secured {
    /// Takes over other settings.
    pub(crate) fn set(&self, tls: Option<Arc<ServerTls>>) {
        *self.0.borrow_mut() = tls;
    }

    /// The settings in force.
    pub(crate) fn get(&self) -> Option<Arc<ServerTls>> {
        self.0.borrow().clone()
    }

    /// The connection after its handshake; none where that failed or took too long.
    async fn handshake(&self, io: Io, patience: Duration) -> Option<Io> {
        let Some(tls) = self.get() else {
            return Some(io);
        };
        let shaken = tokio::time::timeout(patience, io.accept_tls(tls.config())).await;
        match shaken {
            Ok(Ok(io)) => Some(io),
            Ok(Err(error)) => {
                tracing::debug!(%error, "TLS handshake failed");
                None
            }
            Err(_) => None,
        }
    }
}

/// Serves every connection with `serve`, inside a `LocalSet`, until it is dropped. Of the
/// connections that share `open`, those beyond `most` are closed at once.
pub(crate) async fn accept<F: Future<Output = ()> + 'static>(
    listener: Listener,
    options: ServerOptions,
    secured: Secured,
    open: Rc<Cell<usize>>,
    most: usize,
    serve: impl Fn(ServerConnection) -> F + 'static,
) {
    let options = Arc::new(options);
    let serve = Rc::new(serve);
    loop {
        let io = listener.accept().await;
        if open.get() >= most {
            continue;
        }
        open.set(open.get() + 1);
        let (options, secured, serve) = (options.clone(), secured.clone(), serve.clone());
        let open = open.clone();
        tokio::task::spawn_local(async move {
            if let Some(io) = secured.handshake(io, options.head_time).await {
                serve(ServerConnection::new(io, options)).await;
            }
            open.set(open.get() - 1);
        });
    }
}
