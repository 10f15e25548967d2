//! The bytes of a Bork repository.
//!
//! Every structure that reaches a disk or a wire is encoded and decoded here, and nowhere else; the pages under
//! `docs/format/` say the same in prose, and a test compares their tables with the constants of this crate. The
//! crate does no I/O, knows no key, allocates only what it has bounds for, and forbids unsafe code. A decoder
//! accepts exactly what the encoder writes: unknown fields, wrong order, or bytes left over are an [`Error`], never
//! a guess.
#![forbid(unsafe_code)]

pub mod chunking;
pub mod codec;
pub mod index;
pub mod item;
pub mod key;
pub mod node;
pub mod pack;
pub mod pull;

/// Length of a chunk id, an object id, and every BLAKE3 digest. Unit: bytes.
pub const ID_LENGTH: usize = 32;

/// A keyed BLAKE3 digest of a plaintext: the name of a chunk, a tree node or a content list.
pub type Id = [u8; ID_LENGTH];

/// The id that no chunk has; in a slice it marks a hole.
pub const ZERO_ID: Id = [0; ID_LENGTH];

/// What is wrong with a sequence of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end before the structure does.
    #[error("{what} is truncated: {needed} more bytes expected at offset {offset}")]
    Truncated {
        /// The structure.
        what: &'static str,
        /// Where the bytes ended.
        offset: usize,
        /// How many were missing.
        needed: usize,
    },
    /// A value that this version of the format does not define.
    #[error("{what}: unknown {field} {value}; a newer bork may have written it")]
    Unknown {
        /// The structure.
        what: &'static str,
        /// Its field.
        field: &'static str,
        /// The value met.
        value: u64,
    },
    /// The bytes contradict the specification.
    #[error("{what} is malformed: {why}")]
    Malformed {
        /// The structure.
        what: &'static str,
        /// The rule that is broken.
        why: &'static str,
    },
}

/// Result of every decoder.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn malformed<T>(what: &'static str, why: &'static str) -> Result<T> {
    Err(Error::Malformed { what, why })
}
