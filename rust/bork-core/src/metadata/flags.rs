//! File flags (`chattr`), as `FS_IOC_GETFLAGS` gives them.
//!
//! Only flags that a user can set again and that mean something for the data or its use are kept. Flags by which a
//! file system describes its own storage (extents, inline data, hashed directories, verity, encryption) are not.
//! `casefold` is not kept either: it can be set on an empty directory only, and the names decide whether it may be.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::IFlags;
use rustix::io::Errno;

use crate::stat::Stat;

/// `chattr +i`: nobody can change the file.
pub const IMMUTABLE: u32 = 0x10;
/// `chattr +a`: the file can only grow.
pub const APPEND: u32 = 0x20;
/// `chattr +d`: the user wants no backup of it.
pub const NODUMP: u32 = 0x40;
/// `chattr +c`: the file system compresses it.
pub const COMPRESSED: u32 = 0x4;
/// `chattr +m`: the file system does not compress it.
pub const NOT_COMPRESSED: u32 = 0x400;
/// `chattr +C`: no copy on write (btrfs); takes effect on an empty file only.
pub const NOCOW: u32 = 0x80_0000;

/// Every flag that is kept, with its word in messages.
const NAMES: [(u32, &str); 16] = [
    (0x1, "secure-removal"),
    (0x2, "undeletable"),
    (COMPRESSED, "compressed"),
    (0x8, "sync"),
    (IMMUTABLE, "immutable"),
    (APPEND, "append"),
    (NODUMP, "nodump"),
    (0x80, "noatime"),
    (NOT_COMPRESSED, "not-compressed"),
    (0x4000, "journal-data"),
    (0x8000, "notail"),
    (0x1_0000, "dirsync"),
    (0x2_0000, "topdir"),
    (NOCOW, "nocow"),
    (0x200_0000, "dax"),
    (0x2000_0000, "project-inherit"),
];

/// The flags that are kept and can be set back.
pub const KEPT: u32 = {
    let mut mask = 0;
    let mut i = 0;
    while i < NAMES.len() {
        mask |= NAMES[i].0;
        i += 1;
    }
    mask
};

/// Flags that steer how data is stored: they must be set before the first byte is written.
pub const BEFORE_DATA: u32 = COMPRESSED | NOT_COMPRESSED | NOCOW;

/// Reads the flags of an open file or directory; zero where the file system has none. One system call.
///
/// # Errors
/// Those of the `ioctl`, except that it is not supported.
pub fn read(file: BorrowedFd<'_>) -> io::Result<u32> {
    match rustix::fs::ioctl_getflags(file) {
        Ok(flags) => Ok(flags.bits() & KEPT),
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Whether the file system of an open file has flags at all.
pub fn are_known(file: BorrowedFd<'_>) -> bool {
    !matches!(rustix::fs::ioctl_getflags(file), Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL))
}

/// What `statx` tells about the flags of a file that cannot be opened: four of them.
pub fn of_stat(stat: &Stat) -> u32 {
    [(stat.immutable, IMMUTABLE), (stat.append, APPEND), (stat.nodump, NODUMP), (stat.compressed, COMPRESSED)]
        .into_iter()
        .filter(|(set, _)| *set)
        .fold(0, |flags, (_, flag)| flags | flag)
}

/// Sets the flags `wanted` among `mask` on an open file and leaves the others as they are.
///
/// When the file system refuses them together they are tried one by one. Returns those that could not be set, with
/// the last error; one or two system calls when all goes well.
pub fn write(file: BorrowedFd<'_>, wanted: u32, mask: u32) -> Result<(), (u32, io::Error)> {
    let mask = mask & KEPT;
    let wanted = wanted & mask;
    let current = rustix::fs::ioctl_getflags(file).map_err(|error| (wanted, error.into()))?.bits();
    let goal = (current & !mask) | wanted;
    if goal == current || rustix::fs::ioctl_setflags(file, IFlags::from_bits_retain(goal)).is_ok() {
        return Ok(());
    }
    let mut reached = current;
    let mut refused = 0;
    let mut last = None;
    for (flag, _) in NAMES {
        if (reached ^ goal) & flag == 0 {
            continue;
        }
        match rustix::fs::ioctl_setflags(file, IFlags::from_bits_retain(reached ^ flag)) {
            Ok(()) => reached ^= flag,
            Err(error) => {
                refused |= flag;
                last = Some(error);
            }
        }
    }
    last.map_or(Ok(()), |error| Err((refused, error.into())))
}

/// The words for a set of flags, separated by commas.
pub fn words(flags: u32) -> String {
    let words: Vec<&str> = NAMES.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, word)| *word).collect();
    words.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn scratch_file() -> (tempfile::TempDir, std::fs::File) {
        let scratch = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(scratch.path().join("f")).unwrap();
        (scratch, file)
    }

    #[test]
    fn the_mask_holds_every_named_flag_once_and_none_of_the_internal_ones() {
        assert_eq!(KEPT.count_ones() as usize, NAMES.len());
        for internal in [0x1000, 0x8_0000, 0x10_0000, 0x1000_0000, 0x800, 0x4000_0000] {
            assert_eq!(KEPT & internal, 0);
        }
    }

    #[test]
    fn flags_are_set_and_read_back_and_others_stay() {
        let (_scratch, file) = scratch_file();
        if let Err((_, error)) = write(file.as_fd(), NODUMP | 0x80, KEPT) {
            eprintln!("skipped: the file system has no flags: {error}");
            return;
        }
        assert_eq!(read(file.as_fd()).unwrap(), NODUMP | 0x80);
        write(file.as_fd(), 0, NODUMP).unwrap();
        assert_eq!(read(file.as_fd()).unwrap(), 0x80);
        let stat = crate::stat::stat_fd(file.as_fd()).unwrap();
        assert_eq!(of_stat(&stat), 0);
    }

    #[test]
    fn a_refused_flag_is_named_and_the_others_are_set_all_the_same() {
        let (_scratch, file) = scratch_file();
        match write(file.as_fd(), NODUMP | NOCOW, KEPT) {
            Ok(()) => eprintln!("skipped: the file system takes nocow"),
            Err((refused, _)) if refused & NODUMP != 0 => eprintln!("skipped: the file system has no flags"),
            Err((refused, _)) => {
                assert_eq!(words(refused), "nocow");
                assert_eq!(read(file.as_fd()).unwrap(), NODUMP);
            }
        }
    }

    #[test]
    fn an_open_pipe_has_no_flags_and_that_is_no_error() {
        let (reader, _writer) = std::io::pipe().unwrap();
        assert_eq!(read(reader.as_fd()).unwrap(), 0);
    }
}
