//! Building the tree of an archive from sorted items, and reading it back in order.
//! The node format is in `bork_format::node`.

use crate::error::EngineError;
use crate::half::Half;
use crate::objects::{ObjectReader, PendingBatch};
use crate::port::Port;
use bork_core::compress::Compressor;
use bork_core::seam::{Previous, Stop};
use bork_format::Id;
use bork_format::node::{Child, INNER, LEAF, Summary, compare, decode_inner, encode_inner, inner_is_complete};
use bork_format::pack::ObjectKind;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering as AtomicOrdering};
use std::time::Duration;

/// Builds the inner nodes above the leaves, as soon as enough children are there.
pub struct TreeBuilder {
    levels: Vec<Vec<Child>>,
    compressor: Compressor,
}

impl TreeBuilder {
    /// An empty tree.
    pub fn new(compressor: Compressor) -> Self {
        TreeBuilder { levels: vec![Vec::new()], compressor }
    }

    /// Appends a leaf that has been stored.
    pub fn push(&mut self, half: &Half, id: Id, summary: Summary) -> Result<(), Stop> {
        self.push_at(half, 0, Child { id, summary })
    }

    fn push_at(&mut self, half: &Half, level: usize, child: Child) -> Result<(), Stop> {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        self.levels[level].push(child);
        let children = &self.levels[level];
        let complete = children.last().is_some_and(|last| inner_is_complete(children.len(), &last.summary));
        if complete { self.close(half, level) } else { Ok(()) }
    }

    fn close(&mut self, half: &Half, level: usize) -> Result<(), Stop> {
        let children = std::mem::take(&mut self.levels[level]);
        let encoded = encode_inner(level as u8 + 1, &children);
        let id = half.put_metadata(ObjectKind::Node, &encoded, &mut self.compressor)?;
        let summary = Summary {
            first: children[0].summary.first.clone(),
            items: children.iter().map(|child| child.summary.items).sum(),
            size: children.iter().map(|child| child.summary.size).sum(),
        };
        self.push_at(half, level + 1, Child { id, summary })
    }

    /// Closes all levels; the root.
    pub fn finish(mut self, half: &Half) -> Result<Child, Stop> {
        let mut level = 0;
        loop {
            let is_top = self.levels.len() == level + 1;
            match (self.levels[level].len(), is_top) {
                (1, true) => return Ok(self.levels[level].remove(0)),
                (0, _) => level += 1,
                _ => {
                    self.close(half, level)?;
                    level += 1;
                }
            }
        }
    }
}

/// Ranges of paths that a reader is interested in: a path and everything below it.
pub type Prefixes = Option<Vec<Vec<u8>>>;

/// Reads the leaves of a tree in order, fetching some ahead.
pub struct LeafStream {
    reader: ObjectReader,
    /// Nodes still to be visited, next one last, with their levels (0 for leaves; unknown for the root).
    stack: Vec<(Id, Option<u8>)>,
    /// Levels of the nodes on their way.
    levels: Vec<Option<u8>>,
    ready: VecDeque<Vec<u8>>,
    pending: Option<PendingBatch>,
    prefixes: Prefixes,
    batch: usize,
    nodes_left: usize,
}

/// Most nodes that a reader visits: some 10^10 items.
const NODES_MAX: usize = 1 << 25;
/// Nodes fetched at a time: the first leaves are soon there, and a long tree does not cost a round trip for each of
/// its megabytes. 4 MiB stored.
const BATCH: usize = 64;
const BATCH_MAX: usize = 128;
/// Plain bytes of nodes that are fetched at a time, unless a single one has more: a leaf of large attributes may have
/// 32 MiB.
const BATCH_LENGTH: usize = 10 << 20;

impl LeafStream {
    /// Starts at the root.
    pub fn new(reader: ObjectReader, root: Id, prefixes: Prefixes) -> Self {
        LeafStream {
            reader,
            stack: vec![(root, None)],
            levels: Vec::new(),
            ready: VecDeque::new(),
            pending: None,
            prefixes,
            batch: BATCH,
            nodes_left: NODES_MAX,
        }
    }

