//! The engine of `import-tar`: a tar stream in, an archive out.
//!
//! ```text
//! reader (thread) --members, content--> workers (threads) --results--> collector (thread)
//!                                        |  sinks: dedup, compress,     | sorted runs, then
//!                                        v  seal, pack                  v leaves, tree, Done
//!                                      port --------- events ---------> driver
//! ```
//!
//! Content is stored as it comes. Items come in any order, and a tree is sorted: they wait in a scratch file.

mod collect;
mod entries;
mod reader;
mod sort;

use crate::assemble::{LeafTask, TreeAssembler};
use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::ChunkIndex;
use crate::port::{Port, send};
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::chunker::Chunker;
use bork_core::source::{Progress, Shared, SourceOptions, Task, WINDOW_UNITS, Worker};
use collect::Collector;
use crossbeam_channel::bounded;
use reader::TarSource;
use std::fs::File;
use std::sync::{Arc, OnceLock};

pub use sort::RUN_LENGTH;

/// A buffer holds the longest chunk and this much more, so that most of it is cut. Unit: bytes.
const BUFFER_ROOM: usize = 2 << 20;

/// What is to be imported, and how.
pub struct ImportPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// The stream.
    pub file: File,
    /// How it is called in messages.
    pub name: Vec<u8>,
    /// Blocks of zeros do not end the stream.
    pub ignore_zeros: bool,
    /// How content is cut, and which lines are wanted; the rest is of no meaning here.
    pub source: SourceOptions,
    /// How it is stored.
    pub packs: PackOptions,
    /// Bytes of items that are kept in memory: [`RUN_LENGTH`].
    pub run_length: usize,
}

/// A running import.
pub struct ImportEngine {
    port: Arc<Port>,
    half: Arc<Half>,
    shared: Arc<Shared<LocalSink>>,
    threads: Threads,
}

impl ImportEngine {
    /// Starts the threads.
    pub fn start(plan: ImportPlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let port = Port::new();
        let threads = plan.threads.max(1);
        let scratch = plan.packs.scratch.clone();
        let buffer_length = plan.packs.chunk_length + BUFFER_ROOM;
        // One sink more than there are workers: the reader works while it would wait.
        let half = Arc::new(Half::new(keys, index, Arc::clone(&port), plan.packs, threads + 1));
        let (results, results_out) = bounded(WINDOW_UNITS + 1);
        let buffers = bounded(threads + 2);
        for _ in 0..threads + 2 {
            // Zeroed memory costs nothing until it is touched.
            let _ = buffers.0.try_send(vec![0; buffer_length]);
        }
        let chunker = Arc::new(Chunker::new(plan.source.chunker, &half.keys.source().chunker));
        let shared = Arc::new(Shared {
            options: plan.source,
            keys: half.keys.source().clone(),
            progress: Progress::default(),
            stop: port.stop_flag(),
            units: crossbeam_channel::never(),
            tasks: bounded(threads.max(2)),
            results,
            buffers,
            hard_links: Default::default(),
        });
        let mut engine = ImportEngine { threads: Threads::new(&port), port, half, shared };
        for number in 0..threads {
            let (shared, sink) = (Arc::clone(&engine.shared), LocalSink::new(Arc::clone(&engine.half))?);
            engine.threads.start(&format!("worker {number}"), move || Worker::new(&shared, sink).run().map(drop))?;
        }
        let (window, total) = (bounded(WINDOW_UNITS), Arc::new(OnceLock::new()));
        let workers = engine.threads.take();
        let tar = TarSource {
            port: Arc::clone(&engine.port),
            shared: Arc::clone(&engine.shared),
            sink: LocalSink::new(Arc::clone(&engine.half))?,
            chunker,
            window: window.0,
            total: Arc::clone(&total),
            name: plan.name,
        };
        let (file, ignore_zeros) = (plan.file, plan.ignore_zeros);
        engine.threads.start("reader", move || tar.run(file, ignore_zeros))?;
        let collector = Collector::new(engine.parts(), engine.tree()?, scratch, plan.run_length);
        engine.threads.start("collector", move || collector.run(&results_out, &window.1, &total, workers))?;
        Ok(engine)
    }

    fn parts(&self) -> (Arc<Shared<LocalSink>>, Arc<Half>) {
        (Arc::clone(&self.shared), Arc::clone(&self.half))
    }

    /// A tree whose leaves the workers store.
    fn tree(&self) -> Result<TreeAssembler, EngineError> {
        let (tasks, stop) = (self.shared.tasks.0.clone(), Arc::clone(&self.port));
        let store = move |leaf: LeafTask| {
            let call = move |sink: &mut LocalSink| leaf.run(&mut sink.metadata_compressor);
            send(&tasks, Task::Call(Box::new(call)), &stop)
        };
        TreeAssembler::new(Arc::clone(&self.half), Box::new(store))
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

impl Drop for ImportEngine {
    fn drop(&mut self) {
        self.threads.end();
        // A task that nobody took keeps what holds the queue.
        while self.shared.tasks.1.try_recv().is_ok() {}
    }
}
