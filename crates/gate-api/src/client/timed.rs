//! Connections that wait no longer than they may: for a piece, for all of it, and for as long as a term goes
//! that somebody else puts off.

use gate_kit::address::is_private;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long connecting may take.
const CONNECT_TIME: Duration = Duration::from_secs(10);

/// A time that ends unless it is put off: whoever waits looks again when it is over.
#[derive(Debug, Clone)]
pub struct Term(Arc<Mutex<Instant>>);

impl Term {
    /// One that ends then.
    #[must_use]
    pub fn until(end: Instant) -> Self {
        Self(Arc::new(Mutex::new(end)))
    }

    /// Puts the end off.
    pub fn extend(&self, end: Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    /// When it ends, as far as is known.
    #[must_use]
    pub fn end(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.end() <= Instant::now()
    }
}

/// A connection that waits for no piece longer than it may, and for all of them no longer than until
/// its end.
#[derive(Debug)]
pub struct TimedStream {
    stream: TcpStream,
    quiet: Duration,
    end: Option<Instant>,
    term: Option<Term>,
}

impl TimedStream {
    /// Connects to a host's first address that answers.
    ///
    /// # Errors
    /// What the system says, or that there was no time left.
    pub fn connect(
        host: &str,
        port: u16,
        quiet: Duration,
        end: Option<Instant>,
    ) -> Result<Self, Error> {
        Self::connect_where(host, port, quiet, end, |_| true)
    }

    /// Like [`TimedStream::connect`], with addresses that [`is_private`] finds left out.
    ///
    /// # Errors
    /// What the system says, that there was no time left, or that there is no other address.
    pub fn connect_guarded(
        host: &str,
        port: u16,
        quiet: Duration,
        end: Option<Instant>,
    ) -> Result<Self, Error> {
        Self::connect_where(host, port, quiet, end, |address| !is_private(address))
    }

    fn connect_where(
        host: &str,
        port: u16,
        quiet: Duration,
        end: Option<Instant>,
        allowed: fn(IpAddr) -> bool,
    ) -> Result<Self, Error> {
        let mut last = Error::new(ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            if !allowed(address.ip()) {
                let text = "the host is this machine, its link or a metadata service";
                last = Error::new(ErrorKind::PermissionDenied, text);
                continue;
            }
            let patience = left(CONNECT_TIME.min(quiet), end)?;
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(Self {
                        stream,
                        quiet,
                        end,
                        term: None,
                    });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Lets nothing be sent or waited for behind a term.
    #[must_use]
    pub fn held(mut self, term: Option<Term>) -> Self {
        self.term = term;
        self
    }

    /// Waits as long as it may, and looks again where the term was put off meanwhile.
    fn timed<T>(
        &mut self,
        set: fn(&TcpStream, Option<Duration>) -> Result<(), Error>,
        mut act: impl FnMut(&mut TcpStream) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        loop {
            let quiet = left(self.quiet, Some(begun + self.quiet))?;
            let whole = left(quiet, self.end)?;
            let term = self.term.as_ref().map(Term::end);
            let patience = left(whole, term)?;
            set(&self.stream, Some(patience))?;
            match act(&mut self.stream) {
                Err(error) if is_late(&error) && patience < whole => {}
                done => return done,
            }
        }
    }
}

/// Whether nothing came in time.
fn is_late(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// How long may be waited.
fn left(quiet: Duration, end: Option<Instant>) -> Result<Duration, Error> {
    let Some(end) = end else { return Ok(quiet) };
    let left = end.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(Error::new(ErrorKind::TimedOut, "it takes too long")),
        false => Ok(left.min(quiet)),
    }
}

impl Read for TimedStream {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        self.timed(TcpStream::set_read_timeout, |stream| stream.read(buffer))
    }
}

impl Write for TimedStream {
    fn write(&mut self, buffer: &[u8]) -> Result<usize, Error> {
        self.timed(TcpStream::set_write_timeout, |stream| stream.write(buffer))
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Endpoint;
    use super::*;
    use std::net::TcpListener;
    use std::sync::mpsc::channel;

    /// A server that answers its only caller when it is told to.
    fn server() -> (Endpoint, std::sync::mpsc::Sender<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let (tell, told) = channel::<()>();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a caller");
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            if told.recv().is_ok() {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        let endpoint = Endpoint::new(&url).expect("an address");
        (endpoint.patient(Duration::from_secs(60)), tell)
    }

    #[test]
    fn a_call_ends_with_its_term() {
        let (endpoint, tell) = server();
        let term = Term::until(Instant::now() + Duration::from_millis(100));
        let answer = endpoint
            .held(Some(term.clone()))
            .call("GET", "/", &[], b"", 100);
        assert!(answer.is_err() && term.is_over(), "{answer:?}");
        drop(tell);
    }

    #[test]
    fn a_call_goes_on_where_its_term_is_put_off() {
        let (endpoint, tell) = server();
        let first = Instant::now() + Duration::from_millis(100);
        let term = Term::until(first);
        let asked = endpoint.held(Some(term.clone()));
        let calling = std::thread::spawn(move || asked.call("GET", "/", &[], b"", 100));
        term.extend(Instant::now() + Duration::from_secs(60));
        while Instant::now() < first + Duration::from_millis(50) {
            std::thread::sleep(Duration::from_millis(5));
        }
        tell.send(()).expect("it waits");
        let answer = calling.join().expect("no panic").expect("an answer");
        assert_eq!(answer.status, 200);
    }

    #[test]
    fn a_call_waits_no_longer_than_it_may_within_its_term() {
        let (endpoint, tell) = server();
        let term = Term::until(Instant::now() + Duration::from_secs(600));
        let asked = endpoint.patient(Duration::from_millis(50)).held(Some(term));
        assert!(asked.call("GET", "/", &[], b"", 100).is_err());
        drop(tell);
    }
}
