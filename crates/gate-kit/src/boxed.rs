//! Futures that are boxed where they are made.

use std::pin::Pin;

/// Boxes the future that `make` makes.
///
/// `Box::pin` makes it on the stack first and copies all of it, as large as it can ever become: for an
/// exchange that is some kilobytes, of which a few words are set. Here its place is there before it is,
/// so that only those words are written.
#[inline(always)]
pub fn boxed<F: Future>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    Box::into_pin(Box::write(Box::new_uninit(), make()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    #[test]
    fn a_boxed_future_is_the_one_that_was_made() {
        let text = String::from("here");
        let boxed = boxed(|| async move { text + " still" });
        let polled = pin!(boxed).poll(&mut Context::from_waker(Waker::noop()));
        assert_eq!(polled, Poll::Ready("here still".into()));
    }
}
