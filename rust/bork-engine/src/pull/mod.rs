//! The pull engine: the repository half of a backup whose source half is an agent on another host.
//!
//! ```text
//! agent --bytes--> driver --pieces--> receiver --objects, lists--> workers (verify, dedup, seal, pack)
//!                                        |------units--> resolver --results--> collector (tree)
//!                                        +------queries--> answerer
//! previous archive --leaves--> driver --bytes--> agent
//! ```
//!
//! Nothing that the agent says is believed: see `resolve` for what is checked, and `receive` for the ids of chunks.
//! Memory: as in a local backup, plus the frames between the threads.

mod known;
pub(crate) mod line;
mod previous;
mod receive;
pub(crate) mod resolve;

use crate::collect::{Collector, LastCheck};
use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::ChunkIndex;
use crate::port::{Bytes, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::chunker::ChunkerParams;
use bork_core::descriptors::allow_open_files;
use bork_core::metadata::MetadataOptions;
use bork_core::source::{Changed, FilesCache, LineFormat, Shared, SourceOptions, UnitResult, Worker};
use bork_format::Id;
use bork_format::pull::{FrameKind, LEAF_CREDIT, Plan};
use crossbeam_channel::{Receiver, Sender, bounded};
use known::IdSet;
use line::{Credit, Frames, Inlet};
use receive::Receiving;
use resolve::{References, Resolver};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Frames between two threads: each queue holds so many.
const FRAMES_MAX: usize = 8;
/// Units between two threads: each may be as long as the longest item.
const UNITS_MAX: usize = 2;
/// Longest group of small chunks that an agent sends. Unit: bytes.
const GROUP_LENGTH_MAX: usize = 1 << 20;

/// An error that is the agent's.
pub(crate) fn peer(why: impl std::fmt::Display) -> EngineError {
    EngineError::Peer(format!("the agent does not keep to the protocol: {why}"))
}

/// What is to be pulled, and how it is stored.
pub struct PullPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// What the agent is told; its keys, and whether it may ask for chunks, are filled in here.
    pub wire: Plan,
    /// How chunks are cut.
    pub chunker: ChunkerParams,
    /// How it is stored. The scratch directory is needed.
    pub packs: PackOptions,
    /// Status lines, if wanted.
    pub lines: Option<LineFormat>,
    /// Root node of the previous archive of this client.
    pub previous: Option<Id>,
    /// Whether the agent may know what other clients have.
    pub share_dedup: bool,
    /// For files without a name.
    pub scratch: PathBuf,
    /// Where the names of chunks are kept that a pull of this client left behind when it was interrupted.
    pub memory: Option<PathBuf>,
}

/// A running pull.
pub struct PullEngine {
    port: Arc<Port>,
    half: Arc<Half>,
    shared: Arc<Shared<LocalSink>>,
    inlet: Inlet,
    /// Kept open, so that the collector waits for the number of units and not for the end of the resolver.
    results: Sender<UnitResult>,
    /// What this session was sent.
    references: Arc<References>,
    memory: Option<PathBuf>,
    threads: Threads,
}

/// What one session is about.
struct Session {
    /// Root node of the archive that the agent is sent.
    previous: Option<Id>,
    /// Paths in the archive that were asked for.
    roots: Vec<Vec<u8>>,
    share_dedup: bool,
    /// Chunks of this client, as far as they are known before it asks.
    own: IdSet,
    /// Unit: bytes.
    object_length_max: usize,
}

impl PullEngine {
    /// Starts the threads; the first event is the plan for the agent.
    pub fn start(plan: PullPlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        allow_open_files();
        let port = Port::new();
        let PullPlan { threads, mut wire, chunker, packs, lines, previous, share_dedup, scratch, memory } = plan;
        let threads = threads.max(1);
        wire.id_key = *keys.source().id;
        wire.chunker_key = *keys.source().chunker;
        let own_chunks = 1 << Plan::FLAGS.iter().position(|flag| *flag == "own_chunks").unwrap_or(63);
        let own = IdSet::new(scratch.clone());
        let remembers = memory.as_ref().is_some_and(|path| own.load(path).is_ok());
        if previous.is_some() || share_dedup || remembers {
            wire.flags |= own_chunks;
        }
        let object_length_max = packs.chunk_length.max(GROUP_LENGTH_MAX);
        let half = Arc::new(Half::new(Arc::clone(&keys), index, Arc::clone(&port), packs, threads));
        let options = options(chunker, lines, wire.has("dry_run"));
        let (shared, _, _) = Shared::new(options, keys.source().clone(), threads, 0, port.stop_flag());
        let results = bounded(UNITS_MAX);
        let (inlet, frames) = line::line(&port);
        let mut engine = PullEngine {
            threads: Threads::new(&port),
            port,
            half,
            shared,
            inlet,
            results: results.0,
            references: Arc::new(References::new(&scratch)),
            memory,
        };
        let total = Arc::new(OnceLock::new());
        engine.start_workers(threads)?;
        engine.start_collector(results.1, Arc::clone(&total))?;
        let roots = wire.roots.iter().map(|(_, stored)| stored.clone()).collect();
        let session = Session { previous, roots, share_dedup, own, object_length_max };
        engine.start_line(wire.encode(), frames, total, session)?;
        Ok(engine)
    }

