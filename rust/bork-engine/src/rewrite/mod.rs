//! Moving the chunks that are needed out of packs that hold little else: the second half of a compaction.
//!
//! Each worker takes a pack, fetches the objects with needed chunks in batches, opens them, and appends them to a pack
//! of its own: whole objects as they are, compressed bytes and all; of the others the needed chunks, in new groups.
//! Nothing is deleted here.

mod batch;
mod mover;

use crate::error::EngineError;
use crate::half::{Half, PackOptions};
use crate::index::{ChunkIndex, IndexedPack};
use crate::mark::Marks;
use crate::port::{Event, Outcome, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::Id;
use crossbeam_channel::bounded;
use mover::Mover;
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is to be moved, and how.
pub struct RewritePlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Packs whose needed chunks are moved.
    pub packs: Vec<Id>,
    /// Decompress and compare what is moved whole, too: for a repair, which moves what is known to be damaged.
    pub verify: bool,
    /// How new packs are made; the compression is for groups of chunks that stay of a larger group.
    pub options: PackOptions,
}

struct Rewriting {
    packs: Vec<Id>,
    verify: bool,
    threads: usize,
    half: Arc<Half>,
    marks: Arc<Marks>,
    done: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    /// Packs of which something could not be moved.
    kept: Mutex<Vec<Id>>,
}

/// Moves needed chunks into new packs.
pub struct RewriteEngine {
    rewriting: Arc<Rewriting>,
    _threads: Threads, // end with the engine
}

impl RewriteEngine {
    /// Starts the threads.
    pub fn start(
        plan: RewritePlan,
        keys: Arc<Keys>,
        index: Arc<ChunkIndex>,
        marks: Arc<Marks>,
    ) -> Result<Self, EngineError> {
        let RewritePlan { threads, packs, verify, options } = plan;
        let threads = threads.max(1);
        let half = Arc::new(Half::new(keys, index, Port::new(), options, threads));
        let [done, objects, bytes] = [0; 3].map(AtomicU64::new);
        let rewriting =
            Arc::new(Rewriting { packs, verify, threads, half, marks, done, objects, bytes, kept: Mutex::default() });
        let shared = Arc::clone(&rewriting);
        let threads = Threads::coordinator(&rewriting.half.port, move || shared.run())?;
        Ok(RewriteEngine { rewriting, _threads: threads })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.rewriting.half.port
    }

    /// Packs done, packs in all, objects moved.
    pub fn progress(&self) -> (u64, u64, u64) {
        let [done, objects] =
            [&self.rewriting.done, &self.rewriting.objects].map(|count| count.load(Ordering::Relaxed));
        (done, self.rewriting.packs.len() as u64, objects)
    }

    /// Packs of which something could not be moved: they have to stay.
    pub fn kept(&self) -> Vec<Id> {
        self.rewriting.kept.lock().expect("no holder panics").clone()
    }
}

impl Rewriting {
    fn run(self: &Arc<Self>) -> Result<(), Stop> {
        let names: HashSet<Id> = self.packs.iter().copied().collect();
        let packs = self.half.index.describe(&names).map_err(|error| self.half.port.fail(error))?;
        let described: HashSet<Id> = packs.iter().map(|pack| pack.name).collect();
        for pack in names.difference(&described) {
            self.keep(pack, &EngineError::damaged("index", "it does not say all that is in this pack"))?;
        }
        let (tasks, queue) = bounded::<IndexedPack>(packs.len().max(1));
        for pack in packs {
            crate::port::send(&tasks, pack, &self.half.port)?;
        }
        drop(tasks);
        let workers = Threads::workers(&self.half.port, self.threads, || {
            let (shared, queue) = (Arc::clone(self), queue.clone());
            move || Mover::new(shared)?.run(&queue)
        })?;
        workers.join()?;
        self.half.finish()?;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let numbers = vec![("objects", load(&self.objects)), ("bytes", load(&self.bytes))];
        self.half.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    /// Something in a pack cannot be moved: the pack stays, and the user is told.
    fn keep(&self, pack: &Id, error: &EngineError) -> Result<(), Stop> {
        let mut kept = self.kept.lock().expect("no holder panics");
        if !kept.contains(pack) {
            kept.push(*pack);
        }
        drop(kept);
        let path = format!("packs/{}", crate::objects::hex(pack));
        self.half.port.problem(path.as_bytes(), Problem::new(ProblemKind::Damaged, error.to_string()))
    }
}
