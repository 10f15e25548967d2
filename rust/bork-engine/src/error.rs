//! Why an engine, or a piece of it, cannot go on. Problems with single files of the source are not errors but values
//! (`bork_core::problem`): the two never mix, because only the former may end a backup.

/// An error of the repository half.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// Bytes that are not what the format demands.
    #[error(transparent)]
    Format(#[from] bork_format::Error),
    /// Bytes that do not authenticate, or contradict each other.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which structure.
        what: String,
        /// How it shows.
        why: String,
    },
    /// The passphrase does not open the key.
    #[error("the passphrase does not open this key")]
    PassphraseWrong,
    /// The key belongs to another repository.
    #[error("the key belongs to another repository")]
    KeyMismatch,
    /// The key object is impossible.
    #[error("the key is invalid: {0}")]
    KeyInvalid(String),
    /// The caller could not read from storage.
    #[error("{0}")]
    Storage(String),
    /// A plan that cannot be carried out.
    #[error("{0}")]
    Plan(String),
    /// A pattern that cannot be understood.
    #[error("{pattern}: {why}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// One sentence.
        why: String,
    },
    /// A tar stream that cannot be imported.
    #[error("{name}: {why}")]
    Tar {
        /// How the caller calls it.
        name: String,
        /// One sentence.
        why: String,
    },
    /// A scratch file of this machine.
    #[error("{path}: {why}")]
    Scratch {
        /// Its directory.
        path: String,
        /// What the system answered.
        why: String,
    },
    /// The other half of the engine said what it must not say, or went away.
    #[error("{0}")]
    Peer(String),
    /// The run was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The machine has not the memory that this takes.
    #[error("not enough memory for {0}")]
    NoMemory(&'static str),
    /// A fault of this program.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// Bytes that do not authenticate, or contradict each other.
    pub fn damaged(what: impl Into<String>, why: impl Into<String>) -> Self {
        EngineError::Damaged { what: what.into(), why: why.into() }
    }
}
