//! From items in tree order to a stored tree: cuts leaves, has them stored, joins them by inner nodes.
//!
//! This is the end of every engine that makes an archive, whatever its items come from. Hashing, compressing and
//! sealing a leaf is a [`LeafTask`], which the engine hands to a worker or does at once; the assembler itself only
//! copies bodies.

use crate::error::EngineError;
use crate::half::{Half, metadata_compressor};
use crate::tree::TreeBuilder;
use bork_core::compress::Compressor;
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::Link;
use bork_format::node::{LeafBuilder, Summary};
use bork_format::pack::ObjectKind;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
/// Incomplete sets of hard links that are kept in mind; names of others count as files of their own.
const SETS_MAX: usize = 1 << 20;

/// Number and id of a leaf.
type StoredLeaf = (u64, Id);

/// A finished leaf that is still to be stored.
pub struct LeafTask {
    half: Arc<Half>,
    bytes: Vec<u8>,
    number: u64,
    done: Sender<StoredLeaf>,
}

impl LeafTask {
    /// Stores the leaf, with a metadata compressor, in any thread and in any order.
    pub fn run(self, compressor: &mut Compressor) -> Result<(), Stop> {
        let id = self.half.put_metadata(ObjectKind::Node, &self.bytes, compressor)?;
        let _ = self.done.send((self.number, id));
        Ok(())
    }
}

/// Gets finished leaves stored: sends the task to a worker, or runs it.
pub type StoreLeaf = Box<dyn FnMut(LeafTask) -> Result<(), Stop> + Send>;

/// Tells further names of a file from the first one, so that a file with several names counts once.
#[derive(Default)]
pub struct LinkNames {
    /// Sets that are not complete: how many names are still to come.
    left: HashMap<u64, u32>,
}

impl LinkNames {
    /// Whether a name of a file with several names is not its first. Each name is asked about once.
    pub fn is_later(&mut self, link: Link) -> bool {
        if self.left.len() >= SETS_MAX && !self.left.contains_key(&link.group) {
            return false;
        }
        let left = self.left.entry(link.group).or_insert(link.count);
        let is_later = *left < link.count;
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.left.remove(&link.group);
        }
        is_later
    }
}

/// Items in, root out.
///
/// Memory: one leaf, the leaves under way in the tasks, and one inner node of each level.
pub struct TreeAssembler {
    half: Arc<Half>,
    store: StoreLeaf,
    leaf: LeafBuilder,
    tree: TreeBuilder,
    /// Leaves that are not in the tree yet.
    leaves: VecDeque<(Summary, Option<Id>)>,
    /// Number of the leaf at the front of `leaves`.
    leaf_number: u64,
    done: (Sender<StoredLeaf>, Receiver<StoredLeaf>),
    items: u64,
    original_size: u64,
}

impl TreeAssembler {
    /// An empty tree whose leaves are stored by way of `store`.
    pub fn new(half: Arc<Half>, store: StoreLeaf) -> Result<Self, EngineError> {
        Ok(TreeAssembler {
            half,
            store,
            leaf: LeafBuilder::default(),
            tree: TreeBuilder::new(metadata_compressor()?),
            leaves: VecDeque::new(),
            leaf_number: 0,
            done: unbounded(),
            items: 0,
            original_size: 0,
        })
    }

    /// An empty tree whose leaves are stored at once, by the thread that pushes.
    pub fn direct(half: Arc<Half>) -> Result<Self, EngineError> {
        let mut compressor = metadata_compressor()?;
        TreeAssembler::new(half, Box::new(move |task| task.run(&mut compressor)))
    }

    /// Appends an item with an encoded body. The caller keeps tree order, and calls [`TreeAssembler::settle`] now and
    /// then. What no reader would accept ends the run: better no archive than one that nobody can read.
    pub fn push(&mut self, path: &[u8], body: &[u8], size: u64) -> Result<(), Stop> {
        self.leaf.check(path, body).map_err(|error| {
            let text = format!("no tree can hold {} here: {error}", path.escape_ascii());
            self.half.port.fail(EngineError::Internal(text))
        })?;
        self.items += 1;
        self.original_size += size;
        if self.leaf.push(path, body, size) { self.close_leaf() } else { Ok(()) }
    }

    /// Items so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Sum of the sizes of the items so far. Unit: bytes.
    pub fn original_size(&self) -> u64 {
        self.original_size
    }

    /// Moves leaves that have been stored into the tree, without waiting for the others.
    pub fn settle(&mut self) -> Result<(), Stop> {
        while let Ok(stored) = self.done.1.try_recv() {
            self.mark(stored);
        }
        while let Some((_, Some(_))) = self.leaves.front() {
            if let Some((summary, Some(id))) = self.leaves.pop_front() {
                self.leaf_number += 1;
                self.tree.push(&self.half, id, summary)?;
            }
        }
        Ok(())
    }

    /// Stores the rest; the id of the root. An archive without items is one empty leaf.
    pub fn finish(mut self) -> Result<Id, Stop> {
        if self.leaf.items() > 0 || self.items == 0 {
            self.close_leaf()?;
        }
        loop {
            self.settle()?;
            if self.leaves.is_empty() {
                return Ok(self.tree.finish(&self.half)?.id);
            }
            if self.half.port.is_stopped() {
                return Err(Stop);
            }
            if let Ok(stored) = self.done.1.recv_timeout(POLL) {
                self.mark(stored);
            }
        }
    }

    fn mark(&mut self, (number, id): StoredLeaf) {
        self.leaves[(number - self.leaf_number) as usize].1 = Some(id);
    }

    fn close_leaf(&mut self) -> Result<(), Stop> {
        let (bytes, summary) = self.leaf.finish();
        let number = self.leaf_number + self.leaves.len() as u64;
        self.leaves.push_back((summary, None));
        (self.store)(LeafTask { half: Arc::clone(&self.half), bytes, number, done: self.done.0.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::half::PackOptions;
    use crate::port::Port;
    use crate::secrets::Keys;
    use bork_core::compress::CompressionSpec;
    use bork_format::pack::Codec;

    fn assembler() -> TreeAssembler {
        let compression = CompressionSpec { codec: Codec::None, level: 0, auto: false, obfuscate: 0 };
        let options = PackOptions { compression, pack_length: 1 << 20, chunk_length: 1 << 20, scratch: None };
        let half = Half::new(Arc::new(Keys::public([1; 32])), Arc::default(), Port::new(), options, 1);
        TreeAssembler::direct(Arc::new(half)).expect("starts")
    }

    #[test]
    fn a_path_that_no_reader_accepts_ends_the_run() {
        for (first, second) in [("a", "../x"), ("a", "a"), ("b", "a"), ("a", "b//c"), ("a", "b/.")] {
            let mut tree = assembler();
            assert!(tree.push(first.as_bytes(), b"", 0).is_ok());
            assert!(tree.push(second.as_bytes(), b"", 0).is_err(), "{second}");
            let error = tree.half.port.next_event(POLL).err().expect("the run has ended");
            assert!(matches!(error, EngineError::Internal(text) if text.contains(second)));
        }
    }
}
