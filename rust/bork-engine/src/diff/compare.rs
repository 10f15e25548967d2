//! What has changed between two items of the same path, by the rules of Borg 1.4.
//!
//! Compared are type, permissions, owner, `ctime`, `mtime`, target and content; neither `atime` nor extended attributes,
//! ACLs and flags. Where Borg would say less than it knows, this says more: an owner without a name is compared by its
//! number, and a content counts as modified only if it is, also where it had to be read to know.

use super::content::ContentDifference;
use bork_core::render::{Change, Who};
use bork_format::item::{
    Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK,
};

/// What is compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// Owners by number, not by name.
    pub numeric_ids: bool,
    /// Leave out owner, mode and times.
    pub content_only: bool,
}

/// The change that a new item is.
pub fn added(item: &Item) -> Change<'static> {
    match item.file_type() {
        TYPE_FILE => Change::Added(item.size),
        TYPE_SYMLINK => Change::Words("added link"),
        TYPE_DIRECTORY => Change::Words("added directory"),
        TYPE_BLOCK_DEVICE => Change::Words("added blkdev"),
        TYPE_CHARACTER_DEVICE => Change::Words("added chrdev"),
        TYPE_FIFO => Change::Words("added fifo"),
        _ => Change::Words("added"),
    }
}

/// The change that a missing item is.
pub fn removed(item: &Item) -> Change<'static> {
    match item.file_type() {
        TYPE_FILE => Change::Removed(item.size),
        TYPE_SYMLINK => Change::Words("removed link"),
        TYPE_DIRECTORY => Change::Words("removed directory"),
        TYPE_BLOCK_DEVICE => Change::Words("removed blkdev"),
        TYPE_CHARACTER_DEVICE => Change::Words("removed chrdev"),
        TYPE_FIFO => Change::Words("removed fifo"),
        _ => Change::Words("removed"),
    }
}

/// All changes in the order of Borg, or `None` if the two count as equal. The list can be empty even if they do not:
/// a file that became a link shows nothing with `content_only`.
pub fn changes<'a>(old: &'a Item, new: &'a Item, content: ContentDifference, rules: Rules) -> Option<Vec<Change<'a>>> {
    let mut changes = Vec::new();
    let target_differs = old.target != new.target;
    if target_differs && !old.target.is_empty() && !new.target.is_empty() {
        changes.push(Change::Words("changed link"));
    }
    match content {
        ContentDifference::None => {}
        ContentDifference::Some => changes.push(Change::Modified),
        ContentDifference::Chunks { added, removed } => changes.push(Change::Chunks { added, removed }),
    }
    let mut is_equal = !target_differs && content == ContentDifference::None;
    if !rules.content_only {
        let owners = owners(old, new, rules.numeric_ids);
        is_equal &= owners.is_none() && old.mode == new.mode && old.mtime == new.mtime && old.ctime == new.ctime;
        changes.extend(owners);
        if old.mode != new.mode {
            changes.push(Change::Mode(old.mode, new.mode));
        }
        if let (Some(before), Some(after)) = (old.ctime, new.ctime)
            && before != after
        {
            changes.push(Change::Time("ctime", before, after));
        }
        if old.mtime != new.mtime {
            changes.push(Change::Time("mtime", old.mtime, new.mtime));
        }
    }
    (!is_equal).then_some(changes)
}

fn owners<'a>(old: &'a Item, new: &'a Item, numeric_ids: bool) -> Option<Change<'a>> {
    let by_number = |item: &Item| [Who::Id(item.uid), Who::Id(item.gid)];
    let (before, after) = if numeric_ids {
        (by_number(old), by_number(new))
    } else {
        let users = names((&old.user, old.uid), (&new.user, new.uid));
        let groups = names((&old.group, old.gid), (&new.group, new.gid));
        ([users.0, groups.0], [users.1, groups.1])
    };
    (before != after).then_some(Change::Owner(before, after))
}

/// Names; numbers if neither has a name and the numbers differ.
fn names<'a>(old: (&'a [u8], u32), new: (&'a [u8], u32)) -> (Who<'a>, Who<'a>) {
    if old.0.is_empty() && new.0.is_empty() && old.1 != new.1 {
        return (Who::Id(old.1), Who::Id(new.1));
    }
    let name = |name: &'a [u8]| Who::Name(Some(name).filter(|name| !name.is_empty()));
    (name(old.0), name(new.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bork_format::item::Time;

    fn item(mode: u32) -> Item {
        Item { mode, user: b"ann".to_vec(), group: b"staff".to_vec(), ctime: Some(Time::default()), ..Item::default() }
    }

    fn told<'a>(old: &'a Item, new: &'a Item, content_only: bool) -> Option<Vec<Change<'a>>> {
        changes(old, new, ContentDifference::None, Rules { content_only, ..Rules::default() })
    }

    #[test]
    fn what_borg_does_not_compare_makes_no_difference() {
        let old = item(TYPE_FILE | 0o644);
        let new = Item {
            atime: Some(Time { seconds: 9, nanoseconds: 0 }),
            xattrs: vec![(b"user.x".to_vec(), b"y".to_vec())],
            flags: 16,
            inode: 77,
            uid: 5,
            ..old.clone()
        };
        assert_eq!(told(&old, &new, false), None);
    }

    #[test]
    fn owners_are_compared_by_name_or_by_number_or_by_what_is_known() {
        let named = item(TYPE_FILE);
        let nameless = Item { user: Vec::new(), ..named.clone() };
        let (ann, staff) = (Who::Name(Some(&b"ann"[..])), Who::Name(Some(&b"staff"[..])));
        let gone = Change::Owner([ann, staff], [Who::Name(None), staff]);
        assert_eq!(told(&named, &nameless, false), Some(vec![gone]));
        let other = Item { uid: 5, ..nameless.clone() };
        let numbers = Change::Owner([Who::Id(0), staff], [Who::Id(5), staff]);
        assert_eq!(told(&nameless, &other, false), Some(vec![numbers]));
        let rules = Rules { numeric_ids: true, ..Rules::default() };
        assert_eq!(changes(&named, &nameless, ContentDifference::None, rules), None);
        let both = Change::Owner([Who::Id(0), Who::Id(0)], [Who::Id(5), Who::Id(0)]);
        assert_eq!(changes(&nameless, &other, ContentDifference::None, rules), Some(vec![both]));
    }

    #[test]
    fn content_only_leaves_out_metadata_and_keeps_links() {
        let old = item(TYPE_FILE | 0o644);
        let later = Item { mode: TYPE_FILE | 0o600, mtime: Time { seconds: 1, nanoseconds: 0 }, ..old.clone() };
        assert_eq!(told(&old, &later, true), None);
        assert_eq!(told(&old, &later, false).map(|changes| changes.len()), Some(2));
        let link = |target: &str| Item { target: target.into(), ..item(TYPE_SYMLINK | 0o777) };
        assert_eq!(told(&link("a"), &link("b"), true), Some(vec![Change::Words("changed link")]));
        assert_eq!(told(&old, &link("b"), true), Some(Vec::new()), "as Borg has it: a line without words");
    }

    #[test]
    fn a_time_that_one_archive_does_not_keep_is_a_difference_without_words() {
        let old = item(TYPE_FILE);
        let new = Item { ctime: None, ..old.clone() };
        assert_eq!(told(&old, &new, false), Some(Vec::new()));
    }
}
