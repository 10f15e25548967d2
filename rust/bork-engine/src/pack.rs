//! Writing a pack, and reading one back whole. The byte layout is in `bork_format::pack`.

use crate::buffer::PackBuffer;
use crate::error::EngineError;
use crate::seal::FileSeal;
use crate::secrets::Keys;
use bork_core::compress::Decompressor;
use bork_format::Id;
use bork_format::pack::{
    CHUNK_RECORD_LENGTH, Codec, HEADER_LENGTH, Header, Kind, OBJECTS_MAX, ObjectKind, RECORD_LENGTH, Record,
    TAG_LENGTH, TOC_NONCE, TRAILER_LENGTH, TocObject, Trailer, decode_toc, encode_toc,
};

/// A compressed object that waits to be sealed.
pub struct Prepared<'a> {
    /// Compressed bytes.
    pub payload: &'a [u8],
    /// Their codec.
    pub codec: Codec,
    /// Length of its plaintext. Unit: bytes.
    pub plain_length: u32,
    /// The plaintext, to compare with. `None`: the payload was compared before, or has been stored before.
    pub plain: Option<&'a [u8]>,
    /// What they are.
    pub kind: ObjectKind,
    /// Ids and lengths of the chunks in them.
    pub chunks: Vec<(Id, u32)>,
    /// Zero bytes to append before sealing.
    pub padding: usize,
}

/// A pack that is being filled.
pub struct OpenPack {
    buffer: PackBuffer,
    seal: FileSeal,
    objects: Vec<TocObject>,
    toc_length: usize,
    chunks: usize,
    scratch: Vec<u8>,
    plain: Vec<u8>,
}

/// A pack that is complete.
pub struct FinishedPack {
    /// BLAKE3 of the file.
    pub name: Id,
    /// The file.
    pub data: PackBuffer,
    /// What is in it.
    pub objects: Vec<TocObject>,
}

impl OpenPack {
    /// Starts a pack in an empty buffer.
    pub fn new(keys: &Keys, kind: Kind, mut buffer: PackBuffer) -> Result<Self, EngineError> {
        let (header, seal) = keys.new_file(kind)?;
        buffer.inner().extend_from_slice(&header.encode());
        Ok(OpenPack {
            buffer,
            seal,
            objects: Vec::new(),
            toc_length: 0,
            chunks: 0,
            scratch: Vec::new(),
            plain: Vec::new(),
        })
    }

    /// Bytes so far, table of contents included.
    pub fn length(&self) -> usize {
        self.buffer.len() + self.toc_length + TAG_LENGTH + TRAILER_LENGTH
    }

    /// Chunks so far.
    pub fn chunks(&self) -> usize {
        self.chunks
    }

    /// Whether an object of this payload and this number of chunks still fits into the buffer.
    pub fn has_room(&mut self, payload: usize, chunks: usize) -> bool {
        let more = payload + TAG_LENGTH + RECORD_LENGTH + chunks * CHUNK_RECORD_LENGTH;
        self.length() + more <= self.buffer.inner().capacity() && self.objects.len() < OBJECTS_MAX as usize
    }

    /// Seals an object behind the others; then opens it again and compares, so that a fault of memory, codec or
    /// cipher cannot become a loss that only a restore would find.
    pub fn append(&mut self, object: Prepared<'_>, check: &mut Decompressor) -> Result<Record, EngineError> {
        let index = self.objects.len() as u32;
        let start = self.buffer.len();
        let record = Record {
            stored: (object.payload.len() + object.padding + TAG_LENGTH) as u32,
            payload: object.payload.len() as u32,
            plain: object.plain_length,
            codec: object.codec,
            kind: object.kind,
            chunks: object.chunks.len() as u16,
        };
        if Record::decode(&record.encode()).ok() != Some(record) || object.chunks.len() != usize::from(record.chunks) {
            return Err(EngineError::Internal("an object was made that no reader takes".into()));
        }
        let buffer = self.buffer.inner();
        buffer.extend_from_slice(object.payload);
        let end = buffer.len() + object.padding;
        buffer.set_len(end);
        buffer.as_mut_slice()[end - object.padding..].fill(0);
        let tag = self.seal.seal(index, &record.encode(), &mut buffer.as_mut_slice()[start..])?;
        buffer.extend_from_slice(&tag);
        self.scratch.clear();
        self.scratch.extend_from_slice(&self.buffer[start..]);
        let opened = self.seal.open(index, &record.encode(), &mut self.scratch)?;
        let payload = &opened[..object.payload.len()];
        let same = match object.plain {
            None => *payload == *object.payload,
            Some(plain) if record.codec == Codec::None => *payload == *plain,
            Some(plain) => {
                self.plain.resize(plain.len(), 0);
                check.decompress(record.codec, payload, plain.len(), &mut self.plain).is_ok() && self.plain == plain
            }
        };
        if !same {
            let message = "an object did not come back as it was; this machine's memory or a library is faulty";
            return Err(EngineError::Internal(message.into()));
        }
        self.toc_length += RECORD_LENGTH + object.chunks.len() * CHUNK_RECORD_LENGTH;
        self.chunks += object.chunks.len();
        self.objects.push(TocObject { record, chunks: object.chunks });
        Ok(record)
    }

