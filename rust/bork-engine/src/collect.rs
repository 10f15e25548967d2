//! The end of a backup: results in tree order become lines, problems and the tree of the archive.

use crate::assemble::{LeafTask, LinkNames, TreeAssembler};
use crate::error::EngineError;
use crate::half::{Half, LocalSink};
use crate::port::{Event, Outcome, send};
use crate::threads::Threads;
use bork_core::seam::Stop;
use bork_core::source::{Shared, Status, Task, UnitResult};
use crossbeam_channel::Receiver;
use std::sync::{Arc, OnceLock};

/// Bytes of status lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// What is still to be checked when everything has been stored.
pub type LastCheck = Box<dyn FnOnce() -> Result<(), Stop> + Send>;

/// Puts results into order and builds the tree.
pub struct Collector {
    tree: TreeAssembler,
    lines: Vec<u8>,
    names: LinkNames,
    files: u64,
    problems: u64,
    shared: Arc<Shared<LocalSink>>,
    half: Arc<Half>,
    last_check: Option<LastCheck>,
}

impl Collector {
    /// Leaves are stored by the workers of `shared`.
    pub fn new(
        shared: Arc<Shared<LocalSink>>,
        half: Arc<Half>,
        last_check: Option<LastCheck>,
    ) -> Result<Self, EngineError> {
        let (tasks, stop) = (shared.tasks.0.clone(), Arc::clone(&half.port));
        let store = move |leaf: LeafTask| {
            let call = move |sink: &mut LocalSink| leaf.run(&mut sink.metadata_compressor);
            send(&tasks, Task::Call(Box::new(call)), &stop)
        };
        Ok(Collector {
            tree: TreeAssembler::new(Arc::clone(&half), Box::new(store))?,
            lines: Vec::new(),
            names: LinkNames::default(),
            files: 0,
            problems: 0,
            shared,
            half,
            last_check,
        })
    }

    /// Takes results until there are `total`, then ends the workers and the run.
    pub fn run(
        mut self,
        results: &Receiver<UnitResult>,
        window: &Receiver<()>,
        total: &OnceLock<u64>,
        workers: Threads,
    ) -> Result<(), Stop> {
        let shared = Arc::clone(&self.shared);
        shared.in_order(results, window, total, |result| self.unit(result))?;
        self.finish(workers)
    }

    fn unit(&mut self, result: UnitResult) -> Result<(), Stop> {
        for met in result.met {
            self.half.port.emit(Event::FileSystem(met))?;
        }
        for (path, problem) in result.problems {
            self.problems += 1;
            self.flush_lines()?;
            self.half.port.problem(&path, problem)?;
        }
        // Of a pull the numbers are the word of the client.
        let later: Vec<bool> = result.links.iter().map(|link| self.names.is_later(*link)).collect();
        let names = later.iter().filter(|later| **later).count() as u64;
        self.files = self.files.saturating_add(result.files).saturating_sub(names);
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

    fn finish(mut self, workers: Threads) -> Result<(), Stop> {
        self.flush_lines()?;
        let (items, original_size) = (self.tree.items(), self.tree.original_size());
        let root = if self.shared.options.dry_run { None } else { Some(self.tree.finish()?) };
        for _ in 0..workers.count() {
            send(&self.shared.tasks.0, Task::Exit, &self.half.port)?;
        }
        workers.join()?;
        self.half.finish()?;
        if let Some(check) = self.last_check.take() {
            check()?;
        }
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
