//! What the workers of a run share: queues, counters, units in work.

use super::file::{ChunkTask, Task};
use super::hardlinks::HardLinks;
use super::options::SourceOptions;
use super::status::Status;
use crate::identify::SourceKeys;
use crate::problem::{Problem, ProblemKind};
use crate::seam::{ChunkSink, Stop};
use crate::walk::{Body, MetFileSystem, Unit};
use bork_format::item::{Content, Item, LISTS_MAX, Link};
use bork_format::node::BODY_LENGTH_MAX;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, TrySendError, bounded};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Units that may be between the walker and the assembler: bounds what waits behind one large file.
pub const WINDOW_UNITS: usize = 64;
/// How long a thread waits before it looks whether the run is over.
const POLL: Duration = Duration::from_millis(50);

/// Encoded body of an item: new, or kept from the previous archive.
pub enum BodyBytes {
    /// Encoded now.
    New(Vec<u8>),
    /// Byte for byte that of the previous archive.
    Kept(Body),
}

impl BodyBytes {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            BodyBytes::New(bytes) => bytes,
            BodyBytes::Kept(body) => body.bytes(),
        }
    }
}

/// An encoded item: path, body, size.
pub type Encoded = (Vec<u8>, BodyBytes, u64);

/// What became of a unit.
#[derive(Default)]
pub struct UnitResult {
    /// Number of the unit.
    pub sequence: u64,
    /// Items in tree order: path, body, size.
    pub items: Vec<Encoded>,
    /// Status of each entry, if lines are wanted.
    pub statuses: Vec<Status>,
    /// Hard link sets of its regular files.
    pub links: Vec<Link>,
    /// What could not be read.
    pub problems: Vec<(Vec<u8>, Problem)>,
    /// Regular files.
    pub files: u64,
    /// File systems that were met here first.
    pub met: Vec<MetFileSystem>,
}

/// A unit in work.
pub struct UnitState {
    result: Mutex<UnitResult>,
    slots: Mutex<Vec<Option<Encoded>>>,
    remaining: AtomicUsize,
}

impl UnitState {
    /// A unit of this many entries, held by the worker that goes through it.
    pub fn new(sequence: u64, entries: usize) -> Arc<Self> {
        let slots = Mutex::new((0..entries).map(|_| None).collect());
        let result = Mutex::new(UnitResult { sequence, ..UnitResult::default() });
        Arc::new(UnitState { result, slots, remaining: AtomicUsize::new(1) })
    }

    /// Everything but the items.
    pub fn report(&self, mut local: UnitResult) {
        let mut result = self.result.lock().expect("no holder panics");
        local.problems.append(&mut result.problems);
        *result = UnitResult { sequence: result.sequence, ..local };
    }

    /// A problem that showed late.
    pub fn problem(&self, shown: Vec<u8>, problem: Problem) {
        self.result.lock().expect("no holder panics").problems.push((shown, problem));
    }

    /// Encodes an item into its place, unless it exceeds what the format can hold: then nothing is stored of it.
    pub fn fill_item(&self, slot: usize, path: Vec<u8>, item: &Item) -> Result<(), Problem> {
        let mut body = Vec::with_capacity(192);
        item.encode(&mut body);
        let lists = if let Content::Lists(lists) = &item.content { lists.len() } else { 0 };
        if lists > LISTS_MAX {
            return Err(Problem::new(ProblemKind::Io, "it has too many chunks; back it up with a larger chunk size"));
        }
        if body.len() > BODY_LENGTH_MAX {
            return Err(Problem::new(ProblemKind::Io, "its metadata is longer than 16 MiB"));
        }
        self.fill(slot, path, BodyBytes::New(body), item.size);
        Ok(())
    }

    /// One more part of the unit will be done later.
    pub fn expect(&self) {
        self.remaining.fetch_add(1, Ordering::AcqRel);
    }

    /// Puts an item into its place.
    pub fn fill(&self, slot: usize, path: Vec<u8>, body: BodyBytes, size: u64) {
        self.slots.lock().expect("no holder panics")[slot] = Some((path, body, size));
    }

    /// One part of the unit is done; the last one sends the result.
    pub fn release<S>(&self, shared: &Shared<S>) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut result = std::mem::take(&mut *self.result.lock().expect("no holder panics"));
            let slots = std::mem::take(&mut *self.slots.lock().expect("no holder panics"));
            result.items = slots.into_iter().flatten().collect();
            // The channel holds a whole window, so this never blocks; an error means that the run is over.
            let _ = shared.results.send(result);
        }
    }
}

