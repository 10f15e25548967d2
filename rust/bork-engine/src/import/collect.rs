//! Collects what the workers made, in the order of the stream, and makes the tree when all is there.

use super::entries::{LINK, Placed, Surroundings, place};
use super::sort::Sorter;
use crate::assemble::TreeAssembler;
use crate::error::EngineError;
use crate::half::{Half, LocalSink};
use crate::port::{Event, Outcome, send};
use crate::threads::Threads;
use bork_core::problem::Problem;
use bork_core::seam::Stop;
use bork_core::source::{Shared, Task, UnitResult};
use crossbeam_channel::Receiver;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Bytes of status lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// One thread's work.
pub struct Collector {
    shared: Arc<Shared<LocalSink>>,
    half: Arc<Half>,
    tree: TreeAssembler,
    scratch: Option<PathBuf>,
    run_length: usize,
    members: Sorter,
    links: Sorter,
    /// Number of the last member.
    number: u64,
    problems: u64,
    lines: Vec<u8>,
}

impl Collector {
    /// `scratch`: where what exceeds `run_length` bytes waits.
    pub fn new(
        (shared, half): (Arc<Shared<LocalSink>>, Arc<Half>),
        tree: TreeAssembler,
        scratch: Option<PathBuf>,
        run_length: usize,
    ) -> Self {
        let sorter = || Sorter::new(scratch.as_deref(), run_length);
        let (members, links) = (sorter(), sorter());
        Collector { shared, half, tree, scratch, run_length, members, links, number: 0, problems: 0, lines: Vec::new() }
    }

    /// Runs until `total` units are there, and to the end.
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
        if let Some(format) = &self.shared.options.lines {
            for status in &result.statuses {
                format.write(status.letter, &status.path, &mut self.lines);
            }
        }
        if self.lines.len() >= LINES_LENGTH || !result.problems.is_empty() {
            self.flush_lines()?;
        }
        self.problems += result.problems.len() as u64;
        for (path, problem) in result.problems {
            self.half.port.problem(&path, problem)?;
        }
        for (path, body, _) in result.items {
            self.number += 1;
            let (body, number) = (body.bytes(), self.number);
            let pushed = match body {
                [LINK, target @ ..] => self.links.push(target, number, &[&number.to_le_bytes(), &path]),
                _ => Ok(()),
            };
            pushed.and_then(|()| self.members.push(&path, number, &[body])).map_err(|error| self.fail(&error))?;
        }
        Ok(())
    }

    fn fail(&self, error: &io::Error) -> Stop {
        let path = self.scratch.as_ref().map(|directory| directory.display().to_string()).unwrap_or_default();
        self.half.port.fail(EngineError::Scratch { path, why: error.to_string() })
    }

    fn flush_lines(&mut self) -> Result<(), Stop> {
        if self.lines.is_empty() { Ok(()) } else { self.half.port.emit(Event::Lines(std::mem::take(&mut self.lines))) }
    }

    fn finish(mut self, workers: Threads) -> Result<(), Stop> {
        self.flush_lines()?;
        let files = self.place()?;
        let Collector { shared, half, tree, problems, .. } = self;
        let (items, original_size) = (tree.items(), tree.original_size());
        let root = tree.finish()?;
        for _ in 0..workers.count() {
            send(&shared.tasks.0, Task::Exit, &half.port)?;
        }
        workers.join()?;
        half.finish()?;
        let mut numbers =
            vec![("items", items), ("files", files), ("problems", problems), ("original_size", original_size)];
        numbers.extend(half.counters.numbers());
        half.port.emit(Event::Done(Outcome { root: Some(root), numbers }))
    }

    /// Puts the items into the tree. The number of regular files.
    fn place(&mut self) -> Result<u64, Stop> {
        let new = || Sorter::new(self.scratch.as_deref(), self.run_length);
        let (members, links) = (std::mem::replace(&mut self.members, new()), std::mem::replace(&mut self.links, new()));
        let half = Arc::clone(&self.half);
        let mut problems = 0;
        let mut problem = |path: &[u8], problem: Problem| {
            problems += 1;
            half.port.problem(path, problem).map_err(stopped)
        };
        let mut around =
            Surroundings { scratch: self.scratch.clone(), run_length: self.run_length, problem: &mut problem };
        let tree = &mut self.tree;
        let placed = members.finish().and_then(|members| {
            place(&members, links, &mut around, |Placed { path, body, size }| {
                tree.push(path, body, size).and_then(|()| tree.settle()).map_err(stopped)
            })
        });
        self.problems += problems;
        placed.map_err(|error| if self.half.port.is_stopped() { Stop } else { self.fail(&error) })
    }
}

fn stopped(_: Stop) -> io::Error {
    io::Error::other("stopped")
}
