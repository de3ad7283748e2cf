//! UDP sockets of one address: one per worker, told apart by the kernel.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// A listener's UDP sockets, one per worker.
#[derive(Debug)]
pub struct Sockets {
    sockets: Vec<UdpSocket>,
}

impl Sockets {
    /// Binds an address once per worker. The kernel spreads callers over the sockets by their
    /// address and port, so all packets of a connection come to one worker.
    ///
    /// # Errors
    /// When anybody else has the address, a predecessor of this process included: two that share it
    /// would lose each other's packets.
    pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Self> {
        // Without SO_REUSEPORT, so that it fails where sockets with it are.
        drop(bind(address, false)?);
        let mut sockets = Vec::new();
        for _ in 0..workers.clamp(1, 256) {
            sockets.push(bind(address, true)?);
        }
        Ok(Self { sockets })
    }

    /// Worker `index`'s socket, on a descriptor of its own; none where there are fewer sockets.
    ///
    /// # Errors
    /// When descriptors have run out.
    pub fn share(&self, index: usize) -> io::Result<Option<UdpSocket>> {
        self.sockets
            .get(index)
            .map(UdpSocket::try_clone)
            .transpose()
    }
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let kind = Type::DGRAM.nonblocking();
    let socket = Socket::new(Domain::for_address(address), kind, Some(Protocol::UDP))?;
    socket.set_cloexec(true)?;
    socket.set_reuse_port(shared)?;
    if address.is_ipv6() {
        // Explicit, because the default is a sysctl; the same as for TCP.
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_process_s() {
        let any: SocketAddr = ([127, 0, 0, 1], 0).into();
        let port = bind(any, false).and_then(|socket| socket.local_addr());
        let address = port.expect("loopback has ports");
        let first = Sockets::bind(address, 2).expect("nobody has it");
        let taken = Sockets::bind(address, 2).map(drop).map_err(|e| e.kind());
        assert_eq!(taken, Err(io::ErrorKind::AddrInUse));
        assert!(first.share(1).is_ok_and(|socket| socket.is_some()));
        assert!(first.share(2).is_ok_and(|socket| socket.is_none()));
        drop(first);
        assert!(Sockets::bind(address, 2).is_ok());
    }
}