/// Counters that another thread may look at while the run goes on.
#[derive(Default)]
pub struct Progress {
    bytes: AtomicU64,
    files: AtomicU64,
    path: Mutex<Vec<u8>>,
}

impl Progress {
    /// Counts content. Unit: bytes.
    pub fn add_bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Counts files and tells where the walk is.
    pub fn at(&self, files: u64, path: impl FnOnce() -> Vec<u8>) {
        self.files.fetch_add(files, Ordering::Relaxed);
        if let Ok(mut current) = self.path.try_lock() {
            *current = path();
        }
    }

    /// Bytes, files, current path.
    pub fn read(&self) -> (u64, u64, Vec<u8>) {
        let path = self.path.lock().map(|path| path.clone()).unwrap_or_default();
        (self.bytes.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed), path)
    }
}

/// What all workers share.
pub struct Shared<S> {
    /// Options.
    pub options: SourceOptions,
    /// Keys for cutting and naming.
    pub keys: SourceKeys,
    /// Counters.
    pub progress: Progress,
    /// Set when the run is over before its end.
    pub stop: Arc<AtomicBool>,
    /// Units from the walker.
    pub units: Receiver<Unit>,
    /// Tasks for any worker.
    pub tasks: (Sender<Task<S>>, Receiver<Task<S>>),
    /// Results to the assembler; as long as the window, so that sending never blocks.
    pub results: Sender<UnitResult>,
    /// Free buffers of large files.
    pub buffers: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    /// Files with several names.
    pub hard_links: HardLinks,
}

/// What a run shares, where its units go in, and where its results come out.
pub type SharedParts<S> = (Arc<Shared<S>>, Sender<Unit>, Receiver<UnitResult>);

impl<S> Shared<S> {
    /// For `threads` workers that read large files through buffers of `buffer_length` bytes, until `stop` is set.
    pub fn new(
        options: SourceOptions,
        keys: SourceKeys,
        threads: usize,
        buffer_length: usize,
        stop: Arc<AtomicBool>,
    ) -> SharedParts<S> {
        let (units_in, units) = bounded(2 * threads);
        let (results, results_out) = bounded(WINDOW_UNITS + 1);
        let buffers = bounded(threads + 2);
        for _ in 0..threads + 2 {
            // Zeroed memory costs nothing until it is touched.
            let _ = buffers.0.try_send(vec![0; buffer_length]);
        }
        let shared = Shared {
            options,
            keys,
            progress: Progress::default(),
            stop,
            units,
            tasks: bounded(threads.max(2)),
            results,
            buffers,
            hard_links: HardLinks::default(),
        };
        (Arc::new(shared), units_in, results_out)
    }

    /// Hands results over in the order of their units, until there are `total` of them, and makes room in `window`
    /// for each. Memory: the results of a window.
    pub fn in_order(
        &self,
        results: &Receiver<UnitResult>,
        window: &Receiver<()>,
        total: &OnceLock<u64>,
        mut each: impl FnMut(UnitResult) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let (mut early, mut next) = (BTreeMap::new(), 0);
        while total.get() != Some(&next) {
            if self.is_stopped() {
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
                each(result)?;
                let _ = window.try_recv();
                next += 1;
            }
        }
        Ok(())
    }

    /// Gives a buffer back to the pool.
    pub fn return_buffer(&self, buffer: Vec<u8>) {
        let _ = self.buffers.0.try_send(buffer);
    }

    /// Whether the run is over before its end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<S: ChunkSink> Shared<S> {
    /// A free buffer; works on tasks while there is none, since tasks are what holds the buffers.
    pub fn take_buffer(&self, sink: &mut S) -> Result<Vec<u8>, Stop> {
        loop {
            if self.is_stopped() {
                return Err(Stop);
            }
            if let Ok(buffer) = self.buffers.1.try_recv() {
                return Ok(buffer);
            }
            match self.tasks.1.try_recv() {
                Ok(Task::Chunks(task)) => task.run(sink, self)?,
                Ok(Task::Call(call)) => call(sink)?,
                Ok(Task::Exit) | Err(TryRecvError::Disconnected) => return Err(Stop),
                Err(TryRecvError::Empty) => {
                    if let Ok(buffer) = self.buffers.1.recv_timeout(Duration::from_millis(20)) {
                        return Ok(buffer);
                    }
                }
            }
        }
    }

    /// Offers a buffer to the other workers; does it here if they are busy.
    pub fn offer(&self, task: ChunkTask, sink: &mut S) -> Result<(), Stop> {
        match self.tasks.0.try_send(Task::Chunks(task)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Task::Chunks(task))) => task.run(sink, self),
            Err(_) => Err(Stop),
        }
    }
}
