//! Pack files: header, sealed objects, sealed table of contents, trailer. Specified in docs/format/pack.md and
//! docs/format/object.md. Index objects and archive heads begin with the same header.
//!
//! ```text
//! header 64 | object 0 | object 1 | ... | table of contents | parity (reserved) | trailer 32
//! ```

use crate::codec::Reader;
use crate::{Error, ID_LENGTH, Id, Result, malformed};

/// First bytes of every sealed file.
pub const MAGIC: [u8; 8] = *b"BORKPACK";
/// Version of the sealed file format.
pub const VERSION: u8 = 1;
/// Length of the header. Unit: bytes.
pub const HEADER_LENGTH: usize = 64;
/// Length of the trailer. Unit: bytes.
pub const TRAILER_LENGTH: usize = 32;
/// Last bytes of a pack.
pub const TRAILER_MAGIC: [u8; 8] = *b"KCAPKROB";
/// Length of an authentication tag in every suite. Unit: bytes.
pub const TAG_LENGTH: usize = 16;
/// Length of the record of one object in a table of contents. Unit: bytes.
pub const RECORD_LENGTH: usize = 16;
/// Length of the record of one chunk in a table of contents. Unit: bytes.
pub const CHUNK_RECORD_LENGTH: usize = ID_LENGTH + 4;
/// Nonce index of the table of contents; objects count up from 0.
pub const TOC_NONCE: u32 = u32::MAX;
/// Longest plaintext of an object. Unit: bytes.
pub const PLAIN_LENGTH_MAX: u32 = 32 << 20;
/// Longest object in a pack: payload and padding, which are at most as long as a plaintext, and the tag. Unit: bytes.
pub const STORED_LENGTH_MAX: u32 = PLAIN_LENGTH_MAX + 16;
/// Most objects in one pack.
pub const OBJECTS_MAX: u32 = 1 << 20;
/// Most chunks in one object.
pub const CHUNKS_PER_OBJECT_MAX: u16 = 4096;
/// Longest pack. Unit: bytes. Offsets have 32 bits.
pub const PACK_LENGTH_MAX: u64 = u32::MAX as u64;

/// What a sealed file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Kind {
    /// File content.
    Data = 1,
    /// Tree nodes and content lists.
    Metadata = 2,
    /// An index object.
    Index = 3,
    /// The head of one archive.
    Head = 4,
    /// A generation: what compactions condemned.
    Generation = 5,
}

/// How a file is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305.
    ChaCha20Poly1305 = 2,
    /// Plain bytes and a keyed BLAKE3 tag.
    Blake3Mac = 3,
}

/// How the payload of an object is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Stored as it is.
    None = 0,
    /// LZ4 block.
    Lz4 = 1,
    /// Zstandard frame.
    Zstd = 2,
    /// zlib stream.
    Zlib = 3,
    /// xz stream.
    Lzma = 4,
}

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ObjectKind {
    /// One or more chunks of file content, one after the other.
    Content = 1,
    /// One node of an item tree.
    Node = 2,
    /// One content list.
    List = 3,
}

macro_rules! from_byte {
    ($type:ident, $what:literal, $($variant:ident),+) => {
        impl $type {
            /// The value of a byte, or a refusal.
            pub fn from_byte(byte: u8) -> Result<Self> {
                $(if byte == Self::$variant as u8 { return Ok(Self::$variant); })+
                Err(Error::Unknown { what: "pack", field: $what, value: u64::from(byte) })
            }
        }
    };
}
from_byte!(Kind, "kind", Data, Metadata, Index, Head, Generation);
from_byte!(Suite, "suite", Aes256Gcm, ChaCha20Poly1305, Blake3Mac);
from_byte!(Codec, "codec", None, Lz4, Zstd, Zlib, Lzma);
from_byte!(ObjectKind, "object kind", Content, Node, List);

/// The first 64 bytes of a sealed file. All of them enter its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// What the file holds.
    pub kind: Kind,
    /// How it is sealed.
    pub suite: Suite,
    /// Which data secret; 0 until keys are rotated.
    pub epoch: u16,
    /// First half of the repository id.
    pub repository: [u8; 16],
    /// Random, never used twice: with the data secret it gives the key of this file.
    pub salt: [u8; 32],
}

