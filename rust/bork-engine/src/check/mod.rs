//! The check engine: are the packs what they were, and does every reference from an archive resolve?
//!
//! Packs are read once, by several workers: name (BLAKE3 of the file), header, table of contents, agreement with the
//! index, and with `verify_data` every object, down to the ids of its chunks. Archives are read node by node: nodes
//! found sound in one archive are not read again for the next.

mod archives;
mod packs;

use crate::error::EngineError;
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::{Event, Outcome, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use archives::Seen;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::Id;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// What is to be checked.
pub struct CheckPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Packs that the storage lists: name and length.
    pub packs: Vec<(Id, u64)>,
    /// Archives: name to show, and root node.
    pub archives: Vec<(String, Id)>,
    /// Open every object of the packs.
    pub verify_data: bool,
}

struct Checking {
    plan: CheckPlan,
    keys: Option<Arc<Keys>>,
    index: Arc<ChunkIndex>,
    port: Arc<Port>,
    done: AtomicU64,
    objects: AtomicU64,
    problems: AtomicU64,
    name: Mutex<Vec<u8>>,
}

/// A running check.
pub struct CheckEngine {
    checking: Arc<Checking>,
    _threads: Threads, // end with the engine
}

impl CheckEngine {
    /// Starts the threads. Without keys only names of packs are checked.
    pub fn start(plan: CheckPlan, keys: Option<Arc<Keys>>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let checking = Arc::new(Checking {
            plan,
            keys,
            index,
            port: Port::new(),
            done: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            name: Mutex::default(),
        });
        let shared = Arc::clone(&checking);
        let threads = Threads::coordinator(&checking.port, move || shared.run())?;
        Ok(CheckEngine { checking, _threads: threads })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.checking.port
    }

    /// Packs and archives done, in all, objects opened, current name.
    pub fn progress(&self) -> (u64, u64, u64, Vec<u8>) {
        let checking = &self.checking;
        let total = checking.plan.packs.len() + checking.plan.archives.len();
        let name = checking.name.lock().map(|name| name.clone()).unwrap_or_default();
        (checking.done.load(Ordering::Relaxed), total as u64, checking.objects.load(Ordering::Relaxed), name)
    }
}

impl Checking {
    fn run(self: &Arc<Self>) -> Result<(), Stop> {
        if !self.plan.packs.is_empty() {
            self.packs()?;
        }
        if let Some(keys) = &self.keys {
            let mut seen = Seen::default();
            for (name, root) in &self.plan.archives {
                self.at(name.as_bytes());
                let (index, port) = (Arc::clone(&self.index), Arc::clone(&self.port));
                let reader = ObjectReader::new(Arc::clone(keys), index, port);
                self.archive(name, *root, reader, &mut seen)?;
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        let numbers = vec![
            ("objects", self.objects.load(Ordering::Relaxed)),
            ("problems", self.problems.load(Ordering::Relaxed)),
        ];
        self.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    fn at(&self, name: &[u8]) {
        if let Ok(mut current) = self.name.lock() {
            *current = name.to_vec();
        }
    }

    fn problem(&self, path: &[u8], message: impl Into<String>) -> Result<(), Stop> {
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.port.problem(path, Problem::new(ProblemKind::Damaged, message))
    }
}
