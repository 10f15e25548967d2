//! Reading chunks one after the other, as files need them: neighbours mostly lie in the object that is open already.

use crate::error::EngineError;
use crate::half::Half;
use crate::index::Location;
use crate::objects::{FetchPlan, Seals, hex, locate, missing, short};
use crate::pack::open_object;
use bork_core::compress::Decompressor;
use bork_format::Id;
use bork_format::item::Slice;
use std::sync::Arc;

/// Reads chunks. Memory: one object.
pub struct ChunkReader {
    half: Arc<Half>,
    seals: Seals,
    decompressor: Decompressor,
    sealed: Vec<u8>,
    plain: Vec<u8>,
    /// Pack and number of the object in `plain`.
    open: Option<(Id, u32)>,
}

impl ChunkReader {
    /// Nothing is open.
    pub fn new(half: &Arc<Half>) -> Self {
        ChunkReader {
            half: Arc::clone(half),
            seals: Seals::default(),
            decompressor: Decompressor::new(),
            sealed: Vec::new(),
            plain: Vec::new(),
            open: None,
        }
    }

    /// The bytes of a slice that is no hole; its chunk is verified against its id. If one copy of the chunk cannot be
    /// opened, the next one is tried.
    pub fn slice(&mut self, slice: &Slice) -> Result<&[u8], EngineError> {
        let location = self.open_chunk(&slice.id)?;
        let start = location.offset as usize + slice.offset as usize;
        let end = start + slice.length as usize;
        if end > (location.offset + location.length) as usize {
            return Err(EngineError::damaged(format!("chunk {}", hex(&slice.id)), "it is shorter than its file says"));
        }
        Ok(&self.plain[start..end])
    }

    /// The bytes of a whole chunk, verified.
    pub fn chunk(&mut self, id: &Id) -> Result<&[u8], EngineError> {
        let location = self.open_chunk(id)?;
        Ok(&self.plain[location.offset as usize..(location.offset + location.length) as usize])
    }

    fn open_chunk(&mut self, id: &Id) -> Result<Location, EngineError> {
        let mut tried: Vec<Id> = Vec::new();
        loop {
            let location = self.half.index.locate(id).ok_or_else(|| missing(id))?;
            let error = match self.open_at(&location, id) {
                Ok(()) => return Ok(location),
                Err(EngineError::Cancelled) => return Err(EngineError::Cancelled),
                Err(error) => error,
            };
            self.open = None;
            self.half.index.mark_damaged(std::iter::once(*id), &location.pack);
            if tried.contains(&location.pack) || self.half.index.is_damaged(id) {
                return Err(error);
            }
            tried.push(location.pack);
        }
    }

    fn open_at(&mut self, location: &Location, id: &Id) -> Result<(), EngineError> {
        if self.open != Some((location.pack, location.object_index)) {
            self.fetch(location)?;
        }
        let (start, end) = (location.offset as usize, (location.offset + location.length) as usize);
        let chunk = self.plain.get(start..end).ok_or_else(|| short(location))?;
        if self.half.keys.source().identify(chunk) == *id {
            return Ok(());
        }
        Err(locate(EngineError::damaged("object", "its content does not match its id"), location))
    }

    fn fetch(&mut self, location: &Location) -> Result<(), EngineError> {
        self.open = None;
        let plan = FetchPlan::new(std::slice::from_ref(location), &self.seals);
        let answer = self.half.port.fetch(plan.ranges.clone()).map_err(|_| EngineError::Cancelled)?;
        let answer = answer.map_err(EngineError::Storage)?;
        plan.learn(&answer, &self.half.keys, &self.seals)?;
        let seal = self.seals.get(&location.pack).ok_or_else(|| EngineError::Internal("no seal".into()))?;
        let part = plan.parts[0];
        let bytes: &[u8] = (*answer[part.range]).as_ref();
        let stored = bytes.get(part.at..part.at + location.record.stored as usize).ok_or_else(|| short(location))?;
        self.sealed.clear();
        self.sealed.extend_from_slice(stored);
        self.plain.resize(location.record.plain as usize, 0);
        let (record, index) = (&location.record, location.object_index);
        open_object(&seal, index, record, &mut self.sealed, &mut self.decompressor, &mut self.plain)
            .map_err(|error| locate(error, location))?;
        self.open = Some((location.pack, location.object_index));
        Ok(())
    }
}
