//! Entries on their way to the agent.

use crate::error::EngineError;
use crate::pull::line::close_body;
use bork_format::item::{Content, Item, SLICE_LENGTH};
use bork_format::pull::{BATCH_COUNT_MAX, BATCH_LENGTH_MAX, put_restore_entry};
use std::sync::Arc;

/// An entry that was sent.
pub struct Entry {
    /// Path in the archive.
    pub path: Arc<[u8]>,
    /// Size of a file.
    pub size: u64,
    /// Content of a file.
    pub content: Option<Content>,
}

/// Some entries.
#[derive(Default)]
pub struct Batch {
    /// In order.
    pub entries: Vec<Entry>,
    /// Length of its frame, when it was sent.
    pub length: usize,
    plain: Vec<u8>,
    /// What is kept here of the content. Unit: bytes.
    kept: usize,
}

impl Batch {
    /// Whether the batch has to be sent before this entry.
    pub fn is_full_with(&self, path: &[u8], item: &Item) -> bool {
        let xattrs: usize = item.xattrs.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
        let acls = (item.acl_access.len() + item.acl_default.len()) * 64;
        let names = item.user.len() + item.group.len() + item.target.len();
        let length = path.len() + xattrs + acls + names + 256;
        let is_long = self.plain.len() + length > BATCH_LENGTH_MAX || self.kept > BATCH_LENGTH_MAX;
        !self.entries.is_empty() && (is_long || self.entries.len() >= BATCH_COUNT_MAX)
    }

    /// Adds an entry: `path` is where it goes, `full_path` where it is in the archive.
    pub fn push(&mut self, path: &[u8], full_path: &[u8], item: Item) {
        put_restore_entry(&mut self.plain, path, &item);
        self.kept += match &item.content {
            Content::Slices(slices) => slices.len() * SLICE_LENGTH,
            Content::Lists(lists) => lists.len() * 32,
        };
        let content = item.is_file().then_some(item.content);
        self.entries.push(Entry { path: full_path.into(), size: item.size, content });
    }

    /// The body of its frame.
    pub fn take_body(&mut self) -> Result<Vec<u8>, EngineError> {
        close_body(&std::mem::take(&mut self.plain))
    }
}