    /// The next leaf.
    pub fn next_leaf(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        loop {
            if let Some(leaf) = self.ready.pop_front() {
                return Ok(Some(leaf));
            }
            self.fill()?;
            if self.ready.is_empty() && self.pending.is_none() && self.stack.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes the batch on its way and starts the next one. The nodes of a batch are in tree order and each leaf in it
    /// comes before each inner node, because what is not yet visited lies behind all that is.
    fn fill(&mut self) -> Result<(), EngineError> {
        let nodes = self.reader.finish(&mut self.pending)?;
        let mut inner = Vec::new();
        for (node, level) in nodes.into_iter().zip(std::mem::take(&mut self.levels)) {
            let found = match (node.first(), node.get(2)) {
                (Some(&LEAF), _) => 0,
                (Some(&INNER), Some(level)) => *level,
                _ => return Err(EngineError::damaged("tree", "a node of unknown kind")),
            };
            if level.is_some_and(|level| level != found) || (found == 0 && !inner.is_empty()) {
                return Err(EngineError::damaged("tree", "a node is of another level than its place demands"));
            }
            if found == 0 { self.ready.push_back(node) } else { inner.push(node) }
        }
        for node in inner.iter().rev() {
            let inner = decode_inner(node)?;
            let below = Some(inner.level - 1);
            let mut after: Option<Vec<u8>> = None;
            let mut wanted = Vec::new();
            for child in inner.children.into_iter().rev() {
                let first = child.summary.first.clone();
                if self.is_wanted(&first, after.as_deref()) {
                    wanted.push((child.id, below));
                }
                after = Some(first);
            }
            self.stack.extend(wanted);
        }
        let (mut batch, mut length) = (Vec::new(), 0);
        while batch.len() < self.batch
            && let Some((id, level)) = self.stack.pop()
        {
            length += self.reader.plain_length(&id);
            if length > BATCH_LENGTH && !batch.is_empty() {
                self.stack.push((id, level));
                break;
            }
            batch.push(id);
            self.levels.push(level);
        }
        self.nodes_left = self
            .nodes_left
            .checked_sub(batch.len())
            .ok_or_else(|| EngineError::damaged("tree", "it has more nodes than a tree can have"))?;
        if !batch.is_empty() {
            if batch.len() == self.batch {
                self.batch = BATCH_MAX;
            }
            self.pending = self.reader.start(&batch)?;
        }
        Ok(())
    }

    fn is_wanted(&self, first: &[u8], after: Option<&[u8]>) -> bool {
        let Some(prefixes) = &self.prefixes else { return true };
        prefixes.iter().any(|prefix| {
            let begins_behind = is_below(prefix, first) || compare(first, prefix) == Ordering::Less;
            let ends_before = after.is_some_and(|after| compare(after, prefix) != Ordering::Greater);
            begins_behind && !ends_before
        })
    }
}

pub use bork_core::writer::is_below;

/// The leaves of the previous archive, read by a thread of its own a few leaves ahead of the walk.
pub struct PreviousLeaves(Receiver<Arc<[u8]>>, Arc<AtomicUsize>);

/// Leaves read ahead, if they are not long.
const AHEAD: usize = BATCH;
/// Bytes of leaves read ahead.
const AHEAD_LENGTH: usize = 16 << 20;

impl PreviousLeaves {
    /// The receiving end, and the work for the thread. A damaged or missing node only ends the stream: files behind
    /// it are read again.
    pub fn new(stream: LeafStream, port: Arc<Port>) -> (Self, impl FnOnce() -> Result<(), Stop> + Send) {
        let (sender, receiver): (Sender<Arc<[u8]>>, _) = bounded(AHEAD);
        let ahead = Arc::new(AtomicUsize::new(0));
        let weak = Arc::downgrade(&ahead);
        let work = move || {
            let mut stream = stream;
            while let Ok(Some(leaf)) = stream.next_leaf() {
                loop {
                    // The receiver has gone if nobody counts any more.
                    let Some(ahead) = weak.upgrade().filter(|_| !port.is_stopped()) else { return Ok(()) };
                    if ahead.load(AtomicOrdering::Relaxed) < AHEAD_LENGTH {
                        ahead.fetch_add(leaf.len(), AtomicOrdering::Relaxed);
                        break;
                    }
                    drop(ahead);
                    std::thread::sleep(Duration::from_millis(1));
                }
                if sender.send(leaf.into()).is_err() {
                    break; // nobody wants more
                }
            }
            Ok(())
        };
        (PreviousLeaves(receiver, ahead), work)
    }
}

impl Previous for PreviousLeaves {
    fn next_leaf(&mut self) -> Option<Arc<[u8]>> {
        let leaf = self.0.recv().ok()?;
        self.1.fetch_sub(leaf.len(), AtomicOrdering::Relaxed);
        Some(leaf)
    }
}
