//! Passing listening sockets from a running process to its successor.
//!
//! The running process offers its sockets on a private Unix socket; a successor that starts
//! connects there, receives every listener under its name, begins to serve, and says that it is
//! ready; only then does the predecessor stop accepting and drain. Because both hold the same
//! sockets, no caller waiting in an accept queue is reset, which closing a `SO_REUSEPORT` socket
//! would do. If the successor dies before it is ready, the predecessor goes on as if nothing had
//! happened.
//!
//! One `SOCK_SEQPACKET` message carries one name and its descriptors (SCM_RIGHTS). Everything here
//! blocks with a deadline, so it runs on the control thread, never on a worker. Only the same user
//! (or root) may take sockets: the file's mode and the peer's credentials are both checked.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Descriptors per message; the kernel allows 253 (SCM_MAX_FD).
const PER_MESSAGE: usize = 64;
/// Longest name of a listener, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// Descriptors a successor accepts altogether.
pub const DESCRIPTORS_MAX: usize = 8192;

/// Tells the end of the list; no listener may be named so.
const END: &[u8] = b"\0end";
/// The successor's word that it serves.
const READY: &[u8] = b"\0ready";

/// The running process's offer, listening for a successor.
#[derive(Debug)]
pub struct Offer {
    socket: OwnedFd,
}

/// What a successor received, with the line back to its predecessor.
#[derive(Debug)]
pub struct Inheritance {
    /// Sockets by the name of their listener; names may repeat.
    pub sockets: Vec<(String, OwnedFd)>,
    predecessor: OwnedFd,
}

impl Offer {
    /// Listens for a successor at this path, taking the place of a predecessor's offer there
    /// without a gap. Call it when serving.
    ///
    /// # Errors
    /// When the socket cannot be made; its folder must exist.
    pub fn listen(path: &Path) -> io::Result<Self> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push("~");
        let temporary = Path::new(&temporary);
        match std::fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = seqpacket()?;
        rustix::net::bind(&socket, &SocketAddrUnix::new(temporary)?)?;
        std::fs::set_permissions(temporary, std::fs::Permissions::from_mode(0o600))?;
        rustix::net::listen(&socket, 4)?;
        std::fs::rename(temporary, path)?;
        Ok(Self { socket })
    }

    /// Waits up to `wait` for a successor and serves it within `deadline`. `true` means that the
    /// successor has taken every socket and serves: stop accepting and drain now. `false` means
    /// that none came; call again.
    ///
    /// # Errors
    /// When a successor came and failed: go on serving and call again.
    pub fn hand_over(
        &self,
        sockets: &[(&str, BorrowedFd<'_>)],
        wait: Duration,
        deadline: Duration,
    ) -> io::Result<bool> {
        match wait_readable(self.socket.as_fd(), Instant::now() + wait) {
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return Ok(false),
            ready => ready?,
        }
        let until = Instant::now() + deadline;
        let successor = rustix::net::accept_with(&self.socket, SocketFlags::CLOEXEC)?;
        authorise(&successor)?;
        limit(&successor, deadline)?;
        for batch in batches(sockets) {
            let descriptors: Vec<_> = batch.iter().map(|(_, socket)| *socket).collect();
            send(&successor, batch[0].0.as_bytes(), &descriptors)?;
        }
        send(&successor, END, &[])?;
        wait_readable(successor.as_fd(), until)?;
        let mut word = [0; NAME_BYTES_MAX];
        let (n, _) = rustix::net::recv(&successor, &mut word[..], RecvFlags::empty())?;
        if &word[..n] == READY {
            Ok(true)
        } else {
            Err(io::Error::other("the successor left before it served"))
        }
    }
}

/// Takes the sockets of a running predecessor; `None` when nobody offers any at this path.
///
/// # Errors
/// When a predecessor answers but the hand-over fails or exceeds `deadline`.
pub fn inherit(path: &Path, deadline: Duration) -> io::Result<Option<Inheritance>> {
    let until = Instant::now() + deadline;
    let predecessor = seqpacket()?;
    limit(&predecessor, deadline)?;
    match rustix::net::connect(&predecessor, &SocketAddrUnix::new(path)?) {
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::CONNREFUSED) => return Ok(None),
        connected => connected?,
    }
    authorise(&predecessor)?;
    let mut sockets = Vec::new();
    while let Some(batch) = receive(&predecessor, until)? {
        sockets.extend(batch);
        if sockets.len() > DESCRIPTORS_MAX {
            return Err(io::Error::other("the predecessor sent too many sockets"));
        }
    }
    Ok(Some(Inheritance {
        sockets,
        predecessor,
    }))
}

impl Inheritance {
    /// Takes out the sockets of one name.
    pub fn take(&mut self, name: &str) -> Vec<OwnedFd> {
        let (taken, left) = std::mem::take(&mut self.sockets)
            .into_iter()
            .partition(|(have, _)| have == name);
        self.sockets = left;
        let taken: Vec<(String, OwnedFd)> = taken;
        taken.into_iter().map(|(_, socket)| socket).collect()
    }

    /// Tells the predecessor that we serve, so that it drains.
    ///
    /// # Errors
    /// When the predecessor has gone meanwhile; serving goes on all the same.
    pub fn ready(self) -> io::Result<()> {
        rustix::net::send(&self.predecessor, READY, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn seqpacket() -> io::Result<OwnedFd> {
    Ok(rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::SEQPACKET,
        SocketFlags::CLOEXEC,
        None,
    )?)
}

fn limit(socket: &OwnedFd, deadline: Duration) -> io::Result<()> {
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    set_socket_timeout(socket, Timeout::Send, Some(deadline))?;
    set_socket_timeout(socket, Timeout::Recv, Some(deadline))?;
    Ok(())
}

fn authorise(peer: &OwnedFd) -> io::Result<()> {
    let credentials = rustix::net::sockopt::socket_peercred(peer)?;
    if credentials.uid == rustix::process::geteuid() || credentials.uid.is_root() {
        Ok(())
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the other process belongs to another user",
        ))
    }
}

fn wait_readable(socket: BorrowedFd<'_>, until: Instant) -> io::Result<()> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = rustix::event::Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

/// Runs of sockets with the same name, each small enough for one message.
fn batches<'a, 'fd>(
    sockets: &'a [(&'a str, BorrowedFd<'fd>)],
) -> impl Iterator<Item = &'a [(&'a str, BorrowedFd<'fd>)]> {
    sockets
        .chunk_by(|a, b| a.0 == b.0)
        .flat_map(|run| run.chunks(PER_MESSAGE))
}

fn send(peer: &OwnedFd, payload: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    if payload.len() > NAME_BYTES_MAX {
        return Err(io::Error::other("a listener's name is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many sockets in one message"));
    }
    rustix::net::sendmsg(
        peer,
        &[IoSlice::new(payload)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// One message of the list; `None` at its end.
fn receive(peer: &OwnedFd, until: Instant) -> io::Result<Option<Vec<(String, OwnedFd)>>> {
    wait_readable(peer.as_fd(), until)?;
    let mut payload = [0; NAME_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(PER_MESSAGE))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        peer,
        &mut [IoSliceMut::new(&mut payload)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received
        .flags
        .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC)
    {
        return Err(io::Error::other("a message of the hand-over was cut"));
    }
    let payload = &payload[..received.bytes];
    if payload == END {
        return Ok(None);
    }
    if payload.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let name = std::str::from_utf8(payload).map_err(io::Error::other)?;
    let mut sockets = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors.map(|socket| (name.to_owned(), socket)));
        }
    }
    Ok(Some(sockets))
}
