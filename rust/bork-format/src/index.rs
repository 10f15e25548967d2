//! Index tables: where every chunk of some packs is. Specified in docs/format/index.md.
//!
//! A table is the plaintext of an index object, and the content of a local cache file, which is mapped into memory
//! and searched in place: 44 bytes a chunk and 24 bytes an object. A TiB in chunks of 1 MiB needs about 46 + 25 MB
//! of table, nearly all of it page cache; nothing is decoded into the heap.
//!
//! ```text
//! header 64 | packs 40 each | superseded indexes 32 each | objects 24 each | chunks 44 each, sorted by id and object
//! ```

use crate::codec::Reader;
use crate::pack::{RECORD_LENGTH, Record};
use crate::{Error, ID_LENGTH, Id, Result, malformed};

/// First bytes of a table.
pub const MAGIC: [u8; 8] = *b"BORKTABL";
/// Version of the table format.
pub const VERSION: u32 = 1;
/// Length of the table header. Unit: bytes.
pub const HEADER_LENGTH: usize = 64;
/// Length of a pack record: name and length. Unit: bytes.
pub const PACK_LENGTH: usize = ID_LENGTH + 8;
/// Length of an object record: pack number, offset, and the record of the table of contents. Unit: bytes.
pub const OBJECT_LENGTH: usize = 8 + RECORD_LENGTH;
/// Length of a chunk record: id, object number, offset, length. Unit: bytes.
pub const CHUNK_LENGTH: usize = ID_LENGTH + 12;
/// Plain bytes of one sealed segment of an index object.
pub const SEGMENT_LENGTH: usize = 1 << 20;

/// Where the header has the number of chunks.
const CHUNKS_COUNT_AT: usize = 24;
const WHAT: &str = "index";

/// One pack that the table covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// Name: BLAKE3 of the file.
    pub name: Id,
    /// Length of the file. Unit: bytes.
    pub length: u64,
}

/// One object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object {
    /// Number of its pack in the table.
    pub pack: u32,
    /// First byte in the pack.
    pub offset: u32,
    /// Lengths, codec, kind.
    pub record: Record,
}

/// One chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Chunk id.
    pub id: Id,
    /// Number of its object in the table.
    pub object: u32,
    /// First byte in the plaintext of the object.
    pub offset: u32,
    /// Unit: bytes.
    pub length: u32,
}

/// Counts and section offsets of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Number of packs.
    pub packs: usize,
    /// Number of index objects that this one replaces.
    pub superseded: usize,
    /// Number of objects.
    pub objects: usize,
    /// Number of chunks.
    pub chunks: usize,
}

impl Layout {
    fn superseded_at(&self) -> usize {
        HEADER_LENGTH + self.packs * PACK_LENGTH
    }

    fn objects_at(&self) -> usize {
        self.superseded_at() + self.superseded * ID_LENGTH
    }

    fn chunks_at(&self) -> usize {
        self.objects_at() + self.objects * OBJECT_LENGTH
    }

    /// Length of the whole table. Unit: bytes.
    pub fn length(&self) -> usize {
        self.chunks_at() + self.chunks * CHUNK_LENGTH
    }
}

/// Encodes a table. `chunks` must be sorted by id, and copies of one chunk by object. Memory: the table; as long as
/// the upper bound of the iterator says, of which what is not used is never touched.
pub fn encode(
    packs: &[Pack],
    superseded: &[Id],
    objects: &[Object],
    chunks: impl IntoIterator<Item = Chunk>,
) -> Vec<u8> {
    let chunks = chunks.into_iter();
    let (least, most) = chunks.size_hint();
    let (packs_count, chunks_max) = (packs.len(), most.unwrap_or(least));
    let layout =
        Layout { packs: packs_count, superseded: superseded.len(), objects: objects.len(), chunks: chunks_max };
    let mut out = Vec::with_capacity(layout.length());
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    for count in [layout.packs, layout.superseded, layout.objects] {
        out.extend_from_slice(&(count as u32).to_le_bytes());
    }
    out.resize(HEADER_LENGTH, 0);
    for pack in packs {
        out.extend_from_slice(&pack.name);
        out.extend_from_slice(&pack.length.to_le_bytes());
    }
    out.extend_from_slice(superseded.as_flattened());
    for object in objects {
        out.extend_from_slice(&object.pack.to_le_bytes());
        out.extend_from_slice(&object.offset.to_le_bytes());
        out.extend_from_slice(&object.record.encode());
    }
    for chunk in chunks {
        out.extend_from_slice(&chunk.id);
        for number in [chunk.object, chunk.offset, chunk.length] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }
    let count = ((out.len() - layout.chunks_at()) / CHUNK_LENGTH) as u32;
    out[CHUNKS_COUNT_AT..CHUNKS_COUNT_AT + 4].copy_from_slice(&count.to_le_bytes());
    out
}

