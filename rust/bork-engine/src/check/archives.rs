//! Archives: every reference resolves, and the tree is one that a reader takes.
//!
//! A reader refuses a tree whose nodes are of the wrong level, or out of order. To know that without reading shared
//! nodes again for each archive, what is remembered of a node is not its id alone but all that its place demands: its
//! level, the first path below it, and the first path behind it. In the next archive the same demand needs no look;
//! a node whose neighbour has changed is read again.
//!
//! Only what is sound is remembered, with all that is below it: a node in or below which something is wrong is walked
//! again in each archive that has it, and so each archive's files are named. That takes no memory, and a sound
//! repository pays nothing for it. Within one archive no node has its children looked at twice: children are in order,
//! and a node that does not begin with the path that its place tells is not gone into.

use super::Checking;
use crate::error::EngineError;
use crate::objects::{ObjectReader, hex};
use bork_core::seam::Stop;
use bork_core::writer::refuse;
use bork_format::Id;
use bork_format::item::{Content, Item, Slice, decode_list};
use bork_format::node::{INNER, LeafReader, compare, decode_inner};
use std::cmp;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Demands remembered. 64 MB at most.
const SEEN_MAX: usize = 2 << 20;
/// Nodes read ahead of the one that is looked at.
const AHEAD: usize = 127;
/// Nodes in the wrong place after which the rest of an archive is not looked at.
const MISPLACED_MAX: usize = 100;

/// What a place demands of a node, in short.
type Demand = [u8; 32];

/// Nodes of this or another archive that are sound, with all that is below them.
#[derive(Default)]
pub(super) struct Seen(HashSet<Demand>);

impl Seen {
    fn has(&self, demand: &Demand) -> bool {
        self.0.contains(demand)
    }

    fn insert(&mut self, demand: Demand) {
        if self.0.len() >= SEEN_MAX {
            self.0.clear();
        }
        self.0.insert(demand);
    }
}

/// A node, and what its place demands of it; of the root nothing is demanded.
struct Node {
    id: Id,
    level: Option<u8>,
    first: Option<Arc<[u8]>>,
    /// The first path behind the node.
    after: Option<Arc<[u8]>>,
}

impl Node {
    fn demand(&self) -> Demand {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.id);
        hasher.update(&[self.level.unwrap_or(u8::MAX)]);
        for path in [&self.first, &self.after] {
            let length = path.as_ref().map_or(u64::MAX, |path| path.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(path.as_deref().unwrap_or_default());
        }
        *hasher.finalize().as_bytes()
    }

    fn check_level(&self, level: u8) -> Result<(), Trouble> {
        if self.level.is_some_and(|wanted| wanted != level) {
            return Err(Trouble::Misplaced("a node is of another level than its place demands"));
        }
        Ok(())
    }

    fn check_first(&self, first: Option<&[u8]>) -> Result<(), Trouble> {
        match (&self.first, first) {
            (None, _) => Ok(()),
            (Some(wanted), Some(first)) if **wanted == *first => Ok(()),
            _ => Err(Trouble::Misplaced("a node does not begin with the path that the node above it tells")),
        }
    }

    fn check_end(&self, last: &[u8]) -> Result<(), Trouble> {
        match &self.after {
            Some(after) if compare(last, after) != cmp::Ordering::Less => {
                Err(Trouble::Misplaced("its leaves are not in order"))
            }
            _ => Ok(()),
        }
    }
}

enum Trouble {
    /// The node cannot be read.
    Lost(EngineError),
    /// It is not what its place demands.
    Misplaced(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Lost(error) => write!(f, "A part of its list of files is lost: {error}"),
            Trouble::Misplaced(why) => write!(f, "A part of its list of files is not where it must be: {why}"),
        }
    }
}

impl<E: Into<EngineError>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Trouble::Lost(error.into())
    }
}

/// Problems of items, with their paths.
type Problems = Vec<(Vec<u8>, String)>;

/// What is left to be done in an archive.
enum Step {
    /// To look at a node, and then at what is below it.
    Enter(Node),
    /// Nothing below the node of this demand, before which so many problems of the archive were known.
    Leave(Demand, usize),
}

impl Step {
    fn node(&self) -> Option<&Node> {
        match self {
            Step::Enter(node) => Some(node),
            Step::Leave(..) => None,
        }
    }
}

/// An archive that is being walked through.
struct Walk<'a> {
    name: &'a str,
    reader: ObjectReader,
    /// What comes next is last.
    stack: Vec<Step>,
    /// Problems of this archive.
    found: usize,
    /// Of these: nodes in the wrong place.
    misplaced: usize,
    /// Nodes that are read one by one, since there is damage among them.
    alone: usize,
}

impl Walk<'_> {
    /// Reads the next nodes together, if the first of them has not been read.
    fn read_ahead(&mut self, node: &Node, seen: &Seen) {
        self.alone = self.alone.saturating_sub(1);
        if self.alone == 0 && !self.reader.has_ahead(&node.id) {
            let coming = self.stack.iter().rev().filter_map(Step::node).filter(|node| !seen.has(&node.demand()));
            let ids = std::iter::once(node.id).chain(coming.map(|node| node.id).take(AHEAD)).collect::<Vec<_>>();
            self.alone = if self.reader.read_ahead(&ids) { 0 } else { 1 + AHEAD };
        }
    }
}

