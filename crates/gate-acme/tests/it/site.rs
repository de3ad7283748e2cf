//! A plain and a TLS port over one [`Managed`], to which the names of a world lead.

use crate::world::{World, listen, request, respond};
use gate_net::tls::{Managed, ServerTls, ServerTlsOptions};
use std::net::SocketAddr;
use std::sync::Arc;

pub(crate) struct Site {
    pub(crate) tls: SocketAddr,
    pub(crate) world: Arc<World>,
}

impl Site {
    pub(crate) fn start(managed: &Arc<Managed>) -> Arc<Self> {
        let tokens = managed.clone();
        let http = listen(move |stream| {
            let (head, _) = request(&stream);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let token = path
                .strip_prefix("/.well-known/acme-challenge/")
                .unwrap_or_default();
            match tokens.token(token) {
                Some(shown) => respond(&stream, 200, &shown),
                None => respond(&stream, 404, ""),
            }
        });
        let options = ServerTlsOptions {
            managed: Some(managed.clone()),
            ..ServerTlsOptions::default()
        };
        let settings = ServerTls::load(options).unwrap();
        let tls = listen(move |mut stream| {
            let mut connection = rustls::ServerConnection::new(settings.config()).unwrap();
            while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
        });
        let world = World::start();
        world.leads_to(http, tls);
        Arc::new(Self { tls, world })
    }
}