/// Reads the header of a table and checks that its sections fill `bytes` exactly.
pub fn layout(bytes: &[u8]) -> Result<Layout> {
    let mut r = Reader::new(bytes, WHAT);
    if r.take_array::<8>()? != MAGIC {
        return malformed(WHAT, "it does not begin with BORKTABL");
    }
    let version = u32::from_le_bytes(r.take_array()?);
    if version != VERSION {
        return Err(Error::Unknown { what: WHAT, field: "version", value: u64::from(version) });
    }
    let mut count = || r.take_array().map(|bytes| u32::from_le_bytes(bytes) as usize);
    let layout = Layout { packs: count()?, superseded: count()?, objects: count()?, chunks: count()? };
    if r.take(HEADER_LENGTH - 28)?.iter().any(|byte| *byte != 0) {
        return malformed(WHAT, "reserved bytes of the header are not zero");
    }
    if layout.length() != bytes.len() {
        return malformed(WHAT, "its sections do not fill it");
    }
    Ok(layout)
}

/// A table that has been checked with [`View::check`]; look-ups trust it.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> View<'a> {
    /// Wraps a table whose records were checked before. Cost: O(1).
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        Ok(View { bytes, layout: layout(bytes)? })
    }

    /// Wraps a table whose layout was read before. Cost: nothing.
    pub fn with_layout(bytes: &'a [u8], layout: Layout) -> Self {
        View { bytes, layout }
    }

    /// Checks every record: numbers in range, objects within their packs, chunks sorted and within their objects.
    /// Cost: one pass over the table.
    pub fn check(&self) -> Result<()> {
        // Objects stand in the order of packs and, within one, of offsets, without gaps from the header on: a reader
        // counts them to know their nonces.
        let mut expected = (0, crate::pack::HEADER_LENGTH as u64);
        for at in 0..self.layout.objects {
            let object = self.object(at)?;
            let Some(pack) = self.pack(object.pack as usize) else {
                return malformed(WHAT, "an object names a pack that is not there");
            };
            if object.pack > expected.0 {
                expected = (object.pack, crate::pack::HEADER_LENGTH as u64);
            }
            if (object.pack, u64::from(object.offset)) != expected {
                return malformed(WHAT, "the objects of a pack do not follow each other");
            }
            expected.1 += u64::from(object.record.stored);
            if expected.1 > pack.length {
                return malformed(WHAT, "an object lies outside its pack");
            }
        }
        let mut previous: Option<(Id, u32)> = None;
        for at in 0..self.layout.chunks {
            let chunk = self.chunk(at);
            if previous.is_some_and(|previous| previous >= (chunk.id, chunk.object)) {
                return malformed(WHAT, "chunks are not sorted");
            }
            previous = Some((chunk.id, chunk.object));
            if chunk.object as usize >= self.layout.objects {
                return malformed(WHAT, "a chunk names an object that is not there");
            }
            let plain = self.object(chunk.object as usize)?.record.plain;
            if chunk.length == 0 {
                return malformed(WHAT, "a chunk is empty");
            }
            if u64::from(chunk.offset) + u64::from(chunk.length) > u64::from(plain) {
                return malformed(WHAT, "a chunk lies outside its object");
            }
        }
        Ok(())
    }

    /// Counts.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Pack number `at`.
    pub fn pack(&self, at: usize) -> Option<Pack> {
        if at >= self.layout.packs {
            return None;
        }
        let mut r = Reader::new(&self.bytes[HEADER_LENGTH + at * PACK_LENGTH..], WHAT);
        let name = r.take_array().ok()?;
        let length = u64::from_le_bytes(r.take_array().ok()?);
        Some(Pack { name, length })
    }

    /// Index object number `at` that this one replaces.
    pub fn superseded(&self, at: usize) -> Option<Id> {
        let from = self.layout.superseded_at() + at * ID_LENGTH;
        if at < self.layout.superseded { self.bytes[from..from + ID_LENGTH].try_into().ok() } else { None }
    }

    /// Object number `at`.
    pub fn object(&self, at: usize) -> Result<Object> {
        let mut r = Reader::new(&self.bytes[self.layout.objects_at() + at * OBJECT_LENGTH..], WHAT);
        let pack = u32::from_le_bytes(r.take_array()?);
        let offset = u32::from_le_bytes(r.take_array()?);
        Ok(Object { pack, offset, record: Record::decode(&r.take_array()?)? })
    }

    /// Chunk number `at` in the order of ids.
    pub fn chunk(&self, at: usize) -> Chunk {
        let from = self.layout.chunks_at() + at * CHUNK_LENGTH;
        let record = &self.bytes[from..from + CHUNK_LENGTH];
        let mut id = [0; ID_LENGTH];
        id.copy_from_slice(&record[..ID_LENGTH]);
        let number = |at: usize| u32::from_le_bytes([record[at], record[at + 1], record[at + 2], record[at + 3]]);
        Chunk { id, object: number(32), offset: number(36), length: number(40) }
    }

    /// Id of chunk number `at`.
    pub fn id(&self, at: usize) -> &'a [u8] {
        let from = self.layout.chunks_at() + at * CHUNK_LENGTH;
        &self.bytes[from..from + ID_LENGTH]
    }

    /// The positions of all copies of a chunk: mostly none or one.
    pub fn positions(&self, id: &Id) -> std::ops::Range<usize> {
        let Some(first) = self.position(id) else { return 0..0 };
        let mut end = first + 1;
        while end < self.layout.chunks && self.id(end) == id {
            end += 1;
        }
        first..end
    }

    /// The first copy of a chunk.
    pub fn find(&self, id: &Id) -> Option<Chunk> {
        self.position(id).map(|at| self.chunk(at))
    }

    /// The position of the first copy. Ids are uniform, so it is guessed from the leading bits and corrected:
    /// O(log log n).
    fn position(&self, id: &Id) -> Option<usize> {
        let count = self.layout.chunks;
        let leading = u64::from_be_bytes(id[..8].try_into().ok()?);
        let guess = ((u128::from(leading) * count as u128) >> 64) as usize;
        let mut step = 1 + (count as f64).sqrt() as usize / 2;
        let (mut low, mut high) = (guess.min(count), guess.min(count));
        while low > 0 && self.id(low - 1) >= &id[..] {
            low = low.saturating_sub(step);
            step *= 2;
        }
        step = 1 + (count as f64).sqrt() as usize / 2;
        while high < count && self.id(high) < &id[..] {
            low = low.max(high);
            high = (high + step).min(count);
            step *= 2;
        }
        high = high.max(guess.min(count));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.id(middle) < &id[..] {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        (low < count && self.id(low) == id).then_some(low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Codec, ObjectKind};
    use proptest::prelude::*;

    fn table(ids: &[Id]) -> Vec<u8> {
        let record =
            Record { stored: 90, payload: 60, plain: 100, codec: Codec::None, kind: ObjectKind::Content, chunks: 1 };
        let chunks: Vec<_> = ids.iter().map(|id| Chunk { id: *id, object: 0, offset: 10, length: 90 }).collect();
        encode(&[Pack { name: [7; 32], length: 200 }], &[], &[Object { pack: 0, offset: 64, record }], chunks)
    }

    proptest! {
        #[test]
        fn every_chunk_is_found_and_no_other(mut ids in proptest::collection::vec(any::<[u8; 32]>(), 0..300),
                                             other: [u8; 32], skew: bool) {
            if skew {
                for id in &mut ids { id[..6].fill(0) }
            }
            ids.sort_unstable();
            ids.dedup();
            let bytes = table(&ids);
            let view = View::new(&bytes).expect("valid");
            prop_assert!(view.check().is_ok());
            for id in &ids {
                prop_assert_eq!(view.find(id).map(|chunk| chunk.id), Some(*id));
            }
            prop_assert_eq!(view.find(&other).is_some(), ids.contains(&other));
        }
    }

    #[test]
    fn every_prefix_is_refused() {
        let bytes = table(&[[1; 32], [2; 32]]);
        for length in 0..bytes.len() {
            assert!(View::new(&bytes[..length]).is_err());
        }
    }
}
