//! What can go wrong with a store.

/// Why the store did not do what was asked. Its text is for the operator and names no secret.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached, or took too long; later it may.
    #[error("the store cannot be reached: {0}")]
    Unreachable(String),
    /// It refused what was asked; asking again will not help.
    #[error("the store refused: {0}")]
    Refused(String),
    /// It cannot be used as configured.
    #[error("{0}")]
    Unusable(String),
    /// What it holds breaks a rule of ours; nothing may be written.
    #[error("the store holds what cannot be: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        match error.sqlite_error_code() {
            Some(
                Code::DatabaseBusy | Code::DatabaseLocked | Code::DiskFull | Code::SystemIoFailure,
            ) => Self::Unreachable(error.to_string()),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Broken(error.to_string()),
            _ => Self::Refused(error.to_string()),
        }
    }
}

impl From<::postgres::Error> for StoreError {
    fn from(error: ::postgres::Error) -> Self {
        use ::postgres::error::SqlState;
        // Display names the kind only; the server's own words are in the source.
        let words = match error.as_db_error() {
            Some(server) => format!("{}: {}", server.code().code(), server.message()),
            // Why a connection failed is there, too.
            None => match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            },
        };
        match error.code() {
            None => Self::Unreachable(words),
            Some(code)
                if *code == SqlState::T_R_DEADLOCK_DETECTED
                    || *code == SqlState::T_R_SERIALIZATION_FAILURE
                    || *code == SqlState::QUERY_CANCELED
                    || *code == SqlState::LOCK_NOT_AVAILABLE
                    || code.code().starts_with("08")
                    || code.code().starts_with("53")
                    || code.code().starts_with("57") =>
            {
                Self::Unreachable(words)
            }
            Some(_) => Self::Refused(words),
        }
    }
}
