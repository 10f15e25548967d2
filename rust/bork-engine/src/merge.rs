//! Merging tables of the chunk index, so that their number stays bounded whatever the number of backups.
//!
//! A merged table says all that the merged ones say of the packs that stay: every copy of every chunk. Leaving a copy
//! out would be wrong: it may be the one that is left when a compaction has deleted the pack of the other.

use crate::error::EngineError;
use crate::index::{ChunkIndex, Table};
use bork_format::Id;
use bork_format::index::{self, Chunk, Object, Pack};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::sync::Arc;

/// One table of the index, as it decides about merging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSummary {
    /// Name of the index object.
    pub name: Id,
    /// Number of chunk records.
    pub chunks: u64,
    /// Packs that it names.
    pub packs: u64,
    /// Those of them that the store does not hold.
    pub absent: u64,
}

impl ChunkIndex {
    /// The tables that are index objects.
    pub fn summaries(&self) -> Vec<TableSummary> {
        let summary = |table: &Arc<Table>| {
            let layout = table.view().layout();
            let absent = (0..layout.packs).filter(|at| table.is_absent(*at)).count() as u64;
            let name = table.name()?;
            Some(TableSummary { name, chunks: layout.chunks as u64, packs: layout.packs as u64, absent })
        };
        self.snapshot().iter().filter_map(summary).collect()
    }

    /// The table of all packs of some index objects that the store holds, without those of `dropped`; it supersedes
    /// these objects. `None` if no pack is left. Memory: the new table, 4 bytes an object of the old ones, and as many
    /// of their pages as 128 Ki chunks take.
    pub fn merge(&self, names: &[Id], dropped: &HashSet<Id>) -> Result<Option<Vec<u8>>, EngineError> {
        let wanted: HashSet<&Id> = names.iter().collect();
        let tables: Vec<Arc<Table>> = self
            .snapshot()
            .into_iter()
            .filter(|table| table.name().is_some_and(|name| wanted.contains(&name)))
            .collect();
        let mut packs: Vec<Pack> = Vec::new();
        let mut objects: Vec<Object> = Vec::new();
        // For each table the new number of each object, `u32::MAX` for those that are left out.
        let mut numbers: Vec<Vec<u32>> = Vec::new();
        let mut seen: HashSet<Id> = dropped.clone();
        for table in &tables {
            numbers.push(take_packs(table, &mut seen, &mut packs, &mut objects)?);
        }
        if packs.is_empty() {
            return Ok(None);
        }
        let mut superseded = names.to_vec();
        superseded.sort_unstable();
        let merged = index::encode(&packs, &superseded, &objects, Merge::new(&tables, numbers));
        tables.iter().for_each(|table| table.rest());
        Ok(Some(merged))
    }
}

/// Appends the packs of a table that nobody had before, and their objects; the new numbers of all its objects.
fn take_packs(
    table: &Table,
    seen: &mut HashSet<Id>,
    packs: &mut Vec<Pack>,
    objects: &mut Vec<Object>,
) -> Result<Vec<u32>, EngineError> {
    let view = table.view();
    let layout = view.layout();
    let mut places = vec![None; layout.packs];
    for (at, place) in places.iter_mut().enumerate() {
        let Some(pack) = view.pack(at) else { continue };
        if !table.is_absent(at) && seen.insert(pack.name) {
            *place = Some(packs.len() as u32);
            packs.push(pack);
        }
    }
    let mut numbers = vec![u32::MAX; layout.objects];
    for (at, number) in numbers.iter_mut().enumerate() {
        let object = view.object(at)?;
        if let Some(place) = places[object.pack as usize] {
            *number = objects.len() as u32;
            objects.push(Object { pack: place, ..object });
        }
    }
    Ok(numbers)
}

/// Of the tables that are merged the pages that were touched are given back after so many chunks.
const CHUNKS_BEFORE_REST: usize = 128 << 10;

/// Id and new object number of a chunk; number of its table, and its position there.
type Next = (Id, u32, usize, usize);

/// The chunk records of all tables in the order of ids and new object numbers.
struct Merge<'a> {
    tables: &'a [Arc<Table>],
    numbers: Vec<Vec<u32>>,
    /// For each table the next of its chunks that stay.
    heap: BinaryHeap<Reverse<Next>>,
    taken: usize,
}

