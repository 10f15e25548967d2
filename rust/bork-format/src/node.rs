//! Nodes of an item tree. Specified in docs/format/tree.md.
//!
//! Items are sorted: depth first, names compared as bytes, component by component, which is plain byte order if `/`
//! counts as the smallest byte. The sequence is cut into leaves where a hash of an item's path says so, so that the
//! same run of items gives the same leaf in every archive. Inner nodes list their children; one root is left.

use crate::codec::{Reader, put_varint, take_varint};
use crate::item::PATH_LENGTH_MAX;
use crate::{Error, ID_LENGTH, Id, Result, malformed};
use std::cmp::Ordering;

/// First byte of a leaf.
pub const LEAF: u8 = 1;
/// First byte of an inner node.
pub const INNER: u8 = 2;
/// Version of the node format: the second byte.
pub const VERSION: u8 = 1;
/// A leaf shorter than this is not cut. Unit: bytes.
pub const LEAF_LENGTH_MIN: usize = 32 << 10;
/// A leaf at least this long is cut after its item. Unit: bytes.
pub const LEAF_LENGTH_MAX: usize = 128 << 10;
/// A leaf between the limits is cut after an item whose path hash has these bits zero: on average each 256th.
pub const LEAF_MASK: u64 = 0xff;
/// An inner node of fewer children is not cut.
pub const INNER_CHILDREN_MIN: usize = 64;
/// An inner node of this many children is cut.
pub const INNER_CHILDREN_MAX: usize = 512;
/// An inner node between the limits is cut after a child whose first path's hash has these bits zero.
pub const INNER_MASK: u64 = 0x3f00;
/// Most levels of a tree; 64^8 leaves are more than any file system holds.
pub const DEPTH_MAX: u8 = 10;
/// Longest encoded body of an item. Unit: bytes. Large xattrs make large items.
pub const BODY_LENGTH_MAX: usize = 16 << 20;

const WHAT: &str = "tree node";

/// Compares two paths in tree order.
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let shared = shared_prefix(a, b);
    match (a.get(shared), b.get(shared)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        (Some(b'/'), Some(_)) => Ordering::Less,
        (Some(_), Some(b'/')) => Ordering::Greater,
        (Some(x), Some(y)) => x.cmp(y),
    }
}

fn shared_prefix(a: &[u8], b: &[u8]) -> usize {
    let (words_a, words_b) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let words = words_a.iter().zip(words_b).take_while(|(x, y)| x == y).count() * 8;
    words + a[words..].iter().zip(&b[words..]).take_while(|(x, y)| x == y).count()
}

