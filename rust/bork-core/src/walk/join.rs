//! The merge-join with the previous archive: two streams in the same order, constant memory.

use crate::seam::Previous;
use bork_format::node::{LeafReader, compare};
use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

/// The encoded body of an item of the previous archive; keeps its leaf alive.
#[derive(Clone)]
pub struct Body {
    leaf: Arc<[u8]>,
    range: Range<usize>,
    ordinal: u64,
}

impl Body {
    /// Number of the item in the stream of leaves; the first is 1.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.leaf[self.range.clone()]
    }
}

/// A cursor over the previous archive.
pub struct Join<P> {
    previous: P,
    leaf: Option<Arc<[u8]>>,
    position: usize,
    path: Vec<u8>,
    body: Option<Range<usize>>,
    ordinal: u64,
}

impl<P: Previous> Join<P> {
    /// Starts before the first item.
    pub fn new(previous: P) -> Self {
        let mut join = Join { previous, leaf: None, position: 0, path: Vec::new(), body: None, ordinal: 0 };
        join.next_leaf();
        join.step();
        join
    }

    fn next_leaf(&mut self) {
        self.leaf = self.previous.next_leaf();
        self.position = 0;
        self.path.clear();
    }

    /// Moves to the next item; skips what cannot be read.
    fn step(&mut self) {
        self.body = None;
        while let Some(leaf) = &self.leaf {
            let path = std::mem::take(&mut self.path);
            let reader =
                if self.position == 0 { LeafReader::new(leaf) } else { LeafReader::resume(leaf, self.position, path) };
            let advanced = reader.and_then(|mut reader| {
                let body = reader.advance()?.map(|body| body.len());
                Ok((body, reader.position(), reader.into_path()))
            });
            if let Ok((Some(length), position, path)) = advanced {
                self.body = Some(position - length..position);
                self.position = position;
                self.path = path;
                self.ordinal += 1;
                return;
            }
            self.next_leaf();
        }
    }

    /// The body of the item at `path`, if the previous archive has one. Paths must be asked for in tree order.
    pub fn find(&mut self, path: &[u8]) -> Option<Body> {
        while self.body.is_some() {
            match compare(&self.path, path) {
                Ordering::Less => self.step(),
                Ordering::Greater => return None,
                Ordering::Equal => {
                    let body = Body { leaf: self.leaf.clone()?, range: self.body.clone()?, ordinal: self.ordinal };
                    return Some(body);
                }
            }
        }
        None
    }
}
