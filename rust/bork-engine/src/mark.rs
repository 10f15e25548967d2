//! Which chunks do the archives still need? The first half of a compaction.
//!
//! Every tree is walked once: a bit for each chunk record of the index says that it is needed, and a node whose bit is
//! set has been visited. So memory is one bit a chunk and a filter of two bytes a chunk, whatever the number of
//! archives and items. Of several copies of a chunk one is marked, the same one each time: not a damaged one, not one
//! in a condemned pack, and the one that takes the fewest bytes.

use crate::error::EngineError;
use crate::filter::Filter;
use crate::index::{ChunkIndex, Location, Table};
use crate::objects::ObjectReader;
use crate::port::{Event, Outcome, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::{Content, Item, Slice, decode_list};
use bork_format::node::{INNER, LeafReader, decode_inner};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Nodes that a worker takes at a time: about 1 MiB stored.
const BATCH: usize = 16;
const POLL: Duration = Duration::from_millis(50);

/// One bit for each chunk record of the tables that an index had when the marks were made.
pub struct Marks {
    tables: Vec<Marked>,
    /// Of large tables the pages that were touched are given back after each so many marks.
    is_large: bool,
    since_rest: AtomicU64,
}

/// Tables of together this length are large. Unit: bytes.
const LARGE: usize = 128 << 20;
/// A mark touches a page or two of 4 KiB, nearly always other ones: 128 MiB after so many.
const MARKS_BEFORE_REST: u64 = 32 << 10;

struct Marked {
    table: Arc<Table>,
    filter: Filter,
    bits: Vec<AtomicU64>,
}

/// What the archives need of one pack. Unit: bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Length of the file.
    pub length: u64,
    /// Stored bytes of its objects.
    pub stored: u64,
    /// The share of needed chunks in them, each object's rounded up. How much a compaction gives back: an estimate.
    pub needed: u64,
    /// Number of needed chunks. Whether anything is needed at all: exact.
    pub chunks: u64,
}

