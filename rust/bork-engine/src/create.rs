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

use crate::assemble::{LeafTask, LinkNames, TreeAssembler};
use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::{Event, Outcome, Port, allow_open_files, send};
use crate::secrets::Keys;
use crate::tree::{LeafStream, PreviousLeaves};
use bork_core::seam::{NoPrevious, Previous, Stop};
use bork_core::source::{PathList, Progress, Shared, SourceOptions, Status, Task, UnitResult, WINDOW_UNITS, Worker};
use bork_core::walk::{Root, Unit, WalkOptions, Walker, sort_roots};
use bork_format::Id;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);
/// Bytes of status lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;
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
    threads: Vec<JoinHandle<()>>,
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
            roots.extend(listed.map_err(|error| EngineError::Plan(format!("the list of paths: {error}")))?);
        }
        let roots = sort_roots(roots).map_err(|error| EngineError::Plan(error.to_string()))?;
        let buffer_length = packs.chunk_length + BUFFER_ROOM;
        let half = Arc::new(Half::new(keys, Arc::clone(&index), Arc::clone(&port), packs, threads));
        let (shared, units, results) = share(source, &half, threads, buffer_length);
        let mut engine = CreateEngine { port, half, shared, threads: Vec::new() };
        let (window, total) = (bounded(WINDOW_UNITS), Arc::new(OnceLock::new()));
        engine.start_workers(threads)?;
        engine.start_assembler(results, window.1, Arc::clone(&total), threads)?;
        match previous {
            Some(root) => {
                let previous = engine.start_previous(root)?;
                engine.start_walker(roots, walk, previous, units, window.0, total)?;
            }
            None => engine.start_walker(roots, walk, NoPrevious, units, window.0, total)?,
        }
        Ok(engine)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), EngineError> {
        let thread = std::thread::Builder::new().name(name.into()).spawn(work);
        let thread = thread.map_err(|error| EngineError::Internal(format!("no thread for {name}: {error}")));
        self.threads.push(thread.inspect_err(|_| self.cancel())?);
        Ok(())
    }

    fn start_workers(&mut self, threads: usize) -> Result<(), EngineError> {
        for number in 0..threads {
            let (shared, port) = (Arc::clone(&self.shared), Arc::clone(&self.port));
            let sink = LocalSink::new(Arc::clone(&self.half))?;
            self.spawn(&format!("worker {number}"), move || {
                guard(&port, &shared.stop, || Worker::new(&shared, sink).run().map(drop));
            })?;
        }
        Ok(())
    }

    fn start_previous(&mut self, root: Id) -> Result<PreviousLeaves, EngineError> {
        let half = &self.half;
        let reader = ObjectReader::new(Arc::clone(&half.keys), Arc::clone(&half.index), Arc::clone(&half.port));
        let (previous, work) = PreviousLeaves::new(LeafStream::new(reader, root, None), Arc::clone(&self.port));
        self.spawn("previous", work)?;
        Ok(previous)
    }

    fn start_walker<P: Previous + 'static>(
        &mut self,
        roots: (Vec<Root>, Vec<Root>),
        options: WalkOptions,
        previous: P,
        units: Sender<Unit>,
        window: Sender<()>,
        total: Arc<OnceLock<u64>>,
    ) -> Result<(), EngineError> {
        let (shared, port) = (Arc::clone(&self.shared), Arc::clone(&self.port));
        self.spawn("walker", move || {
            guard(&port, &shared.stop, || {
                let mut walker = Walker::new(roots, options, previous);
                let mut count = 0;
                while let Some(unit) = walker.next_unit() {
                    count += 1;
                    send(&window, (), &port)?;
                    send(&units, unit, &port)?;
                }
                let _ = total.set(count);
                Ok(())
            });
        })
    }

    fn start_assembler(
        &mut self,
        results: Receiver<UnitResult>,
        window: Receiver<()>,
        total: Arc<OnceLock<u64>>,
        threads: usize,
    ) -> Result<(), EngineError> {
        let (shared, port, half) = (Arc::clone(&self.shared), Arc::clone(&self.port), Arc::clone(&self.half));
        let (tasks, stop) = (shared.tasks.0.clone(), Arc::clone(&port));
        let store = move |leaf: LeafTask| {
            let call = move |sink: &mut LocalSink| leaf.run(&mut sink.metadata_compressor);
            send(&tasks, Task::Call(Box::new(call)), &stop)
        };
        let assembler = Assembler {
            tree: TreeAssembler::new(Arc::clone(&half), Box::new(store))?,
            lines: Vec::new(),
            names: LinkNames::default(),
            files: 0,
            problems: 0,
            shared: Arc::clone(&shared),
            half,
        };
        let workers: Vec<JoinHandle<()>> = self.threads.drain(..).collect();
        debug_assert_eq!(workers.len(), threads);
        self.spawn("assembler", move || {
            guard(&port, &shared.stop, || assembler.run(&results, &window, &total, workers));
        })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.port
    }

    /// Original, compressed and deduplicated size, files, current path.
    pub fn progress(&self) -> (u64, u64, u64, u64, Vec<u8>) {
        let (bytes, files, path) = self.shared.progress.read();
        let counters = &self.half.counters;
        let [compressed, new] = [&counters.compressed, &counters.deduplicated].map(|c| c.load(Ordering::Relaxed));
        (bytes, compressed, new, files, path)
    }

    /// Makes all threads stop soon.
    pub fn cancel(&self) {
        self.port.cancel();
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Drop for CreateEngine {
    fn drop(&mut self) {
        self.cancel();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

type SharedParts = (Arc<Shared<LocalSink>>, Sender<Unit>, Receiver<UnitResult>);

fn share(options: SourceOptions, half: &Arc<Half>, threads: usize, buffer_length: usize) -> SharedParts {
    let (units_in, units) = bounded(2 * threads);
    let (results, results_out) = bounded(WINDOW_UNITS + 1);
    let buffers = bounded(threads + 2);
    for _ in 0..threads + 2 {
        // Zeroed memory costs nothing until it is touched.
        let _ = buffers.0.try_send(vec![0; buffer_length]);
    }
    let shared = Shared {
        options,
        keys: half.keys.source().clone(),
        progress: Progress::default(),
        stop: AtomicBool::new(false),
        units,
        tasks: bounded(threads.max(2)),
        results,
        buffers,
        hard_links: Default::default(),
    };
    (Arc::new(shared), units_in, results_out)
}

/// Runs the work of a thread; whatever ends it early ends the whole run.
fn guard(port: &Port, stop: &AtomicBool, work: impl FnOnce() -> Result<(), Stop>) {
    crate::port::guard(port, work);
    if port.is_stopped() {
        stop.store(true, Ordering::Relaxed);
    }
}

/// Puts results into order and builds the tree.
struct Assembler {
    tree: TreeAssembler,
    lines: Vec<u8>,
    names: LinkNames,
    files: u64,
    problems: u64,
    shared: Arc<Shared<LocalSink>>,
    half: Arc<Half>,
}

impl Assembler {
    fn run(
        mut self,
        results: &Receiver<UnitResult>,
        window: &Receiver<()>,
        total: &OnceLock<u64>,
        workers: Vec<JoinHandle<()>>,
    ) -> Result<(), Stop> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        while total.get() != Some(&next) {
            if self.shared.is_stopped() {
                return Err(Stop);
            }
            match results.recv_timeout(POLL) {
                Ok(result) => {
                    early.insert(result.sequence, result);
                }
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return Err(Stop),
            }
            while let Some(result) = early.remove(&next) {
                self.unit(result)?;
                let _ = window.try_recv();
                next += 1;
            }
        }
        self.finish(workers)
    }

    fn unit(&mut self, result: UnitResult) -> Result<(), Stop> {
        for (path, problem) in result.problems {
            self.problems += 1;
            self.flush_lines()?;
            self.half.port.problem(&path, problem)?;
        }
        self.files += result.files;
        let later: Vec<bool> = result.links.iter().map(|link| self.names.is_later(*link)).collect();
        self.files -= later.iter().filter(|later| **later).count() as u64;
        self.write_lines(result.statuses, &later);
        if self.lines.len() >= LINES_LENGTH {
            self.flush_lines()?;
        }
        for (path, body, size) in result.items {
            self.tree.push(&path, body.bytes(), size)?;
        }
        self.tree.settle()
    }

    fn write_lines(&mut self, statuses: Vec<Status>, later: &[bool]) {
        let Some(format) = &self.shared.options.lines else { return };
        let mut later = later.iter();
        for status in statuses {
            let is_later = status.link.is_some() && later.next() == Some(&true);
            format.write(if is_later { b'h' } else { status.letter }, &status.path, &mut self.lines);
        }
    }

    fn flush_lines(&mut self) -> Result<(), Stop> {
        if self.lines.is_empty() { Ok(()) } else { self.half.port.emit(Event::Lines(std::mem::take(&mut self.lines))) }
    }

    fn finish(mut self, workers: Vec<JoinHandle<()>>) -> Result<(), Stop> {
        self.flush_lines()?;
        let (items, original_size) = (self.tree.items(), self.tree.original_size());
        let root = if self.shared.options.dry_run { None } else { Some(self.tree.finish()?) };
        for _ in &workers {
            send(&self.shared.tasks.0, Task::Exit, &self.half.port)?;
        }
        for worker in workers {
            let _ = worker.join();
        }
        if self.shared.is_stopped() {
            return Err(Stop);
        }
        self.half.finish()?;
        let mut numbers = vec![
            ("items", items),
            ("files", self.files),
            ("problems", self.problems),
            ("original_size", original_size),
        ];
        numbers.extend(self.half.counters.numbers());
        self.half.port.emit(Event::Done(Outcome { root, numbers }))
    }
}
