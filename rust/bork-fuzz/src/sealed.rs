//! Sealed files: headers, trailers, tables of contents, object records, the clear part of key objects.

use crate::accepted::same;
use crate::meter::bounded;
use bork_format::key::{CLEAR_LENGTH, Clear};
use bork_format::pack::{
    CHUNK_RECORD_LENGTH, HEADER_LENGTH, Header, PLAIN_LENGTH_MAX, RECORD_LENGTH, Record, STORED_LENGTH_MAX, Trailer,
    decode_toc, encode_toc,
};

/// A header is 64 bytes that come back; what follows is not its business.
pub fn header(data: &[u8]) -> bool {
    let Ok(header) = bounded(0, || Header::decode(data)) else { return false };
    same(&data[..HEADER_LENGTH], &header.encode())
}

/// A trailer is exactly 32 bytes.
pub fn trailer(data: &[u8]) -> bool {
    let Ok(trailer) = bounded(0, || Trailer::decode(data)) else { return false };
    same(data, &trailer.encode())
}

/// A record is 16 bytes whose lengths keep to the limits.
pub fn record(data: &[u8]) -> bool {
    let Some(bytes) = data.first_chunk::<RECORD_LENGTH>() else { return false };
    let Ok(record) = bounded(0, || Record::decode(bytes)) else { return false };
    assert!(record.plain <= PLAIN_LENGTH_MAX && record.stored <= STORED_LENGTH_MAX && record.payload < record.stored);
    same(bytes, &record.encode())
}

/// A table of contents: 4 bytes number of objects, then the table. It is accepted for one length of the pack only, and
/// one number of objects only.
pub fn toc(data: &[u8]) -> bool {
    let Some((count, bytes)) = data.split_first_chunk::<4>() else { return false };
    let count = u32::from_le_bytes(*count);
    let (records, _) = bytes.as_chunks::<RECORD_LENGTH>();
    let stored =
        |record: &[u8; RECORD_LENGTH]| u64::from(u32::from_le_bytes([record[0], record[1], record[2], record[3]]));
    let space: u64 = records.iter().take(count as usize).map(stored).sum();
    // The smallest object has one chunk: 52 bytes become a TocObject of 48 and a vector for four chunks.
    let limit = 1024 + bytes.len() * 10;
    let Ok(objects) = bounded(limit, || decode_toc(bytes, count, space)) else { return false };
    let chunks: usize = objects.iter().map(|object| object.chunks.len()).sum();
    assert_eq!(bytes.len(), objects.len() * RECORD_LENGTH + chunks * CHUNK_RECORD_LENGTH);
    for (other_count, other_space) in [(count, space + 1), (count, space.wrapping_sub(1)), (count + 1, space)] {
        assert!(decode_toc(bytes, other_count, other_space).is_err(), "{other_count} objects in {other_space} bytes");
    }
    same(bytes, &encode_toc(&objects))
}

/// The clear part of a key object: the first 88 bytes come back, and the costs it asks for are bounded.
pub fn key(data: &[u8]) -> bool {
    let Ok(clear) = bounded(0, || Clear::decode(data)) else { return false };
    assert!(clear.memory_kib <= 1 << 20 && (1..=64).contains(&clear.passes) && (1..=64).contains(&clear.lanes));
    same(&data[..CLEAR_LENGTH], &clear.encode())
}
