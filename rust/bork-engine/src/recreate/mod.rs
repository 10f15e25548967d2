//! The recreate engine: an archive made of another one, with items left out, or content stored in another way.
//!
//! ```text
//! source (thread) --units--> workers (threads) --results--> assembler (thread)
//!   items in order, filter     |  content: count, or read     | order, leaves and tree, Done
//!   and lines                  v  and store again (sinks)     v
//!                            port ------------ events ------> driver
//! ```
//!
//! The body of an item that keeps its content is passed on as it is. Content is only read if it is to be cut or
//! compressed in another way, or if all copies of a chunk are condemned. A file whose content cannot be read is named
//! and kept as it was.

mod assembler;
mod content;
mod source;
mod tags;
mod work;

use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::Port;
use crate::secrets::Keys;
use crate::threads::Threads;
use assembler::UnitResult;
use bork_core::chunker::ChunkerParams;
use bork_core::pattern::ItemFilter;
use bork_core::source::{LineFormat, Progress};
use bork_format::Id;
use crossbeam_channel::{Receiver, Sender, bounded};
use source::Unit;
use std::sync::{Arc, OnceLock};

pub use tags::TagOptions;

/// Units that may be between the source and the assembler. A unit holds 256 KiB of bodies, or one item.
const WINDOW_UNITS: usize = 32;

/// Which known chunks are compressed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recompress {
    /// None.
    Never,
    /// Those whose codec is another than the one that they would get.
    IfDifferent,
    /// All.
    Always,
}

/// What becomes of an archive.
pub struct RecreatePlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Root node of the archive.
    pub root: Id,
    /// Which items are kept.
    pub filter: ItemFilter,
    /// Which directories are left out because of what is in them.
    pub tags: TagOptions,
    /// Only say what would be kept.
    pub dry_run: bool,
    /// Status lines.
    pub lines: Option<LineFormat>,
    /// Which known chunks are compressed anew.
    pub recompress: Recompress,
    /// Cut all content anew, like this.
    pub chunker: Option<ChunkerParams>,
    /// How it is stored.
    pub packs: PackOptions,
    /// Number of tables that the index had before the first archive of this run: chunks in later ones are new, and
    /// not compressed twice.
    pub tables: usize,
}

/// What the threads share.
struct Recreating {
    plan: RecreatePlan,
    half: Arc<Half>,
    progress: Progress,
}

impl Recreating {
    fn reader(&self) -> ObjectReader {
        let half = &self.half;
        ObjectReader::new(Arc::clone(&half.keys), Arc::clone(&half.index), Arc::clone(&half.port))
    }
}

/// A running recreation.
pub struct RecreateEngine {
    shared: Arc<Recreating>,
    threads: Threads,
}

impl RecreateEngine {
    /// Starts the threads.
    pub fn start(plan: RecreatePlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let threads = if plan.dry_run { 0 } else { plan.threads.max(1) };
        let half = Arc::new(Half::new(keys, index, Port::new(), plan.packs.clone(), threads));
        let shared = Arc::new(Recreating { plan, half, progress: Progress::default() });
        let mut engine = RecreateEngine { threads: Threads::new(&shared.half.port), shared };
        let units = bounded(2 * threads.max(1));
        let results = bounded(WINDOW_UNITS + 1);
        let (window, total) = (bounded(WINDOW_UNITS), Arc::new(OnceLock::new()));
        engine.start_workers(threads, &units.1, &results.0)?;
        let workers = engine.threads.take();
        engine.start_assembler(results.1, window.1, Arc::clone(&total), workers)?;
        engine.start_source(units.0, window.0, total)?;
        Ok(engine)
    }

    fn start_workers(
        &mut self,
        threads: usize,
        units: &Receiver<Unit>,
        results: &Sender<UnitResult>,
    ) -> Result<(), EngineError> {
        for number in 0..threads {
            let (shared, units, results) = (Arc::clone(&self.shared), units.clone(), results.clone());
            let sink = LocalSink::new(Arc::clone(&shared.half))?;
            self.threads
                .start(&format!("worker {number}"), move || work::Worker::new(&shared, sink).run(&units, &results))?;
        }
        Ok(())
    }

    fn start_assembler(
        &mut self,
        results: Receiver<UnitResult>,
        window: Receiver<()>,
        total: Arc<OnceLock<u64>>,
        workers: Threads,
    ) -> Result<(), EngineError> {
        let assembler = assembler::Assembler::new(Arc::clone(&self.shared))?;
        self.threads.start("assembler", move || assembler.run(&results, &window, &total, workers))
    }

    fn start_source(
        &mut self,
        units: Sender<Unit>,
        window: Sender<()>,
        total: Arc<OnceLock<u64>>,
    ) -> Result<(), EngineError> {
        let shared = Arc::clone(&self.shared);
        self.threads.start("source", move || source::run(&shared, &units, &window, &total))
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.shared.half.port
    }

    /// Original, compressed and deduplicated size, files, current path.
    pub fn progress(&self) -> (u64, u64, u64, u64, Vec<u8>) {
        self.shared.half.counters.progress(&self.shared.progress)
    }
}