    /// Completes the pack: table of contents, trailer, name.
    pub fn finish(mut self) -> Result<FinishedPack, EngineError> {
        let mut toc = encode_toc(&self.objects);
        let count = self.objects.len() as u32;
        let tag = self.seal.seal(TOC_NONCE, &count.to_le_bytes(), &mut toc)?;
        let buffer = self.buffer.inner();
        buffer.extend_from_slice(&toc);
        buffer.extend_from_slice(&tag);
        let trailer = Trailer { toc_length: (toc.len() + TAG_LENGTH) as u32, objects: count };
        buffer.extend_from_slice(&trailer.encode());
        let name = *blake3::hash(&self.buffer).as_bytes();
        Ok(FinishedPack { name, data: self.buffer, objects: self.objects })
    }
}

/// Length of the end of a pack that holds its table of contents, by its last [`TRAILER_LENGTH`] bytes.
pub fn tail_length(trailer: &[u8]) -> Result<usize, EngineError> {
    Ok(Trailer::decode(trailer)?.toc_length as usize + TRAILER_LENGTH)
}

/// Opens the table of contents of a pack of `length` bytes from its first and its last bytes.
pub fn open_toc(
    keys: &Keys,
    length: u64,
    head: &[u8],
    tail: &[u8],
) -> Result<(Header, FileSeal, Vec<TocObject>), EngineError> {
    let what = "pack";
    let header = Header::decode(head.get(..HEADER_LENGTH).unwrap_or(head))?;
    if !matches!(header.kind, Kind::Data | Kind::Metadata) {
        return Err(EngineError::damaged(what, "it is a file of another kind"));
    }
    let Some(split) = tail.len().checked_sub(TRAILER_LENGTH) else {
        return Err(EngineError::damaged(what, "it is truncated"));
    };
    let trailer = Trailer::decode(&tail[split..])?;
    let toc_length = trailer.toc_length as usize;
    let fixed = (HEADER_LENGTH + TRAILER_LENGTH + toc_length) as u64;
    if toc_length > split || fixed > length {
        return Err(EngineError::damaged(what, "its table of contents is longer than the file"));
    }
    let seal = keys.file(&header)?;
    let mut toc = tail[split - toc_length..split].to_vec();
    let plain = seal.open(TOC_NONCE, &trailer.objects.to_le_bytes(), &mut toc)?;
    let objects = decode_toc(plain, trailer.objects, length - fixed)?;
    if !objects.iter().all(|object| object.record.fits(header.kind)) {
        return Err(EngineError::damaged(what, "it holds an object that belongs into a pack of another kind"));
    }
    Ok((header, seal, objects))
}

/// Opens one sealed object into `plain`, which must have its exact length. `sealed` is used as scratch.
pub fn open_object(
    seal: &FileSeal,
    index: u32,
    record: &Record,
    sealed: &mut [u8],
    decompressor: &mut Decompressor,
    plain: &mut [u8],
) -> Result<(), EngineError> {
    let payload = open_payload(seal, index, record, sealed)?;
    decompressor
        .decompress(record.codec, payload, record.plain as usize, plain)
        .map_err(|error| EngineError::damaged("object", error.to_string()))
}

/// Opens one sealed object in place; its compressed bytes.
pub fn open_payload<'a>(
    seal: &FileSeal,
    index: u32,
    record: &Record,
    sealed: &'a mut [u8],
) -> Result<&'a [u8], EngineError> {
    if sealed.len() != record.stored as usize {
        return Err(EngineError::damaged("object", "its length is not the one that the index gives"));
    }
    let opened = seal.open(index, &record.encode(), sealed)?;
    let (payload, padding) = opened.split_at(record.payload as usize);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(EngineError::damaged("object", "its padding is not zero"));
    }
    Ok(payload)
}

/// Compares the content of each chunk of an object with its id.
pub fn verify_chunks(keys: &Keys, chunks: &[(Id, u32)], plain: &[u8]) -> Result<(), EngineError> {
    let mut at = 0;
    for (id, length) in chunks {
        let end = at + *length as usize;
        verify_chunk(keys, id, plain.get(at..end))?;
        at = end;
    }
    Ok(())
}

/// Compares the content of a chunk with its id. `None`: the object ends before it does.
pub fn verify_chunk(keys: &Keys, id: &Id, content: Option<&[u8]>) -> Result<(), EngineError> {
    if content.is_some_and(|content| keys.source().identify(content) == *id) {
        return Ok(());
    }
    Err(EngineError::damaged("object", "the content of a chunk does not match its id"))
}