impl Marks {
    /// Nothing is marked. Cost: a pass over the ids of all tables.
    pub fn new(index: &ChunkIndex) -> Self {
        let marked = |table: Arc<Table>| {
            let view = table.view();
            let count = view.layout().chunks;
            let filter = Filter::new(count, (0..count).map(|at| view.id(at)));
            let bits = (0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
            table.rest();
            Marked { filter, bits, table }
        };
        let tables: Vec<Marked> = index.snapshot().into_iter().map(marked).collect();
        let is_large = tables.iter().map(|marked| marked.table.mapped_length()).sum::<usize>() > LARGE;
        Marks { tables, is_large, since_rest: AtomicU64::new(0) }
    }

    /// Marks one copy of a chunk. `Some(true)` if it was not marked before, `None` if there is no copy.
    pub fn mark(&self, id: &Id, index: &ChunkIndex) -> Option<bool> {
        let mut best: Option<((bool, bool, u64), &Marked, usize)> = None;
        for marked in self.tables.iter().filter(|marked| marked.filter.may_contain(id)) {
            for (at, is_condemned, location) in marked.table.copies(id) {
                let rank = (index.is_damaged_in(id, &location.pack), is_condemned, location.stored_share());
                if best.is_none_or(|best| rank < best.0) {
                    best = Some((rank, marked, at));
                }
            }
        }
        let (_, marked, at) = best?;
        if self.is_large && self.since_rest.fetch_add(1, Ordering::Relaxed).is_multiple_of(MARKS_BEFORE_REST) {
            self.tables.iter().for_each(|marked| marked.table.rest());
        }
        let bit = 1 << (at % 64);
        Some(marked.bits[at / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0)
    }

    /// Marks, instead of whatever copy of a chunk was marked before, the one that has just been read and is good.
    pub fn move_to(&self, id: &Id, good: &Location) {
        for marked in self.tables.iter().filter(|marked| marked.filter.may_contain(id)) {
            for (at, _, location) in marked.table.copies(id) {
                let (place, bit) = (&marked.bits[at / 64], 1 << (at % 64));
                match (location.pack, location.object_index) == (good.pack, good.object_index) {
                    true => place.fetch_or(bit, Ordering::Relaxed),
                    false => place.fetch_and(!bit, Ordering::Relaxed),
                };
            }
        }
    }

    /// Marks all that is in some packs, needed or not. Cost: a pass over all tables.
    pub fn mark_packs(&self, names: &HashSet<Id>) {
        for marked in &self.tables {
            let view = marked.table.view();
            let layout = view.layout();
            let is_wanted = |pack: usize| view.pack(pack).is_some_and(|pack| names.contains(&pack.name));
            let wanted: Vec<bool> = (0..layout.packs).map(is_wanted).collect();
            if !wanted.contains(&true) {
                continue;
            }
            for at in 0..layout.chunks {
                let object = view.object(view.chunk(at).object as usize);
                if object.is_ok_and(|object| wanted[object.pack as usize]) {
                    marked.bits[at / 64].fetch_or(1 << (at % 64), Ordering::Relaxed);
                }
            }
        }
    }

    /// Whether the copy of a chunk in this object of this pack is the marked one.
    pub fn is_marked(&self, id: &Id, pack: &Id, object_index: u32) -> bool {
        self.tables.iter().filter(|marked| marked.filter.may_contain(id)).any(|marked| {
            marked.table.copies(id).any(|(at, _, location)| {
                marked.is_set(at) && location.pack == *pack && location.object_index == object_index
            })
        })
    }

    /// What is needed of each pack that the store holds. Cost: a pass over all tables; 8 bytes an object of a table.
    pub fn usage(&self) -> HashMap<Id, Usage> {
        let mut usage: HashMap<Id, Usage> = HashMap::new();
        for marked in &self.tables {
            marked.add_usage(&mut usage);
            marked.table.rest();
        }
        usage
    }
}

impl Marked {
    fn is_set(&self, at: usize) -> bool {
        self.bits[at / 64].load(Ordering::Relaxed) >> (at % 64) & 1 == 1
    }

    fn add_usage(&self, usage: &mut HashMap<Id, Usage>) {
        let view = self.table.view();
        let layout = view.layout();
        let mut packs = vec![Usage::default(); layout.packs];
        let mut needed = vec![0u64; layout.objects];
        for at in (0..layout.chunks).filter(|at| self.is_set(*at)) {
            let chunk = view.chunk(at);
            needed[chunk.object as usize] += u64::from(chunk.length);
            if let Ok(object) = view.object(chunk.object as usize) {
                packs[object.pack as usize].chunks += 1;
            }
        }
        for (at, needed) in needed.into_iter().enumerate() {
            let Ok(object) = view.object(at) else { continue };
            let (stored, plain) = (u64::from(object.record.stored), u64::from(object.record.plain));
            packs[object.pack as usize].stored += stored;
            packs[object.pack as usize].needed += (stored * needed.min(plain)).div_ceil(plain.max(1));
        }
        for (at, pack) in packs.into_iter().enumerate() {
            if self.table.is_absent(at) {
                continue;
            }
            let Some(named) = view.pack(at) else { continue };
            let sum = usage.entry(named.name).or_default();
            // Two tables may name the same pack: each marked chunk counts in one of them.
            sum.length = named.length;
            sum.stored = pack.stored;
            sum.needed += pack.needed;
            sum.chunks += pack.chunks;
        }
    }
}

/// What is to be marked.
pub struct MarkPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Archives: name to show, and root node.
    pub archives: Vec<(String, Id)>,
}

/// Nodes to visit, each with the number of an archive that holds it, and how many workers are at it.
#[derive(Default)]
struct Queue {
    nodes: Vec<(Id, usize)>,
    busy: usize,
}

struct Marking {
    plan: MarkPlan,
    keys: Arc<Keys>,
    index: Arc<ChunkIndex>,
    marks: Arc<Marks>,
    port: Arc<Port>,
    queue: Mutex<Queue>,
    changed: Condvar,
    nodes: AtomicU64,
    missing: AtomicU64,
}

/// Walks the trees of archives and marks what they need.
pub struct MarkEngine {
    marking: Arc<Marking>,
    _threads: Threads, // end with the engine
}

impl MarkEngine {
    /// Starts the threads. Marks that are set already stay: more archives can be added to them.
    pub fn start(
        plan: MarkPlan,
        keys: Arc<Keys>,
        index: Arc<ChunkIndex>,
        marks: Arc<Marks>,
    ) -> Result<Self, EngineError> {
        let marking = Arc::new(Marking {
            plan,
            keys,
            index,
            marks,
            port: Port::new(),
            queue: Mutex::default(),
            changed: Condvar::new(),
            nodes: AtomicU64::new(0),
            missing: AtomicU64::new(0),
        });
        let shared = Arc::clone(&marking);
        let threads = Threads::coordinator(&marking.port, move || shared.run())?;
        Ok(MarkEngine { marking, _threads: threads })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.marking.port
    }

