//! The admin address: health, metrics, the admin API and the console, served on the control thread.
//!
//! Workers never see these requests, so a scrape costs them nothing and answers while they are
//! busy. Connections and request sizes are bounded. Health and metrics are answered here and need
//! neither store nor proof; everything else is [`gate_admin::Api`]'s, on threads of its own.

use crate::accept::{Secured, accept};
use crate::config::Secrets;
use crate::follow::OpenStore;
use gate_admin::{Api, Asset, BODY_MAX, Host, Parts, Peer, ReadSecret};
use gate_flow::SecretSource;
use gate_kit::clock::Clock;
use gate_kit::http::{Request, Response};
use gate_model::resources::{Admin as Settings, AdminOidcKeys, SecretPlace};
use gate_net::connection::server::{Next, Sent, ServerConnection, ServerOptions};
use gate_net::http1::Limits;
use gate_net::listen::Sockets;
use gate_net::tls::ServerTls;
use gate_proxy::listener::{load_tls, parse_address};
use gate_proxy::process::Process;
use gate_proxy::record::admin;
use gate_store::control::{ControlStore, Keys};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Most connections at once.
const CONNECTIONS_MAX: usize = 64;
/// Between two tries to open a store that is down.
const AGAIN: Duration = Duration::from_secs(1);
/// The console, built from `console/`.
const ASSETS: &[Asset] = include!("../../../console/dist/assets.rs");

/// What answers on the admin address, whichever address that is.
pub(crate) struct Desk {
    process: Arc<Process>,
    host: Arc<dyn Host>,
    /// How the control plane's store is opened, where there is one.
    open: Option<OpenStore>,
    /// What Terraform states are sealed under.
    keys: Option<Arc<Keys>>,
    /// Where relative paths start from.
    folder: PathBuf,
    /// None before the first settings.
    api: RefCell<Option<Arc<Api>>>,
}

impl Desk {
    /// Answers for a process; the store is opened when the address is.
    pub(crate) fn new(
        process: &Arc<Process>,
        host: Arc<dyn Host>,
        open: Option<OpenStore>,
        keys: Option<Arc<Keys>>,
        folder: PathBuf,
    ) -> Self {
        Self {
            process: process.clone(),
            host,
            open,
            keys,
            folder,
            api: RefCell::new(None),
        }
    }

    /// Takes over settings of who may use the API; makes it at the first time.
    ///
    /// # Errors
    /// One sentence about what cannot be read; everything stays as it was then.
    fn configure(self: &Rc<Self>, settings: &Settings) -> Result<(), String> {
        if let Some(api) = &*self.api.borrow() {
            return api.configure(placed(settings.clone(), &self.folder));
        }
        let store = self.open.as_ref().map(open_aside);
        let (store, down) = match store {
            Some(Ok(store)) => (Some(store), false),
            Some(Err(error)) => {
                tracing::error!(%error, "the admin API has no store yet");
                (None, true)
            }
            None => (None, false),
        };
        let api = self.start(settings.clone(), store)?;
        *self.api.borrow_mut() = Some(api);
        if down {
            tokio::task::spawn_local(Self::open_later(self.clone(), settings.clone()));
        }
        Ok(())
    }

    fn start(
        &self,
        admin: Settings,
        store: Option<Box<dyn ControlStore>>,
    ) -> Result<Arc<Api>, String> {
        Api::start(Parts {
            host: self.host.clone(),
            store,
            keys: self.keys.clone(),
            admin: placed(admin, &self.folder),
            secrets: secrets(&self.folder),
            clock: Clock::System,
            assets: ASSETS,
        })
    }

    /// Makes the API anew once its store can be opened.
    async fn open_later(this: Rc<Self>, settings: Settings) {
        let Some(open) = this.open.clone() else {
            return;
        };
        loop {
            tokio::time::sleep(AGAIN).await;
            let open = open.clone();
            let opened = tokio::task::spawn_blocking(move || open()).await;
            if let Ok(Ok(store)) = opened {
                match this.start(settings, Some(store)) {
                    Ok(api) => *this.api.borrow_mut() = Some(api),
                    Err(error) => tracing::error!(%error, "the admin API stays without a store"),
                }
                return;
            }
        }
    }

