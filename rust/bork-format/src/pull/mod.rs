//! The pull protocol: what the two halves of the engine say to each other when they are on two hosts.
//! Specified in docs/protocol.md, "The agent".
//!
//! A frame is the length of its body (32 bits, little endian), its kind (one byte), and the body. Bodies are the
//! MessagePack of [`crate::codec`]: arrays whose fields have fixed places. Whatever a decoder here accepts is within
//! the limits; that it makes sense (order, ids, paths) is for the receiver to judge.

mod backup;
mod plan;
mod restore;

pub use backup::{
    Entry, Object, PROBLEM_KINDS, Problem, Status, Unit, decode_object, put_object_head, reference, reference_of,
};
pub use plan::{Hello, Plan, Wire};
pub use restore::{
    BATCH_COUNT_MAX, BATCH_LENGTH_MAX, BATCHES_LENGTH_MAX, BATCHES_MAX, CONTENT_LENGTH_MAX, RUN_LENGTH_MAX,
    RestoreEntry, RestorePlan, Run, Verdict, decode_batch, for_each_run, put_restore_entry,
};

use crate::codec::{Reader, Writer};
use crate::{Error, Result};

/// Version of this protocol.
pub const VERSION: u64 = 1;
/// What the agent says first, before its first frame: whatever a login shell printed stands in front of it.
pub const MAGIC: &[u8; 8] = b"\x00BORKA1\n";
/// Length of the head of a frame. Unit: bytes.
pub const HEAD_LENGTH: usize = 5;
/// Longest body: an object of 32 MiB and its table. Unit: bytes.
pub const FRAME_LENGTH_MAX: usize = 33 << 20;
/// Longest plain body of a compressed frame: the longest item (16 MiB), and 4 MiB more. Unit: bytes.
pub const PLAIN_LENGTH_MAX: usize = 20 << 20;
/// Longest plain body of a leaf or a content list. Unit: bytes.
pub const SHORT_LENGTH_MAX: usize = 1 << 20;
/// Longest plan, longest hello. Unit: bytes.
pub const PLAN_LENGTH_MAX: usize = 4 << 20;
/// Most items of a unit, kept ones included.
pub const UNIT_ITEMS_MAX: usize = 4096;
/// Bytes of leaves that the agent has room for at first; it grants as much again as it takes. Unit: bytes.
pub const LEAF_CREDIT: usize = 4 << 20;
/// Most ids of one query.
pub const QUERY_MAX: usize = 4096;
/// Most names, patterns or roots of a plan.
pub const PLAN_COUNT_MAX: usize = 1 << 16;
/// Longest text or path. Unit: bytes.
pub const TEXT_LENGTH_MAX: usize = 65_535;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Agent: who it is and what it may do. Its first frame.
    Hello = 1,
    /// Agent: a run of entries in tree order. Compressed.
    Unit = 2,
    /// Agent: chunks, compressed together.
    Object = 3,
    /// Agent: a content list. Compressed.
    List = 4,
    /// Agent: does the server hold these chunks?
    Query = 5,
    /// Agent: how far it is.
    Progress = 6,
    /// Agent: there is room for so many more bytes of leaves.
    Credit = 7,
    /// Agent: everything was sent.
    Done = 8,
    /// Either: why it ends, for a person.
    Fault = 9,
    /// Server: what is to be backed up.
    Plan = 16,
    /// Server: entries of the previous archive. Compressed.
    Leaf = 17,
    /// Server: the previous archive has ended.
    LeafEnd = 18,
    /// Server: one bit for each id of the oldest open query, low bits first.
    Answer = 19,
    /// Server: what is to be restored.
    RestorePlan = 24,
    /// Server: entries to be restored. Compressed.
    Entries = 25,
    /// Server: runs of the content of the files that are wanted, in their order. Compressed.
    Content = 26,
    /// Server: nothing more is to be restored.
    EntriesEnd = 27,
    /// Agent: what it does with the entries of the oldest open batch: a byte each.
    Wanted = 28,
    /// Agent: problems with entries that it restored.
    Problems = 29,
}

