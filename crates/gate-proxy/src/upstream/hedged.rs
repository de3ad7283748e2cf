//! A second try beside a slow first one: the first answer wins, and dropping the other cancels it. Both
//! are in the record, whoever wins last: readers take the last try for the one that served.

use super::attempt::{Answered, Failure, attempt};
use super::endpoint::Endpoint;
use super::{Deadlines, Judged, Replay, Upstream};
use gate_flow::{Attempt, Exchange};
use gate_kit::clock::Moment;
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Duration;

/// A try that did not win.
struct Lost {
    endpoint: Arc<Endpoint>,
    started: Moment,
    ended: Moment,
    /// `None` where it was cancelled, which says nothing about its endpoint.
    failure: Option<Failure>,
}

impl Upstream {
    /// Asks `first`, and when it is slow another endpoint beside it.
    pub(super) async fn hedged(
        &self,
        exchange: &mut Exchange,
        first: &Arc<Endpoint>,
        after: Duration,
        replay: &Replay,
        tried: &mut SmallVec<[u64; 4]>,
        deadlines: &Deadlines,
    ) -> Judged {
        let racing = self.race(exchange, first, after, replay, tried, deadlines);
        let (last, lost) = racing.await;
        if let Some(lost) = lost {
            self.write_lost(exchange, lost);
        }
        last
    }

    /// How the race ended: the try that decides, and the other one where there was another.
    async fn race(
        &self,
        exchange: &Exchange,
        first: &Arc<Endpoint>,
        after: Duration,
        replay: &Replay,
        tried: &mut SmallVec<[u64; 4]>,
        deadlines: &Deadlines,
    ) -> (Judged, Option<Lost>) {
        let head = &exchange.request.head;
        let started = self.clock.now();
        let mut body = Some(replay.body());
        let struck = self.struck(exchange, first);
        let mut leading = Box::pin(attempt(
            self, first, head, &mut body, deadlines, None, struck,
        ));
        let lead = |result| judged(first, started, result);
        let timer = tokio::time::sleep(after);
        tokio::select! {
            biased;
            result = &mut leading => return (lead(result), None),
            () = timer => {}
        }
        let second = self
            .pick(self.clock.now(), None, tried)
            .ok()
            .filter(|e| e.id != first.id && self.may_retry());
        let Some(second) = second else {
            return (lead(leading.await), None);
        };
        tried.push(second.id);
        let second_started = self.clock.now();
        let deadlines = &Deadlines {
            started: second_started,
            ..*deadlines
        };
        let mut second_body = Some(replay.body());
        let struck = self.struck(exchange, &second);
        let mut trailing = Box::pin(attempt(
            self,
            &second,
            head,
            &mut second_body,
            deadlines,
            None,
            struck,
        ));
        let trail = |result| judged(&second, second_started, result);
        let (winner, is_first) = tokio::select! {
            biased;
            result = &mut leading => (lead(result), true),
            result = &mut trailing => (trail(result), false),
        };
        let ended = self.clock.now();
        // A failure does not win while the other may still answer.
        match winner.result {
            Ok(_) => {
                let (endpoint, started) = match is_first {
                    true => (second.clone(), second_started),
                    false => (first.clone(), started),
                };
                let cancelled = Lost {
                    endpoint,
                    started,
                    ended,
                    failure: None,
                };
                (winner, Some(cancelled))
            }
            Err(failure) => {
                let failed = Lost {
                    endpoint: winner.endpoint,
                    started: winner.started,
                    ended,
                    failure: Some(failure),
                };
                let last = match is_first {
                    true => trail(trailing.await),
                    false => lead(leading.await),
                };
                (last, Some(failed))
            }
        }
    }

    fn write_lost(&self, exchange: &mut Exchange, lost: Lost) {
        let took = lost.started..lost.ended;
        match lost.failure {
            Some(failure) => self.write_down(exchange, &lost.endpoint, &Err(failure), took),
            None => {
                let began = exchange.record.started;
                exchange.record.attempts.push(Attempt {
                    endpoint: lost.endpoint.address.clone(),
                    status: 0,
                    fault: None,
                    started: took.start.since(began),
                    duration: took.end.since(took.start),
                    reused: false,
                });
            }
        }
    }
}

fn judged(endpoint: &Arc<Endpoint>, started: Moment, result: Result<Answered, Failure>) -> Judged {
    Judged {
        endpoint: endpoint.clone(),
        started,
        result,
    }
}
