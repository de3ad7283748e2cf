//! What the API asks about subscribers and events.

use crate::Asker;
use gate_api::problem::Problem;
use gate_api::types::{
    DeadLetter, JournalEvent, RedriveInput, ReplayInput, SubscriberDetail, SubscriberState,
};

/// The subscribers of the environment that a process follows. What it changes is written down in the
/// audit log with the change.
pub trait SubscriberBook: Send + Sync {
    /// The environment; `file` where a file rules.
    fn environment(&self) -> &str;

    /// Subscribers by name.
    ///
    /// # Errors
    /// The problem to answer with.
    fn subscribers(&self) -> Result<Vec<SubscriberState>, Problem>;

    /// One with what it has before it.
    ///
    /// # Errors
    /// The problem to answer with.
    fn subscriber(&self, name: &str) -> Result<SubscriberDetail, Problem>;

    /// Holds one where it is, or lets it go on.
    ///
    /// # Errors
    /// The problem to answer with.
    fn hold(
        &self,
        name: &str,
        is_paused: bool,
        reason: &str,
        by: Asker<'_>,
    ) -> Result<SubscriberDetail, Problem>;

    /// Dead letters of one, the highest place first, those before a place.
    ///
    /// # Errors
    /// The problem to answer with.
    fn dead_letters(
        &self,
        name: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, Problem>;

    /// Has dead letters delivered again; how many.
    ///
    /// # Errors
    /// The problem to answer with.
    fn redrive(&self, name: &str, input: &RedriveInput, by: Asker<'_>) -> Result<u64, Problem>;

    /// Starts one again at an earlier place, beside itself.
    ///
    /// # Errors
    /// The problem to answer with.
    fn replay(
        &self,
        name: &str,
        input: &ReplayInput,
        by: Asker<'_>,
    ) -> Result<SubscriberDetail, Problem>;

    /// Ends a replay.
    ///
    /// # Errors
    /// The problem to answer with.
    fn cancel_replay(
        &self,
        name: &str,
        number: u64,
        by: Asker<'_>,
    ) -> Result<SubscriberDetail, Problem>;

    /// Events behind a place, in order, of this type (empty: of all), at most so many; with the place
    /// up to which was looked. No place is the newest one, behind which nothing is.
    ///
    /// # Errors
    /// The problem to answer with.
    fn events(
        &self,
        after: Option<u64>,
        kind: &str,
        limit: usize,
    ) -> Result<(Vec<JournalEvent>, u64), Problem>;
}
