//! What the agent sends of a backup.

use super::{TEXT_LENGTH_MAX, take_fields};
use crate::codec::{Reader, Writer, put_varint, take_varint};
use crate::item::{Link, PATH_LENGTH_MAX};
use crate::node::BODY_LENGTH_MAX;
use crate::pack::{CHUNKS_PER_OBJECT_MAX, PLAIN_LENGTH_MAX};
use crate::{Error, ID_LENGTH, Id, Result};

/// Words of problems, in the order of their numbers on the wire.
pub const PROBLEM_KINDS: [&str; 9] =
    ["changed", "io", "permission", "not_found", "race", "metadata", "symlink_parent", "path_traversal", "damaged"];
/// Most entries, statuses, links or problems of a unit.
const UNIT_COUNT_MAX: usize = 1 << 16;
/// Bytes of a reference before its number.
const REFERENCE_PREFIX: [u8; 24] = [0; 24];

/// The id of a content list that stands for the content of entry `ordinal` of the previous archive, the first of which
/// is number 1.
pub fn reference(ordinal: u64) -> Id {
    let mut id = [0; ID_LENGTH];
    id[24..].copy_from_slice(&ordinal.to_be_bytes());
    id
}

/// The number in a reference, or `None` for the id of anything that is stored.
pub fn reference_of(id: &Id) -> Option<u64> {
    let (prefix, number) = id.split_at(24);
    let number = u64::from_be_bytes(number.try_into().ok()?);
    (prefix == REFERENCE_PREFIX && number > 0).then_some(number)
}

/// An entry of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// `count` entries of the previous archive, from number `ordinal` on, as they are.
    Kept {
        /// Number of the first.
        ordinal: u64,
        /// How many.
        count: u64,
    },
    /// A new item: path and encoded body, in which references may stand for content.
    New(Vec<u8>, Vec<u8>),
}

/// Something that could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its path, as a person knows it.
    pub path: Vec<u8>,
    /// Index into [`PROBLEM_KINDS`].
    pub kind: usize,
    /// Words.
    pub message: Vec<u8>,
}

impl Problem {
    pub(super) fn put(&self, w: &mut Writer<'_>) {
        w.array(3);
        w.bin(&self.path);
        w.uint(self.kind as u64);
        w.bin(&self.message);
    }

    pub(super) fn take(r: &mut Reader<'_>) -> Result<Self> {
        take_fields(r, 3, "problem")?;
        let path = r.bin(TEXT_LENGTH_MAX)?.to_vec();
        let kind = r.uint()? as usize;
        if kind >= PROBLEM_KINDS.len() {
            return Err(Error::Unknown { what: "problem", field: "kind", value: kind as u64 });
        }
        Ok(Problem { path, kind, message: r.bin(TEXT_LENGTH_MAX)?.to_vec() })
    }

    /// A sequence of problems: the body of a frame of its own.
    pub fn encode_all(problems: &[Problem]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer(&mut out);
        w.array(problems.len());
        problems.iter().for_each(|problem| problem.put(&mut w));
        out
    }

    /// The same, read back.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Problem>> {
        let mut r = Reader::new(bytes, "problems");
        let problems = (0..r.array(UNIT_COUNT_MAX)?).map(|_| Problem::take(&mut r)).collect::<Result<_>>()?;
        r.finish()?;
        Ok(problems)
    }
}

/// Status of an entry, for `--list`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Letter.
    pub letter: u8,
    /// Path, as a person knows it.
    pub path: Vec<u8>,
    /// Whether the entry is one of the unit's links.
    pub linked: bool,
}

/// A run of entries in tree order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unit {
    /// Regular files.
    pub files: u64,
    /// Entries.
    pub entries: Vec<Entry>,
    /// Hard link sets of its regular files.
    pub links: Vec<Link>,
    /// Status of each entry, if wanted.
    pub statuses: Vec<Status>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

impl Unit {
    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut w = Writer(&mut out);
        w.array(5);
        w.uint(self.files);
        w.array(self.entries.len());
        for entry in &self.entries {
            w.array(2);
            match entry {
                Entry::Kept { ordinal, count } => {
                    w.uint(*ordinal);
                    w.uint(*count);
                }
                Entry::New(path, body) => {
                    w.bin(path);
                    w.bin(body);
                }
            }
        }
        w.array(self.links.len());
        for link in &self.links {
            w.array(2);
            w.uint(link.group);
            w.uint(u64::from(link.count));
        }
        w.array(self.statuses.len());
        for status in &self.statuses {
            w.array(3);
            w.uint(u64::from(status.letter));
            w.bin(&status.path);
            w.uint(u64::from(status.linked));
        }
        w.array(self.problems.len());
        self.problems.iter().for_each(|problem| problem.put(&mut w));
        out
    }

    /// Decodes. Memory: a small multiple of `bytes`.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let what = "unit";
        let mut r = Reader::new(bytes, what);
        take_fields(&mut r, 5, what)?;
        let files = r.uint()?;
        let entries = (0..r.array(UNIT_COUNT_MAX)?).map(|_| take_entry(&mut r)).collect::<Result<_>>()?;
        let links = (0..r.array(UNIT_COUNT_MAX)?)
            .map(|_| {
                take_fields(&mut r, 2, what)?;
                Ok(Link { group: r.uint()?, count: r.uint32()? })
            })
            .collect::<Result<_>>()?;
        let statuses = (0..r.array(UNIT_COUNT_MAX)?)
            .map(|_| {
                take_fields(&mut r, 3, what)?;
                let letter = u8::try_from(r.uint()?).ok().filter(u8::is_ascii_graphic);
                let letter = letter.ok_or(Error::Malformed { what, why: "a status is no letter" })?;
                let path = r.bin(TEXT_LENGTH_MAX)?.to_vec();
                Ok(Status { letter, path, linked: super::take_flag(&mut r, what)? })
            })
            .collect::<Result<_>>()?;
        let problems = (0..r.array(UNIT_COUNT_MAX)?).map(|_| Problem::take(&mut r)).collect::<Result<_>>()?;
        r.finish()?;
        Ok(Unit { files, entries, links, statuses, problems })
    }
}

