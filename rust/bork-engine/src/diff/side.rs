//! One of the two trees, as far as it has been looked into: nodes not yet read, and the items of one leaf.

use crate::error::EngineError;
use crate::tree::is_below;
use bork_format::Id;
use bork_format::node::{INNER, LEAF, LeafReader, compare, decode_inner};
use std::cmp::Ordering;
use std::ops::Range;

/// A node that has not been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Its id.
    pub id: Id,
    /// 0 for a leaf; unknown for the root.
    pub level: Option<u8>,
    /// Path of the first item below it; empty for the root.
    pub first: Vec<u8>,
    /// Number of items below it; 0 for the root.
    pub items: u64,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
pub enum Top<'a> {
    /// A node that has not been read.
    Node(&'a Pending),
    /// Path and body of an item.
    Item(&'a [u8], &'a [u8]),
    /// Nothing.
    End,
}

/// The items of a leaf. Paths are kept one after the other, so that an item costs no allocation.
#[derive(Default)]
struct Leaf {
    bytes: Vec<u8>,
    paths: Vec<u8>,
    items: Vec<(Range<usize>, Range<usize>)>,
}

/// A tree that is read from its beginning to its end.
///
/// Memory: the children of one inner node of each level, and one leaf.
pub struct Side {
    /// Nodes to come, the next one last.
    stack: Vec<Pending>,
    leaf: Leaf,
    /// Number of the next item of the leaf.
    at: usize,
}

impl Side {
    /// At the root.
    pub fn new(root: Id) -> Self {
        Side {
            stack: vec![Pending { id: root, level: None, first: Vec::new(), items: 0 }],
            leaf: Leaf::default(),
            at: 0,
        }
    }

    /// What comes next.
    pub fn top(&self) -> Top<'_> {
        match (self.leaf.items.get(self.at), self.stack.last()) {
            (Some((path, body)), _) => Top::Item(&self.leaf.paths[path.clone()], &self.leaf.bytes[body.clone()]),
            (None, Some(node)) => Top::Node(node),
            (None, None) => Top::End,
        }
    }

    /// Nodes to come, the next one first.
    pub fn pending(&self) -> impl Iterator<Item = &Pending> {
        self.stack.iter().rev()
    }

    /// Leaves out the next node, and says how many items that were.
    pub fn skip(&mut self) -> u64 {
        self.stack.pop().map_or(0, |node| node.items)
    }

    /// Goes on to the next item.
    pub fn advance(&mut self) {
        self.at += 1;
    }

    /// Puts in the place of the next node what is in it. Of its children only those are taken that may hold something
    /// below one of `prefixes`.
    ///
    /// # Errors
    /// A node that is malformed, or that does not fit its place: level, first path, order.
    pub fn expand(&mut self, bytes: Vec<u8>, prefixes: Option<&[Vec<u8>]>) -> Result<(), EngineError> {
        let Some(node) = self.stack.pop() else { return Ok(()) };
        match bytes.first() {
            Some(&LEAF) => self.expand_leaf(&node, bytes),
            Some(&INNER) => self.expand_inner(&node, &bytes, prefixes),
            _ => misplaced("a node of unknown kind"),
        }
    }

    fn expand_leaf(&mut self, node: &Pending, bytes: Vec<u8>) -> Result<(), EngineError> {
        if node.level.is_some_and(|level| level != 0) {
            return misplaced("a node is of another level than its place demands");
        }
        let mut leaf = std::mem::take(&mut self.leaf);
        leaf.paths.clear();
        leaf.items.clear();
        let mut reader = LeafReader::new(&bytes)?;
        while let Some(body) = reader.advance()? {
            let (path, end) = (leaf.paths.len(), reader.position());
            leaf.paths.extend_from_slice(reader.path());
            leaf.items.push((path..leaf.paths.len(), end - body.len()..end));
        }
        leaf.bytes = bytes;
        let paths = (leaf.items.first(), leaf.items.last());
        if let (Some((first, _)), Some((last, _))) = paths {
            self.check_place(node, &leaf.paths[first.clone()], &leaf.paths[last.clone()])?;
        } else if node.level.is_some() {
            return misplaced("a leaf without items");
        }
        self.leaf = leaf;
        self.at = 0;
        Ok(())
    }

    fn expand_inner(&mut self, node: &Pending, bytes: &[u8], prefixes: Option<&[Vec<u8>]>) -> Result<(), EngineError> {
        let inner = decode_inner(bytes)?;
        if node.level.is_some_and(|level| level != inner.level) {
            return misplaced("a node is of another level than its place demands");
        }
        if let (Some(first), Some(last)) = (inner.children.first(), inner.children.last()) {
            self.check_place(node, &first.summary.first, &last.summary.first)?;
        }
        let mut end = self.stack.last().map(|next| next.first.clone());
        for child in inner.children.into_iter().rev() {
            let first = child.summary.first;
            if prefixes.is_none_or(|prefixes| touches(prefixes, &first, end.as_deref())) {
                let (level, items) = (Some(inner.level - 1), child.summary.items);
                self.stack.push(Pending { id: child.id, level, first: first.clone(), items });
            }
            end = Some(first);
        }
        Ok(())
    }

    /// The merge relies on the order of all items, so that no tree, however hostile, makes it show what is not so.
    fn check_place(&self, node: &Pending, first: &[u8], last: &[u8]) -> Result<(), EngineError> {
        if node.level.is_some() && node.first != first {
            return misplaced("a node begins with another path than its parent says");
        }
        if self.stack.last().is_some_and(|next| compare(last, &next.first) != Ordering::Less) {
            return misplaced("its nodes are not in order");
        }
        Ok(())
    }
}

fn misplaced<T>(why: &str) -> Result<T, EngineError> {
    Err(EngineError::damaged("tree", why))
}

/// Whether a path from `first` on and before `end` can be one of `prefixes`, or below one.
fn touches(prefixes: &[Vec<u8>], first: &[u8], end: Option<&[u8]>) -> bool {
    prefixes.iter().any(|prefix| {
        let ends_behind = is_below(prefix, first) || compare(first, prefix) == Ordering::Less;
        ends_behind && end.is_none_or(|end| compare(end, prefix) == Ordering::Greater)
    })
}
