//! A batch is handed to providers' own batch APIs, which are cheaper, and their results are fetched.
//!
//! Everything goes through the gateway itself, as the batch's owner: the requests with the provider's
//! name of the model (`handed`), the batch (`begin`), looks at it, its results. Requests to different
//! models are parts of their own (`parts`), each at one provider. What a part cost is settled, at prices
//! for batches and once, by the exchange that reads its results to their end. What the providers did not
//! run is run here, and so is what one would refuse.
//!
//! A provider's batch is found again whose making a kill has cut off: by its file, by a note of ours, or by
//! how many requests it has.
//!
//! A batch that a provider has begun is billed by it whether it can be asked for it or not. So whatever
//! looks and readings fail with (a provider that a change took away, a key that is refused, a batch that is
//! not known for a moment), they are tried again until the batch's time is over; only then does the
//! provider not run it, and it was asked to cancel it before.

mod begin;
mod handed;
mod parts;
mod told;

use super::provider::{Call, Sent, Stop, given_up};
use super::theirs::{Came, Coming};
use super::{Batch, Halt};
use gate_ai::Operation;
use gate_ai::batch::vendor::{Vendor, request_index, vendor};
use gate_ai::batch::{BatchState, LINE_MAX, Line, Lines};
use gate_flow::BatchResultsOf;
use gate_proxy::batches::{BatchAccount, Part, Relayed, batch_account};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Shortest and longest time between two looks; it is a twentieth of the time that has passed.
const LOOKS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// How long a provider may take to cancel.
const CANCEL: Duration = Duration::from_secs(600);
/// Tries to read a part's results even where the batch's time is over, and the pauses between them.
const FETCHES: u32 = 4;
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(60));

/// How the provider of a part is spoken to.
pub(super) struct Their {
    account: BatchAccount,
    vendor: &'static dyn Vendor,
    /// What requests ask for as they are handed over.
    pub(super) sent: Operation,
    /// The provider's name for that.
    endpoint: &'static str,
}

