//! A stand-in for a model's server: it takes its time over each call and so many calls at once.
//!
//! Calls beyond its places wait in the order in which they came, as they do before a server that has
//! so many slots. Times are spread evenly over a range, so that quantiles of few calls are quiet.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use gate_kit::clock::Moment;

/// The share of the range by which the time moves from call to call: the golden ratio's, whose
/// multiples fill the range evenly whatever part of them is looked at.
const STEP: f64 = 0.618_033_988_749_895;

/// How long calls take, and how many go at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speed {
    /// The path prefix that asks for it.
    pub mode: &'static str,
    /// The quickest call.
    pub least: Duration,
    /// The slowest call.
    pub most: Duration,
    /// Calls that are worked on at once.
    pub places: usize,
}

/// The speeds that scenarios ask for: a hosted model with short answers, and a small one beside the
/// gateway, before which the gateway's own time shows.
pub const SPEEDS: [Speed; 2] = [
    Speed {
        mode: "hosted",
        least: Duration::from_millis(150),
        most: Duration::from_millis(450),
        places: 32,
    },
    Speed {
        mode: "small",
        least: Duration::from_millis(10),
        most: Duration::from_millis(30),
        places: 32,
    },
];

/// A server of a model.
#[derive(Debug)]
pub struct Model {
    speed: Speed,
    /// When each place that is taken comes free.
    taken: BinaryHeap<Reverse<Moment>>,
    /// Where in its range the last call's time was.
    share: f64,
}

impl Model {
    /// One that has nothing to do yet.
    #[must_use]
    pub fn new(speed: Speed) -> Self {
        Self {
            speed,
            taken: BinaryHeap::with_capacity(speed.places),
            share: 0.0,
        }
    }

    /// When a call that comes now is answered.
    pub fn answers_at(&mut self, now: Moment) -> Moment {
        self.share = (self.share + STEP).fract();
        let range = self.speed.most - self.speed.least;
        let takes = self.speed.least + range.mul_f64(self.share);
        let mut begins = now;
        if self.taken.len() >= self.speed.places
            && let Some(Reverse(free)) = self.taken.pop()
        {
            begins = begins.max(free);
        }
        let answered = begins.plus(takes);
        self.taken.push(Reverse(answered));
        answered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_beyond_its_places_wait_for_the_first_that_ends() {
        let speed = Speed {
            mode: "",
            least: Duration::from_millis(10),
            most: Duration::from_millis(10),
            places: 2,
        };
        let mut model = Model::new(speed);
        let at = |millis: u64| Moment::default().plus(Duration::from_millis(millis));
        let answered: Vec<Moment> = [0, 1, 2, 2, 100]
            .map(|millis| model.answers_at(at(millis)))
            .to_vec();
        assert_eq!(answered, [10, 11, 20, 21, 110].map(at));
    }

    #[test]
    fn times_fill_their_range_evenly() {
        let mut model = Model::new(SPEEDS[0]);
        let mut times: Vec<u128> = (0..1000)
            .map(|call| {
                let now = Moment::default().plus(Duration::from_secs(call));
                model.answers_at(now).since(now).as_millis()
            })
            .collect();
        times.sort_unstable();
        for (index, time) in times.iter().enumerate() {
            let even = 150 + 300 * index as u128 / 1000;
            assert!(time.abs_diff(even) <= 2, "{time} ms at {index}");
        }
    }
}
