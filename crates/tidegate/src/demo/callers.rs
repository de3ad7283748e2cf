//! The demo's own light traffic: one caller of the sample API who now and then asks the sample model.

use gate_api::Endpoint;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Requests a second of a demo that only shows.
const LIGHT: u64 = 10;
/// Requests a second while something is deployed, so that evidence comes in seconds.
pub(super) const BUSY: u64 = 60;
/// So many requests to the API come between two to the model.
const PER_CHAT: u64 = 40;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most bytes of an answer.
const ANSWER_BYTES_MAX: u64 = 64 << 10;
/// What the model is asked.
const CHAT: &str =
    r#"{"model":"assistant","messages":[{"role":"user","content":"Where is my order?"}]}"#;

/// Callers at work, until the process ends.
pub(super) struct Callers {
    rate: Arc<AtomicU64>,
}

impl Callers {
    /// Starts them, at a gateway's base URL with a key.
    ///
    /// # Errors
    /// One sentence.
    pub(super) fn start(gateway: &str, key: &str) -> Result<Self, String> {
        let endpoint = Endpoint::new(gateway).and_then(|endpoint| endpoint.with_key(key));
        let endpoint = endpoint.map_err(|error| error.to_string())?;
        let endpoint = endpoint.patient(PATIENCE).within(PATIENCE);
        let rate = Arc::new(AtomicU64::new(LIGHT));
        let asked = rate.clone();
        std::thread::Builder::new()
            .name("callers".into())
            .spawn(move || call(&endpoint, &asked))
            .map_err(|error| format!("cannot start the demo's traffic: {error}"))?;
        Ok(Self { rate })
    }

    /// Asks so many times a second from now on.
    pub(super) fn ask(&self, per_second: u64) {
        self.rate.store(per_second, Ordering::Relaxed);
    }

    /// Asks as seldom as at the start.
    pub(super) fn rest(&self) {
        self.ask(LIGHT);
    }
}

fn call(endpoint: &Endpoint, rate: &AtomicU64) {
    let json = [("Content-Type", "application/json")];
    for number in 0_u64.. {
        let began = Instant::now();
        // What is answered is the gateway's to count; a gateway that ends answers nothing.
        let path = format!("/orders/{}", 1000 + number * 7 % 1000);
        let _ = endpoint.call("GET", &path, &[], b"", ANSWER_BYTES_MAX);
        if number % PER_CHAT == 0 {
            let body = CHAT.as_bytes();
            let _ = endpoint.call(
                "POST",
                "/v1/chat/completions",
                &json,
                body,
                ANSWER_BYTES_MAX,
            );
        }
        let pause = Duration::from_secs(1)
            / u32::try_from(rate.load(Ordering::Relaxed))
                .unwrap_or(1)
                .max(1);
        std::thread::sleep(pause.saturating_sub(began.elapsed()));
    }
}
