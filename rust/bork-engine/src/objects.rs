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
    /// Chunks that were read before they are asked for.
    ahead: HashMap<Id, Vec<u8>>,
}

/// Chunks that are read ahead at a time, and their plain bytes: one round trip instead of one for each.
const AHEAD: usize = 128;
const AHEAD_LENGTH: usize = 8 << 20;

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
        let (seals, decompressor) = (Seals::default(), Decompressor::new());
        ObjectReader { keys, index, port, seals, decompressor, ahead: HashMap::new() }
    }

    /// Reads some of `ids`, the first ones, which `read` will be asked for next. False: something went wrong, which
    /// `read` will meet, and nothing was read. What was read ahead before and not asked for is forgotten. Memory: 8 MiB,
    /// or one chunk.
    pub fn read_ahead(&mut self, ids: &[Id]) -> bool {
        let (mut count, mut length) = (0, 0);
        while count < ids.len().min(AHEAD) && (count == 0 || length <= AHEAD_LENGTH) {
            length += self.plain_length(&ids[count]);
            count += usize::from(count == 0 || length <= AHEAD_LENGTH);
        }
        self.ahead.clear();
        let read = self.start(&ids[..count]).and_then(|mut pending| self.finish(&mut pending));
        read.map(|plains| self.ahead.extend(ids.iter().copied().zip(plains))).is_ok()
    }

    /// Whether `read` need not ask anybody.
    pub fn has_ahead(&self, id: &Id) -> bool {
        self.ahead.contains_key(id)
    }

    /// The plaintext of one chunk, verified against its id.
    pub fn read(&mut self, id: &Id) -> Result<Vec<u8>, EngineError> {
        if let Some(plain) = self.ahead.remove(id) {
            return Ok(plain);
        }
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

    /// Length of the plaintext of the object that holds a chunk; 0 if there is none. Unit: bytes.
    pub fn plain_length(&self, id: &Id) -> usize {
        self.index.locate(id).map_or(0, |location| location.record.plain as usize)
    }

    /// Waits for a batch, opens and verifies it. Of a chunk whose copy is damaged another copy is read, if there is one.
    pub fn finish(&mut self, batch: &mut Option<PendingBatch>) -> Result<Vec<Vec<u8>>, EngineError> {
        let Some(PendingBatch { locations, ids, plan, fetch }) = batch.take() else { return Ok(Vec::new()) };
        let answer = fetch.wait(&self.port).map_err(|_| EngineError::Cancelled)?.map_err(EngineError::Storage);
        let answer = answer.and_then(|answer| plan.learn(&answer, &self.keys, &self.seals).map(|()| answer));
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if ids.len() == 1 => return Ok(vec![self.other_copy(&ids[0], &locations[0], error)?]),
            // Part of the batch cannot be read: finds out which part.
            Err(_) => return ids.iter().map(|id| self.read(id)).collect(),
        };
        let mut plains = Vec::with_capacity(ids.len());
        for ((location, id), part) in locations.iter().zip(&ids).zip(&plan.parts) {
            let Some(seal) = self.seals.get(&location.pack) else {
                plains.push(self.read(id)?); // too many packs were met meanwhile: its header has to be read again
                continue;
            };
            let bytes = (*answer[part.range]).as_ref().get(part.at..).unwrap_or_default();
            plains.push(match self.open(id, location, &seal, bytes) {
                Ok(plain) => plain,
                Err(error) => self.other_copy(id, location, error)?,
            });
        }
        Ok(plains)
    }

    /// The verified chunk in the object that `bytes` begins with.
    fn open(&mut self, id: &Id, location: &Location, seal: &FileSeal, bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
        let record = &location.record;
        let mut plain = vec![0; record.plain as usize];
        let mut sealed = bytes.get(..record.stored as usize).ok_or_else(|| short(location))?.to_vec();
        open_object(seal, location.object_index, record, &mut sealed, &mut self.decompressor, &mut plain)
            .map_err(|error| locate(error, location))?;
        let chunk = plain.get(location.offset as usize..(location.offset + location.length) as usize);
        let chunk = chunk.ok_or_else(|| short(location))?;
        if self.keys.source().identify(chunk) != *id {
            return Err(locate(EngineError::damaged("object", "its content does not match its id"), location));
        }
        Ok(if chunk.len() == plain.len() { plain } else { chunk.to_vec() })
    }

    /// Notes that a copy cannot be read, so that it does not count as stored: the next writer of the chunk stores it
    /// again. Then reads another copy; `error`, if there is none.
    fn other_copy(&mut self, id: &Id, location: &Location, error: EngineError) -> Result<Vec<u8>, EngineError> {
        self.index.mark_damaged(std::iter::once(*id), &location.pack);
        if self.index.is_damaged(id) { Err(error) } else { self.read(id) }
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
