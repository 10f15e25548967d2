//! Two sorted trees side by side: what is in both is passed over unread, whole subtrees at a time.
//!
//! Each side is a sequence of nodes that nobody has looked into, and of items where somebody has. If the next thing on
//! both sides is the same node, everything below it is equal. Otherwise the side that begins earlier is looked into, or
//! the higher node; of two nodes of the same level and beginning both. An item that comes before the next node of the
//! other side can be nowhere in it. Since nodes are cut where their paths say so, the sides meet again at the next cut
//! behind a difference, and it does not matter where the cuts are: the result is that of comparing all items.
//!
//! Cost: the nodes above and around the differences. Memory: see [`Side`], and up to [`AHEAD`] nodes of each side.

use super::side::{Pending, Side, Top};
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::tree::is_below;
use bork_format::Id;
use bork_format::node::compare;
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// Nodes of each side that are read at a time.
pub const AHEAD: usize = 16;

/// Where nodes come from.
pub trait Nodes {
    /// The plaintext of some nodes, in order.
    fn read(&mut self, ids: &[Id]) -> Result<Vec<Vec<u8>>, EngineError>;
}

impl Nodes for ObjectReader {
    fn read(&mut self, ids: &[Id]) -> Result<Vec<Vec<u8>>, EngineError> {
        let mut batch = self.start(ids)?;
        self.finish(&mut batch)
    }
}

/// Who is told what differs.
pub trait Visitor {
    /// An item that only one side has, or whose bodies differ. In the order of the tree.
    fn differs(&mut self, path: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) -> Result<(), EngineError>;

    /// How many items of the new side have been passed.
    fn passed(&mut self, _items: u64) {}
}

/// Two trees that are being compared.
pub struct Merge<N> {
    nodes: N,
    /// Old and new.
    sides: [Side; 2],
    prefixes: Option<Vec<Vec<u8>>>,
    ahead: HashMap<Id, Vec<u8>>,
    read: u64,
}

enum Step {
    End,
    Skip,
    /// Which sides to look into.
    Expand([bool; 2]),
    /// Whose items to take.
    Take([bool; 2]),
}

const OLD: [bool; 2] = [true, false];
const NEW: [bool; 2] = [false, true];
const BOTH: [bool; 2] = [true, true];

impl<N: Nodes> Merge<N> {
    /// The trees of two roots; of what is not below `prefixes` nothing is told.
    pub fn new(nodes: N, old: Id, new: Id, prefixes: Option<Vec<Vec<u8>>>) -> Self {
        Merge { nodes, sides: [Side::new(old), Side::new(new)], prefixes, ahead: HashMap::new(), read: 0 }
    }

    /// Nodes that were read so far.
    pub fn nodes_read(&self) -> u64 {
        self.read
    }

    /// Goes through both trees.
    ///
    /// # Errors
    /// A node that cannot be read or is malformed, and what `visitor` returns.
    pub fn run(&mut self, visitor: &mut impl Visitor) -> Result<(), EngineError> {
        loop {
            match step(self.sides[0].top(), self.sides[1].top()) {
                Step::End => return Ok(()),
                Step::Skip => {
                    self.sides[0].skip();
                    visitor.passed(self.sides[1].skip());
                }
                Step::Expand(which) => self.expand(which)?,
                Step::Take(which) => self.take(which, visitor)?,
            }
        }
    }

    fn take(&mut self, which: [bool; 2], visitor: &mut impl Visitor) -> Result<(), EngineError> {
        let mut path: &[u8] = b"";
        let mut bodies = [None, None];
        for ((side, taken), place) in self.sides.iter().zip(which).zip(&mut bodies) {
            if let (Top::Item(at, body), true) = (side.top(), taken) {
                (path, *place) = (at, Some(body));
            }
        }
        let [old, new] = bodies;
        // A node at the edge of a prefix may have been left out on one side, and not on the other.
        let is_wanted = |prefixes: &Vec<Vec<u8>>| prefixes.iter().any(|prefix| is_below(prefix, path));
        if old != new && self.prefixes.as_ref().is_none_or(is_wanted) {
            visitor.differs(path, old, new)?;
        }
        visitor.passed(u64::from(which[1]));
        for (side, taken) in self.sides.iter_mut().zip(which) {
            if taken {
                side.advance();
            }
        }
        Ok(())
    }

