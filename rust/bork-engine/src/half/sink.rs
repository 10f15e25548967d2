//! What one worker does with chunks: dedup, group, compress, seal, pack.

use super::{Half, metadata_compressor};
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::pack::{OpenPack, Prepared};
use crate::secrets::random;
use bork_core::compress::{Compressor, Decompressor, padding};
use bork_core::seam::{ChunkSink, Stop};
use bork_format::Id;
use bork_format::item::Content;
use bork_format::pack::{Codec, Kind, ObjectKind};
use std::sync::Arc;

/// Chunks shorter than this are grouped. Unit: bytes.
const GROUPED_MAX: usize = 128 << 10;
/// A group at least this long becomes an object. Unit: bytes. Reading one small file opens one group.
pub(super) const GROUP_LENGTH: usize = 512 << 10;
/// Most chunks of a group.
const GROUP_CHUNKS: usize = 1024;
/// Most chunks of a pack, so that its table of contents stays below 2.5 MB.
const PACK_CHUNKS_MAX: usize = 64 << 10;
/// The sink of one worker.
pub struct LocalSink {
    half: Arc<Half>,
    pack: Option<OpenPack>,
    compressor: Compressor,
    /// Compresses metadata.
    pub metadata_compressor: Compressor,
    check: Decompressor,
    reader: ObjectReader,
    group: Vec<u8>,
    group_chunks: Vec<(Id, u32)>,
    payload: Vec<u8>,
}

impl LocalSink {
    /// A sink for one worker.
    pub fn new(half: Arc<Half>) -> Result<Self, EngineError> {
        let plan = |error: bork_core::compress::SpecError| EngineError::Plan(error.to_string());
        Ok(LocalSink {
            pack: None,
            compressor: Compressor::new(half.options.compression).map_err(plan)?,
            metadata_compressor: metadata_compressor()?,
            check: Decompressor::new(),
            reader: ObjectReader::new(Arc::clone(&half.keys), Arc::clone(&half.index), Arc::clone(&half.port)),
            group: Vec::new(),
            group_chunks: Vec::new(),
            payload: Vec::new(),
            half,
        })
    }

    fn flush_group(&mut self) -> Result<(), Stop> {
        if self.group_chunks.is_empty() {
            return Ok(());
        }
        let group = std::mem::take(&mut self.group);
        let chunks = std::mem::take(&mut self.group_chunks);
        let result = self.store_object(&group, chunks);
        self.group = group;
        self.group.clear();
        result
    }

    fn store_object(&mut self, plain: &[u8], chunks: Vec<(Id, u32)>) -> Result<(), Stop> {
        self.payload.clear();
        let codec = self.compressor.compress(plain, &mut self.payload);
        let padding = self.padding(self.payload.len())?;
        let payload = std::mem::take(&mut self.payload);
        let kind = ObjectKind::Content;
        let plain_length = plain.len() as u32;
        let plain = Some(plain);
        let object = Prepared { payload: &payload, codec, plain_length, plain, kind, chunks, padding };
        let result = self.append(object);
        self.payload = payload;
        result
    }

