//! Index objects: the table of some packs, sealed and opened. See docs/format/index.md.

use crate::error::EngineError;
use crate::secrets::Keys;
use bork_format::Id;
use bork_format::index::{self, Pack, SEGMENT_LENGTH};
use bork_format::pack::{HEADER_LENGTH, Header, Kind, TAG_LENGTH, TocObject};

/// A finished pack as an index sees it.
pub struct IndexedPack {
    /// Name of the pack.
    pub name: Id,
    /// Length of the file. Unit: bytes.
    pub length: u64,
    /// Its table of contents.
    pub objects: Vec<TocObject>,
}

impl IndexedPack {
    /// Whether each object has all of its chunks: a table may leave out what another pack of it holds, too.
    pub(super) fn is_whole(&self) -> bool {
        self.objects.iter().all(|object| {
            let total: u64 = object.chunks.iter().map(|(_, length)| u64::from(*length)).sum();
            total == u64::from(object.record.plain) && object.chunks.len() == usize::from(object.record.chunks)
        })
    }
}

/// Builds the table of some packs. A chunk that stands in several packs is listed for each of them.
pub fn build_table(packs: &[IndexedPack], superseded: &[Id]) -> Vec<u8> {
    let mut objects = Vec::new();
    let mut chunks = Vec::new();
    for (number, pack) in packs.iter().enumerate() {
        let mut offset = HEADER_LENGTH as u32;
        for object in &pack.objects {
            let mut inside = 0;
            for (id, length) in &object.chunks {
                chunks.push(index::Chunk { id: *id, object: objects.len() as u32, offset: inside, length: *length });
                inside += length;
            }
            objects.push(index::Object { pack: number as u32, offset, record: object.record });
            offset += object.record.stored;
        }
    }
    chunks.sort_unstable_by_key(|chunk| (chunk.id, chunk.object));
    chunks.dedup_by_key(|chunk| (chunk.id, chunk.object));
    let packs: Vec<Pack> = packs.iter().map(|pack| Pack { name: pack.name, length: pack.length }).collect();
    index::encode(&packs, superseded, &objects, chunks)
}

/// Seals a table in its place: the bytes of an index object. Memory: none of its own.
pub fn seal_index(keys: &Keys, plain: Vec<u8>) -> Result<Vec<u8>, EngineError> {
    const SEALED: usize = SEGMENT_LENGTH + TAG_LENGTH;
    let (header, seal) = keys.new_file(Kind::Index)?;
    let (length, segments) = (plain.len(), plain.len().div_ceil(SEGMENT_LENGTH));
    let mut out = plain;
    out.reserve_exact(HEADER_LENGTH + segments * TAG_LENGTH);
    out.resize(HEADER_LENGTH + length + segments * TAG_LENGTH, 0);
    // Room for the header, and for a tag behind each segment: the last one is moved first.
    for number in (0..segments).rev() {
        let start = number * SEGMENT_LENGTH;
        out.copy_within(start..length.min(start + SEGMENT_LENGTH), HEADER_LENGTH + number * SEALED);
    }
    out[..HEADER_LENGTH].copy_from_slice(&header.encode());
    for (number, sealed) in out[HEADER_LENGTH..].chunks_mut(SEALED).enumerate() {
        let (segment, tag) = sealed.split_at_mut(sealed.len() - TAG_LENGTH);
        tag.copy_from_slice(&seal.seal(number as u32, &segment_context(segments), segment)?);
    }
    Ok(out)
}

/// Opens an index object.
pub fn open_index(keys: &Keys, data: &[u8]) -> Result<Vec<u8>, EngineError> {
    let header = Header::decode(data.get(..HEADER_LENGTH).unwrap_or(data))?;
    if header.kind != Kind::Index {
        return Err(EngineError::damaged("index", "it is a file of another kind"));
    }
    let seal = keys.file(&header)?;
    let body = &data[HEADER_LENGTH..];
    let segments = body.len().div_ceil(SEGMENT_LENGTH + TAG_LENGTH);
    if body.len() % (SEGMENT_LENGTH + TAG_LENGTH) == TAG_LENGTH {
        return Err(EngineError::damaged("index", "its last segment is empty"));
    }
    let mut plain = Vec::with_capacity(body.len());
    let mut segment = Vec::new();
    for (number, sealed) in body.chunks(SEGMENT_LENGTH + TAG_LENGTH).enumerate() {
        sealed.clone_into(&mut segment);
        plain.extend_from_slice(seal.open(number as u32, &segment_context(segments), &mut segment)?);
    }
    Ok(plain)
}

fn segment_context(segments: usize) -> [u8; 4] {
    (segments as u32).to_le_bytes()
}
