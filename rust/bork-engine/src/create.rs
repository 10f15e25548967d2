//! The create engine: both halves of a backup in one process.
//!
//! ```text
//! previous (thread) --leaves--> walker (thread) --units--> workers (threads) --results--> assembler (thread)
//!                                                          |  sinks: dedup, compress,     | leaves and tree,
//!                                                          v  seal, pack                  v Done
//!                                                        port --------- events ---------> driver
//! ```
//!
//! The assembler puts results into order and cuts leaves; hashing, compressing and sealing a leaf is a task for a
//! worker again. So the only work done one after the other is reading names and copying item bodies.

use crate::collect::Collector;
use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::{Port, send};
use crate::secrets::Keys;
use crate::threads::Threads;
use crate::tree::{LeafStream, PreviousLeaves};
use bork_core::descriptors::allow_open_files;
use bork_core::seam::{NoPrevious, Previous};
use bork_core::source::{PathList, Shared, SourceOptions, UnitResult, WINDOW_UNITS, Worker};
use bork_core::walk::{Root, Unit, WalkOptions, Walker, sort_roots};
use bork_format::Id;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::fs::File;
use std::sync::{Arc, OnceLock};

/// A buffer of a large file holds the longest chunk and this much more, so that most of it is cut. Unit: bytes.
const BUFFER_ROOM: usize = 2 << 20;

/// What is to be backed up, and how.
pub struct CreatePlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Roots in any order.
    pub roots: Vec<Root>,
    /// Paths given one by one, with their delimiter, besides the roots.
    pub path_list: Option<(File, Vec<u8>)>,
    /// What the walk leaves out.
    pub walk: WalkOptions,
    /// What is read and how.
    pub source: SourceOptions,
    /// How it is stored.
    pub packs: PackOptions,
    /// Root node of the previous archive.
    pub previous: Option<Id>,
}

/// A running backup.
pub struct CreateEngine {
    port: Arc<Port>,
    half: Arc<Half>,
    shared: Arc<Shared<LocalSink>>,
    threads: Threads,
}

impl CreateEngine {
    /// Starts the threads.
    pub fn start(plan: CreatePlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        allow_open_files();
        let port = Port::new();
        let CreatePlan { threads, roots, path_list, walk, source, packs, previous } = plan;
        let threads = threads.max(1);
        let mut roots = roots;
        if let Some((file, delimiter)) = path_list {
            let listed = PathList { source: file, delimiter }.read();
            roots.extend(listed.map_err(|error| match error.kind() {
                std::io::ErrorKind::Interrupted => EngineError::Cancelled,
                _ => EngineError::Plan(format!("the list of paths: {error}")),
            })?);
        }
        let roots = sort_roots(roots).map_err(|error| EngineError::Plan(error.to_string()))?;
        let buffer_length = packs.chunk_length + BUFFER_ROOM;
        let half = Arc::new(Half::new(keys, Arc::clone(&index), Arc::clone(&port), packs, threads));
        let keys = half.keys.source().clone();
        let (shared, units, results) = Shared::new(source, keys, threads, buffer_length, port.stop_flag());
        let mut engine = CreateEngine { threads: Threads::new(&port), port, half, shared };
        let (window, total) = (bounded(WINDOW_UNITS), Arc::new(OnceLock::new()));
        engine.start_workers(threads)?;
        engine.start_assembler(results, window.1, Arc::clone(&total))?;
        match previous {
            Some(root) => {
                let previous = engine.start_previous(root)?;
                engine.start_walker(roots, walk, previous, units, window.0, total)?;
            }
            None => engine.start_walker(roots, walk, NoPrevious, units, window.0, total)?,
        }
        Ok(engine)
    }

    fn start_workers(&mut self, threads: usize) -> Result<(), EngineError> {
        for number in 0..threads {
            let (shared, sink) = (Arc::clone(&self.shared), LocalSink::new(Arc::clone(&self.half))?);
            self.threads.start(&format!("worker {number}"), move || Worker::new(&shared, sink).run().map(drop))?;
        }
        Ok(())
    }

    fn start_previous(&mut self, root: Id) -> Result<PreviousLeaves, EngineError> {
        let half = &self.half;
        let reader = ObjectReader::new(Arc::clone(&half.keys), Arc::clone(&half.index), Arc::clone(&half.port));
        let (previous, work) = PreviousLeaves::new(LeafStream::new(reader, root, None), Arc::clone(&self.port));
        self.threads.start("previous", work)?;
        Ok(previous)
    }

    fn start_walker<P: Previous + 'static>(
        &mut self,
        roots: Vec<Root>,
        options: WalkOptions,
        previous: P,
        units: Sender<Unit>,
        window: Sender<()>,
        total: Arc<OnceLock<u64>>,
    ) -> Result<(), EngineError> {
        let port = Arc::clone(&self.port);
        self.threads.start("walker", move || {
            let mut walker = Walker::new(roots, options, previous);
            let mut count = 0;
            while let Some(unit) = walker.next_unit() {
                count += 1;
                send(&window, (), &port)?;
                send(&units, unit, &port)?;
            }
            let _ = total.set(count);
            Ok(())
        })
    }

    fn start_assembler(
        &mut self,
        results: Receiver<UnitResult>,
        window: Receiver<()>,
        total: Arc<OnceLock<u64>>,
    ) -> Result<(), EngineError> {
        let assembler = Collector::new(Arc::clone(&self.shared), Arc::clone(&self.half), None)?;
        let workers = self.threads.take();
        self.threads.start("assembler", move || assembler.run(&results, &window, &total, workers))
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Original, compressed and deduplicated size, files, current path.
    pub fn progress(&self) -> (u64, u64, u64, u64, Vec<u8>) {
        self.half.counters.progress(&self.shared.progress)
    }
}
