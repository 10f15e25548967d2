//! One `statx` and what Bork keeps of it.
//!
//! An unchanged file costs exactly this one call (design.md, section 6), so the structure carries everything that
//! change detection, hard link detection and `--exclude-nodump` ask for. Symbolic links are never followed and
//! automounts are never triggered.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;

use bork_format::item::{TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FILE, TYPE_MASK, Time};
use rustix::fs::{AtFlags, Statx, StatxAttributes, StatxFlags, StatxTimestamp};

/// The metadata of an entry as one `statx` gives it. 152 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Length; of a symbolic link, the length of its target. Unit: bytes.
    pub size: u64,
    /// Inode number.
    pub inode: u64,
    /// The file system that holds the entry, as `dev_t`.
    pub device: u64,
    /// Number of hard links.
    pub links: u32,
    /// Modification time.
    pub mtime: Time,
    /// Status change time.
    pub ctime: Time,
    /// Access time.
    pub atime: Time,
    /// Birth time, where the file system knows it.
    pub birthtime: Option<Time>,
    /// Major and minor number of a device node, else zeros.
    pub rdev: (u32, u32),
    /// Allocated space. Unit: 512 bytes.
    pub blocks: u64,
    /// `chattr +d`: the user wants no backup of it.
    pub nodump: bool,
    /// `chattr +i`.
    pub immutable: bool,
    /// `chattr +a`.
    pub append: bool,
    /// `chattr +c`.
    pub compressed: bool,
    /// The entry is the root of a mount.
    pub mount_root: bool,
}

impl Stat {
    /// The type bits of the mode.
    pub fn file_type(&self) -> u32 {
        self.mode & TYPE_MASK
    }

    /// Whether the entry is a regular file.
    pub fn is_file(&self) -> bool {
        self.file_type() == TYPE_FILE
    }

    /// Whether the entry is a directory.
    pub fn is_directory(&self) -> bool {
        self.file_type() == TYPE_DIRECTORY
    }

    /// Whether the entry is a character or block device.
    pub fn is_device(&self) -> bool {
        matches!(self.file_type(), TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE)
    }

    /// Whether two structures describe the same inode.
    pub fn same_inode(&self, other: &Stat) -> bool {
        self.device == other.device && self.inode == other.inode
    }
}

/// Describes the entry `name` of `dir` itself, never what a link points to. One system call.
///
/// # Errors
/// Those of `statx`.
pub fn stat_at(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Stat> {
    statx(dir, name, AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT)
}

/// Describes an open file; an `O_PATH` descriptor will do. One system call.
///
/// # Errors
/// Those of `statx`.
pub fn stat_fd(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    statx(fd, c"", AtFlags::EMPTY_PATH)
}

fn statx(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> io::Result<Stat> {
    match rustix::fs::statx(dir, name, flags, StatxFlags::BASIC_STATS | StatxFlags::BTIME) {
        Ok(raw) => Ok(from_raw(&raw)),
        Err(rustix::io::Errno::NOSYS) => old_stat(dir, name, flags),
        Err(error) => Err(error.into()),
    }
}

/// What a kernel before 4.11 tells: neither birth time nor flags. An agent may meet one.
fn old_stat(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> io::Result<Stat> {
    let raw = rustix::fs::statat(dir, name, flags)?;
    let time = |seconds, nanoseconds| Time { seconds, nanoseconds };
    Ok(Stat {
        mode: raw.st_mode,
        uid: raw.st_uid,
        gid: raw.st_gid,
        size: raw.st_size as u64,
        inode: raw.st_ino,
        device: raw.st_dev,
        links: raw.st_nlink as u32,
        mtime: time(raw.st_mtime as i64, raw.st_mtime_nsec as u32),
        ctime: time(raw.st_ctime as i64, raw.st_ctime_nsec as u32),
        atime: time(raw.st_atime as i64, raw.st_atime_nsec as u32),
        birthtime: None,
        rdev: (rustix::fs::major(raw.st_rdev), rustix::fs::minor(raw.st_rdev)),
        blocks: raw.st_blocks as u64,
        nodump: false,
        immutable: false,
        append: false,
        compressed: false,
        mount_root: false,
    })
}

fn from_raw(raw: &Statx) -> Stat {
    let has = |attribute| raw.stx_attributes.contains(attribute);
    Stat {
        mode: u32::from(raw.stx_mode),
        uid: raw.stx_uid,
        gid: raw.stx_gid,
        size: raw.stx_size,
        inode: raw.stx_ino,
        device: rustix::fs::makedev(raw.stx_dev_major, raw.stx_dev_minor),
        links: raw.stx_nlink,
        mtime: time(&raw.stx_mtime),
        ctime: time(&raw.stx_ctime),
        atime: time(&raw.stx_atime),
        birthtime: (raw.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(&raw.stx_btime)),
        rdev: (raw.stx_rdev_major, raw.stx_rdev_minor),
        blocks: raw.stx_blocks,
        nodump: has(StatxAttributes::NODUMP),
        immutable: has(StatxAttributes::IMMUTABLE),
        append: has(StatxAttributes::APPEND),
        compressed: has(StatxAttributes::COMPRESSED),
        mount_root: has(StatxAttributes::MOUNT_ROOT),
    }
}

fn time(raw: &StatxTimestamp) -> Time {
    Time { seconds: raw.tv_sec, nanoseconds: raw.tv_nsec }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn a_file_is_described_as_the_standard_library_does() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("file");
        std::fs::write(&path, b"12345").unwrap();
        let expected = std::fs::metadata(&path).unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        let stat = stat_at(dir.as_fd(), c"file").unwrap();
        assert!(stat.is_file() && !stat.is_directory() && !stat.is_device());
        assert_eq!(
            (stat.mode, stat.uid, stat.gid, stat.size, stat.inode, stat.device, u64::from(stat.links)),
            (expected.mode(), expected.uid(), expected.gid(), 5, expected.ino(), expected.dev(), expected.nlink())
        );
        assert_eq!((stat.mtime.seconds, i64::from(stat.mtime.nanoseconds)), (expected.mtime(), expected.mtime_nsec()));
        let file = std::fs::File::open(&path).unwrap();
        assert!(stat_fd(file.as_fd()).unwrap().same_inode(&stat));
    }

    #[test]
    fn an_old_kernel_tells_the_same_but_for_what_it_does_not_know() {
        let dir = std::fs::File::open("/dev").unwrap();
        for name in [c"null", c"fd", c"."] {
            let new = stat_at(dir.as_fd(), name).unwrap();
            let old = old_stat(dir.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
            let known = Stat { birthtime: None, mount_root: false, ..new };
            assert_eq!(old, known);
        }
    }

    #[test]
    fn a_symbolic_link_is_described_itself_even_when_it_dangles() {
        let scratch = tempfile::tempdir().unwrap();
        symlink("nowhere", scratch.path().join("link")).unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        let stat = stat_at(dir.as_fd(), c"link").unwrap();
        assert_eq!(stat.file_type(), bork_format::item::TYPE_SYMLINK);
        assert_eq!(stat.size, 7);
        assert_eq!(stat_at(dir.as_fd(), c"none").unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
