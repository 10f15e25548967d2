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

/// Items that nobody can name any more, because a node of the tree cannot be read: all from `first` to before `after`.
pub struct Lost {
    /// Path of the first of them.
    pub first: Arc<[u8]>,
    /// Path of the first item behind them; `None`: they reach to the end.
    pub after: Option<Arc<[u8]>>,
    /// Why.
    pub error: EngineError,
}

/// What comes next in a tree.
pub enum Part {
    /// A leaf.
    Leaf(Vec<u8>),
    /// A gap.
    Lost(Lost),
}

/// A node to be visited.
struct Node {
    id: Id,
    /// 0 for leaves; unknown for the root.
    level: Option<u8>,
    first: Arc<[u8]>,
    after: Option<Arc<[u8]>>,
}

impl Node {
    fn lost(self, error: EngineError) -> Lost {
        Lost { first: self.first, after: self.after, error }
    }
}

enum Visit {
    Node(Node),
    Lost(Lost),
}

/// Reads the leaves of a tree in order, fetching some ahead.
pub struct LeafStream {
    reader: ObjectReader,
    /// What is still to be visited, next one last.
    stack: Vec<Visit>,
    /// Nodes on their way.
    coming: Vec<Node>,
    ready: VecDeque<Part>,
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
        let root = Node { id: root, level: None, first: Arc::default(), after: None };
        LeafStream {
            reader,
            stack: vec![Visit::Node(root)],
            coming: Vec::new(),
            ready: VecDeque::new(),
            pending: None,
            prefixes,
            batch: BATCH,
            nodes_left: NODES_MAX,
        }
    }

    /// The next leaf. A node that cannot be read is an error.
    pub fn next_leaf(&mut self) -> Result<Option<Vec<u8>>, EngineError> {
        match self.next_part()? {
            Some(Part::Leaf(leaf)) => Ok(Some(leaf)),
            Some(Part::Lost(lost)) => Err(lost.error),
            None => Ok(None),
        }
    }

    /// The next leaf, or what is lost in its place. Without its root a tree cannot be read at all.
    pub fn next_part(&mut self) -> Result<Option<Part>, EngineError> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            self.fill()?;
            if self.ready.is_empty() && self.coming.is_empty() && self.stack.is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes the batch on its way and starts the next one. The nodes of a batch are in tree order and each leaf in it
    /// comes before each inner node, because what is not yet visited lies behind all that is.
    fn fill(&mut self) -> Result<(), EngineError> {
        let mut inner = Vec::new();
        let coming = std::mem::take(&mut self.coming);
        let read = self.take(&coming)?;
        for (node, bytes) in coming.into_iter().zip(read) {
            let level = node.level;
            let (visit, found) = match bytes {
                Ok(bytes) => {
                    let found = level_of(&bytes)?;
                    (Ok((node, bytes)), found)
                }
                Err(error) => match level {
                    Some(level) => (Err(node.lost(error)), level),
                    None => return Err(error),
                },
            };
            if level.is_some_and(|level| level != found) || (found == 0 && !inner.is_empty()) {
                return Err(EngineError::damaged("tree", "a node is of another level than its place demands"));
            }
            match visit {
                visit if found > 0 => inner.push(visit),
                Ok((_, leaf)) => self.ready.push_back(Part::Leaf(leaf)),
                Err(lost) => self.ready.push_back(Part::Lost(lost)),
            }
        }
        for visit in inner.into_iter().rev() {
            match visit {
                Ok((node, bytes)) => self.descend(node, &bytes)?,
                Err(lost) => self.stack.push(Visit::Lost(lost)),
            }
        }
        self.start()
    }

    /// The nodes of the batch on its way, each or what is wrong with it.
    fn take(&mut self, coming: &[Node]) -> Result<Vec<Result<Vec<u8>, EngineError>>, EngineError> {
        if self.pending.is_some() {
            match self.reader.finish(&mut self.pending) {
                Ok(read) => return Ok(read.into_iter().map(Ok).collect()),
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
                Err(_) => {} // part of it cannot be read: finds out which part
            }
        }
        let mut read = Vec::with_capacity(coming.len());
        for node in coming {
            match self.reader.read(&node.id) {
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
                one => read.push(one),
            }
        }
        Ok(read)
    }

    /// The wanted children of an inner node are visited next.
    fn descend(&mut self, node: Node, bytes: &[u8]) -> Result<(), EngineError> {
        let inner = decode_inner(bytes)?;
        let mut after = node.after;
        let mut wanted = Vec::new();
        for child in inner.children.into_iter().rev() {
            let first: Arc<[u8]> = child.summary.first.into();
            if self.is_wanted(&first, after.as_deref()) {
                let (first, after) = (Arc::clone(&first), after.clone());
                wanted.push(Visit::Node(Node { id: child.id, level: Some(inner.level - 1), first, after }));
            }
            after = Some(first);
        }
        self.stack.extend(wanted);
        Ok(())
    }

    fn start(&mut self) -> Result<(), EngineError> {
        let mut length = 0;
        while self.coming.len() < self.batch
            && let Some(visit) = self.stack.pop()
        {
            let node = match visit {
                Visit::Node(node) => node,
                Visit::Lost(lost) if self.coming.is_empty() => {
                    self.ready.push_back(Part::Lost(lost));
                    continue;
                }
                lost => {
                    self.stack.push(lost); // behind what is on its way
                    break;
                }
            };
            length += self.reader.plain_length(&node.id);
            if length > BATCH_LENGTH && !self.coming.is_empty() {
                self.stack.push(Visit::Node(node));
                break;
            }
            self.coming.push(node);
        }
        self.nodes_left = self
            .nodes_left
            .checked_sub(self.coming.len())
            .ok_or_else(|| EngineError::damaged("tree", "it has more nodes than a tree can have"))?;
        if self.coming.is_empty() {
            return Ok(());
        }
        if self.coming.len() == self.batch {
            self.batch = BATCH_MAX;
        }
        let ids: Vec<Id> = self.coming.iter().map(|node| node.id).collect();
        self.pending = match self.reader.start(&ids) {
            Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
            started => started.unwrap_or_default(), // a chunk is missing: `take` finds out which
        };
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

fn level_of(node: &[u8]) -> Result<u8, EngineError> {
    match (node.first(), node.get(2)) {
        (Some(&LEAF), _) => Ok(0),
        (Some(&INNER), Some(level)) => Ok(*level),
        _ => Err(EngineError::damaged("tree", "a node of unknown kind")),
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
    /// The receiving end, and the work for the thread. Files in a damaged or missing node are read again.
    pub fn new(stream: LeafStream, port: Arc<Port>) -> (Self, impl FnOnce() -> Result<(), Stop> + Send) {
        let (sender, receiver): (Sender<Arc<[u8]>>, _) = bounded(AHEAD);
        let ahead = Arc::new(AtomicUsize::new(0));
        let weak = Arc::downgrade(&ahead);
        let work = move || {
            let mut stream = stream;
            while let Ok(Some(part)) = stream.next_part() {
                let Part::Leaf(leaf) = part else { continue };
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
