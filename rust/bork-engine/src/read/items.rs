//! The wanted items of an archive, in order.

use super::Reading;
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::tree::LeafStream;
use bork_core::seam::Stop;
use bork_format::item::{Content, Item, Slice, decode_list};
use bork_format::node::{LeafReader, compare};
use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::Ordering as Atomic;

/// Calls `each` with every wanted item. A node that cannot be read ends the run: nobody can say what was in it.
pub fn for_each(reading: &Arc<Reading>, mut each: impl FnMut(&[u8], Item) -> Result<(), Stop>) -> Result<(), Stop> {
    let plan = &reading.plan;
    let mut stream = LeafStream::new(object_reader(reading), plan.root, plan.filter.paths.prefixes());
    let mut last: Option<Vec<u8>> = None;
    loop {
        let leaf = stream.next_leaf().map_err(|error| reading.port.fail(error))?;
        let Some(leaf) = leaf else { return Ok(()) };
        if reading.port.is_stopped() {
            return Err(Stop);
        }
        let mut leaf_reader = LeafReader::new(&leaf).map_err(|error| fail(reading, error))?;
        while let Some(body) = leaf_reader.advance().map_err(|error| fail(reading, error))? {
            let path = leaf_reader.path();
            if let Some(last) = last.take()
                && compare(&last, path) != Ordering::Less
            {
                return Err(reading.port.fail(EngineError::damaged("tree", "its leaves are not in order")));
            }
            if plan.filter.wants(if path.is_empty() { b"." } else { path }) {
                each(path, Item::decode(body).map_err(|error| fail(reading, error))?)?;
            }
        }
        last = Some(leaf_reader.into_path()).filter(|path| !path.is_empty());
    }
}

fn fail(reading: &Reading, error: bork_format::Error) -> Stop {
    reading.port.fail(error.into())
}

/// Adds up the sizes of the wanted items, for a progress display.
pub fn measure(reading: &Arc<Reading>) -> Result<(), Stop> {
    for_each(reading, |_, item| {
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