    /// Nodes visited.
    pub fn progress(&self) -> u64 {
        self.marking.nodes.load(Ordering::Relaxed)
    }
}

impl Marking {
    fn run(self: &Arc<Self>) -> Result<(), Stop> {
        for (number, (_, root)) in self.plan.archives.iter().enumerate() {
            self.visit(root, number)?;
        }
        let workers = Threads::workers(&self.port, self.plan.threads.max(1), || {
            let shared = Arc::clone(self);
            move || shared.work()
        })?;
        workers.join()?;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let numbers = vec![("nodes", load(&self.nodes)), ("missing", load(&self.missing))];
        self.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    /// Marks a node, and has it visited if nobody has before. One that is lost ends the run: nobody can say what it
    /// needs.
    fn visit(&self, id: &Id, archive: usize) -> Result<(), Stop> {
        match self.marks.mark(id, &self.index) {
            Some(true) => self.queue.lock().expect("no holder panics").nodes.push((*id, archive)),
            Some(false) => {}
            None => return Err(self.lost(archive, "a part of its list of files is missing")),
        }
        Ok(())
    }

    fn lost(&self, archive: usize, why: &str) -> Stop {
        let name = self.plan.archives.get(archive).map_or("?", |(name, _)| name);
        self.port.fail(EngineError::damaged(format!("archive {name}"), why))
    }

    fn work(&self) -> Result<(), Stop> {
        let (index, port) = (Arc::clone(&self.index), Arc::clone(&self.port));
        let mut reader = ObjectReader::new(Arc::clone(&self.keys), index, port);
        while let Some(batch) = self.take()? {
            let result = self.nodes(&batch, &mut reader);
            self.queue.lock().expect("no holder panics").busy -= 1;
            self.changed.notify_all();
            result?;
        }
        Ok(())
    }

    /// A node or list was read: of several copies that one is needed, and not one that nobody has looked at. Copies that
    /// did not open are known to be damaged by now, so this finds the one that did.
    fn settle(&self, id: &Id) {
        if let Some(location) = self.index.locate(id) {
            self.marks.move_to(id, &location);
        }
    }

    /// Some nodes to visit; `None` when all have been.
    fn take(&self) -> Result<Option<Vec<(Id, usize)>>, Stop> {
        let mut queue = self.queue.lock().expect("no holder panics");
        loop {
            if self.port.is_stopped() {
                return Err(Stop);
            }
            if !queue.nodes.is_empty() {
                let rest = queue.nodes.len().saturating_sub(BATCH);
                let batch = queue.nodes.split_off(rest);
                queue.busy += 1;
                return Ok(Some(batch));
            }
            if queue.busy == 0 {
                return Ok(None);
            }
            queue = self.changed.wait_timeout(queue, POLL).expect("no holder panics").0;
        }
    }

    fn nodes(&self, batch: &[(Id, usize)], reader: &mut ObjectReader) -> Result<(), Stop> {
        let ids: Vec<Id> = batch.iter().map(|(id, _)| *id).collect();
        let together = reader.start(&ids).and_then(|mut pending| reader.finish(&mut pending));
        for (at, (id, archive)) in batch.iter().enumerate() {
            let node = match &together {
                Ok(nodes) => Ok(std::borrow::Cow::Borrowed(&nodes[at])),
                Err(_) => reader.read(id).map(std::borrow::Cow::Owned), // finds out which one it is
            };
            let visited = node.and_then(|node| {
                self.settle(id);
                self.node(&node, *archive, reader)
            });
            match visited {
                Ok(Ok(())) => {}
                Ok(Err(stop)) => return Err(stop),
                Err(EngineError::Cancelled) => return Err(Stop),
                Err(error) => return Err(self.lost(*archive, &format!("a part of its list of files is lost: {error}"))),
            }
            self.nodes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// The outer result is the node's own trouble, the inner one ends the run.
    fn node(&self, node: &[u8], archive: usize, reader: &mut ObjectReader) -> Result<Result<(), Stop>, EngineError> {
        if node.first() == Some(&INNER) {
            for child in decode_inner(node)?.children.iter().rev() {
                if let Err(stop) = self.visit(&child.id, archive) {
                    return Ok(Err(stop));
                }
            }
            return Ok(Ok(()));
        }
        let mut leaf = LeafReader::new(node)?;
        while let Some(body) = leaf.advance()? {
            match Item::decode(body)?.content {
                Content::Slices(slices) => self.slices(&slices),
                Content::Lists(lists) => {
                    for list in lists {
                        match self.marks.mark(&list, &self.index) {
                            Some(true) => {
                                let slices = decode_list(&reader.read(&list)?)?;
                                self.settle(&list);
                                self.slices(&slices);
                            }
                            Some(false) => {}
                            None => self.report_missing(leaf.path())?,
                        }
                    }
                }
            }
        }
        Ok(Ok(()))
    }

    fn report_missing(&self, path: &[u8]) -> Result<(), EngineError> {
        self.missing.fetch_add(1, Ordering::Relaxed);
        let problem = Problem::new(ProblemKind::Damaged, "A list of its content is missing.");
        self.port.problem(path, problem).map_err(|Stop| EngineError::Cancelled)
    }

    fn slices(&self, slices: &[Slice]) {
        for slice in slices.iter().filter(|slice| !slice.is_hole()) {
            if self.marks.mark(&slice.id, &self.index).is_none() {
                self.missing.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}
