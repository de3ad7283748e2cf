//! Accepting connections off the data plane, for the admin address and the samples of the demo.
//!
//! A bound on connections and a task for each; what is said on them is the caller's business.

use gate_net::connection::server::{ServerConnection, ServerOptions};
use gate_net::listen::Listener;
use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

/// Serves every connection with `serve`, inside a `LocalSet`, until it is dropped. Of the
/// connections that share `open`, those beyond `most` are closed at once.
pub(crate) async fn accept<F: Future<Output = ()> + 'static>(
    listener: Listener,
    options: ServerOptions,
    open: Rc<Cell<usize>>,
    most: usize,
    serve: impl Fn(ServerConnection) -> F,
) {
    let options = Arc::new(options);
    loop {
        let io = listener.accept().await;
        if open.get() >= most {
            continue;
        }
        let serving = serve(ServerConnection::new(io, options.clone()));
        let open = open.clone();
        open.set(open.get() + 1);
        tokio::task::spawn_local(async move {
            serving.await;
            open.set(open.get() - 1);
        });
    }
}
