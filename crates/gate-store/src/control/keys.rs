//! A keyring that is read when it is first needed, and again when its text is another.
//!
//! Reading it may mean asking a service that is down. That costs only what needs a sealed value: a
//! ring that was had before stays in use, and without one each question is refused with the reason,
//! while the service is left in peace for [`REST`] between two tries.

use super::row::sha256;
use super::{Answer, ControlError, Keyring};
use gate_kit::clock::{Clock, Moment};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long nobody asks again after the ring could not be had.
const REST: Duration = Duration::from_secs(5);

/// Reads the text of a keyring, as it is kept; cheap, and asked each time.
pub type ReadText = dyn Fn() -> Result<String, String> + Send + Sync;
/// Makes keys of the text; may block, with a limit. Its errors name no key.
pub type MakeRing = dyn Fn(&str) -> Answer<Keyring> + Send + Sync;

/// Where a keyring comes from.
pub struct Keys {
    text: Box<ReadText>,
    make: Box<MakeRing>,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The digest of the text that the ring was made of.
    digest: String,
    ring: Option<Arc<Keyring>>,
    failed: Option<Failed>,
}

/// A text that could not be made a ring of, why, and until when it is not tried again.
struct Failed {
    digest: String,
    why: ControlError,
    until: Moment,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    /// Keys that nobody has asked for yet.
    #[must_use]
    pub fn new(text: Box<ReadText>, make: Box<MakeRing>, clock: Clock) -> Self {
        Self {
            text,
            make,
            clock,
            state: Mutex::default(),
        }
    }

    /// A ring that is there already.
    #[must_use]
    pub fn of(ring: Keyring) -> Self {
        let keys = Self::new(
            Box::new(|| Ok(String::new())),
            Box::new(|_| Err(ControlError::Seal("there is no other ring".into()))),
            Clock::System,
        );
        let state = State {
            digest: sha256(b""),
            ring: Some(Arc::new(ring)),
            failed: None,
        };
        Self {
            state: Mutex::new(state),
            ..keys
        }
    }

    /// The ring: of the text as it is now, or the one before it while a new one cannot be had.
    /// Blocks for as long as making it does; others wait for that.
    ///
    /// # Errors
    /// [`ControlError::Seal`] with the reason when there is none.
    pub fn ring(&self) -> Answer<Arc<Keyring>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let made = (self.text)()
            .map_err(ControlError::Seal)
            .and_then(|text| self.of_text(&mut state, &text));
        match (made, &state.ring) {
            (Ok(ring), _) => Ok(ring),
            (Err(why), Some(ring)) => {
                tracing::warn!(%why, "the store's keys cannot be read anew; those before stay");
                Ok(ring.clone())
            }
            (Err(why), None) => Err(why),
        }
    }

    fn of_text(&self, state: &mut State, text: &str) -> Answer<Arc<Keyring>> {
        let digest = sha256(text.as_bytes());
        if let Some(ring) = state.ring.as_ref().filter(|_| state.digest == digest) {
            return Ok(ring.clone());
        }
        let now = self.clock.now();
        if let Some(failed) = &state.failed
            && failed.digest == digest
            && now < failed.until
        {
            return Err(failed.why.clone());
        }
        match (self.make)(text) {
            Ok(ring) => {
                let ring = Arc::new(ring);
                *state = State {
                    digest,
                    ring: Some(ring.clone()),
                    failed: None,
                };
                Ok(ring)
            }
            Err(why) => {
                state.failed = Some(Failed {
                    digest,
                    why: why.clone(),
                    until: self.clock.now().plus(REST),
                });
                Err(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    struct Service {
        text: Mutex<Result<String, String>>,
        down: AtomicBool,
        asked: AtomicUsize,
    }

    fn keys(clock: Clock) -> (Arc<Service>, Keys) {
        let service = Arc::new(Service {
            text: Mutex::new(Ok(Keyring::new_line("k1").unwrap())),
            down: AtomicBool::new(true),
            asked: AtomicUsize::new(0),
        });
        let (reader, maker) = (service.clone(), service.clone());
        let make = move |text: &str| {
            maker.asked.fetch_add(1, Ordering::SeqCst);
            match maker.down.load(Ordering::SeqCst) {
                true => Err(ControlError::Seal("nobody answers".into())),
                false => Keyring::parse(text),
            }
        };
        let text = Box::new(move || reader.text.lock().unwrap().clone());
        (service, Keys::new(text, Box::new(make), clock))
    }

    #[test]
    fn a_service_that_is_down_is_left_in_peace_and_asked_again() {
        let (clock, hands) = Clock::manual();
        let (service, keys) = keys(clock);
        for _ in 0..3 {
            let why = keys.ring().unwrap_err().to_string();
            assert_eq!(why, "nobody answers");
        }
        assert_eq!(service.asked.load(Ordering::SeqCst), 1);
        service.down.store(false, Ordering::SeqCst);
        hands.advance(REST);
        assert_eq!(keys.ring().unwrap().current(), "k1");
        // What is known is asked for no more.
        service.down.store(true, Ordering::SeqCst);
        hands.advance(REST * 100);
        assert_eq!(keys.ring().unwrap().current(), "k1");
        assert_eq!(service.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn another_text_is_another_ring_and_the_last_one_outlives_what_is_wrong() {
        let (clock, hands) = Clock::manual();
        let (service, keys) = keys(clock);
        service.down.store(false, Ordering::SeqCst);
        assert_eq!(keys.ring().unwrap().current(), "k1");
        *service.text.lock().unwrap() = Ok("nonsense".into());
        assert_eq!(keys.ring().unwrap().current(), "k1");
        *service.text.lock().unwrap() = Err("the file is gone".into());
        assert_eq!(keys.ring().unwrap().current(), "k1");
        hands.advance(REST);
        *service.text.lock().unwrap() = Ok(Keyring::new_line("k2").unwrap());
        assert_eq!(keys.ring().unwrap().current(), "k2");
        assert_eq!(format!("{keys:?}"), "Keys(..)");
    }
}