impl Checking {
    /// Visits every node whose like was not found sound before, and every slice in it.
    pub(super) fn archive(&self, name: &str, root: Id, reader: ObjectReader, seen: &mut Seen) -> Result<(), Stop> {
        let root = Node { id: root, level: None, first: None, after: None };
        let mut walk = Walk { name, reader, stack: vec![Step::Enter(root)], found: 0, misplaced: 0, alone: 0 };
        while let Some(step) = walk.stack.pop() {
            match step {
                Step::Enter(node) => self.enter(&node, &mut walk, seen)?,
                Step::Leave(demand, found) if found == walk.found => seen.insert(demand),
                Step::Leave(..) => {}
            }
            if walk.misplaced == MISPLACED_MAX {
                return self.problem(name.as_bytes(), "The rest of its list of files was not looked at.");
            }
        }
        Ok(())
    }

    fn enter(&self, node: &Node, walk: &mut Walk<'_>, seen: &Seen) -> Result<(), Stop> {
        if self.port.is_stopped() {
            return Err(Stop);
        }
        let demand = node.demand();
        if seen.has(&demand) {
            return Ok(());
        }
        self.objects.fetch_add(1, Ordering::Relaxed);
        walk.read_ahead(node, seen);
        walk.stack.push(Step::Leave(demand, walk.found));
        match self.node(node, &mut walk.reader, &mut walk.stack) {
            Ok(problems) => {
                walk.found += problems.len();
                problems.into_iter().try_for_each(|(path, message)| {
                    self.problem(&[walk.name.as_bytes(), &path].join(&b": "[..]), message)
                })
            }
            Err(_) if self.port.is_stopped() => Err(Stop),
            Err(trouble) => {
                walk.found += 1;
                walk.misplaced += usize::from(matches!(trouble, Trouble::Misplaced(_)));
                self.problem(walk.name.as_bytes(), trouble.to_string())
            }
        }
    }

    /// Checks a node by itself and puts its children onto the stack, the first one last.
    fn node(&self, node: &Node, reader: &mut ObjectReader, stack: &mut Vec<Step>) -> Result<Problems, Trouble> {
        let bytes = reader.read(&node.id)?;
        if bytes.first() != Some(&INNER) {
            return self.leaf(node, &bytes, reader);
        }
        let inner = decode_inner(&bytes)?;
        node.check_level(inner.level)?;
        node.check_first(inner.children.first().map(|child| &child.summary.first[..]))?;
        if let Some(last) = inner.children.last() {
            node.check_end(&last.summary.first)?;
        }
        let mut after = node.after.clone();
        for child in inner.children.into_iter().rev() {
            let first: Arc<[u8]> = child.summary.first.into();
            let level = Some(inner.level - 1);
            stack.push(Step::Enter(Node { id: child.id, level, first: Some(Arc::clone(&first)), after }));
            after = Some(first);
        }
        Ok(Vec::new())
    }

    fn leaf(&self, node: &Node, bytes: &[u8], reader: &mut ObjectReader) -> Result<Problems, Trouble> {
        let mut problems = Vec::new();
        let mut leaf = LeafReader::new(bytes)?;
        node.check_level(0)?;
        let mut is_first = true;
        while let Some(body) = leaf.advance()? {
            if std::mem::take(&mut is_first) {
                node.check_first(Some(leaf.path()))?;
            }
            let item = Item::decode(body)?;
            let trouble = refuse(leaf.path(), &item).map_err(|problem| problem.message);
            let trouble = trouble.and_then(|()| match &item.content {
                Content::Slices(slices) => self.slices(slices),
                Content::Lists(lists) => self.lists(lists, &item, reader),
            });
            if let Err(message) = trouble {
                problems.push((leaf.path().to_vec(), message));
            }
        }
        if is_first {
            node.check_first(None)?;
        }
        node.check_end(leaf.path())?;
        Ok(problems)
    }

    fn lists(&self, lists: &[Id], item: &Item, reader: &mut ObjectReader) -> Result<(), String> {
        let mut total = 0;
        for id in lists {
            let plain = reader.read(id).map_err(|error| error.to_string())?;
            let slices = decode_list(&plain).map_err(|error| error.to_string())?;
            self.slices(&slices)?;
            total += slices.iter().map(|slice| u64::from(slice.length)).sum::<u64>();
        }
        if total == item.size { Ok(()) } else { Err("Its content lists do not add up to its size.".into()) }
    }

    fn slices(&self, slices: &[Slice]) -> Result<(), String> {
        for slice in slices.iter().filter(|slice| !slice.is_hole()) {
            let Some(location) = self.index.locate(&slice.id) else {
                return Err(format!("Chunk {} of it is missing.", hex(&slice.id)));
            };
            if u64::from(slice.offset) + u64::from(slice.length) > u64::from(location.length) {
                return Err(format!("Chunk {} of it is shorter than it must be.", hex(&slice.id)));
            }
            if self.index.is_damaged(&slice.id) {
                return Err(format!("Chunk {} of it is damaged.", hex(&slice.id)));
            }
        }
        Ok(())
    }
}
