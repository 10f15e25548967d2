//! The read engine: extract, extract to stdout, dry run, list, and export as a tar stream.
//!
//! A coordinator thread reads the items in order and decides what is wanted. For `extract` it makes directories, plans
//! which objects are needed, and hands fetched objects to workers, which open, decompress and verify them and write
//! the chunks into files: an object is opened once for all files that need it near each other.

mod content;
mod extract;
mod items;
mod lines;
mod list;
mod push;
mod restore;
mod stdout;
mod stream;
mod tar;

use crate::error::EngineError;
use crate::index::ChunkIndex;
use crate::port::{Outcome, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::metadata::NameTables;
use bork_core::pattern::ItemFilter;
use bork_core::seam::Stop;
use bork_core::source::LineFormat;
use bork_core::writer::Options as WriteOptions;
use bork_format::Id;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub use crate::tar::Format as TarFormat;
pub use list::ListFormat;
pub use push::{PushEngine, PushMode};
pub use stream::shown;

/// What happens to the items.
pub enum Mode {
    /// They are restored below a directory.
    Extract(PathBuf),
    /// Everything is read and verified, nothing written.
    DryRun,
    /// The content of files goes to the driver, one after the other.
    Stdout,
    /// They become a tar stream for the driver.
    Tar(TarFormat),
    /// They are listed.
    List(ListFormat),
    /// They are restored by an agent.
    Push(PushMode),
}

/// What is to be read, and how.
pub struct ReadPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Root node of the archive.
    pub root: Id,
    /// Which items.
    pub filter: ItemFilter,
    /// Leading path components to drop.
    pub strip_components: usize,
    /// What to do with them.
    pub mode: Mode,
    /// Which attributes are restored.
    pub write: WriteOptions,
    /// Names of users and groups from a foreign root; `None`: those of this machine.
    pub names: Option<Arc<NameTables>>,
    /// File systems that are told of when the target lies on one, and on which the attributes of links are tested.
    pub file_systems: Vec<u32>,
    /// Leave out runs of zeros when writing.
    pub sparse: bool,
    /// Print the path of each item.
    pub lines: Option<LineFormat>,
    /// Find out the total size first.
    pub need_total: bool,
}

/// What the threads of a run share.
pub struct Reading {
    /// The plan.
    pub plan: ReadPlan,
    /// Secrets.
    pub keys: Arc<Keys>,
    /// Where chunks are.
    pub index: Arc<ChunkIndex>,
    /// To the driver.
    pub port: Arc<Port>,
    /// Bytes done.
    pub done: AtomicU64,
    /// Bytes in all, if that was asked for.
    pub total: AtomicU64,
    /// Items done.
    pub items: AtomicU64,
    /// Regular files on their way; each may have an open descriptor.
    pub files: AtomicUsize,
    /// Current path.
    pub path: Mutex<Vec<u8>>,
}

/// A running read.
pub struct ReadEngine {
    reading: Arc<Reading>,
    _threads: Threads, // end with the engine
}

impl ReadEngine {
    /// Starts the threads.
    pub fn start(plan: ReadPlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        Self::launch(plan, Port::new(), keys, index)
    }

    /// The same with a port that others know already.
    fn launch(plan: ReadPlan, port: Arc<Port>, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let reading = Arc::new(Reading {
            plan,
            keys,
            index,
            port,
            done: AtomicU64::new(0),
            total: AtomicU64::new(0),
            items: AtomicU64::new(0),
            files: AtomicUsize::new(0),
            path: Mutex::default(),
        });
        let shared = Arc::clone(&reading);
        let threads = Threads::coordinator(&reading.port, move || coordinate(&shared))?;
        Ok(ReadEngine { reading, _threads: threads })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.reading.port
    }

    /// Bytes done, bytes in all, items, current path.
    pub fn progress(&self) -> (u64, u64, u64, Vec<u8>) {
        let reading = &self.reading;
        let [done, total, items] =
            [&reading.done, &reading.total, &reading.items].map(|count| count.load(Ordering::Relaxed));
        (done, total, items, reading.path.lock().map(|path| path.clone()).unwrap_or_default())
    }
}

fn coordinate(reading: &Arc<Reading>) -> Result<(), Stop> {
    if reading.plan.need_total {
        items::measure(reading)?;
    }
    let mut counts = Vec::new();
    match &reading.plan.mode {
        Mode::Extract(target) => extract::run(reading, Some(target))?,
        Mode::DryRun => extract::run(reading, None)?,
        Mode::Stdout => stdout::run(reading)?,
        Mode::Tar(format) => tar::run(reading, *format)?,
        Mode::List(format) => list::run(reading, format)?,
        Mode::Push(mode) => counts = push::run(reading, mode)?.numbers(),
    }
    for pattern in reading.plan.filter.paths.never_matched() {
        reading.port.emit(crate::port::Event::Problem("never_matched", pattern, String::new()))?;
    }
    let items = reading.items.load(Ordering::Relaxed);
    let done = reading.done.load(Ordering::Relaxed);
    counts.extend([("items", items), ("bytes", done)]);
    let outcome = Outcome { root: None, numbers: counts };
    reading.port.emit(crate::port::Event::Done(outcome))
}

/// The path without its first components; `None` if nothing is left.
fn strip(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut rest = path;
    for _ in 0..count {
        let at = rest.iter().position(|byte| *byte == b'/')?;
        rest = &rest[at + 1..];
    }
    if count > 0 && rest.is_empty() { None } else { Some(rest) }
}
