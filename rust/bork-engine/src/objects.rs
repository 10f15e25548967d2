//! Reading objects by chunk id: locate, fetch, open, decompress, verify.

use crate::error::EngineError;
use crate::index::{ChunkIndex, Location};
use crate::pack::open_object;
use crate::port::{Bytes, PendingFetch, Port, Range};
use crate::seal::FileSeal;
use crate::secrets::Keys;
use bork_core::compress::Decompressor;
use bork_format::Id;
use bork_format::pack::{HEADER_LENGTH, Header};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// Seals of packs that were met; forgotten together when there are too many.
const SEALS_MAX: usize = 4096;

/// Keys of the packs that were met, shared by the threads of an engine.
#[derive(Default)]
pub struct Seals(Mutex<HashMap<Id, Arc<FileSeal>>>);

impl Seals {
    /// The seal of a pack that was met.
    pub fn get(&self, pack: &Id) -> Option<Arc<FileSeal>> {
        self.0.lock().expect("no holder panics").get(pack).cloned()
    }

    /// Learns the seal of a pack from its header.
    pub fn learn(&self, keys: &Keys, pack: Id, header: &[u8]) -> Result<Arc<FileSeal>, EngineError> {
        let seal = Arc::new(keys.file(&Header::decode(header.get(..HEADER_LENGTH).unwrap_or(header))?)?);
        let mut seals = self.0.lock().expect("no holder panics");
        if seals.len() >= SEALS_MAX {
            seals.clear();
        }
        seals.insert(pack, Arc::clone(&seal));
        Ok(seal)
    }
}

/// Where one wanted object lies in an answer.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// Number of the range.
    pub range: usize,
    /// First byte in it.
    pub at: usize,
}

/// Ranges to fetch for some objects.
#[derive(Default)]
pub struct FetchPlan {
    /// Ranges, headers of unknown packs first.
    pub ranges: Vec<Range>,
    /// Packs whose header is range number `i`.
    pub headers: Vec<Id>,
    /// For each object asked for, where it will lie.
    pub parts: Vec<Part>,
}

/// Objects in one pack with a gap up to this long are read in one go. Unit: bytes.
const GAP_MAX: u64 = 128 << 10;
/// Longest single range. Unit: bytes.
const RANGE_MAX: u64 = 8 << 20;

impl FetchPlan {
    /// Plans to read objects, neighbouring ones together. `seals` tells which headers are needed.
    pub fn new(objects: &[Location], seals: &Seals) -> Self {
        let mut plan = FetchPlan::default();
        for location in objects {
            if !plan.headers.contains(&location.pack) && seals.get(&location.pack).is_none() {
                plan.headers.push(location.pack);
                plan.ranges.push(Range { pack: location.pack, offset: 0, length: HEADER_LENGTH as u64 });
            }
        }
        let mut order: Vec<usize> = (0..objects.len()).collect();
        order.sort_unstable_by_key(|at| (objects[*at].pack, objects[*at].object_offset));
        plan.parts = vec![Part { range: 0, at: 0 }; objects.len()];
        for at in order {
            let location = &objects[at];
            let (start, length) = (u64::from(location.object_offset), u64::from(location.record.stored));
            let first_data = plan.headers.len();
            let joins = plan.ranges.len() > first_data
                && plan.ranges.last().is_some_and(|range| {
                    range.pack == location.pack
                        && start <= range.offset + range.length + GAP_MAX
                        && start + length - range.offset <= RANGE_MAX
                });
            if !joins {
                plan.ranges.push(Range { pack: location.pack, offset: start, length: 0 });
            }
            let number = plan.ranges.len() - 1;
            let range = &mut plan.ranges[number];
            range.length = range.length.max(start + length - range.offset);
            plan.parts[at] = Part { range: number, at: (start - range.offset) as usize };
        }
        plan
    }

    /// Learns the seals of new packs from an answer.
    pub fn learn(&self, answer: &[Bytes], keys: &Keys, seals: &Seals) -> Result<(), EngineError> {
        for (pack, bytes) in self.headers.iter().zip(answer) {
            seals.learn(keys, *pack, (**bytes).as_ref())?;
        }
        Ok(())
    }
}