impl Batch<'_> {
    /// Has providers run what they can, where they may; what is left is run here.
    pub(super) async fn relay(&mut self) -> Result<(), Halt> {
        if self.data.relayed.is_none() {
            let fits = self.state() == BatchState::InProgress && !self.is_ours()?;
            if !fits || !self.runner.desk.settings().relay {
                return Ok(());
            }
            let parts = self.parts().await?;
            if parts.is_empty() {
                return Ok(());
            }
            self.data.relayed = Some(Relayed {
                parts,
                ..Relayed::default()
            });
        }
        if self.relayed().is_over {
            return Ok(());
        }
        for at in 0..self.relayed().parts.len() {
            let begun = self.begin(at).await;
            self.or_here(at, begun)?;
        }
        self.wait().await?;
        let coming = self.fetch().await?;
        let (counts, left) = self.arrange(coming).await?;
        self.paid().await;
        (self.data.counts.succeeded, self.data.counts.failed) = (counts.succeeded, counts.failed);
        if let Some(relayed) = &mut self.data.relayed {
            (relayed.counts, relayed.left, relayed.is_over) = (counts, left, true);
        }
        self.save(None).await
    }

    pub(super) fn relayed(&self) -> Relayed {
        self.data.relayed.clone().unwrap_or_default()
    }

    /// A part as it is known now.
    fn part(&self, at: usize) -> Option<&Part> {
        self.data.relayed.as_ref()?.parts.get(at)
    }

    fn part_mut(&mut self, at: usize) -> Option<&mut Part> {
        self.data.relayed.as_mut()?.parts.get_mut(at)
    }

    /// How a part's provider is spoken to.
    pub(super) fn their(&self, part: &Part) -> Result<Their, Stop> {
        let account = batch_account(&self.runner.process, &part.provider);
        let account = account.filter(|account| account.api.format == part.format);
        let found = account.zip(self.operation()).and_then(|(account, asked)| {
            let (sent, endpoint) = account.api.running(asked)?;
            Some(Their {
                vendor: vendor(account.api.format),
                account,
                sent,
                endpoint,
            })
        });
        match found {
            Some(their) => Ok(their),
            None => given_up("the provider has no such batch API any more"),
        }
    }

    /// A part that its provider does not run is run here.
    fn or_here(&mut self, at: usize, outcome: Result<(), Stop>) -> Result<(), Halt> {
        let why = match outcome {
            Ok(()) => return Ok(()),
            Err(Stop::Halt(halt)) => return Err(halt),
            Err(Stop::GivenUp(why)) => why,
        };
        let batch = self.row.id.clone();
        if let Some(part) = self.part_mut(at) {
            (part.is_over, part.results) = (true, Vec::new());
            let (provider, model) = (&part.provider, &part.name);
            match &part.batch {
                None => tracing::warn!(
                    batch,
                    provider,
                    model,
                    why,
                    "the provider does not run a batch; it is run here"
                ),
                Some(theirs) => tracing::error!(
                    batch,
                    provider,
                    model,
                    theirs,
                    why,
                    "a provider's batch is given up; what it bills for it is not in the ledger"
                ),
            }
        }
        Ok(())
    }

    /// Says that a begun part cannot be asked for now; it is asked for again.
    fn not_now(&self, at: usize, why: &str) {
        let Some(part) = self.part(at) else { return };
        let (batch, provider, model) = (&self.row.id, &part.provider, &part.name);
        let theirs = part.batch.as_deref().unwrap_or_default();
        tracing::warn!(
            batch,
            provider,
            model,
            theirs,
            why,
            "a provider does not answer for its batch; it is asked again"
        );
    }

    /// Until when providers are asked for what they have begun, in UNIX milliseconds: as long as the batch
    /// has time, or until it was cancelled, and then as long as a provider may take to cancel.
    fn asked_until(&self) -> i64 {
        let times = &self.data.times;
        let ends = times.cancelling.unwrap_or(times.expires);
        let cancels = i64::try_from(CANCEL.as_millis()).unwrap_or(i64::MAX);
        ends.min(times.expires).saturating_add(cancels)
    }

    /// Looks at the providers' batches until all are over. They are cancelled where ours is, or has no
    /// time left.
    async fn wait(&mut self) -> Result<(), Halt> {
        let began = Instant::now();
        let mut stopped: Option<Instant> = None;
        let all = self.relayed().parts.len();
        let (mut silent, mut cancelled) = (vec![false; all], vec![false; all]);
        loop {
            for (at, is_silent) in silent.iter_mut().enumerate() {
                match self.see(at).await {
                    Ok(()) => *is_silent = false,
                    Err(Stop::Halt(halt)) => return Err(halt),
                    Err(Stop::GivenUp(why)) => {
                        if !std::mem::replace(is_silent, true) {
                            self.not_now(at, &why);
                        }
                    }
                }
            }
            let relayed = self.relayed();
            let sum = |of: fn(&Part) -> u64| -> u64 { relayed.parts.iter().map(of).sum() };
            let counts = &mut self.data.counts;
            (counts.succeeded, counts.failed) =
                (sum(|part| part.succeeded), sum(|part| part.failed));
            self.save(None).await?;
            if relayed.parts.iter().all(|part| part.is_over) {
                return Ok(());
            }
            let now = self.now_ms().await?;
            let stops = self.state() == BatchState::Cancelling || now >= self.data.times.expires;
            if stops {
                for (at, cancelled) in cancelled.iter_mut().enumerate() {
                    if !*cancelled {
                        *cancelled = self.cancel(at).await?;
                    }
                }
                if stopped.get_or_insert_with(Instant::now).elapsed() > CANCEL {
                    for at in 0..all {
                        if self.part(at).is_some_and(|part| !part.is_over) {
                            let why = given_up("it does not end after it was cancelled");
                            self.or_here(at, why)?;
                        }
                    }
                }
            }
            sleep((began.elapsed() / 20).clamp(LOOKS.0, LOOKS.1)).await;
        }
    }

    /// Looks at a part once.
    async fn see(&mut self, at: usize) -> Result<(), Stop> {
        let Some(part) = self.part(at).filter(|part| !part.is_over).cloned() else {
            return Ok(());
        };
        let their = self.their(&part)?;
        let batch = part.batch.clone().unwrap_or_default();
        let path = format!("{}/{batch}", their.account.api.batches);
        let call = their.call(&part, "GET", &path);
        let Some(seen) = self.json(&call, Sent::Nothing).await? else {
            return Ok(());
        };
        let look = their.vendor.look(&their.account.api, &batch, &seen);
        if let Some(part) = self.part_mut(at) {
            (part.succeeded, part.failed) = (look.succeeded, look.failed);
            if look.is_over {
                (part.is_over, part.results) = (true, look.results);
            }
        }
        Ok(())
    }

    /// Has a part's provider cancel it; whether it takes that. Where it does not, looks at it show what
    /// becomes of it, and it is asked again.
    async fn cancel(&mut self, at: usize) -> Result<bool, Halt> {
        let Some(part) = self.part(at).filter(|part| !part.is_over).cloned() else {
            return Ok(true);
        };
        let Ok(their) = self.their(&part) else {
            return Ok(false);
        };
        let batch = part.batch.clone().unwrap_or_default();
        let path = their.vendor.cancel(&their.account.api, &batch);
        match self
            .json(&their.call(&part, "POST", &path), Sent::Nothing)
            .await
        {
            Ok(answer) => Ok(answer.is_some()),
            Err(Stop::Halt(halt)) => Err(halt),
            Err(Stop::GivenUp(why)) => {
                tracing::info!(
                    batch = self.row.id,
                    why,
                    "a provider does not cancel a batch"
                );
                Ok(false)
            }
        }
    }

    /// Puts the providers' results down. Those of requests that they did not run are none.
    async fn fetch(&mut self) -> Result<Coming, Halt> {
        let mut coming = self.coming().await?;
        for at in 0..self.relayed().parts.len() {
            let Some(part) = self.part(at).cloned() else {
                continue;
            };
            let mark = coming.mark();
            let (mut tries, mut pause) = (0, PAUSES.0);
            while let Err(stop) = self.read(at, &part, &mut coming).await {
                // What was read in part is not settled and not used.
                coming.back_to(mark)?;
                let why = match stop {
                    Stop::Halt(halt) => return Err(halt),
                    Stop::GivenUp(why) => why,
                };
                tries += 1;
                // Its owner may cancel it meanwhile.
                self.look().await?;
                if tries >= FETCHES && self.now_ms().await? >= self.asked_until() {
                    self.or_here(at, given_up(why))?;
                    break;
                }
                if tries == 1 {
                    self.not_now(at, &why);
                }
                sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        Ok(coming)
    }

    /// Reads a part's results to their end.
    async fn read(&self, at: usize, part: &Part, coming: &mut Coming) -> Result<(), Stop> {
        for path in &part.results {
            let their = self.their(part)?;
            let mut call = their.call(part, "GET", path);
            call.results = Some(BatchResultsOf {
                batch: part.batch.clone().unwrap_or_default(),
                model: part.model.clone(),
            });
            let mut answer = self.call(&call, Sent::Nothing).await?;
            if answer.status != 200 {
                return given_up(format!("its results are answered with {}", answer.status));
            }
            let mut lines = Lines::new(LINE_MAX);
            let mut kept = Ok(());
            let mut keep = |line: Line<'_>| {
                if let Line::Whole(line) = line
                    && kept.is_ok()
                {
                    kept = self.came(at, their.vendor, line, coming);
                }
            };
            while let Some(piece) = answer.piece().await {
                let piece = piece.or_else(|error| given_up(error.to_string()))?;
                lines.push(&piece, |_, line| keep(line));
            }
            lines.finish(|_, line| keep(line));
            kept?;
        }
        Ok(())
    }

    /// Puts down what a line of results says, where it is of this batch.
    fn came(
        &self,
        at: usize,
        vendor: &dyn Vendor,
        line: &[u8],
        coming: &mut Coming,
    ) -> Result<(), Halt> {
        let Some(answer) = vendor.answer(line) else {
            return Ok(());
        };
        let index = request_index(&self.row.id, &answer.id);
        let Some(index) = index.filter(|index| u64::from(*index) < self.data.counts.total) else {
            return Ok(());
        };
        let came = Came {
            index,
            part: at,
            status: answer.status,
        };
        coming.push(came, &answer.request, &answer.body)?;
        Ok(())
    }

    /// Waits until the ledger has written what the batch cost.
    async fn paid(&self) {
        if let Some(books) = &self.runner.process.shared().books {
            let mark = books.mark();
            while books.written() < mark {
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

impl Their {
    /// A call of the provider's at this path, which is below its base address.
    fn call<'a>(&self, part: &'a Part, method: &'static str, path: &str) -> Call<'a> {
        Call {
            method,
            provider: &part.provider,
            target: format!("{}{path}", self.account.base),
            fields: Vec::new(),
            results: None,
        }
    }
}