    fn expand(&mut self, which: [bool; 2]) -> Result<(), EngineError> {
        let next = |side: &Side| match side.top() {
            Top::Node(node) => Some(node.id),
            _ => None,
        };
        let wanted: Vec<Id> = (0..2).filter(|side| which[*side]).filter_map(|side| next(&self.sides[side])).collect();
        if wanted.iter().any(|id| !self.ahead.contains_key(id)) {
            self.fetch(wanted)?;
        }
        for side in (0..2).filter(|side| which[*side]) {
            let node = next(&self.sides[side]).and_then(|id| self.ahead.remove(&id));
            let node = node.ok_or_else(|| EngineError::Internal("a node is needed twice".into()))?;
            self.sides[side].expand(node, self.prefixes.as_deref())?;
        }
        Ok(())
    }

    /// Reads what is wanted now, and with it what will certainly be wanted next.
    fn fetch(&mut self, mut ids: Vec<Id>) -> Result<(), EngineError> {
        let [old, new] = &self.sides;
        ids.extend(certainly_wanted(old, new));
        ids.extend(certainly_wanted(new, old));
        let mut seen = HashSet::new();
        ids.retain(|id| !self.ahead.contains_key(id) && seen.insert(*id));
        let nodes = self.nodes.read(&ids)?;
        self.read += ids.len() as u64;
        self.ahead.extend(ids.into_iter().zip(nodes));
        Ok(())
    }
}

fn step(old: Top<'_>, new: Top<'_>) -> Step {
    match (old, new) {
        (Top::End, Top::End) => Step::End,
        (Top::Node(left), Top::Node(right)) if left.id == right.id => Step::Skip,
        (Top::Node(left), Top::Node(right)) => {
            // A root says neither its level nor its first path, and both are at the beginning.
            let order = compare(&left.first, &right.first).then(right.level.cmp(&left.level));
            Step::Expand(sides(order))
        }
        (Top::Item(left, _), Top::Item(right, _)) => Step::Take(sides(compare(left, right))),
        (Top::Item(path, _), Top::Node(node)) => before(path, node, OLD, NEW),
        (Top::Node(node), Top::Item(path, _)) => before(path, node, NEW, OLD),
        (Top::Item(..), Top::End) => Step::Take(OLD),
        (Top::End, Top::Item(..)) => Step::Take(NEW),
        (Top::Node(_), Top::End) => Step::Expand(OLD),
        (Top::End, Top::Node(_)) => Step::Expand(NEW),
    }
}

fn sides(order: Ordering) -> [bool; 2] {
    match order {
        Ordering::Less => OLD,
        Ordering::Greater => NEW,
        Ordering::Equal => BOTH,
    }
}

/// An item on the side `here`, a node on the side `there`.
fn before(path: &[u8], node: &Pending, here: [bool; 2], there: [bool; 2]) -> Step {
    if compare(path, &node.first) == Ordering::Less { Step::Take(here) } else { Step::Expand(there) }
}

/// The next nodes of `side` that cannot be skipped: those that `other` would have to have among its nodes of the same
/// level, and has not. Where `other` has a higher node next, nobody knows yet.
fn certainly_wanted(side: &Side, other: &Side) -> Vec<Id> {
    let Top::Node(next) = side.top() else { return Vec::new() };
    let level = next.level;
    let horizon = other.pending().find(|node| node.level > level).map(|node| &node.first);
    let is_near = |node: &&Pending| horizon.is_none_or(|end| compare(&node.first, end) == Ordering::Less);
    let there: HashSet<Id> = other.pending().take_while(|node| node.level <= level).map(|node| node.id).collect();
    let here = side.pending().take_while(|node| node.level == level).take_while(is_near);
    here.filter(|node| !there.contains(&node.id)).take(AHEAD).map(|node| node.id).collect()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
