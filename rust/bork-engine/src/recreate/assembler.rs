//! Puts what the workers have done into order, and builds the tree.

use super::Recreating;
use crate::assemble::{LinkNames, TreeAssembler};
use crate::error::EngineError;
use crate::port::{Event, Outcome};
use crate::threads::Threads;
use bork_core::problem::Problem;
use bork_core::seam::Stop;
use bork_format::item::Link;
use crossbeam_channel::{Receiver, RecvTimeoutError};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(50);

/// What became of a unit.
#[derive(Default)]
pub struct UnitResult {
    /// Number of the unit.
    pub sequence: u64,
    /// Path, body, size.
    pub items: Vec<(Vec<u8>, Vec<u8>, u64)>,
    /// What could not be read; it is kept all the same.
    pub problems: Vec<(Vec<u8>, Problem)>,
    /// Regular files.
    pub files: u64,
    /// Hard link sets of regular files.
    pub links: Vec<Link>,
}

/// The end of the pipeline.
pub struct Assembler {
    shared: Arc<Recreating>,
    tree: TreeAssembler,
    names: LinkNames,
    files: u64,
    problems: u64,
}

impl Assembler {
    /// An empty tree.
    pub fn new(shared: Arc<Recreating>) -> Result<Self, EngineError> {
        let tree = TreeAssembler::direct(Arc::clone(&shared.half))?;
        Ok(Assembler { shared, tree, names: LinkNames::default(), files: 0, problems: 0 })
    }

    /// Runs.
    pub fn run(
        mut self,
        results: &Receiver<UnitResult>,
        window: &Receiver<()>,
        total: &OnceLock<u64>,
        workers: Threads,
    ) -> Result<(), Stop> {
        let mut early = BTreeMap::new();
        let mut next = 0;
        while total.get() != Some(&next) {
            if self.shared.half.port.is_stopped() {
                return Err(Stop);
            }
            match results.recv_timeout(POLL) {
                Ok(result) => {
                    early.insert(result.sequence, result);
                }
                Err(RecvTimeoutError::Timeout) => continue,
                // The workers end when the source does; its number of units is known then.
                Err(RecvTimeoutError::Disconnected) => std::thread::sleep(Duration::from_millis(1)),
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
            self.shared.half.port.problem(&path, problem)?;
        }
        let later = result.links.iter().filter(|link| self.names.is_later(**link)).count();
        self.files += result.files - later as u64;
        for (path, body, size) in result.items {
            self.tree.push(&path, &body, size)?;
        }
        self.tree.settle()
    }

    fn finish(self, workers: Threads) -> Result<(), Stop> {
        let half = &self.shared.half;
        let (items, original_size) = (self.tree.items(), self.tree.original_size());
        let root = if self.shared.plan.dry_run { None } else { Some(self.tree.finish()?) };
        workers.join()?;
        half.finish()?;
        let mut numbers = vec![
            ("items", items),
            ("files", self.files),
            ("problems", self.problems),
            ("original_size", original_size),
        ];
        numbers.extend(half.counters.numbers());
        half.port.emit(Event::Done(Outcome { root, numbers }))
    }
}