fn take_entry(r: &mut Reader<'_>) -> Result<Entry> {
    take_fields(r, 2, "unit")?;
    let mut ahead = r.clone();
    if let Ok(ordinal) = ahead.uint() {
        *r = ahead;
        return Ok(Entry::Kept { ordinal, count: r.uint()? });
    }
    Ok(Entry::New(r.bin(PATH_LENGTH_MAX)?.to_vec(), r.bin(BODY_LENGTH_MAX)?.to_vec()))
}

/// Chunks that were compressed together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object<'a> {
    /// Codec number of `pack::Codec`.
    pub codec: u8,
    /// Ids and lengths; together they have the plain length.
    pub chunks: Vec<(Id, u32)>,
    /// Compressed bytes.
    pub payload: &'a [u8],
}

/// Appends the body of an object up to its payload, which is to be appended behind it.
pub fn put_object_head(out: &mut Vec<u8>, codec: u8, chunks: &[(Id, u32)]) {
    out.push(codec);
    put_varint(out, chunks.len() as u64);
    for (id, length) in chunks {
        out.extend_from_slice(id);
        put_varint(out, u64::from(*length));
    }
}

impl Object<'_> {
    /// Encodes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.payload.len() + self.chunks.len() * (ID_LENGTH + 3) + 8);
        put_object_head(&mut out, self.codec, &self.chunks);
        out.extend_from_slice(self.payload);
        out
    }

    /// Sum of the lengths of the chunks.
    pub fn plain_length(&self) -> usize {
        self.chunks.iter().map(|(_, length)| *length as usize).sum()
    }
}

/// Decodes an object; its plain length is at most [`PLAIN_LENGTH_MAX`], and it is one that a pack can hold.
pub fn decode_object(bytes: &[u8]) -> Result<Object<'_>> {
    let what = "object";
    let mut r = Reader::new(bytes, what);
    let codec = r.take(1)?[0];
    let count = take_varint(&mut r)?;
    if count == 0 || count > u64::from(CHUNKS_PER_OBJECT_MAX) {
        return Err(Error::Malformed { what, why: "it holds no chunk, or too many" });
    }
    let mut chunks = Vec::with_capacity(count.min(4096) as usize);
    let mut total = 0;
    for _ in 0..count {
        let id = r.take_array()?;
        let length = take_varint(&mut r)?;
        total = length.saturating_add(total);
        if length == 0 || total > u64::from(PLAIN_LENGTH_MAX) {
            return Err(Error::Malformed { what, why: "a chunk is empty, or all are longer than 32 MiB" });
        }
        chunks.push((id, length as u32));
    }
    let payload = &bytes[r.position()..];
    if payload.len() as u64 > total {
        return Err(Error::Malformed { what, why: "compressed it is longer than it was" });
    }
    Ok(Object { codec, chunks, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_objects_come_back() {
        let unit = Unit {
            files: 3,
            entries: vec![Entry::Kept { ordinal: 7, count: 2 }, Entry::New(b"a/b".to_vec(), vec![0x80])],
            links: vec![Link { group: 9, count: 2 }],
            statuses: vec![Status { letter: b'A', path: b"a".to_vec(), linked: true }],
            problems: vec![Problem { path: b"x".to_vec(), kind: 2, message: b"no".to_vec() }],
        };
        let bytes = unit.encode();
        assert_eq!(Unit::decode(&bytes), Ok(unit));
        for length in 0..bytes.len() {
            assert!(Unit::decode(&bytes[..length]).is_err(), "{length}");
        }
        let object = Object { codec: 1, chunks: vec![([3; 32], 300), ([4; 32], 1)], payload: b"xyz" };
        assert_eq!(decode_object(&object.encode()), Ok(object));
        assert!(decode_object(&[1, 0]).is_err());
    }

    #[test]
    fn an_object_that_no_pack_can_hold_is_refused() {
        let most = usize::from(CHUNKS_PER_OBJECT_MAX);
        let of = |count: usize| Object { codec: 1, chunks: vec![([3; 32], 4); count], payload: b"xyz" };
        assert!(decode_object(&of(most).encode()).is_ok());
        assert!(decode_object(&of(most + 1).encode()).is_err());
        assert!(decode_object(&of(1 << 16).encode()).is_err());
        let longer = Object { codec: 1, chunks: vec![([3; 32], 4)], payload: b"12345" };
        assert!(decode_object(&longer.encode()).is_err());
    }

    #[test]
    fn a_reference_is_no_hole_and_no_chunk() {
        assert_eq!(reference_of(&reference(5)), Some(5));
        assert_eq!(reference_of(&crate::ZERO_ID), None);
        assert_eq!(reference_of(&[7; 32]), None);
    }
}