    async fn answer(&self, request: Request, peer: Peer) -> Response {
        let head = &request.head;
        let api = self.api.borrow().clone();
        match (api, head.path()) {
            (Some(api), path) if !matches!(path, "/healthz" | "/readyz" | "/metrics") => {
                api.answer(request, peer).await
            }
            _ => admin::answer(head, self.process.health(), |format| {
                self.process.metrics_page(format)
            }),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Closing a connection to a database waits, which nothing may inside a runtime.
        let api = self.api.borrow_mut().take();
        let closing = move || drop(api);
        let spawned = std::thread::Builder::new().name("admin-close".into());
        // Without a thread there is nothing left that a process that ends has to close.
        let _ = spawned.spawn(closing);
    }
}

/// Opens the store on a thread of its own and waits for it, because a connection to a database
/// brings a runtime of its own.
fn open_aside(open: &OpenStore) -> Result<Box<dyn ControlStore>, String> {
    let open = open.clone();
    let opening = move || open().map_err(|error| error.to_string());
    let thread = std::thread::Builder::new().name("admin-open".into());
    let opening = thread.spawn(opening).map_err(|error| error.to_string())?;
    opening
        .join()
        .unwrap_or_else(|_| Err("opening it failed".into()))
}

/// The listener of the admin address; closed when dropped.
pub(crate) struct Admin {
    /// The address as configured.
    pub configured: String,
    /// Where it is bound.
    pub local: String,
    /// What else was configured, to see a change.
    settings: String,
    secured: Secured,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Admin {
    /// Whether these settings are in force.
    pub(crate) fn is(&self, settings: &Settings) -> bool {
        self.settings == text(settings)
    }

    /// Takes over settings whose address is the same.
    ///
    /// # Errors
    /// One sentence about what cannot be read; everything stays as it was then.
    pub(crate) fn configure(&mut self, settings: &Settings, desk: &Rc<Desk>) -> Result<(), String> {
        let tls = tls(settings, &desk.folder)?;
        desk.configure(settings)?;
        self.secured.set(tls);
        self.settings = text(settings);
        Ok(())
    }

    /// The TLS in force, whose files are to be looked at.
    pub(crate) fn tls(&self) -> Option<Arc<ServerTls>> {
        self.secured.get()
    }

    /// The URL of what is served here.
    pub(crate) fn url(&self) -> String {
        let scheme = match self.tls() {
            Some(_) => "https",
            None => "http",
        };
        format!("{scheme}://{}", self.local)
    }

    /// Binds and serves; call it inside a `LocalSet`.
    ///
    /// # Errors
    /// One sentence that names the address.
    pub(crate) fn start(settings: &Settings, desk: &Rc<Desk>) -> Result<Self, String> {
        let configured = &settings.address;
        let failed = |error: String| format!("admin address {configured}: {error}");
        let address = parse_address(configured).map_err(failed)?;
        let secured = Secured::default();
        secured.set(tls(settings, &desk.folder)?);
        let sockets =
            Sockets::bind(&address, 1).map_err(|error| failed(error.error.to_string()))?;
        let local = sockets
            .local()
            .map_or_else(|| configured.to_owned(), |address| address.to_string());
        let listeners = sockets
            .share(0, 1)
            .map_err(|error| failed(error.to_string()))?;
        desk.configure(settings)?;
        let open = Rc::new(Cell::new(0));
        let tasks = listeners
            .into_iter()
            .map(|listener| {
                let desk = desk.clone();
                let serve = move |connection| serve(connection, desk.clone());
                let (open, tls) = (open.clone(), secured.clone());
                let serving = accept(listener, limits(), tls, open, CONNECTIONS_MAX, serve);
                tokio::task::spawn_local(serving)
            })
            .collect();
        Ok(Self {
            configured: configured.to_owned(),
            local,
            settings: text(settings),
            secured,
            tasks,
        })
    }
}

/// Settings whose paths start from a folder.
fn placed(mut settings: Settings, folder: &Path) -> Settings {
    if let Some(oidc) = &mut settings.oidc {
        if let Some(AdminOidcKeys::File(path)) = &mut oidc.keys {
            *path = folder.join(&*path);
        }
        if let Some(path) = &mut oidc.authorities {
            *path = folder.join(&*path);
        }
    }
    settings
}

/// Reads secrets that the admin address needs before there is any store.
fn secrets(folder: &Path) -> ReadSecret {
    let folder = folder.to_owned();
    Arc::new(move |place| match place {
        SecretPlace::Env(name) => Secrets.env(name),
        SecretPlace::File(file) => Secrets.file(&folder.join(file)),
        _ => Err("the admin address takes secrets from the environment and from files only".into()),
    })
}

/// The certificates of the admin address; none where it speaks plain text.
///
/// # Errors
/// One sentence that names the file that is wrong.
pub(crate) fn tls(settings: &Settings, folder: &Path) -> Result<Option<Arc<ServerTls>>, String> {
    let tls = settings.tls.as_ref();
    let loaded = tls
        .map(|tls| load_tls(tls, folder, false, None))
        .transpose();
    loaded.map_err(|error| format!("`gateway.admin.tls`: {error}"))
}

/// Settings as text, to compare them; keys are in it as hashes only.
fn text(settings: &Settings) -> String {
    serde_json::to_string(settings).unwrap_or_default()
}

fn limits() -> ServerOptions {
    ServerOptions {
        head: Limits::default(),
        body_bytes: BODY_MAX as u64,
        idle: Duration::from_secs(75),
        head_time: Duration::from_secs(5),
        body_time: Duration::from_secs(30),
        write_time: Duration::from_secs(10),
    }
}

async fn serve(mut connection: ServerConnection, desk: Rc<Desk>) {
    let peer = Peer {
        address: connection.io().peer(),
        local: connection.io().local(),
        tls: connection.io().tls().is_some(),
    };
    loop {
        let (response, close) = match connection.next().await {
            Next::Request(request) => {
                let mut answering = pin!(desk.answer(request, peer));
                // Whoever has gone needs no answer: a query of the lake ends, a change that was begun is made.
                let answered = poll_fn(|cx| match answering.as_mut().poll(cx) {
                    Poll::Ready(response) => Poll::Ready(Some(response)),
                    Poll::Pending => connection.poll_closed(cx).map(|()| None),
                });
                match answered.await {
                    Some(response) => (response, false),
                    None => return,
                }
            }
            Next::TooLarge(_) => (Api::too_large(), true),
            // Anything but a proper request is not worth an answer on this address.
            _ => return,
        };
        match connection.respond(response, close).await {
            Sent::Complete { reuse: true, .. } => {}
            _ => return,
        }
    }
}