    fn append(&mut self, object: Prepared<'_>) -> Result<(), Stop> {
        let length = object.payload.len() + object.padding;
        if self.pack.as_mut().is_some_and(|pack| !pack.has_room(length, object.chunks.len())) {
            self.close_pack()?;
        }
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => self.half.open_pack(Kind::Data, &self.half.pool)?,
        };
        let (lengths, plain_length) = (object.chunks.clone(), object.plain_length);
        let record = pack.append(object, &mut self.check).map_err(|error| self.half.port.fail(error))?;
        for (id, length) in &lengths {
            let share = u64::from(record.stored) * u64::from(*length) / u64::from(plain_length.max(1));
            self.half.claims.stored(id, share as u32);
            self.half.counters.count(share, true);
        }
        let complete = pack.length() >= self.half.options.pack_length || pack.chunks() >= PACK_CHUNKS_MAX;
        self.pack = Some(pack);
        if complete { self.close_pack() } else { Ok(()) }
    }

    /// Stores an object as it is, known or not: for who moves it out of another pack.
    pub fn copy(&mut self, object: Prepared<'_>) -> Result<(), Stop> {
        match object.kind {
            ObjectKind::Content => self.append(object),
            ObjectKind::Node | ObjectKind::List => self.half.append_metadata(object),
        }
    }

    /// Stores a chunk in a new group, known or not: for who moves a part of an object.
    pub fn regroup(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        self.group.extend_from_slice(bytes);
        self.group_chunks.push((*id, bytes.len() as u32));
        if self.group.len() >= GROUP_LENGTH || self.group_chunks.len() >= GROUP_CHUNKS {
            self.flush_group()?;
        }
        Ok(())
    }

    /// Stores a chunk although the repository holds it, unless this run is storing it already.
    pub fn put_again(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        if !self.half.claims.claim(id) {
            self.half.counters.count(u64::from(self.claimed(id).unwrap_or(0)), false);
            return Ok(());
        }
        self.store_claimed(id, bytes)
    }

    fn store_claimed(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        if bytes.len() >= GROUPED_MAX {
            return self.store_object(bytes, vec![(*id, bytes.len() as u32)]);
        }
        self.regroup(id, bytes)
    }

    /// Stores chunks that came compressed together, unless they are known. If all are new, the payload is stored as it
    /// came. The caller has verified that `payload` is `plain` compressed, and that the chunks have these ids.
    pub fn put_compressed(
        &mut self,
        codec: Codec,
        payload: &[u8],
        plain: &[u8],
        chunks: Vec<(Id, u32)>,
    ) -> Result<(), Stop> {
        let mut new = Vec::with_capacity(chunks.len());
        for (id, _) in &chunks {
            let known = self.half.stored_length(id);
            let is_new = known.is_none() && self.half.claims.claim(id);
            if !is_new {
                self.half.counters.count(known.unwrap_or(0), false);
            }
            new.push(is_new);
        }
        if new.iter().all(|is_new| *is_new) {
            let padding = self.padding(payload.len())?;
            let kind = ObjectKind::Content;
            let plain_length = plain.len() as u32;
            return self.append(Prepared { payload, codec, plain_length, plain: None, kind, chunks, padding });
        }
        let mut start = 0;
        for ((id, length), is_new) in chunks.iter().zip(new) {
            let end = start + *length as usize;
            if is_new {
                self.store_claimed(id, &plain[start..end])?;
            }
            start = end;
        }
        Ok(())
    }

    /// Stored length of a chunk of this run that no index names yet; 0 while it waits for its group.
    pub fn claimed(&self, id: &Id) -> Option<u32> {
        self.half.claims.contains(id)
    }

    /// The codec that an object of these bytes would get. Cost: compresses them.
    pub fn codec_of(&mut self, bytes: &[u8]) -> Codec {
        self.payload.clear();
        self.compressor.compress(bytes, &mut self.payload)
    }

    fn padding(&self, payload: usize) -> Result<usize, Stop> {
        let spec = self.half.options.compression.obfuscate;
        if spec == 0 {
            return Ok(0);
        }
        let mut bytes = [0; 8];
        random(&mut bytes).map_err(|error| self.half.port.fail(error))?;
        Ok(padding(spec, payload, u64::from_le_bytes(bytes)))
    }

    fn close_pack(&mut self) -> Result<(), Stop> {
        let Some(pack) = self.pack.take() else { return Ok(()) };
        let finished = pack.finish().map_err(|error| self.half.port.fail(error))?;
        self.half.store_pack(finished)
    }
}

impl ChunkSink for LocalSink {
    fn put(&mut self, id: &Id, bytes: &[u8]) -> Result<(), Stop> {
        if let Some(stored) = self.known(id) {
            self.half.counters.count(stored, false);
            return Ok(());
        }
        self.put_again(id, bytes)
    }

    fn known(&self, id: &Id) -> Option<u64> {
        self.half.stored_length(id)
    }

    fn reused(&mut self, _: &Id, stored: u64) {
        self.half.counters.count(stored, false);
    }

    fn reuse_lists(&mut self, lists: &[Id]) -> bool {
        let stored = self.half.stored_lengths(&Content::Lists(lists.to_vec()), &mut self.reader);
        stored.inspect(|stored| self.half.count_reused(stored)).is_some()
    }

    fn put_list(&mut self, encoded: &[u8]) -> Result<Id, Stop> {
        self.half.put_metadata(ObjectKind::List, encoded, &mut self.metadata_compressor)
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.flush_group()?;
        self.close_pack()
    }
}
