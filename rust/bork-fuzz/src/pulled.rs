//! The pull protocol: what either side takes of the other.

use crate::accepted::same;
use crate::meter::bounded;
use bork_format::pull::{
    FrameKind, HEAD_LENGTH, Hello, Plan, Problem, UNIT_ITEMS_MAX, Unit, decode_head, decode_object, put_frame,
};

/// Most bytes for each byte of a body: an entry of 3 bytes becomes one of 48, in a list that doubles.
const GROWTH: usize = 64;

fn limit(data: &[u8]) -> usize {
    4096 + data.len() * GROWTH
}

/// The head of a frame: a kind that is known, and a length that this kind may have.
pub fn head(data: &[u8]) -> bool {
    let Some(bytes) = data.first_chunk::<HEAD_LENGTH>() else { return false };
    let Ok((kind, length)) = bounded(0, || decode_head(*bytes)) else { return false };
    assert!(length <= kind.length_max() && FrameKind::of(kind as u8) == Ok(kind));
    let mut out = Vec::new();
    put_frame(&mut out, kind, &[]);
    out[..4].copy_from_slice(&(length as u32).to_le_bytes());
    same(bytes, &out)
}

/// Who the agent is.
pub fn hello(data: &[u8]) -> bool {
    let Ok(hello) = bounded(limit(data), || Hello::decode(data)) else { return false };
    same(data, &hello.encode())
}

/// What is to be backed up.
pub fn plan(data: &[u8]) -> bool {
    let Ok(plan) = bounded(limit(data), || Plan::decode(data)) else { return false };
    same(data, &plan.encode())
}

/// A run of entries.
pub fn unit(data: &[u8]) -> bool {
    let Ok(unit) = bounded(limit(data), || Unit::decode(data)) else { return false };
    assert!(unit.entries.len() <= data.len() && UNIT_ITEMS_MAX <= 1 << 16);
    same(data, &unit.encode())
}

/// Chunks that were compressed together: ids and lengths take what they took on the line, rounded up.
pub fn object(data: &[u8]) -> bool {
    let Ok(object) = bounded(limit(data) + 4096 * 40, || decode_object(data)) else { return false };
    assert!(object.plain_length() > 0 && object.plain_length() <= bork_format::pack::PLAIN_LENGTH_MAX as usize);
    same(data, &object.encode())
}

/// What could not be read.
pub fn problems(data: &[u8]) -> bool {
    let Ok(problems) = bounded(limit(data), || Problem::decode_all(data)) else { return false };
    same(data, &Problem::encode_all(&problems))
}
