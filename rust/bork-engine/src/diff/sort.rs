//! `--sort-by`: lines of differences in another order than that of the tree.
//!
//! Memory: all lines and their keys, for the last line that is found may have to be shown first.

use bork_core::render::Change;
use bork_format::item::{Item, TYPE_SYMLINK, Time};
use std::cmp::Ordering;

/// What lines are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The path, as characters: `a-b` comes before `a/b`, other than in the tree.
    Path,
    /// Bytes that are new.
    SizeAdded,
    /// Bytes that are gone.
    SizeRemoved,
    /// The difference of the two.
    SizeDiff,
    /// Length in the new archive, 0 if it is not there. As for the next ones.
    Size,
    /// Name of the owner.
    User,
    /// Name of the group.
    Group,
    /// Number of the owner; -1 if it is not there.
    Uid,
    /// Number of the group; -1 if it is not there.
    Gid,
    /// Status change time; 1970 if it is not there.
    Ctime,
    /// Modification time; 1970 if it is not there.
    Mtime,
    /// New minus old status change time, 1970 for what is not there.
    CtimeDiff,
    /// New minus old modification time, 1970 for what is not there.
    MtimeDiff,
}

/// Names of the fields on the command line.
pub const FIELDS: [(&str, Field); 13] = [
    ("path", Field::Path),
    ("size_added", Field::SizeAdded),
    ("size_removed", Field::SizeRemoved),
    ("size_diff", Field::SizeDiff),
    ("size", Field::Size),
    ("user", Field::User),
    ("group", Field::Group),
    ("uid", Field::Uid),
    ("gid", Field::Gid),
    ("ctime", Field::Ctime),
    ("mtime", Field::Mtime),
    ("ctime_diff", Field::CtimeDiff),
    ("mtime_diff", Field::MtimeDiff),
];

/// A field and whether it is sorted downwards.
pub type SortKey = (Field, bool);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Number(i128),
    Text(String),
}

/// Collects lines.
pub struct Sorter {
    keys: Vec<SortKey>,
    lines: Vec<(Vec<Value>, Vec<u8>)>,
}

impl Sorter {
    /// The first key counts most; of equal lines the order is kept.
    pub fn new(keys: Vec<SortKey>) -> Self {
        Sorter { keys, lines: Vec::new() }
    }

    /// One more line.
    pub fn push(&mut self, path: &[u8], old: Option<&Item>, new: Option<&Item>, changes: &[Change<'_>], line: Vec<u8>) {
        let values = self.keys.iter().map(|(field, _)| value(*field, path, old, new, changes)).collect();
        self.lines.push((values, line));
    }

    /// The lines in order.
    pub fn finish(mut self) -> impl Iterator<Item = Vec<u8>> {
        let keys = self.keys;
        self.lines.sort_by(|(left, _), (right, _)| {
            let mut orders = keys.iter().zip(left.iter().zip(right)).map(|((_, is_descending), (left, right))| {
                let order = left.cmp(right);
                if *is_descending { order.reverse() } else { order }
            });
            orders.find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
        });
        self.lines.into_iter().map(|(_, line)| line)
    }
}

fn value(field: Field, path: &[u8], old: Option<&Item>, new: Option<&Item>, changes: &[Change<'_>]) -> Value {
    let bytes = |pick: fn((u64, u64)) -> i128| changes.iter().map(|change| pick(change.bytes())).sum();
    let number = |get: fn(&Item) -> i128, absent: i128| new.map_or(absent, get);
    let elapsed = |get: fn(&Item) -> i128| new.map_or(0, get) - old.map_or(0, get);
    Value::Number(match field {
        Field::Path => return Value::Text(text(path)),
        Field::User => return Value::Text(new.map_or_else(String::new, |item| text(&item.user))),
        Field::Group => return Value::Text(new.map_or_else(String::new, |item| text(&item.group))),
        Field::SizeAdded => bytes(|(added, _)| i128::from(added)),
        Field::SizeRemoved => bytes(|(_, removed)| i128::from(removed)),
        Field::SizeDiff => bytes(|(added, removed)| i128::from(added) - i128::from(removed)),
        Field::Size => number(size, 0),
        Field::Uid => number(|item| i128::from(item.uid), -1),
        Field::Gid => number(|item| i128::from(item.gid), -1),
        Field::Ctime => number(ctime, 0),
        Field::Mtime => number(mtime, 0),
        Field::CtimeDiff => elapsed(ctime),
        Field::MtimeDiff => elapsed(mtime),
    })
}

/// Characters, with `?` for each byte that is none, as they are shown.
fn text(bytes: &[u8]) -> String {
    let mut out = String::new();
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().map(|_| '?'));
    }
    out
}

/// A link is as long as its target.
fn size(item: &Item) -> i128 {
    if item.file_type() == TYPE_SYMLINK { text(&item.target).chars().count() as i128 } else { i128::from(item.size) }
}

fn mtime(item: &Item) -> i128 {
    nanoseconds(item.mtime)
}

fn ctime(item: &Item) -> i128 {
    item.ctime.map_or(0, nanoseconds)
}

fn nanoseconds(time: Time) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(keys: &[SortKey]) -> String {
        let mut sorter = Sorter::new(keys.to_vec());
        let file = |uid: u32, size: u64| Item { uid, size, ..Item::default() };
        for (path, old, new, change) in [
            ("a/b", Some(file(9, 5)), Some(file(3, 7)), Change::Chunks { added: 7, removed: 5 }),
            ("a-b", Some(file(9, 50)), None, Change::Removed(50)),
            ("c", None, Some(file(3, 60)), Change::Added(60)),
        ] {
            sorter.push(path.as_bytes(), old.as_ref(), new.as_ref(), &[change], path.as_bytes().to_vec());
        }
        let lines: Vec<_> = sorter.finish().map(|line| text(&line)).collect();
        lines.join(" ")
    }

    #[test]
    fn lines_are_sorted_by_each_field_in_turn_upwards_or_downwards() {
        assert_eq!(sorted(&[(Field::Path, false)]), "a-b a/b c");
        assert_eq!(sorted(&[(Field::Path, true)]), "c a/b a-b");
        assert_eq!(sorted(&[(Field::SizeAdded, true)]), "c a/b a-b");
        assert_eq!(sorted(&[(Field::SizeRemoved, true)]), "a-b a/b c");
        assert_eq!(sorted(&[(Field::SizeDiff, false)]), "a-b a/b c");
        assert_eq!(sorted(&[(Field::Size, false)]), "a-b a/b c");
        assert_eq!(sorted(&[(Field::Uid, true)]), "a/b c a-b", "what is gone has the owner -1; equals stay in order");
        assert_eq!(sorted(&[(Field::Uid, true), (Field::Path, true)]), "c a/b a-b");
    }
}
