//! The previous archive, as the agent gets it: enough to see what has not changed, and no more.

use super::known::IdSet;
use super::line::{Credit, close_body, send_frame};
use crate::half::Half;
use crate::objects::ObjectReader;
use crate::tree::LeafStream;
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::{Content, Item, TYPE_FIFO, TYPE_FILE, decode_list};
use bork_format::node::{LeafBuilder, LeafReader};
use bork_format::pull::{FrameKind, reference};
use std::sync::Arc;

/// The items of an archive in order, each with its number; the first is number 1.
pub struct Items {
    leaves: LeafStream,
    leaf: Vec<u8>,
    position: usize,
    path: Vec<u8>,
    ordinal: u64,
}

impl Items {
    /// Starts before the first.
    pub fn new(half: &Half, root: Id) -> Self {
        let leaves = LeafStream::new(reader(half), root, None);
        Items { leaves, leaf: Vec::new(), position: 0, path: Vec::new(), ordinal: 0 }
    }

    /// Number of the item that was given last.
    pub fn ordinal(&self) -> u64 {
        self.ordinal
    }

    /// Path and body of the next item, or `None` at the end, which is also where the archive cannot be read: each
    /// reading of it ends at the same place.
    pub fn advance(&mut self) -> Option<(&[u8], &[u8])> {
        loop {
            if self.position > 0 || !self.leaf.is_empty() {
                let path = std::mem::take(&mut self.path);
                let mut reader = match self.position {
                    0 => LeafReader::new(&self.leaf).ok()?,
                    position => LeafReader::resume(&self.leaf, position, path).ok()?,
                };
                if let Some(length) = reader.advance().ok()?.map(<[u8]>::len) {
                    self.position = reader.position();
                    self.path = reader.into_path();
                    self.ordinal += 1;
                    return Some((&self.path, &self.leaf[self.position - length..self.position]));
                }
            }
            self.leaf = self.leaves.next_leaf().ok()??;
            self.position = 0;
            self.path.clear();
        }
    }
}

/// A reader of objects for one thread.
pub fn reader(half: &Half) -> ObjectReader {
    ObjectReader::new(Arc::clone(&half.keys), Arc::clone(&half.index), Arc::clone(&half.port))
}

/// Sends all items of the archive, as fast as the agent takes them.
pub fn send_items(half: &Half, root: Id, credit: &Credit) -> Result<(), Stop> {
    let (mut items, mut lists) = (Items::new(half, root), reader(half));
    let mut leaf = LeafBuilder::default();
    loop {
        let number = items.ordinal() + 1;
        let Some((path, body)) = items.advance() else { break };
        let Ok(item) = Item::decode(body) else { break };
        let mut body = Vec::with_capacity(96);
        strip(item, number, half, &mut lists).encode(&mut body);
        if leaf.push(path, &body, 0) {
            send_leaf(half, &mut leaf, credit)?;
        }
    }
    if leaf.items() > 0 {
        send_leaf(half, &mut leaf, credit)?;
    }
    send_frame(&half.port, FrameKind::LeafEnd, &[])
}

fn send_leaf(half: &Half, leaf: &mut LeafBuilder, credit: &Credit) -> Result<(), Stop> {
    let (bytes, _) = leaf.finish();
    let body = close_body(&bytes).map_err(|error| half.port.fail(error))?;
    credit.take(bytes.len(), &half.port)?;
    send_frame(&half.port, FrameKind::Leaf, &body)
}

/// What the agent needs of an item: times, size, inode, owner. Its content becomes a reference; content that the
/// repository does not hold any more becomes something that no file is equal to.
fn strip(item: Item, ordinal: u64, half: &Half, lists: &mut ObjectReader) -> Item {
    let content = match &item.content {
        content if content.is_empty() => Content::default(),
        content => {
            if half.stored_lengths(content, lists).is_none() {
                return Item { mode: TYPE_FIFO, ..Item::default() };
            }
            Content::Lists(vec![reference(ordinal)])
        }
    };
    let unknown = item.mode & 0o170_000 == TYPE_FILE && item.size > 0 && content.is_empty();
    if unknown {
        return Item { mode: TYPE_FIFO, ..Item::default() };
    }
    // The names in an ACL are compared where the agent reads it anew: an access time says so, for no backup keeps it.
    let has_acl = !item.acl_access.is_empty() || !item.acl_default.is_empty();
    Item {
        content,
        atime: item.atime.or(has_acl.then_some(item.mtime)),
        birthtime: None,
        xattrs: Vec::new(),
        acl_access: Vec::new(),
        acl_default: Vec::new(),
        flags: 0,
        ..item
    }
}

/// Adds the chunks and content lists of an archive to a set.
pub fn collect_chunks(half: &Half, root: Id, set: &IdSet) -> Result<(), Stop> {
    let (mut items, mut lists) = (Items::new(half, root), reader(half));
    while let Some((_, body)) = items.advance() {
        if half.port.is_stopped() {
            return Err(Stop);
        }
        let Ok(item) = Item::decode(body) else { break };
        let add = |slices: &[bork_format::item::Slice]| {
            let ids = slices.iter().filter(|slice| !slice.is_hole()).map(|slice| &slice.id);
            set.extend(ids).map_err(|error| half.port.fail(error))
        };
        match &item.content {
            Content::Slices(slices) => add(slices)?,
            Content::Lists(ids) => {
                for id in ids {
                    if let Ok(Ok(slices)) = lists.read(id).map(|plain| decode_list(&plain)) {
                        add(&slices)?;
                    }
                }
            }
        }
    }
    Ok(())
}