    fn start_workers(&mut self, threads: usize) -> Result<(), EngineError> {
        for number in 0..threads {
            let shared = Arc::clone(&self.shared);
            let sink = LocalSink::new(Arc::clone(&self.half))?;
            self.threads.start(&format!("worker {number}"), move || Worker::new(&shared, sink).run().map(drop))?;
        }
        Ok(())
    }

    fn start_collector(&mut self, results: Receiver<UnitResult>, total: Arc<OnceLock<u64>>) -> Result<(), EngineError> {
        let (half, references) = (Arc::clone(&self.half), Arc::clone(&self.references));
        let check: LastCheck = Box::new(move || references.settle(&half).map_err(|error| half.port.fail(error)));
        let collector = Collector::new(Arc::clone(&self.shared), Arc::clone(&self.half), Some(check))?;
        let workers = self.threads.take();
        let (_, no_window) = bounded(1); // the agent keeps to its own
        self.threads.start("collector", move || collector.run(&results, &no_window, &total, workers))
    }

    fn start_line(
        &mut self,
        plan: Vec<u8>,
        frames: Frames,
        total: Arc<OnceLock<u64>>,
        session: Session,
    ) -> Result<(), EngineError> {
        let Session { previous, roots, share_dedup, own, object_length_max } = session;
        let (references, results) = (Arc::clone(&self.references), self.results.clone());
        let credit = Arc::new(Credit::new(LEAF_CREDIT));
        let (units, queries) = (bounded(UNITS_MAX), bounded(FRAMES_MAX));
        let resolver = Resolver::new(Arc::clone(&self.half), Arc::clone(&references), previous, roots);
        self.threads.start("resolver", move || resolver.run(&units.1, &results))?;
        let (half, known) = (Arc::clone(&self.half), Arc::clone(&references));
        self.threads
            .start("answerer", move || receive::answer(&half, &known, previous, &own, share_dedup, &queries.1))?;
        let (half, room) = (Arc::clone(&self.half), Arc::clone(&credit));
        self.threads.start("previous", move || {
            line::send_frame(&half.port, FrameKind::Plan, &plan)?;
            previous.map_or(Ok(()), |root| previous::send_items(&half, root, &room))
        })?;
        let receiving = Receiving {
            shared: Arc::clone(&self.shared),
            half: Arc::clone(&self.half),
            references,
            credit,
            units: units.0,
            queries: queries.0,
            total,
            object_length_max,
        };
        self.threads.start("receiver", move || receiving.run(frames))
    }

    /// Bytes that the agent sent; waits while the engine is busy. False: nobody wants to hear more.
    pub fn received(&self, bytes: Bytes) -> bool {
        self.inlet.push(bytes, &self.port)
    }

    /// The agent will send nothing more. If something is missing, the run ends with an error.
    pub fn ended(&self) {
        self.inlet.end();
    }

    /// The run has ended early: keeps the names of the chunks that arrived, so that the next pull of this client is not
    /// sent again what is stored. That it cannot be kept costs time, and nothing else.
    pub fn remember(&self) {
        if let Some(path) = &self.memory {
            let _ = self.references.allowed.save(path);
        }
    }

    /// There is an archive now, which says the same.
    pub fn forget(&self) {
        if let Some(path) = &self.memory {
            let _ = std::fs::remove_file(path);
        }
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

/// The workers only store: of the source half's options they need none but these.
fn options(chunker: ChunkerParams, lines: Option<LineFormat>, dry_run: bool) -> SourceOptions {
    let files_cache =
        FilesCache { ctime: false, mtime: false, size: false, inode: false, rechunk: false, disabled: true };
    SourceOptions {
        metadata: MetadataOptions::default(),
        names: None,
        files_cache,
        file_systems: Vec::new(),
        files_changed: Changed::Disabled,
        read_special: false,
        exclude_nodump: false,
        dry_run,
        stdin: None,
        start: Default::default(),
        previous_start: None,
        chunker,
        lines,
    }
}
