//! The diff engine: what differs between two archives, one line for each path.
//!
//! `merge` walks both trees and passes over what they have in common, so the cost is that of the differences and not of
//! the archives. `compare` decides what has changed in an item, `content` what in its content. One thread does it all:
//! there is little to compute. Lines come in the order of the tree; nothing is kept but what a `sort_by` has to see.

mod compare;
mod content;
mod merge;
mod side;
mod sort;

pub use compare::Rules;
pub use sort::{FIELDS, Field, SortKey};

use crate::error::EngineError;
use crate::index::ChunkIndex;
use crate::objects::ObjectReader;
use crate::port::{Event, Outcome, Port};
use crate::secrets::Keys;
use crate::threads::Threads;
use crate::tree::LeafStream;
use bork_core::pattern::{ItemFilter, PathSelection, Style};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::render::DiffRenderer;
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::Item;
use bork_format::node::LeafReader;
use content::{ContentDifference, Contents};
use merge::{Merge, Visitor};
use sort::Sorter;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Bytes of lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// Which archives are compared, and how.
pub struct DiffPlan {
    /// Root nodes: old and new.
    pub roots: [Id; 2],
    /// Which items.
    pub filter: ItemFilter,
    /// The PATHs of the filter once more: those that no difference matches are looked for.
    pub paths: Vec<(Style, Vec<u8>)>,
    /// What counts as a difference.
    pub rules: Rules,
    /// Contents that were cut in the same way are compared by their chunks; others are read.
    pub compare_chunks: bool,
    /// JSON lines instead of text.
    pub json_lines: bool,
    /// Another order than that of the tree.
    pub sort_by: Vec<SortKey>,
}

struct Diffing {
    plan: DiffPlan,
    keys: Arc<Keys>,
    index: Arc<ChunkIndex>,
    port: Arc<Port>,
    items: AtomicU64,
    path: Mutex<Vec<u8>>,
}

/// A running comparison.
pub struct DiffEngine {
    diffing: Arc<Diffing>,
    _threads: Threads, // end with the engine
}

impl DiffEngine {
    /// Starts the thread.
    pub fn start(plan: DiffPlan, keys: Arc<Keys>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let diffing = Arc::new(Diffing {
            plan,
            keys,
            index,
            port: Port::new(),
            items: AtomicU64::new(0),
            path: Mutex::default(),
        });
        let shared = Arc::clone(&diffing);
        let threads = Threads::coordinator(&diffing.port, move || shared.run())?;
        Ok(DiffEngine { diffing, _threads: threads })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.diffing.port
    }

    /// Items of the new archive that have been passed, and the path of the last difference.
    pub fn progress(&self) -> (u64, Vec<u8>) {
        let path = self.diffing.path.lock().map(|path| path.clone()).unwrap_or_default();
        (self.diffing.items.load(Ordering::Relaxed), path)
    }
}

