//! Whether two files have the same content, and by how much it differs.

use crate::error::EngineError;
use crate::objects::ObjectReader;
use bork_format::item::{Content, Item, Slice, decode_list};

/// What can be said of two contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentDifference {
    /// They are equal.
    None,
    /// They differ.
    Some,
    /// Their chunks differ: lengths of those that only the new one, and only the old one has. Unit: bytes.
    Chunks {
        /// In the new one.
        added: u64,
        /// In the old one.
        removed: u64,
    },
}

/// Compares contents, and reads of them what it must.
pub struct Contents {
    lists: ObjectReader,
    chunks: [ObjectReader; 2],
}

impl Contents {
    /// Three readers: one for content lists, one for the chunks of each side.
    pub fn new(lists: ObjectReader, chunks: [ObjectReader; 2]) -> Self {
        Contents { lists, chunks }
    }

    /// Compares the lists of chunks; reads content lists only. Memory: 24 bytes for each slice of both.
    ///
    /// # Errors
    /// A content list that is missing or damaged.
    pub fn compare_chunks(&mut self, old: &Item, new: &Item) -> Result<ContentDifference, EngineError> {
        if old.content == new.content {
            return Ok(ContentDifference::None);
        }
        let (left, right) = (self.identities(&old.content)?, self.identities(&new.content)?);
        Ok(ContentDifference::Chunks {
            added: self.length_without(&new.content, &left)?,
            removed: self.length_without(&old.content, &right)?,
        })
    }

    fn identities(&mut self, content: &Content) -> Result<Vec<Identity>, EngineError> {
        let mut found = Vec::new();
        let mut run = Run::new(content);
        while let Some(slice) = run.slice(&mut self.lists)? {
            found.push(identity(&slice));
            run.advance(slice.length);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    fn length_without(&mut self, content: &Content, others: &[Identity]) -> Result<u64, EngineError> {
        let (mut run, mut length) = (Run::new(content), 0);
        while let Some(slice) = run.slice(&mut self.lists)? {
            if others.binary_search(&identity(&slice)).is_err() {
                length += u64::from(slice.length);
            }
            run.advance(slice.length);
        }
        Ok(length)
    }

    /// Compares byte by byte, however the contents were cut. What is the same slice at the same place on both sides is
    /// not read. Memory: a chunk of each side.
    ///
    /// # Errors
    /// A chunk or content list that is missing or damaged.
    pub fn compare_bytes(&mut self, old: &Item, new: &Item) -> Result<ContentDifference, EngineError> {
        if old.size != new.size {
            return Ok(ContentDifference::Some);
        }
        if old.content == new.content {
            return Ok(ContentDifference::None);
        }
        let mut runs = [Run::new(&old.content), Run::new(&new.content)];
        loop {
            let [left, right] = &mut runs;
            let (one, other) = match (left.slice(&mut self.lists)?, right.slice(&mut self.lists)?) {
                (Some(one), Some(other)) => (one, other),
                (None, None) => return Ok(ContentDifference::None),
                _ => return Err(EngineError::damaged("content", "its lists do not add up to its size")),
            };
            let length = (one.length - left.used).min(other.length - right.used);
            if one != other || left.used != right.used {
                let pending = [left.start(&one, &mut self.chunks[0])?, right.start(&other, &mut self.chunks[1])?];
                for ((run, mut batch), chunks) in runs.iter_mut().zip(pending).zip(&mut self.chunks) {
                    if let Some(chunk) = chunks.finish(&mut batch)?.pop() {
                        run.chunk = Some(chunk);
                    }
                }
                if !is_same(runs[0].bytes(&one, length)?, runs[1].bytes(&other, length)?) {
                    return Ok(ContentDifference::Some);
                }
            }
            runs.iter_mut().for_each(|run| run.advance(length));
        }
    }
}

/// 16 bytes of the chunk id, which is a keyed hash, and what is used of the chunk.
type Identity = [u8; 24];

fn identity(slice: &Slice) -> Identity {
    let mut identity = [0; 24];
    identity[..16].copy_from_slice(&slice.id[..16]);
    identity[16..20].copy_from_slice(&slice.offset.to_le_bytes());
    identity[20..].copy_from_slice(&slice.length.to_le_bytes());
    identity
}

/// A content on the way from its beginning to its end.
struct Run<'a> {
    content: &'a Content,
    /// Number of the next content list.
    list: usize,
    slices: Vec<Slice>,
    at: usize,
    /// Bytes of the slice that have been passed.
    used: u32,
    /// The chunk of the slice, if it was needed.
    chunk: Option<Vec<u8>>,
}

impl<'a> Run<'a> {
    fn new(content: &'a Content) -> Self {
        Run { content, list: 0, slices: Vec::new(), at: 0, used: 0, chunk: None }
    }

    /// The current slice.
    fn slice(&mut self, lists: &mut ObjectReader) -> Result<Option<Slice>, EngineError> {
        match self.content {
            Content::Slices(slices) => Ok(slices.get(self.at).copied()),
            Content::Lists(ids) => {
                if self.at == self.slices.len() {
                    let Some(id) = ids.get(self.list) else { return Ok(None) };
                    self.slices = decode_list(&lists.read(id)?)?;
                    (self.list, self.at) = (self.list + 1, 0);
                }
                Ok(self.slices.get(self.at).copied())
            }
        }
    }

    /// Asks for the chunk of the current slice, unless it is there or a hole.
    fn start(
        &self,
        slice: &Slice,
        chunks: &mut ObjectReader,
    ) -> Result<Option<crate::objects::PendingBatch>, EngineError> {
        if self.chunk.is_some() || slice.is_hole() { Ok(None) } else { chunks.start(&[slice.id]) }
    }

    /// The next bytes of the current slice; `None` in a hole.
    fn bytes(&self, slice: &Slice, length: u32) -> Result<Option<&[u8]>, EngineError> {
        if slice.is_hole() {
            return Ok(None);
        }
        let start = slice.offset as usize + self.used as usize;
        let bytes = self.chunk.as_deref().and_then(|chunk| chunk.get(start..start + length as usize));
        bytes.map(Some).ok_or_else(|| EngineError::damaged("chunk", "it is shorter than the item says"))
    }

    fn advance(&mut self, length: u32) {
        self.used += length;
        let slice = match self.content {
            Content::Slices(slices) => slices.get(self.at),
            Content::Lists(_) => self.slices.get(self.at),
        };
        if slice.is_none_or(|slice| self.used >= slice.length) {
            (self.at, self.used, self.chunk) = (self.at + 1, 0, None);
        }
    }
}

fn is_same(left: Option<&[u8]>, right: Option<&[u8]>) -> bool {
    match (left, right) {
        (Some(left), Some(right)) => left == right,
        (Some(bytes), None) | (None, Some(bytes)) => bytes.iter().all(|byte| *byte == 0),
        (None, None) => true,
    }
}
