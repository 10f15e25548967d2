//! The metadata of one entry, read into an [`Item`].
//!
//! Everything that is not content comes from here: one `statx` that the walk has made already, the target of a link,
//! extended attributes, ACLs and file flags. The rule is the fewest system calls that lose nothing: the list of
//! attribute names says whether there are ACLs, so a plain file costs one `flistxattr` and one `ioctl`. What cannot be
//! read becomes a [`Problem`] and the rest of the item stays good; that a file system knows no attributes is no
//! problem. Writing all this back is [`crate::writer`].

pub mod acl;
pub mod flags;
pub mod names;
pub mod xattr;

use std::ffi::CStr;
use std::os::fd::BorrowedFd;

use bork_format::item::{Item, Link, PATH_LENGTH_MAX, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK, missing};

pub use names::{NameCache, NameTables};

use crate::problem::{Problem, ProblemKind, printable};
use crate::stat::Stat;

/// `FUSE_SUPER_MAGIC`.
const FUSE_MAGIC: u32 = 0x6573_5546;

/// Which attributes to keep. The default is Borg's: everything but the access time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetadataOptions {
    /// Keep extended attributes, file capabilities among them.
    pub xattrs: bool,
    /// Keep POSIX ACLs.
    pub acls: bool,
    /// Keep file flags.
    pub flags: bool,
    /// Keep the access time.
    pub atime: bool,
    /// Keep the status change time.
    pub ctime: bool,
    /// Keep the birth time.
    pub birthtime: bool,
    /// Keep numeric ids only, no names.
    pub numeric_ids: bool,
}

impl Default for MetadataOptions {
    fn default() -> Self {
        MetadataOptions {
            xattrs: true,
            acls: true,
            flags: true,
            atime: false,
            ctime: true,
            birthtime: true,
            numeric_ids: false,
        }
    }
}

impl MetadataOptions {
    /// What items are without that are read with these options: a sum of [`missing`].
    pub fn missing(&self) -> u32 {
        let wanted = [
            (self.xattrs, missing::XATTRS),
            (self.acls, missing::ACLS),
            (self.flags, missing::FLAGS),
            (self.birthtime, missing::BIRTHTIME),
        ];
        wanted.into_iter().filter(|(is_wanted, _)| !is_wanted).map(|(_, kind)| kind).sum()
    }
}

/// Where an entry is: a name in an open directory and, if it could be opened, the entry itself.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The directory that holds the entry.
    pub dir: BorrowedFd<'a>,
    /// Its name there: one component.
    pub name: &'a CStr,
    /// The open regular file or directory; never an `O_PATH` descriptor.
    pub file: Option<BorrowedFd<'a>>,
}

/// Fills all fields of `item` but its content. Fields that `options` leave out, or that cannot be read, are emptied, and
/// the item says so.
///
/// The returned problems are of kind metadata, except when the target of a symbolic link could not be read: then the
/// item cannot be encoded and the caller must leave it out.
///
/// Cost of a file without attributes: two system calls when open (`flistxattr`, `ioctl`), one when not.
pub fn read(
    item: &mut Item,
    stat: &Stat,
    place: Place<'_>,
    names: &mut NameCache,
    options: &MetadataOptions,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    fill_from_stat(item, stat, names, options);
    item.missing = options.missing();
    item.target.clear();
    if stat.file_type() == TYPE_SYMLINK {
        match read_target(place, stat.size) {
            Ok(target) => item.target = target,
            Err(problem) => problems.push(problem),
        }
    }
    read_attributes(item, stat, place, names, options, &mut problems);
    item.flags = 0;
    if options.flags && matches!(stat.file_type(), TYPE_FILE | TYPE_DIRECTORY) {
        match place.file.map_or_else(|| Ok(flags::of_stat(stat)), flags::read) {
            Ok(flags) => item.flags = flags,
            Err(error) => {
                item.missing |= missing::FLAGS;
                problems.push(Problem::metadata("read file flags", error));
            }
        }
    }
    problems
}

