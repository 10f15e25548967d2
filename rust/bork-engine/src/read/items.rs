//! The wanted items of an archive, in order.

use super::Reading;
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::tree::{LeafStream, Lost, Part};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::item::{Content, Item, Slice, TYPE_MASK, decode_list, encode_slices};
use bork_format::node::{LeafReader, compare};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;

/// Calls `each` with every wanted item, and `lost` where a node cannot be read: nobody can say what was in it.
pub fn for_each(
    reading: &Arc<Reading>,
    mut lost: impl FnMut(&Reading, Lost) -> Result<(), Stop>,
    mut each: impl FnMut(&[u8], Item) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let plan = &reading.plan;
    let mut stream = LeafStream::new(object_reader(reading), plan.root, plan.filter.paths.prefixes());
    let mut last: Option<Vec<u8>> = None;
    loop {
        let part = stream.next_part().map_err(|error| reading.port.fail(error))?;
        let Some(part) = part else { return Ok(()) };
        if reading.port.is_stopped() {
            return Err(Stop);
        }
        let leaf = match part {
            Part::Leaf(leaf) => leaf,
            Part::Lost(gap) => {
                lost(reading, gap)?;
                continue;
            }
        };
        let mut leaf_reader = LeafReader::new(&leaf).map_err(|error| fail(reading, error))?;
        while let Some(body) = leaf_reader.advance().map_err(|error| fail(reading, error))? {
            let path = leaf_reader.path();
            if let Some(last) = last.take()
                && compare(&last, path) != Ordering::Less
            {
                return Err(reading.port.fail(EngineError::damaged("tree", "its leaves are not in order")));
            }
            if plan.filter.wants(if path.is_empty() { b"." } else { path }) {
                let mut item = Item::decode(body).map_err(|error| fail(reading, error))?;
                tell_apart(&mut item);
                each(path, item)?;
            }
        }
        last = Some(leaf_reader.into_path()).filter(|path| !path.is_empty());
    }
}

/// What is lost is told, and the run goes on.
pub fn tell(reading: &Reading, lost: Lost) -> Result<(), Stop> {
    let until = lost.after.map_or("the end".into(), |path| format!("before \"{}\"", path.escape_ascii()));
    let message = format!("a part of the list of files is lost, from here to {until}: {}", lost.error);
    reading.port.problem(&lost.first, Problem::new(ProblemKind::Damaged, message))
}

/// What is lost ends the run.
pub fn refuse(reading: &Reading, lost: Lost) -> Result<(), Stop> {
    Err(reading.port.fail(lost.error))
}

/// Somebody else tells what is lost.
pub fn ignore(_: &Reading, _: Lost) -> Result<(), Stop> {
    Ok(())
}

/// Makes sets of hard links of those names alone that have the same content. The number of a set is made of an inode
/// number, which a moment later, or on another device of the same number, can be that of another file.
fn tell_apart(item: &mut Item) {
    if let Some(link) = &mut item.link {
        let mut hasher = blake3::Hasher::new();
        for number in [u64::from(item.mode & TYPE_MASK), item.size, u64::from(item.device.is_some())] {
            hasher.update(&number.to_le_bytes());
        }
        let (major, minor) = item.device.unwrap_or_default();
        hasher.update(&major.to_le_bytes()).update(&minor.to_le_bytes());
        match &item.content {
            Content::Slices(slices) => hasher.update(&encode_slices(slices)),
            Content::Lists(lists) => hasher.update(lists.as_flattened()),
        };
        hasher.update(&item.target);
        let digest = hasher.finalize();
        link.group ^= digest.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }
}

fn fail(reading: &Reading, error: bork_format::Error) -> Stop {
    reading.port.fail(error.into())
}

/// Adds up the sizes of the wanted items, for a progress display.
pub fn measure(reading: &Arc<Reading>) -> Result<(), Stop> {
    for_each(reading, ignore, |_, item| {
        reading.total.fetch_add(item.size, Atomic::Relaxed);
        Ok(())
    })
}

/// A reader of nodes and lists.
pub fn object_reader(reading: &Reading) -> ObjectReader {
    ObjectReader::new(Arc::clone(&reading.keys), Arc::clone(&reading.index), Arc::clone(&reading.port))
}

/// Calls `each` with the slices of some content, list after list.
pub fn for_each_slice<E: From<EngineError>>(
    content: &Content,
    reader: &mut ObjectReader,
    mut each: impl FnMut(&Slice) -> Result<(), E>,
) -> Result<(), E> {
    match content {
        Content::Slices(slices) => slices.iter().try_for_each(each),
        Content::Lists(lists) => lists.iter().try_for_each(|id| {
            let slices = decode_list(&reader.read(id)?).map_err(EngineError::from)?;
            slices.iter().try_for_each(&mut each)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bork_format::item::{Link, TYPE_FILE};

    fn named(size: u64, id: u8, count: u32) -> Item {
        let content = Content::Slices(vec![Slice { id: [id; 32], offset: 0, length: size as u32 }]);
        let link = Some(Link { group: 7, count });
        let mut item = Item { mode: TYPE_FILE, size, content, link, ..Item::default() };
        tell_apart(&mut item);
        item
    }

    #[test]
    fn names_of_one_set_are_linked_only_if_they_have_the_same_content() {
        let group = |item: Item| item.link.map(|link| link.group);
        assert_eq!(group(named(5, 1, 2)), group(named(5, 1, 3)));
        assert_ne!(group(named(5, 1, 2)), group(named(5, 2, 2)));
        assert_ne!(group(named(5, 1, 2)), group(named(6, 1, 2)));
    }
}