/// Reads whole objects that hold one chunk each: tree nodes, content lists.
pub struct ObjectReader {
    keys: Arc<Keys>,
    index: Arc<ChunkIndex>,
    port: Arc<Port>,
    seals: Seals,
    decompressor: Decompressor,
}

/// A batch of objects on its way.
pub struct PendingBatch {
    locations: Vec<Location>,
    ids: Vec<Id>,
    plan: FetchPlan,
    fetch: PendingFetch,
}

impl ObjectReader {
    /// A reader with its own caches.
    pub fn new(keys: Arc<Keys>, index: Arc<ChunkIndex>, port: Arc<Port>) -> Self {
        ObjectReader { keys, index, port, seals: Seals::default(), decompressor: Decompressor::new() }
    }

    /// The plaintext of one chunk, verified against its id.
    pub fn read(&mut self, id: &Id) -> Result<Vec<u8>, EngineError> {
        let mut batch = self.start(std::slice::from_ref(id))?;
        let mut plains = self.finish(&mut batch)?;
        plains.pop().ok_or_else(|| EngineError::Internal("an empty batch".into()))
    }

    /// Asks for a batch of chunks.
    pub fn start(&mut self, ids: &[Id]) -> Result<Option<PendingBatch>, EngineError> {
        let locations =
            ids.iter().map(|id| self.index.locate(id).ok_or_else(|| missing(id))).collect::<Result<Vec<_>, _>>()?;
        let plan = FetchPlan::new(&locations, &self.seals);
        let fetch = self.port.start_fetch(plan.ranges.clone()).map_err(|_| EngineError::Cancelled)?;
        Ok(Some(PendingBatch { locations, ids: ids.to_vec(), plan, fetch }))
    }

    /// Waits for a batch, opens and verifies it.
    pub fn finish(&mut self, batch: &mut Option<PendingBatch>) -> Result<Vec<Vec<u8>>, EngineError> {
        let Some(PendingBatch { locations, ids, plan, fetch }) = batch.take() else { return Ok(Vec::new()) };
        let answer = fetch.wait(&self.port).map_err(|_| EngineError::Cancelled)?.map_err(EngineError::Storage)?;
        plan.learn(&answer, &self.keys, &self.seals)?;
        let mut plains = Vec::with_capacity(ids.len());
        let mut sealed = Vec::new();
        for ((location, id), part) in locations.iter().zip(&ids).zip(&plan.parts) {
            let seal = self.seals.get(&location.pack).ok_or_else(|| EngineError::Internal("no seal".into()))?;
            let bytes: &[u8] = (*answer[part.range]).as_ref();
            let mut plain = vec![0; location.record.plain as usize];
            let stored = bytes.get(part.at..part.at + location.record.stored as usize);
            sealed.clear();
            sealed.extend_from_slice(stored.ok_or_else(|| short(location))?);
            let record = &location.record;
            if let Err(error) =
                open_object(&seal, location.object_index, record, &mut sealed, &mut self.decompressor, &mut plain)
            {
                // A copy that cannot be opened must not count as stored: the next writer of the chunk stores it again.
                self.index.mark_damaged(std::iter::once(*id), &location.pack);
                return Err(locate(error, location));
            }
            let chunk = plain.get(location.offset as usize..(location.offset + location.length) as usize);
            let chunk = chunk.ok_or_else(|| short(location))?;
            if self.keys.source().identify(chunk) != *id {
                return Err(locate(EngineError::damaged("object", "its content does not match its id"), location));
            }
            plains.push(if chunk.len() == plain.len() { plain } else { chunk.to_vec() });
        }
        Ok(plains)
    }
}

/// An error for a chunk that no pack holds.
pub fn missing(id: &Id) -> EngineError {
    EngineError::damaged(format!("chunk {}", hex(id)), "no pack that the repository holds contains it")
}

/// An error for an answer that ends too early.
pub fn short(location: &Location) -> EngineError {
    locate(EngineError::damaged("object", "the pack ends before it does"), location)
}

/// Adds the place to an error about an object.
pub fn locate(error: EngineError, location: &Location) -> EngineError {
    match error {
        EngineError::Damaged { what, why } => EngineError::Damaged {
            what: format!("{what} at offset {} of pack {}", location.object_offset, hex(&location.pack)),
            why,
        },
        other => other,
    }
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