fn fill_from_stat(item: &mut Item, stat: &Stat, names: &mut NameCache, options: &MetadataOptions) {
    item.mode = stat.mode;
    item.uid = stat.uid;
    item.gid = stat.gid;
    item.user.clear();
    item.group.clear();
    if !options.numeric_ids {
        item.user.extend_from_slice(names.user(stat.uid));
        item.group.extend_from_slice(names.group(stat.gid));
    }
    item.mtime = stat.mtime;
    item.ctime = options.ctime.then_some(stat.ctime);
    item.atime = options.atime.then_some(stat.atime);
    item.birthtime = stat.birthtime.filter(|_| options.birthtime);
    item.size = if stat.is_file() { stat.size } else { 0 };
    item.inode = stat.inode;
    item.device = stat.is_device().then_some(stat.rdev);
    item.link = link(stat);
}

/// The set of hard links that an entry belongs to. The number of its device can be another one after a reboot.
pub fn link(stat: &Stat) -> Option<Link> {
    (!stat.is_directory() && stat.links > 1)
        .then(|| Link { group: link_group(stat.device, stat.inode), count: stat.links })
}

/// One number for device and inode: the inode, xored with the device spread over all 64 bits.
///
/// Two sets of the same device never share a number. Two sets of different devices do when the xor of their inodes
/// equals the xor of the two spread devices; with inodes below 2^32 that needs 32 high bits to agree by chance, so
/// one pair of devices in 2^32 can collide at all, and inodes that are counted densely from zero rarely even then.
pub fn link_group(device: u64, inode: u64) -> u64 {
    // The finalizer of SplitMix64: a bijection in which each bit of the device changes half of the result.
    let mut mixed = device.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    inode ^ mixed ^ (mixed >> 31)
}

fn read_target(place: Place<'_>, size: u64) -> Result<Vec<u8>, Problem> {
    // With the length of statx as capacity one call is enough; the library goes on with a larger buffer if not.
    let buffer = Vec::with_capacity(size.min(4096) as usize + 1);
    let target = rustix::fs::readlinkat(place.dir, place.name, buffer)
        .map_err(|error| unreadable_link(place.dir, error))?
        .into_bytes();
    match target.len() {
        1..=PATH_LENGTH_MAX => Ok(target),
        length => Err(Problem::new(ProblemKind::Io, format!("symbolic link with a target of {length} bytes"))),
    }
}

/// No local file system answers EPERM. Current versions of sshfs do, to links that may lead out of what is mounted.
fn unreadable_link(dir: BorrowedFd<'_>, error: rustix::io::Errno) -> Problem {
    let mut problem = Problem::from_io("read symbolic link", error);
    let is_fuse = || rustix::fs::fstatfs(dir).is_ok_and(|statfs| statfs.f_type as u32 == FUSE_MAGIC);
    if error == rustix::io::Errno::PERM && is_fuse() {
        problem.message += " (sshfs hides absolute links and those with \"..\"; mount it with -o no_contain_symlinks)";
    }
    problem
}