/// 64-bit FNV-1a of a path, finished with a multiply and shift; decides cuts, protects nothing.
pub fn path_hash(path: &[u8]) -> u64 {
    let hash = path
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// Refuses a path that cannot be stored: absolute, with an empty, `.` or `..` component, or a zero byte. The empty
/// path is the root of the archive itself (shown as `.`).
pub fn check_path(path: &[u8]) -> Result<()> {
    if path.len() > PATH_LENGTH_MAX || path.contains(&0) {
        return malformed("path", "it is too long, or holds a zero byte");
    }
    if !path.is_empty() && path.split(|byte| *byte == b'/').any(|name| matches!(name, b"" | b"." | b"..")) {
        return malformed("path", "a component is empty, '.' or '..'");
    }
    Ok(())
}

/// Builds leaves, one after the other.
pub struct LeafBuilder {
    bytes: Vec<u8>,
    first: Vec<u8>,
    last: Vec<u8>,
    /// There was a leaf before, and `last` is its last path until this one has an item.
    is_later: bool,
    items: u64,
    size: u64,
}

impl Default for LeafBuilder {
    fn default() -> Self {
        let (bytes, first, last) = (vec![LEAF, VERSION], Vec::new(), Vec::new());
        LeafBuilder { bytes, first, last, is_later: false, items: 0, size: 0 }
    }
}

impl LeafBuilder {
    /// Refuses an item that [`LeafReader`] would refuse after the last one of this leaf or the leaf before. Cheap: it
    /// looks only at what the path does not share with the last one.
    pub fn check(&self, path: &[u8], body: &[u8]) -> Result<()> {
        let shared = shared_prefix(&self.last, path);
        if (self.items > 0 || self.is_later) && !follows(&self.last, shared, &path[shared..]) {
            return malformed(WHAT, "items are not sorted");
        }
        if path.len() > PATH_LENGTH_MAX {
            return malformed("path", "it is too long, or holds a zero byte");
        }
        if body.len() > BODY_LENGTH_MAX {
            return malformed(WHAT, "an item is longer than it can be");
        }
        let known = path[..shared].iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
        check_path(&path[known..])
    }

    /// Appends an item with an encoded body; the caller keeps tree order. Returns whether the leaf is now complete.
    pub fn push(&mut self, path: &[u8], body: &[u8], size: u64) -> bool {
        let shared = if self.items == 0 {
            self.first.extend_from_slice(path);
            0
        } else {
            shared_prefix(&self.last, path)
        };
        put_varint(&mut self.bytes, shared as u64);
        put_varint(&mut self.bytes, (path.len() - shared) as u64);
        self.bytes.extend_from_slice(&path[shared..]);
        put_varint(&mut self.bytes, body.len() as u64);
        self.bytes.extend_from_slice(body);
        self.last.truncate(shared);
        self.last.extend_from_slice(&path[shared..]);
        self.items += 1;
        self.size += size;
        self.bytes.len() >= LEAF_LENGTH_MAX || (self.bytes.len() >= LEAF_LENGTH_MIN && path_hash(path) & LEAF_MASK == 0)
    }

    /// Number of items so far.
    pub fn items(&self) -> u64 {
        self.items
    }

    /// Path of the last item.
    pub fn last(&self) -> &[u8] {
        &self.last
    }

    /// The finished leaf and its summary; the builder starts anew.
    pub fn finish(&mut self) -> (Vec<u8>, Summary) {
        let LeafBuilder { bytes, first, last, items, size, is_later } = std::mem::take(self);
        (self.last, self.is_later) = (last, is_later || items > 0);
        (bytes, Summary { first, items, size })
    }
}

/// What an inner node says of one child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Path of the first item below the child.
    pub first: Vec<u8>,
    /// Number of items below the child.
    pub items: u64,
    /// Sum of their sizes. Unit: bytes.
    pub size: u64,
}

/// One child of an inner node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// Id of the child node.
    pub id: Id,
    /// First path, items, size.
    pub summary: Summary,
}

/// Whether an inner node that ends with `child` as its `count`-th entry is complete.
pub fn inner_is_complete(count: usize, child: &Summary) -> bool {
    count >= INNER_CHILDREN_MAX || (count >= INNER_CHILDREN_MIN && path_hash(&child.first) & INNER_MASK == 0)
}

/// Encodes an inner node at `level` (1 above leaves).
pub fn encode_inner(level: u8, children: &[Child]) -> Vec<u8> {
    let mut out = vec![INNER, VERSION, level];
    for child in children {
        out.extend_from_slice(&child.id);
        out.extend_from_slice(&child.summary.items.to_le_bytes());
        out.extend_from_slice(&child.summary.size.to_le_bytes());
        put_varint(&mut out, child.summary.first.len() as u64);
        out.extend_from_slice(&child.summary.first);
    }
    out
}

/// A decoded inner node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inner {
    /// 1 above leaves.
    pub level: u8,
    /// At least one.
    pub children: Vec<Child>,
}

