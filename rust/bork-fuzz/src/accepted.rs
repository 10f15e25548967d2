//! Canonical forms: what is accepted is what would be written.

use crate::meter::bounded;
use bork_format::codec::{Reader, Writer, put_varint, take_varint};

/// Panics unless `written` is what was read.
pub fn same(read: &[u8], written: &[u8]) -> bool {
    assert!(read == written, "accepted, but not in canonical form: {} is written {}", hex(read), hex(written));
    true
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().take(400).map(|byte| format!("{byte:02x}")).collect()
}

/// One value of each kind that items and nodes are made of, by the first byte: the bytes that were read are those that
/// are written for the value, and nothing is allocated.
pub fn msgpack(data: &[u8]) -> bool {
    const LIMIT: usize = 70_000;
    let [kind, bytes @ ..] = data else { return false };
    let mut reader = Reader::new(bytes, "fuzz");
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let accepted = bounded(0, || match kind % 7 {
        0 => reader.uint().map(|value| Writer(&mut out).uint(value)),
        1 => reader.int().map(|value| Writer(&mut out).int(value)),
        2 => reader.bin(LIMIT).map(|value| Writer(&mut out).bin(value)),
        3 => reader.array(LIMIT).map(|count| Writer(&mut out).array(count)),
        4 => reader.map(LIMIT).map(|count| Writer(&mut out).map(count)),
        5 => take_varint(&mut reader).map(|value| put_varint(&mut out, value)),
        _ => reader.uint32().map(|value| Writer(&mut out).uint(u64::from(value))),
    });
    assert!(reader.position() <= bytes.len());
    accepted.is_ok() && same(&bytes[..reader.position()], &out)
}