fn read_attributes(
    item: &mut Item,
    stat: &Stat,
    place: Place<'_>,
    names: &mut NameCache,
    options: &MetadataOptions,
    problems: &mut Vec<Problem>,
) {
    item.xattrs.clear();
    item.acl_access.clear();
    item.acl_default.clear();
    if !options.xattrs && !options.acls {
        return;
    }
    let access = xattr::Access::new(place);
    let list = match access.list() {
        Ok(list) => list,
        Err(error) => {
            item.missing |= missing::XATTRS | missing::ACLS;
            return problems.push(Problem::metadata("list extended attributes", error));
        }
    };
    let mut names = (!options.numeric_ids).then_some(names);
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty() && !name.starts_with(acl::PREFIX_XFS)) {
        let is_acl = name.starts_with(acl::PREFIX);
        let (is_wanted, kind) = if is_acl { (options.acls, missing::ACLS) } else { (options.xattrs, missing::XATTRS) };
        if !is_wanted {
            continue;
        }
        let value = match access.get(name) {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(error) => {
                item.missing |= kind;
                problems.push(Problem::metadata(&format!("read attribute {}", printable(name)), error));
                continue;
            }
        };
        if !is_acl {
            item.xattrs.push((name.to_vec(), value));
            continue;
        }
        match acl::decode(&value, names.as_deref_mut()) {
            Ok(entries) if name == acl::ACCESS && !acl::says_no_more_than_mode(&entries) => item.acl_access = entries,
            Ok(entries) if name == acl::DEFAULT && stat.is_directory() => item.acl_default = entries,
            Ok(_) => {}
            Err(why) => {
                item.missing |= kind;
                problems.push(Problem::new(ProblemKind::Metadata, format!("attribute {}: {why}", printable(name))));
            }
        }
    }
    item.xattrs.sort_unstable();
    // A file system that lists a name twice must not make the item impossible to encode.
    item.xattrs.dedup_by(|later, earlier| later.0 == earlier.0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stat::stat_at;
    use std::os::fd::AsFd;

    fn read_entry(dir: &std::path::Path, name: &CStr, options: &MetadataOptions) -> (Item, Vec<Problem>) {
        let dir = std::fs::File::open(dir).unwrap();
        let stat = stat_at(dir.as_fd(), name).unwrap();
        let mut item = Item { flags: 99, target: b"stale".to_vec(), ..Item::default() };
        let place = Place { dir: dir.as_fd(), name, file: None };
        let problems = read(&mut item, &stat, place, &mut NameCache::from_system(), options);
        (item, problems)
    }

    #[test]
    fn sets_of_one_device_never_collide_and_devices_differ_in_their_high_bits() {
        assert_ne!(link_group(5, 1), link_group(5, 2));
        assert_ne!(link_group(5, 1) >> 32, link_group(6, 1) >> 32);
        let groups: std::collections::HashSet<u64> = (0..1000).map(|device| link_group(device, 7)).collect();
        assert_eq!(groups.len(), 1000);
    }

    #[test]
    fn a_hard_linked_symbolic_link_has_target_and_group_but_no_size() {
        let scratch = tempfile::tempdir().unwrap();
        let target = "x".repeat(4000);
        std::os::unix::fs::symlink(&target, scratch.path().join("a")).unwrap();
        std::fs::hard_link(scratch.path().join("a"), scratch.path().join("b")).unwrap();
        let (a, problems) = read_entry(scratch.path(), c"a", &MetadataOptions::default());
        let (b, _) = read_entry(scratch.path(), c"b", &MetadataOptions::default());
        assert_eq!(problems, []);
        assert_eq!((a.target.len(), a.size, a.flags), (4000, 0, 0));
        assert_eq!(a.link.unwrap().count, 2);
        assert_eq!(a, b);
    }

    #[test]
    fn options_leave_out_times_and_names_and_empty_what_was_there() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("f"), b"123").unwrap();
        let none = MetadataOptions {
            xattrs: false,
            acls: false,
            flags: false,
            atime: false,
            ctime: false,
            birthtime: false,
            numeric_ids: true,
        };
        let (item, problems) = read_entry(scratch.path(), c"f", &none);
        assert_eq!(problems, []);
        assert_eq!((item.ctime, item.atime, item.birthtime), (None, None, None));
        assert!(item.user.is_empty() && item.group.is_empty() && item.target.is_empty());
        assert_eq!((item.size, item.flags, item.link), (3, 0, None));
        assert_eq!(item.missing, missing::XATTRS | missing::ACLS | missing::FLAGS | missing::BIRTHTIME);
        let all = MetadataOptions { atime: true, ..MetadataOptions::default() };
        let (item, _) = read_entry(scratch.path(), c"f", &all);
        assert!(item.ctime.is_some() && item.atime.is_some() && !item.user.is_empty());
        assert_eq!(item.missing, 0);
    }

    #[test]
    fn a_vanished_symbolic_link_is_reported_with_a_kind_that_is_not_metadata() {
        let scratch = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("t", scratch.path().join("l")).unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        let stat = stat_at(dir.as_fd(), c"l").unwrap();
        std::fs::remove_file(scratch.path().join("l")).unwrap();
        let place = Place { dir: dir.as_fd(), name: c"l", file: None };
        let options = MetadataOptions::default();
        let problems = read(&mut Item::default(), &stat, place, &mut NameCache::from_system(), &options);
        assert_eq!(problems[0].kind, ProblemKind::NotFound);
    }

    #[test]
    fn what_could_not_be_read_is_said_to_be_missing() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("f"), b"123").unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        let stat = stat_at(dir.as_fd(), c"f").unwrap();
        let read_at = |name| {
            let mut item = Item::default();
            let place = Place { dir: dir.as_fd(), name, file: None };
            let options = MetadataOptions::default();
            let problems = read(&mut item, &stat, place, &mut NameCache::from_system(), &options);
            (item.missing, problems.len())
        };
        assert_eq!(read_at(c"f"), (0, 0));
        assert_eq!(read_at(c"gone"), (missing::XATTRS | missing::ACLS, 1));
    }
}
