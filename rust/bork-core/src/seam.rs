//! The narrow seam between the two halves of the engine.
//!
//! The source half walks, reads, cuts and identifies; the repository half knows which chunks exist and stores new
//! ones. In a local backup both run in one process and a call is a call. In a pull the calls become messages on the
//! stdin and stdout of ssh. Nothing else passes between the halves.

use bork_format::Id;
use std::sync::Arc;

/// The other half cannot go on (repository fault, cancelled): stop early. It keeps the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop;

/// Takes chunks from one worker of the source half.
pub trait ChunkSink: Send {
    /// Stores a chunk unless it is known. The sink may keep it back until [`ChunkSink::finish`].
    fn put(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop>;

    /// Stored length of a chunk, if the repository holds it: a chunk list of an earlier archive may be reused only
    /// if each of its chunks is known. Unit: bytes.
    fn known(&self, id: &Id) -> Option<u64>;

    /// Counts a chunk that was reused without being put.
    fn reused(&mut self, id: &Id, stored: u64);

    /// Counts the chunks of whole content lists as reused, if the repository holds the lists and all their chunks.
    fn reuse_lists(&mut self, lists: &[Id]) -> bool;

    /// Stores a content list: an encoded sequence of slices that is too long for its item.
    fn put_list(&mut self, encoded: &[u8]) -> Result<Id, Stop>;

    /// Hands over what was kept back.
    fn finish(&mut self) -> Result<(), Stop>;
}

/// The items of the previous archive, leaf by leaf, in tree order: the files cache.
pub trait Previous: Send {
    /// The next leaf (see `bork_format::node`), or `None` at the end or where it cannot be read: a damaged previous
    /// archive only means that files are read again.
    fn next_leaf(&mut self) -> Option<Arc<[u8]>>;
}

/// No previous archive.
pub struct NoPrevious;

impl Previous for NoPrevious {
    fn next_leaf(&mut self) -> Option<Arc<[u8]>> {
        None
    }
}
