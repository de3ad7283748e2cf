//! Where a batch is on its way, for both APIs.

/// Whose batch it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Api {
    /// `/v1/batches`, over a file.
    OpenAi,
    /// `/v1/messages/batches`, its requests inline.
    Anthropic,
}

impl Api {
    /// As it is kept.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    /// The API that was kept as this.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::OpenAi, Self::Anthropic]
            .into_iter()
            .find(|api| api.as_str() == name)
    }
}

/// Where a batch is on its way. The names are OpenAI's, which tells more states apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BatchState {
    /// Its file is being read for what is wrong with it.
    Validating,
    /// Its file is wrong; nothing was run.
    Failed,
    /// Its requests are run.
    InProgress,
    /// All has been run; its results are being put together.
    Finalizing,
    /// Its results are there.
    Completed,
    /// Its time was over before all was run; results of what was run are there.
    Expired,
    /// Somebody cancelled it; requests under way are waited for.
    Cancelling,
    /// It was cancelled; results of what was run are there.
    Cancelled,
}

impl BatchState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Validating,
        Self::Failed,
        Self::InProgress,
        Self::Finalizing,
        Self::Completed,
        Self::Expired,
        Self::Cancelling,
        Self::Cancelled,
    ];

    /// OpenAI's name, by which it is kept as well.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Validating => "validating",
            Self::Failed => "failed",
            Self::InProgress => "in_progress",
            Self::Finalizing => "finalizing",
            Self::Completed => "completed",
            Self::Expired => "expired",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Whether nothing will change any more.
    #[must_use]
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Completed | Self::Expired | Self::Cancelled
        )
    }

    /// Anthropic's `processing_status`.
    #[must_use]
    pub const fn processing(self) -> &'static str {
        match self {
            Self::Cancelling => "canceling",
            Self::Validating | Self::InProgress | Self::Finalizing => "in_progress",
            Self::Failed | Self::Completed | Self::Expired | Self::Cancelled => "ended",
        }
    }

    /// Whether a batch may go from here to `next`.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use BatchState::{
            Cancelled, Cancelling, Completed, Expired, Failed, Finalizing, InProgress, Validating,
        };
        match self {
            Validating => matches!(next, Failed | InProgress | Cancelling | Expired),
            InProgress => matches!(next, Finalizing | Cancelling | Expired),
            Finalizing => matches!(next, Completed | Expired),
            Cancelling => matches!(next, Cancelled),
            Failed | Completed | Expired | Cancelled => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_by_their_names_and_end() {
        for state in BatchState::ALL {
            assert_eq!(BatchState::named(state.as_str()), Some(state));
            let goes_on = BatchState::ALL.iter().any(|next| state.may_become(*next));
            assert_eq!(goes_on, !state.is_over(), "{state:?}");
            assert_eq!(state.processing() == "ended", state.is_over());
        }
        assert_eq!(BatchState::named("paused"), None);
        assert_eq!(Api::named(Api::Anthropic.as_str()), Some(Api::Anthropic));
    }
}