impl Header {
    /// The 64 bytes.
    pub fn encode(&self) -> [u8; HEADER_LENGTH] {
        let mut out = [0; HEADER_LENGTH];
        out[0..8].copy_from_slice(&MAGIC);
        out[8] = VERSION;
        out[9] = self.kind as u8;
        out[10] = self.suite as u8;
        out[11] = 0; // parity scheme: none
        out[12..14].copy_from_slice(&self.epoch.to_le_bytes());
        out[16..32].copy_from_slice(&self.repository);
        out[32..64].copy_from_slice(&self.salt);
        out
    }

    /// Reads a header; anything that this version does not define is refused.
    pub fn decode(bytes: &[u8]) -> Result<Header> {
        let mut r = Reader::new(bytes, "pack");
        if r.take_array::<8>()? != MAGIC {
            return malformed("pack", "it does not begin with BORKPACK");
        }
        let [version, kind, suite, parity] = r.take_array()?;
        if version != VERSION {
            return Err(Error::Unknown { what: "pack", field: "version", value: u64::from(version) });
        }
        if parity != 0 {
            return Err(Error::Unknown { what: "pack", field: "parity scheme", value: u64::from(parity) });
        }
        let epoch = u16::from_le_bytes(r.take_array()?);
        if r.take_array::<2>()? != [0, 0] {
            return malformed("pack", "reserved bytes of the header are not zero");
        }
        Ok(Header {
            kind: Kind::from_byte(kind)?,
            suite: Suite::from_byte(suite)?,
            epoch,
            repository: r.take_array()?,
            salt: r.take_array()?,
        })
    }
}

/// What a table of contents and an index say of one object; also its associated data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Length in the pack, tag and padding included. Unit: bytes.
    pub stored: u32,
    /// Length of the compressed plaintext. Unit: bytes. The rest of the opened bytes is zero padding.
    pub payload: u32,
    /// Length of the plaintext. Unit: bytes.
    pub plain: u32,
    /// Compression.
    pub codec: Codec,
    /// What the plaintext is.
    pub kind: ObjectKind,
    /// Number of chunks in it.
    pub chunks: u16,
}

impl Record {
    /// The 16 bytes.
    pub fn encode(&self) -> [u8; RECORD_LENGTH] {
        let mut out = [0; RECORD_LENGTH];
        out[0..4].copy_from_slice(&self.stored.to_le_bytes());
        out[4..8].copy_from_slice(&self.payload.to_le_bytes());
        out[8..12].copy_from_slice(&self.plain.to_le_bytes());
        out[12] = self.codec as u8;
        out[13] = self.kind as u8;
        out[14..16].copy_from_slice(&self.chunks.to_le_bytes());
        out
    }

    /// Whether an object like this belongs into a pack of `kind`.
    pub fn fits(&self, kind: Kind) -> bool {
        match self.kind {
            ObjectKind::Content => kind == Kind::Data,
            ObjectKind::Node | ObjectKind::List => kind == Kind::Metadata && self.chunks == 1,
        }
    }

    /// Reads and checks a record.
    pub fn decode(bytes: &[u8; RECORD_LENGTH]) -> Result<Record> {
        let mut r = Reader::new(bytes, "object record");
        let [stored, payload, plain] = [r.take_array()?, r.take_array()?, r.take_array()?].map(u32::from_le_bytes);
        let [codec, kind] = r.take_array()?;
        let chunks = u16::from_le_bytes(r.take_array()?);
        if plain > PLAIN_LENGTH_MAX || u64::from(stored) < u64::from(payload) + TAG_LENGTH as u64 {
            return malformed("object record", "its lengths are impossible");
        }
        if stored > STORED_LENGTH_MAX {
            return malformed("object record", "it has more padding than it can have");
        }
        if chunks == 0 || chunks > CHUNKS_PER_OBJECT_MAX {
            return malformed("object record", "it has no chunk, or too many");
        }
        Ok(Record {
            stored,
            payload,
            plain,
            codec: Codec::from_byte(codec)?,
            kind: ObjectKind::from_byte(kind)?,
            chunks,
        })
    }
}

/// One object of a pack with the chunks in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TocObject {
    /// Lengths, codec, kind.
    pub record: Record,
    /// Ids and plain lengths of its chunks, in order.
    pub chunks: Vec<(Id, u32)>,
}

/// Encodes the plaintext of a table of contents: all object records, then all chunk records.
pub fn encode_toc(objects: &[TocObject]) -> Vec<u8> {
    let mut out = Vec::new();
    for object in objects {
        out.extend_from_slice(&object.record.encode());
    }
    for (id, length) in objects.iter().flat_map(|object| &object.chunks) {
        out.extend_from_slice(id);
        out.extend_from_slice(&length.to_le_bytes());
    }
    out
}

