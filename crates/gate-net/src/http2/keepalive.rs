//! Pings that find out whether a silent peer is still there.

use h2::{Ping, PingPong};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

pub(super) struct Keepalive {
    pings: PingPong,
    interval: Duration,
    timeout: Duration,
    timer: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Keepalive {
    pub(super) fn new(pings: PingPong, interval: Duration, timeout: Duration) -> Self {
        Self {
            pings,
            interval,
            timeout,
            timer: Box::pin(tokio::time::sleep(interval)),
            waiting: false,
        }
    }

    /// Ready when the peer has left a ping unanswered for too long.
    pub(super) fn poll_silent(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // A failed pong means that the connection is ending, which it reports by itself.
            if self.waiting && self.pings.poll_pong(cx).is_ready() {
                self.waiting = false;
                self.wait(self.interval);
            }
            std::task::ready!(self.timer.as_mut().poll(cx));
            if self.waiting {
                return Poll::Ready(());
            }
            self.waiting = self.pings.send_ping(Ping::opaque()).is_ok();
            let pause = if self.waiting {
                self.timeout
            } else {
                self.interval
            };
            self.wait(pause);
        }
    }

    fn wait(&mut self, pause: Duration) {
        self.timer.as_mut().reset(Instant::now() + pause);
    }
}
