//! What is moved out of a pack, cut into pieces that are fetched at a time.

use crate::index::{IndexedPack, Location};
use crate::mark::Marks;
use bork_format::Id;
use bork_format::pack::{HEADER_LENGTH, ObjectKind, TocObject};
use std::ops::Range;

/// Stored bytes of a batch. A worker has two of them: one that it works on, and one that is being read. Unit: bytes.
const BATCH_LENGTH: u64 = 4 << 20;

/// An object with what is needed of it.
pub struct Wanted {
    pub object: TocObject,
    pub location: Location,
    /// One for each of its chunks.
    pub needed: Vec<bool>,
}

impl Wanted {
    /// Whether the object is moved as it is. Trees and content lists are always: they hold one chunk.
    pub fn is_whole(&self) -> bool {
        let is_known = self.object.chunks.len() == usize::from(self.object.record.chunks);
        self.object.record.kind != ObjectKind::Content || (is_known && !self.needed.contains(&false))
    }

    /// The chunks that are needed, with their places in the plaintext.
    pub fn chunks(&self) -> impl Iterator<Item = (&Id, Range<usize>)> {
        let mut end = 0;
        let placed = self.object.chunks.iter().map(move |(id, length)| {
            let start = end;
            end += *length as usize;
            (id, start..end)
        });
        placed.zip(&self.needed).filter_map(|(chunk, needed)| needed.then_some(chunk))
    }
}

/// Neighbouring objects of one pack.
pub struct Batch {
    pub pack: Id,
    pub wanted: Vec<Wanted>,
    /// Whether these are the last of the pack.
    pub is_last: bool,
}

/// The objects of a pack with chunks that are needed; none, if nothing is needed of it.
pub fn batches(pack: IndexedPack, marks: &Marks) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut offset = HEADER_LENGTH as u32;
    let mut length = BATCH_LENGTH;
    for (number, object) in pack.objects.into_iter().enumerate() {
        let location = Location {
            pack: pack.name,
            object_offset: offset,
            object_index: number as u32,
            record: object.record,
            offset: 0,
            length: object.record.plain,
        };
        offset += object.record.stored;
        let is_needed = |(id, _): &(Id, u32)| marks.is_marked(id, &pack.name, number as u32);
        let needed: Vec<bool> = object.chunks.iter().map(is_needed).collect();
        if !needed.contains(&true) {
            continue;
        }
        if length >= BATCH_LENGTH {
            batches.push(Batch { pack: pack.name, wanted: Vec::new(), is_last: false });
            length = 0;
        }
        length += u64::from(object.record.stored);
        batches.last_mut().expect("one was begun").wanted.push(Wanted { object, location, needed });
    }
    if let Some(last) = batches.last_mut() {
        last.is_last = true;
    }
    batches
}