/// Decodes a table of contents of `count` objects, whose stored lengths must add up to `space` bytes.
pub fn decode_toc(bytes: &[u8], count: u32, space: u64) -> Result<Vec<TocObject>> {
    const WHAT: &str = "table of contents";
    if count > OBJECTS_MAX {
        return malformed(WHAT, "it has too many objects");
    }
    let mut r = Reader::new(bytes, WHAT);
    let records = r.take(count as usize * RECORD_LENGTH)?.as_chunks::<RECORD_LENGTH>().0;
    let mut used = 0;
    let objects = records
        .iter()
        .map(|bytes| {
            let record = Record::decode(bytes)?;
            used += u64::from(record.stored);
            let mut chunks = Vec::new();
            let mut total = 0;
            for _ in 0..record.chunks {
                let id = r.take_array()?;
                let length = u32::from_le_bytes(r.take_array()?);
                if length == 0 {
                    return malformed(WHAT, "a chunk is empty");
                }
                total += u64::from(length);
                chunks.push((id, length));
            }
            if total != u64::from(record.plain) {
                return malformed(WHAT, "the chunks of an object do not add up to its length");
            }
            Ok(TocObject { record, chunks })
        })
        .collect::<Result<Vec<_>>>()?;
    r.finish()?;
    if used != space {
        return malformed(WHAT, "the objects do not fill the pack");
    }
    Ok(objects)
}

/// The last 32 bytes of a pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Length of the sealed table of contents, tag included. Unit: bytes.
    pub toc_length: u32,
    /// Number of objects.
    pub objects: u32,
}

impl Trailer {
    /// The 32 bytes.
    pub fn encode(&self) -> [u8; TRAILER_LENGTH] {
        let mut out = [0; TRAILER_LENGTH];
        out[0..4].copy_from_slice(&self.toc_length.to_le_bytes());
        out[4..8].copy_from_slice(&self.objects.to_le_bytes());
        out[24..32].copy_from_slice(&TRAILER_MAGIC);
        out
    }

    /// Reads a trailer.
    pub fn decode(bytes: &[u8]) -> Result<Trailer> {
        let mut r = Reader::new(bytes, "pack trailer");
        let trailer =
            Trailer { toc_length: u32::from_le_bytes(r.take_array()?), objects: u32::from_le_bytes(r.take_array()?) };
        let parity = u64::from_le_bytes(r.take_array()?);
        if parity != 0 {
            return Err(Error::Unknown { what: "pack trailer", field: "parity length", value: parity });
        }
        if r.take_array::<8>()? != [0; 8] || r.take_array::<8>()? != TRAILER_MAGIC {
            return malformed("pack trailer", "it does not end with KCAPKROB");
        }
        r.finish()?;
        Ok(trailer)
    }
}

/// The 12-byte nonce of object `index` in its file.
pub fn nonce(index: u32) -> [u8; 12] {
    let mut out = [0; 12];
    out[0..4].copy_from_slice(&index.to_le_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_every_flipped_reserved_bit_is_refused() {
        let header = Header { kind: Kind::Data, suite: Suite::Aes256Gcm, epoch: 7, repository: [3; 16], salt: [9; 32] };
        let bytes = header.encode();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for at in [0, 7, 8, 9, 10, 11, 14, 15] {
            let mut bad = bytes;
            bad[at] ^= 0x80;
            assert!(Header::decode(&bad).is_err(), "byte {at}");
        }
    }

    #[test]
    fn an_object_of_more_padding_than_the_format_allows_is_refused() {
        let mut record = Record {
            stored: STORED_LENGTH_MAX,
            payload: 80,
            plain: 200,
            codec: Codec::Zstd,
            kind: ObjectKind::Content,
            chunks: 1,
        };
        assert_eq!(Record::decode(&record.encode()), Ok(record));
        record.stored += 1;
        assert!(Record::decode(&record.encode()).is_err());
    }

    #[test]
    fn a_table_of_contents_comes_back_and_every_prefix_is_refused() {
        let record =
            Record { stored: 100, payload: 80, plain: 200, codec: Codec::Zstd, kind: ObjectKind::Content, chunks: 2 };
        let objects = vec![TocObject { record, chunks: vec![([1; 32], 150), ([2; 32], 50)] }];
        let bytes = encode_toc(&objects);
        assert_eq!(decode_toc(&bytes, 1, 100), Ok(objects));
        for length in 0..bytes.len() {
            assert!(decode_toc(&bytes[..length], 1, 100).is_err());
        }
        assert!(decode_toc(&bytes, 1, 101).is_err());
    }
}