impl Diffing {
    fn run(&self) -> Result<(), Stop> {
        let [old, new] = self.plan.roots;
        // Patterns can include what no PATH names.
        let filter = &self.plan.filter;
        let prefixes = if filter.patterns.is_empty() { filter.paths.prefixes() } else { None };
        let mut merge = Merge::new(self.reader(), old, new, prefixes);
        let mut teller = Teller::new(self);
        let run = merge.run(&mut teller).and_then(|()| teller.finish());
        let differences = run.map_err(|error| self.port.fail(error))?;
        self.look_for_missed().map_err(|error| self.port.fail(error))?;
        for pattern in filter.paths.never_matched() {
            self.port.emit(Event::Problem("never_matched", pattern, String::new()))?;
        }
        let numbers = vec![("differences", differences), ("nodes", merge.nodes_read())];
        self.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    fn reader(&self) -> ObjectReader {
        ObjectReader::new(Arc::clone(&self.keys), Arc::clone(&self.index), Arc::clone(&self.port))
    }

    /// A PATH that names only what is equal has met no item yet. Whether it names anything is seen in the archives:
    /// its part of them is read up to the first item that it matches.
    fn look_for_missed(&self) -> Result<(), EngineError> {
        for root in self.plan.roots {
            let missed = self.plan.filter.paths.never_matched();
            if missed.is_empty() {
                return Ok(());
            }
            let paths = self.plan.paths.iter().filter(|(_, text)| missed.contains(text)).cloned().collect();
            let selection = PathSelection::new(paths)
                .map_err(|error| EngineError::Pattern { pattern: error.pattern, why: error.why })?;
            let mut leaves = LeafStream::new(self.reader(), root, selection.prefixes());
            while let Some(leaf) = leaves.next_leaf()? {
                let mut items = LeafReader::new(&leaf)?;
                while items.advance()?.is_some() {
                    self.plan.filter.wants(shown(items.path()));
                }
                if self.plan.filter.paths.never_matched().is_empty() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The path of the archive's own root is shown as a dot.
fn shown(path: &[u8]) -> &[u8] {
    if path.is_empty() { b"." } else { path }
}

/// Makes lines of differences.
struct Teller<'a> {
    diffing: &'a Diffing,
    contents: Contents,
    renderer: DiffRenderer,
    out: Vec<u8>,
    sorter: Option<Sorter>,
    differences: u64,
}

impl<'a> Teller<'a> {
    fn new(diffing: &'a Diffing) -> Self {
        let keys = &diffing.plan.sort_by;
        Teller {
            diffing,
            contents: Contents::new(diffing.reader(), [diffing.reader(), diffing.reader()]),
            renderer: DiffRenderer::new(diffing.plan.json_lines),
            out: Vec::with_capacity(LINES_LENGTH + 4096),
            sorter: (!keys.is_empty()).then(|| Sorter::new(keys.clone())),
            differences: 0,
        }
    }

    /// Hands over what is left, sorted if that was asked for; the number of lines.
    fn finish(mut self) -> Result<u64, EngineError> {
        if let Some(sorter) = self.sorter.take() {
            for line in sorter.finish() {
                self.out.extend_from_slice(&line);
                self.hand_over(LINES_LENGTH)?;
            }
        }
        self.hand_over(1)?;
        Ok(self.differences)
    }

    fn hand_over(&mut self, length_min: usize) -> Result<(), EngineError> {
        if self.out.len() < length_min {
            return Ok(());
        }
        let lines = std::mem::replace(&mut self.out, Vec::with_capacity(LINES_LENGTH + 4096));
        self.diffing.port.emit(Event::Lines(lines)).map_err(|Stop| EngineError::Cancelled)
    }

    /// Content that cannot be read is reported, and counts as modified.
    fn content(&mut self, path: &[u8], old: &Item, new: &Item) -> Result<ContentDifference, EngineError> {
        if !old.is_file() || !new.is_file() {
            return Ok(ContentDifference::None);
        }
        let compared = if self.diffing.plan.compare_chunks {
            self.contents.compare_chunks(old, new)
        } else {
            self.contents.compare_bytes(old, new)
        };
        match compared {
            Err(EngineError::Cancelled) => Err(EngineError::Cancelled),
            Err(error) => {
                let problem = Problem::new(ProblemKind::Damaged, error.to_string());
                self.diffing.port.problem(path, problem).map_err(|Stop| EngineError::Cancelled)?;
                Ok(ContentDifference::Some)
            }
            Ok(difference) => Ok(difference),
        }
    }
}

impl Visitor for Teller<'_> {
    fn differs(&mut self, path: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), EngineError> {
        let path = shown(path);
        if self.diffing.port.is_stopped() {
            return Err(EngineError::Cancelled);
        }
        if !self.diffing.plan.filter.wants(path) {
            return Ok(());
        }
        let old = old.map(Item::decode).transpose()?;
        let new = new.map(Item::decode).transpose()?;
        let changes = match (&old, &new) {
            (Some(old), Some(new)) => {
                let content = self.content(path, old, new)?;
                let Some(changes) = compare::changes(old, new, content, self.diffing.plan.rules) else {
                    return Ok(());
                };
                changes
            }
            (None, Some(new)) => vec![compare::added(new)],
            (Some(old), None) => vec![compare::removed(old)],
            (None, None) => return Ok(()),
        };
        self.differences += 1;
        if let Ok(mut current) = self.diffing.path.lock() {
            current.clear();
            current.extend_from_slice(path);
        }
        if let Some(sorter) = &mut self.sorter {
            let mut line = Vec::new();
            self.renderer.render(path, &changes, &mut line);
            sorter.push(path, old.as_ref(), new.as_ref(), &changes, line);
            return Ok(());
        }
        self.renderer.render(path, &changes, &mut self.out);
        self.hand_over(LINES_LENGTH)
    }

    fn passed(&mut self, items: u64) {
        self.diffing.items.fetch_add(items, Ordering::Relaxed);
    }
}