impl FrameKind {
    /// All kinds, for tests and tables.
    pub const ALL: [FrameKind; 19] = {
        use FrameKind::*;
        [
            Hello,
            Unit,
            Object,
            List,
            Query,
            Progress,
            Credit,
            Done,
            Fault,
            Plan,
            Leaf,
            LeafEnd,
            Answer,
            RestorePlan,
            Entries,
            Content,
            EntriesEnd,
            Wanted,
            Problems,
        ]
    };

    /// Longest body of a frame of this kind, as it is on the line. Unit: bytes.
    pub fn length_max(self) -> usize {
        use FrameKind::*;
        match self {
            Hello | Plan | RestorePlan => PLAN_LENGTH_MAX,
            Unit => PLAIN_LENGTH_MAX + PREFIX_LENGTH,
            List | Leaf => SHORT_LENGTH_MAX + PREFIX_LENGTH,
            Query => QUERY_MAX * crate::ID_LENGTH,
            Answer => QUERY_MAX / 8,
            Progress => TEXT_LENGTH_MAX + 32,
            Credit | Done => 10,
            Fault => TEXT_LENGTH_MAX,
            LeafEnd | EntriesEnd => 0,
            Object | Entries | Content | Wanted | Problems => FRAME_LENGTH_MAX,
        }
    }

    /// The kind of a number.
    pub fn of(number: u8) -> Result<Self> {
        let known = FrameKind::ALL.into_iter().find(|kind| *kind as u8 == number);
        known.ok_or(Error::Unknown { what: "frame", field: "kind", value: u64::from(number) })
    }
}

/// Codec and plain length in front of a compressed body, at most. Unit: bytes.
const PREFIX_LENGTH: usize = 11;

/// Appends a frame.
pub fn put_frame(out: &mut Vec<u8>, kind: FrameKind, body: &[u8]) {
    out.extend((body.len() as u32).to_le_bytes());
    out.push(kind as u8);
    out.extend_from_slice(body);
}

/// Begins a frame; its body is to be appended, then [`end_frame`] called.
pub fn begin_frame(out: &mut Vec<u8>, kind: FrameKind) {
    put_frame(out, kind, &[]);
}

/// Writes the length of the body of the frame that `frame` is.
pub fn end_frame(frame: &mut [u8]) {
    let length = (frame.len() - HEAD_LENGTH) as u32;
    frame[..4].copy_from_slice(&length.to_le_bytes());
}

/// Kind and length of the body of the frame that begins with `head`.
pub fn decode_head(head: [u8; HEAD_LENGTH]) -> Result<(FrameKind, usize)> {
    let [a, b, c, d, kind] = head;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let kind = FrameKind::of(kind)?;
    if length > kind.length_max() {
        return Err(Error::Malformed { what: "frame", why: "its body is longer than a frame of its kind may be" });
    }
    Ok((kind, length))
}

/// A list of texts or paths.
fn put_bins(writer: &mut Writer<'_>, values: &[Vec<u8>]) {
    writer.array(values.len());
    for value in values {
        writer.bin(value);
    }
}

fn take_bins(reader: &mut Reader<'_>) -> Result<Vec<Vec<u8>>> {
    (0..reader.array(PLAN_COUNT_MAX)?).map(|_| Ok(reader.bin(TEXT_LENGTH_MAX)?.to_vec())).collect()
}

fn take_flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool> {
    match reader.uint()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::Malformed { what, why: "a flag is neither 0 nor 1" }),
    }
}

/// The header of an array of exactly `count` fields.
fn take_fields(reader: &mut Reader<'_>, count: usize, what: &'static str) -> Result<()> {
    if reader.array(count)? == count { Ok(()) } else { Err(Error::Malformed { what, why: "fields are missing" }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_comes_back_and_a_long_one_is_refused() {
        let mut out = Vec::new();
        put_frame(&mut out, FrameKind::Query, b"abc");
        assert_eq!(decode_head([3, 0, 0, 0, 5]), Ok((FrameKind::Query, 3)));
        assert_eq!(out, b"\x03\0\0\0\x05abc");
        assert!(decode_head([0xff, 0xff, 0xff, 0x7f, 5]).is_err());
        assert!(decode_head([0, 0, 0, 0, 99]).is_err());
    }
}