/// Decodes an inner node.
pub fn decode_inner(bytes: &[u8]) -> Result<Inner> {
    let mut r = Reader::new(bytes, WHAT);
    let [kind, version, level] = r.take_array()?;
    check_start(kind, version, INNER)?;
    if level == 0 || level > DEPTH_MAX {
        return malformed(WHAT, "its level is impossible");
    }
    let mut children: Vec<Child> = Vec::new();
    while !r.is_empty() {
        let id: [u8; ID_LENGTH] = r.take_array()?;
        let items = u64::from_le_bytes(r.take_array()?);
        let size = u64::from_le_bytes(r.take_array()?);
        let length = take_varint(&mut r)? as usize;
        let first = r.take(length.min(PATH_LENGTH_MAX + 1))?.to_vec();
        check_path(&first)?;
        if children.last().is_some_and(|last| compare(&last.summary.first, &first) != Ordering::Less) {
            return malformed(WHAT, "children are not sorted");
        }
        children.push(Child { id, summary: Summary { first, items, size } });
    }
    if children.is_empty() {
        return malformed(WHAT, "it has no children");
    }
    Ok(Inner { level, children })
}

fn check_start(kind: u8, version: u8, expected: u8) -> Result<()> {
    if version != VERSION {
        return Err(Error::Unknown { what: WHAT, field: "version", value: u64::from(version) });
    }
    if kind != expected {
        return malformed(WHAT, "it is not of the kind that its place demands");
    }
    Ok(())
}

/// Reads the items of a leaf in order, without copying bodies.
pub struct LeafReader<'a> {
    reader: Reader<'a>,
    path: Vec<u8>,
    first: bool,
}

impl<'a> LeafReader<'a> {
    /// Starts a leaf.
    pub fn new(bytes: &'a [u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        let [kind, version] = reader.take_array()?;
        check_start(kind, version, LEAF)?;
        Ok(LeafReader { reader, path: Vec::new(), first: true })
    }

    /// Continues a leaf at a position that [`LeafReader::position`] gave, after the item at `path`.
    pub fn resume(bytes: &'a [u8], position: usize, path: Vec<u8>) -> Result<Self> {
        let mut reader = Reader::new(bytes, WHAT);
        reader.take(position)?;
        Ok(LeafReader { reader, first: position <= 2, path })
    }

    /// How many bytes have been read.
    pub fn position(&self) -> usize {
        self.reader.position()
    }

    /// Path of the item that [`LeafReader::advance`] reached.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Gives the path away, to resume later.
    pub fn into_path(self) -> Vec<u8> {
        self.path
    }

    /// The encoded body of the next item, whose path is then in [`LeafReader::path`]; `None` at the end.
    pub fn advance(&mut self) -> Result<Option<&'a [u8]>> {
        if self.reader.is_empty() {
            return Ok(None);
        }
        let shared = take_varint(&mut self.reader)? as usize;
        let length = take_varint(&mut self.reader)? as usize;
        if shared > self.path.len() || shared + length > PATH_LENGTH_MAX {
            return malformed(WHAT, "a path is longer than it can be");
        }
        let suffix = self.reader.take(length)?;
        if !self.first && !follows(&self.path, shared, suffix) {
            return malformed(WHAT, "items are not sorted");
        }
        self.path.truncate(shared);
        self.path.extend_from_slice(suffix);
        self.first = false;
        check_path(&self.path)?;
        let length = take_varint(&mut self.reader)? as usize;
        if length > BODY_LENGTH_MAX {
            return malformed(WHAT, "an item is longer than it can be");
        }
        self.reader.take(length).map(Some)
    }
}

