//! Trees of items: bodies, leaves, inner nodes, content lists.

use crate::accepted::same;
use crate::meter::bounded;
use bork_format::item::{Content, Item, PATH_LENGTH_MAX, decode_list, encode_slices};
use bork_format::node::{LeafBuilder, LeafReader, check_path, compare, decode_inner, encode_inner};
use std::cmp::Ordering;

/// Memory for some bytes of body. Unit: bytes. The dearest part is an ACL entry: 5 bytes become 32, in a vector that
/// grows by doubling.
fn item_limit(length: usize) -> usize {
    4096 + length * 32
}

/// A body comes back, and what it promises of its content holds.
pub fn item(data: &[u8]) -> bool {
    let Ok(item) = bounded(item_limit(data.len()), || Item::decode(data)) else { return false };
    if let Content::Slices(slices) = &item.content {
        assert_eq!(slices.iter().map(|slice| u64::from(slice.length)).sum::<u64>(), item.size);
    }
    assert!(item.is_file() || item.content.is_empty());
    let mut out = Vec::new();
    item.encode(&mut out);
    same(data, &out)
}

/// A leaf comes back when its items are put again; its paths ascend and could be stored; it can be read on from every
/// place. Its bodies are items of their own.
pub fn leaf(data: &[u8]) -> bool {
    let Ok(mut reader) = LeafReader::new(data) else { return false };
    let mut builder = LeafBuilder::default();
    let mut resumed: Option<LeafReader<'_>> = None;
    loop {
        let before = reader.path().to_vec();
        // The path of one item, in a vector that grows by doubling.
        let outcome = bounded(PATH_LENGTH_MAX * 4, || reader.advance());
        if let Some(mut resumed) = resumed {
            assert_eq!(resumed.advance(), outcome);
            assert!(outcome.is_err() || resumed.path() == reader.path());
        }
        let Ok(body) = outcome else { return false };
        let Some(body) = body else { return same(data, &builder.finish().0) };
        let path = reader.path();
        assert!(check_path(path).is_ok());
        assert!(builder.items() == 0 || compare(&before, path) == Ordering::Less);
        builder.push(path, body, 0);
        item(body);
        resumed = LeafReader::resume(data, reader.position(), path.to_vec()).ok();
        assert!(resumed.is_some());
    }
}

/// An inner node comes back; its children ascend.
pub fn inner(data: &[u8]) -> bool {
    // The smallest child has 49 bytes and becomes a value of 72, in a vector that grows by doubling.
    let Ok(node) = bounded(4096 + data.len() * 8, || decode_inner(data)) else { return false };
    assert!(
        node.children
            .windows(2)
            .all(|pair| { compare(&pair[0].summary.first, &pair[1].summary.first) == Ordering::Less })
    );
    assert!(node.children.iter().all(|child| check_path(&child.summary.first).is_ok()));
    same(data, &encode_inner(node.level, &node.children))
}

/// A content list comes back; no slice is empty.
pub fn content_list(data: &[u8]) -> bool {
    let Ok(slices) = bounded(4096 + data.len() * 4, || decode_list(data)) else { return false };
    assert!(!slices.is_empty() && slices.iter().all(|slice| slice.length > 0));
    same(data, &encode_slices(&slices))
}
