//! Is a file the same as in the previous archive? The files cache is the previous archive itself.

use crate::stat::Stat;
use bork_format::item::{Item, Time};

/// Which values must be equal for a file to count as unchanged: `--files-cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilesCache {
    /// Status change time: cannot be set by programs, so an edit always shows.
    pub ctime: bool,
    /// Modification time.
    pub mtime: bool,
    /// Length.
    pub size: bool,
    /// Inode number.
    pub inode: bool,
    /// Read and cut everything again.
    pub rechunk: bool,
    /// No files cache at all.
    pub disabled: bool,
}

/// How far an entry is unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// Content and every metadata field: the encoded body can be copied.
    Whole,
    /// Content only; metadata is read again.
    Content,
    /// Nothing.
    No,
}

/// The kernel stamps files with a clock that ticks every 1 to 10 ms; a stamp may be that much too early.
const TICK_NS: i64 = 20_000_000;
/// File systems with whole-second stamps round down (some to two seconds).
const COARSE_NS: i64 = 2_000_000_000;

/// Whether an edit after the previous archive's start is sure to carry a later stamp than `time`.
///
/// A file that was edited after it had been read, within the same tick of the stamp, would look unchanged for ever.
/// So a stamp at or after the start of the archive that recorded it is never trusted.
fn is_settled(time: Time, start: Time) -> bool {
    let margin = if time.nanoseconds == 0 { COARSE_NS } else { TICK_NS };
    let ns = |t: Time| i128::from(t.seconds) * 1_000_000_000 + i128::from(t.nanoseconds);
    ns(time) + i128::from(margin) < ns(start)
}

/// Compares an entry with the same path in the previous archive, which started at `start`.
pub fn compare(mode: FilesCache, stat: &Stat, old: &Item, start: Option<Time>) -> Unchanged {
    let Some(start) = start else { return Unchanged::No };
    if mode.disabled || mode.rechunk || old.mode & 0o170_000 != stat.mode & 0o170_000 {
        return Unchanged::No;
    }
    let ctime_same = old.ctime == Some(stat.ctime);
    let mtime_same = old.mtime == stat.mtime;
    let size_same = !old.is_file() || old.size == stat.size;
    let inode_same = old.inode == stat.inode;
    // An item that was read from no file system (import-tar) has no inode. What it says of its file is the word of
    // whoever made the tar, and no reason not to read the file.
    if old.inode == 0 && old.is_file() {
        return Unchanged::No;
    }
    let same = (!mode.ctime || (ctime_same && is_settled(stat.ctime, start)))
        && (!mode.mtime || (mtime_same && is_settled(stat.mtime, start)))
        && (!mode.size || size_same)
        && (!mode.inode || inode_same);
    if !same {
        return Unchanged::No;
    }
    // An unchanged ctime covers mode, owner, xattrs and ACLs; the inode makes sure that it is the same file.
    let whole = ctime_same && mtime_same && size_same && inode_same && is_settled(stat.ctime, start);
    if whole && (old.mode, old.uid, old.gid) == (stat.mode, stat.uid, stat.gid) {
        Unchanged::Whole
    } else {
        Unchanged::Content
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ns: i64) -> Time {
        Time { seconds: ns / 1_000_000_000, nanoseconds: (ns % 1_000_000_000) as u32 }
    }

    #[test]
    fn a_stamp_of_the_archives_first_tick_is_not_trusted() {
        let start = at(5_000_000_123);
        assert!(is_settled(at(4_900_000_001), start));
        assert!(!is_settled(at(4_990_000_001), start));
        assert!(!is_settled(at(5_000_000_124), start));
    }

    #[test]
    fn whole_second_stamps_get_two_seconds() {
        assert!(!is_settled(at(4_000_000_000), at(5_000_000_123)));
        assert!(is_settled(at(3_000_000_000), at(5_000_000_123)));
    }
}
