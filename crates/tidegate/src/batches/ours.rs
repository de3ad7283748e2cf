//! A batch's requests are a job of the gateway's, in a queue and at the pace of all others.
//!
//! The job has the batch's id and its owner's team. What of it is done is the job's to know: this hands
//! it in, once, watches it, and tells it where the owner has cancelled.

use super::{Batch, Halt};
use crate::jobs::{Refused, lane_of, now_ms, progress, state};
use gate_ai::batch::BatchState;
use gate_kit::order::Gather;
use gate_ops::job::order::{Call, Input, Order};
use gate_ops::job::{Retry, Spec, State};
use gate_proxy::batches::Shelf;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longest answer, in bytes.
const ANSWER_MAX: usize = 16 * 1024 * 1024;
/// How long a try may take, in milliseconds.
const TRY_MS: u64 = 600_000;
/// Tries of a request, and the pause before the second, in milliseconds.
const TRIES: u32 = 6;
const PAUSE_MS: u64 = 1_000;
/// Shortest and longest time between two looks; it is a twentieth of the time that has passed.
const LOOKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What becomes of the requests that were not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// There are none.
    None,
    /// The batch was cancelled.
    Cancelled,
    /// Its time is over.
    Expired,
}

impl Batch<'_> {
    /// Has its requests run, until all have ended, the time's end, or a cancellation. Says what becomes
    /// of the rest.
    pub(super) async fn ours(&mut self) -> Result<Rest, Halt> {
        if self.runner.jobs.job(&self.row.id)?.is_none() {
            let theirs = self.data.relayed.as_ref();
            if theirs.is_some_and(|theirs| theirs.is_over && theirs.left == 0) {
                return Ok(Rest::None);
            }
            if self.state() == BatchState::Cancelling {
                return Ok(Rest::Cancelled);
            }
            if self.now_ms().await? >= self.data.times.expires {
                return Ok(Rest::Expired);
            }
            self.submit()?;
        }
        self.watch().await
    }

    /// Whether its requests have become a job.
    pub(super) fn is_ours(&self) -> Result<bool, Halt> {
        Ok(self.runner.jobs.job(&self.row.id)?.is_some())
    }

    fn submit(&self) -> Result<(), Halt> {
        let part = match &self.data.relayed {
            Some(theirs) if theirs.is_over => "rest",
            _ => "requests",
        };
        let order = self.order(Shelf::batch_name(&self.row.id, part));
        let name = match &self.data.input {
            Some(file) => format!("batch over {file}"),
            None => "message batch".to_owned(),
        };
        match self.runner.jobs.submit(order, &self.row.id, &name) {
            Ok(_) => Ok(()),
            Err(Refused::Problem(problem)) => Err(Halt::Job(problem)),
            Err(Refused::Store(error)) => Err(error.into()),
        }
    }

    fn order(&self, file: String) -> Order {
        let (place, owner) = (&self.data.place, &self.data.owner);
        let models = self.data.model.iter().chain(&self.data.models);
        let snapshot = self.runner.process.shared().snapshot.load();
        let consumers = &snapshot.resources.consumers;
        let consumer = owner.consumer.as_ref().and_then(|name| consumers.get(name));
        let desk = &self.runner.desk;
        Order {
            spec: Spec {
                id: self.row.id.clone(),
                number: 0,
                queue: desk.settings().queue.clone(),
                team: consumer
                    .and_then(|one| one.team.clone())
                    .unwrap_or_default(),
                priority: 0,
                count: 1,
                after: Vec::new(),
                sequential: false,
                retry: Retry {
                    attempts: TRIES,
                    pause_ms: PAUSE_MS,
                    reasons: Vec::new(),
                },
                timeout_ms: TRY_MS,
                most: 0,
                // A batch is complete however its requests ended.
                failures: u32::MAX,
                lane: lane_of(models.map(String::as_str)),
                submitted_ms: now_ms(),
                until_ms: Some(u64::try_from(self.data.times.expires).unwrap_or(0)),
            },
            call: Call {
                listener: place.listener.clone(),
                authority: place.authority.clone(),
                consumer: owner.consumer.clone(),
                key: owner.key.clone(),
                answer_bytes: ANSWER_MAX,
            },
            input: Input::Lines {
                file,
                folder: desk.folder_id().to_owned(),
                url: self.data.endpoint.clone(),
                headers: place.fields.iter().cloned().into_map(),
            },
        }
    }

    async fn watch(&mut self) -> Result<Rest, Halt> {
        let (began, mut told, mut is_wished) = (Instant::now(), Instant::now(), false);
        loop {
            let row = self.runner.jobs.job(&self.row.id)?.ok_or(Halt::Gone)?;
            let progress = progress(&row);
            let theirs = self.relayed().counts;
            let counts = &mut self.data.counts;
            let before = *counts;
            counts.succeeded = theirs.succeeded + u64::from(progress.succeeded);
            counts.failed = theirs.failed + u64::from(progress.failed);
            let is_new = *counts != before;
            if row.is_over {
                return self.rest(state(&row.state)).await;
            }
            match is_new && told.elapsed() >= LOOKS.1 {
                true => {
                    told = Instant::now();
                    self.save(None).await?;
                }
                false => self.look().await?,
            }
            if self.state() == BatchState::Cancelling && !is_wished {
                self.runner.jobs.wish(&self.row.id, "cancel")?;
                is_wished = true;
            }
            sleep((began.elapsed() / 20).clamp(LOOKS.0, LOOKS.1)).await;
        }
    }

    /// What becomes of the rest once its job has ended.
    async fn rest(&mut self, ended: State) -> Result<Rest, Halt> {
        Ok(match ended {
            State::Cancelled => {
                // Whoever looks after jobs may have cancelled it, and not its owner.
                self.save(Some(BatchState::Cancelling)).await?;
                Rest::Cancelled
            }
            State::Expired => Rest::Expired,
            _ => Rest::None,
        })
    }
}