impl<'a> Merge<'a> {
    fn new(tables: &'a [Arc<Table>], numbers: Vec<Vec<u32>>) -> Self {
        let mut merge = Merge { tables, numbers, heap: BinaryHeap::new(), taken: 0 };
        (0..tables.len()).for_each(|table| merge.push(table, 0));
        merge
    }

    fn push(&mut self, table: usize, from: usize) {
        let view = self.tables[table].view();
        for at in from..view.layout().chunks {
            let chunk = view.chunk(at);
            let object = self.numbers[table][chunk.object as usize];
            if object != u32::MAX {
                return self.heap.push(Reverse((chunk.id, object, table, at)));
            }
        }
    }
}

impl Iterator for Merge<'_> {
    type Item = Chunk;

    fn next(&mut self) -> Option<Chunk> {
        // Within one table copies are sorted by its own numbers, and the new ones keep that order.
        let Reverse((id, object, table, at)) = self.heap.pop()?;
        let chunk = self.tables[table].view().chunk(at);
        self.push(table, at + 1);
        self.taken += 1;
        if self.taken.is_multiple_of(CHUNKS_BEFORE_REST) {
            self.tables.iter().for_each(|table| table.rest());
        }
        Some(Chunk { id, object, ..chunk })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let all = self.tables.iter().map(|table| table.view().layout().chunks).sum::<usize>();
        (0, Some(all.saturating_sub(self.taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{IndexedPack, build_table, seal_index};
    use crate::secrets::Keys;
    use bork_format::pack::{Codec, ObjectKind, Record, TocObject};
    use proptest::prelude::*;

    /// Packs of two objects, whose chunks are named by small numbers: many stand in several packs.
    fn pack(number: u8, ids: &[u8]) -> IndexedPack {
        let object = |ids: &[u8]| TocObject {
            record: Record {
                stored: 100,
                payload: 84,
                plain: 10 * ids.len() as u32,
                codec: Codec::None,
                kind: ObjectKind::Content,
                chunks: ids.len() as u16,
            },
            chunks: ids.iter().map(|id| (*blake3::hash(&[*id]).as_bytes(), 10)).collect(),
        };
        let split = ids.len() / 2;
        let parts = [&ids[..split], &ids[split..]];
        let objects = parts.iter().filter(|ids| !ids.is_empty()).map(|ids| object(ids)).collect();
        IndexedPack { name: [number; 32], length: 1000, objects }
    }

    proptest! {
        #[test]
        fn every_copy_of_every_chunk_of_the_packs_that_stay_is_found(
            groups in proptest::collection::vec(
                proptest::collection::vec(proptest::collection::btree_set(0u8..40, 1..12), 1..4), 1..6),
            dropped in proptest::collection::btree_set(0u8..12, 0..4),
        ) {
            let keys = Keys::public([1; 32]);
            let index = ChunkIndex::default();
            let mut names = Vec::new();
            let mut expected = HashSet::new();
            let mut number = 0;
            for group in &groups {
                let packs: Vec<IndexedPack> = group.iter().map(|ids| {
                    number += 1;
                    let ids: Vec<u8> = ids.iter().copied().collect();
                    if !dropped.contains(&number) {
                        expected.extend(ids.iter().map(|id| (*id, number)));
                    }
                    pack(number, &ids)
                }).collect();
                let sealed = seal_index(&keys, build_table(&packs, &[])).expect("sealed");
                let name = *blake3::hash(&sealed).as_bytes();
                index.add_sealed(&keys, name, &sealed, None).expect("added");
                names.push(name);
            }
            let dropped = dropped.iter().map(|number| [*number; 32]).collect();
            let merged = ChunkIndex::default();
            if let Some(plain) = index.merge(&names, &dropped).expect("merged") {
                bork_format::index::View::new(&plain).expect("a table").check().expect("a good table");
                merged.add_plain(None, plain, None).expect("added");
            }
            let mut found = HashSet::new();
            for id in 0..40u8 {
                for table in merged.snapshot() {
                    let copies = table.copies(blake3::hash(&[id]).as_bytes()).map(|copy| (id, copy.2.pack[0])).collect::<Vec<_>>();
                    found.extend(copies);
                }
            }
            prop_assert_eq!(found, expected);
        }
    }
}