/// Whether `previous[..shared] + suffix` comes after `previous`, with `shared` as long as it can be.
fn follows(previous: &[u8], shared: usize, suffix: &[u8]) -> bool {
    match (previous.get(shared), suffix.first()) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(_), Some(b'/')) => false,
        (Some(b'/'), Some(_)) => true,
        (Some(old), Some(new)) => old < new,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_directory_comes_before_its_content_and_its_content_before_longer_names() {
        let sorted: [&[u8]; 6] = [b"a", b"a/b", b"a/b/c", b"a-b", b"a.b", b"b"];
        for pair in sorted.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
    }

    proptest! {
        #[test]
        fn tree_order_is_byte_order_with_a_low_slash(a in "[a-c./-]{0,12}", b in "[a-c./-]{0,12}") {
            let low = |text: &str| text.bytes().map(|byte| if byte == b'/' { 0 } else { byte }).collect::<Vec<_>>();
            prop_assert_eq!(compare(a.as_bytes(), b.as_bytes()), low(&a).cmp(&low(&b)));
        }

        #[test]
        fn what_the_reader_refuses_is_refused_when_it_is_written(first in "[ab./]{0,6}", second in "[ab./]{0,6}") {
            let mut builder = LeafBuilder::default();
            let mut is_good = true;
            for path in [&first, &second] {
                is_good &= builder.check(path.as_bytes(), b"").is_ok();
                builder.push(path.as_bytes(), b"", 0);
            }
            let (bytes, _) = builder.finish();
            let mut reader = LeafReader::new(&bytes).expect("valid start");
            prop_assert_eq!(is_good, reader.advance().and_then(|_| reader.advance()).is_ok());
        }

        #[test]
        fn leaves_come_back(mut paths in proptest::collection::vec("[a-c]{1,3}(/[a-c]{1,3}){0,3}", 0..50)) {
            paths.sort_by(|a, b| compare(a.as_bytes(), b.as_bytes()));
            paths.dedup();
            let mut builder = LeafBuilder::default();
            for path in &paths {
                builder.push(path.as_bytes(), path.as_bytes(), 1);
            }
            let (bytes, summary) = builder.finish();
            prop_assert_eq!(summary.items, paths.len() as u64);
            let mut reader = LeafReader::new(&bytes).expect("valid");
            for path in &paths {
                prop_assert_eq!(reader.advance().expect("valid"), Some(path.as_bytes()));
                prop_assert_eq!(reader.path(), path.as_bytes());
            }
            prop_assert_eq!(reader.advance(), Ok(None));
        }
    }

    #[test]
    fn unsorted_duplicate_and_climbing_paths_are_refused() {
        for paths in [["b", "a"], ["a", "a"], ["a", "../x"], ["a/b", "a"], ["a", "a//b"], ["a", "a/./b"]] {
            let mut builder = LeafBuilder::default();
            builder.push(paths[0].as_bytes(), b"", 0);
            assert!(builder.check(paths[1].as_bytes(), b"").is_err(), "{paths:?}");
            builder.push(paths[1].as_bytes(), b"", 0);
            let (bytes, _) = builder.finish();
            let mut reader = LeafReader::new(&bytes).expect("valid start");
            assert!(reader.advance().and_then(|_| reader.advance()).is_err(), "{paths:?}");
        }
    }

    #[test]
    fn the_order_holds_from_leaf_to_leaf() {
        let mut builder = LeafBuilder::default();
        assert!(builder.check(b"", b"").is_ok());
        builder.push(b"b", b"", 0);
        builder.finish();
        for (path, is_good) in [("a", false), ("b", false), ("", false), ("b/..", false), ("b/a", true), ("b-", true)] {
            assert_eq!(builder.check(path.as_bytes(), b"").is_ok(), is_good, "{path}");
        }
    }

    #[test]
    fn what_is_too_long_or_holds_a_zero_byte_is_refused() {
        let builder = LeafBuilder::default();
        assert!(builder.check(&[b'a'; PATH_LENGTH_MAX], b"").is_ok());
        assert!(builder.check(&[b'a'; PATH_LENGTH_MAX + 1], b"").is_err());
        assert!(builder.check(b"a", &vec![0; BODY_LENGTH_MAX + 1]).is_err());
        assert!(builder.check(b"a\0", b"").is_err());
    }
}
