//! Index tables, which are searched where they lie.

use crate::accepted::same;
use crate::meter::bounded;
use bork_format::Id;
use bork_format::index::{View, encode};

/// A table that its check accepts comes back from its parts, and a look-up finds what one reads: each chunk, all its
/// copies, and no chunk that is not there.
pub fn table(data: &[u8]) -> bool {
    let Ok(view) = bounded(0, || View::new(data).and_then(|view| view.check().map(|()| view))) else { return false };
    let layout = view.layout();
    let packs: Vec<_> = (0..layout.packs).filter_map(|at| view.pack(at)).collect();
    let superseded: Vec<_> = (0..layout.superseded).filter_map(|at| view.superseded(at)).collect();
    let objects: Vec<_> = (0..layout.objects).filter_map(|at| view.object(at).ok()).collect();
    let chunks: Vec<_> = (0..layout.chunks).map(|at| view.chunk(at)).collect();
    assert!(view.pack(layout.packs).is_none() && view.superseded(layout.superseded).is_none());
    let there = |id: &Id| chunks.iter().position(|chunk| chunk.id == *id);
    for chunk in &chunks {
        for id in neighbours(&chunk.id) {
            let first = there(&id);
            let copies = chunks.iter().filter(|chunk| chunk.id == id).count();
            assert_eq!(view.find(&id), first.map(|at| chunks[at]));
            assert_eq!(view.positions(&id), first.map_or(0..0, |at| at..at + copies));
        }
        let object = objects[chunk.object as usize];
        let pack = packs[object.pack as usize];
        assert!(chunk.offset + chunk.length <= object.record.plain);
        assert!(u64::from(object.offset) + u64::from(object.record.stored) <= pack.length);
    }
    for id in [[0; 32], [0xff; 32]] {
        assert_eq!(view.find(&id), there(&id).map(|at| chunks[at]));
    }
    same(data, &encode(&packs, &superseded, &objects, chunks))
}

/// An id and some that are near to it in the order of ids.
fn neighbours(id: &Id) -> [Id; 5] {
    let [mut above, mut below, mut far_above, mut far_below] = [*id; 4];
    above[31] = above[31].wrapping_add(1);
    below[31] = below[31].wrapping_sub(1);
    far_above[0] = far_above[0].wrapping_add(1);
    far_below[7] = far_below[7].wrapping_sub(1);
    [*id, above, below, far_above, far_below]
}
