//! Paths inside a foreign root: an sshfs mount, a snapshot, a container.
//!
//! Who filled it may have put symbolic links anywhere. Here a path means what it means to a process that is chrooted
//! into the root: absolute links and `..` start and end at the root, and nothing leads out of it. The kernel itself sees to
//! that (`openat2` with `RESOLVE_IN_ROOT`, which holds against renames, too). Where it cannot, no link is followed at all.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use crate::metadata::xattr::{proc_is_mounted, proc_path};
use crate::stat::stat_fd;

const PIN: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// Opens the root itself; links in its path are followed, since the user typed it.
///
/// # Errors
/// Those of `open`.
pub fn open_root(path: &[u8]) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, PIN | OFlags::DIRECTORY, Mode::empty())?)
}

/// Pins what `path` means inside `root` with `O_PATH`, which opens no device and waits for no fifo. A link as last
/// component is followed.
///
/// # Errors
/// Those of `openat2`; `ENOTDIR` or `ELOOP` for a link where the kernel is too old to follow one safely.
pub fn pin(root: BorrowedFd<'_>, path: &[u8], more: OFlags) -> io::Result<OwnedFd> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let error = match rustix::fs::openat2(root, path, PIN | more, Mode::empty(), resolve) {
        Ok(fd) => return Ok(fd),
        // EPERM is what old seccomp filters answer to calls that they do not know, and sshfs to links that it hides.
        Err(error @ (Errno::NOSYS | Errno::PERM)) => error,
        Err(error) => return Err(error.into()),
    };
    pin_without_links(root, path, more).map_err(|other| if error == Errno::NOSYS { other } else { error.into() })
}

/// The same, component by component, for kernels before 5.6.
fn pin_without_links(root: BorrowedFd<'_>, path: &[u8], more: OFlags) -> io::Result<OwnedFd> {
    let mut at = rustix::fs::openat(root, c".", PIN | OFlags::DIRECTORY, Mode::empty())?;
    let names: Vec<&[u8]> = path.split(|byte| *byte == b'/').filter(|name| !matches!(*name, b"" | b".")).collect();
    for (index, name) in names.iter().enumerate() {
        if *name == b".." {
            return Err(Errno::XDEV.into());
        }
        let is_last = index + 1 == names.len();
        let flags = PIN | OFlags::NOFOLLOW | if is_last { more } else { OFlags::DIRECTORY };
        at = rustix::fs::openat(&at, *name, flags, Mode::empty())?;
    }
    if stat_fd(at.as_fd())?.file_type() == bork_format::item::TYPE_SYMLINK {
        return Err(Errno::LOOP.into());
    }
    Ok(at)
}

/// Reads a regular file inside `root`. The result is cut after `length_max` + 1 bytes, so that its length says whether
/// it was longer.
///
/// # Errors
/// Those of `openat2` and `read`; [`io::ErrorKind::InvalidData`] for what is no regular file: it is not opened.
pub fn read(root: BorrowedFd<'_>, path: &[u8], length_max: usize) -> io::Result<Vec<u8>> {
    let pinned = pin(root, path, OFlags::empty())?;
    let stat = stat_fd(pinned.as_fd())?;
    if !stat.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = if proc_is_mounted() {
        rustix::fs::openat(CWD, proc_path(pinned.as_fd()), flags, Mode::empty())?
    } else {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(root, path, flags, Mode::empty(), resolve)?
    };
    if !stat_fd(file.as_fd())?.same_inode(&stat) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it keeps being replaced by something else"));
    }
    let mut content = Vec::new();
    io::Read::read_to_end(&mut io::Read::take(std::fs::File::from(file), length_max as u64 + 1), &mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scene() -> (tempfile::TempDir, OwnedFd) {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        std::fs::create_dir_all(root.join("etc/real")).unwrap();
        std::fs::write(scratch.path().join("outside"), b"outside").unwrap();
        std::fs::write(root.join("outside"), b"inside").unwrap();
        std::fs::write(root.join("etc/real/passwd"), b"ann").unwrap();
        let opened = open_root(root.as_os_str().as_encoded_bytes()).unwrap();
        (scratch, opened)
    }

    #[test]
    fn links_end_inside_the_root_whatever_they_say() {
        let (scratch, root) = scene();
        let etc = scratch.path().join("root/etc");
        symlink("/etc/real/passwd", etc.join("absolute")).unwrap();
        symlink("real/passwd", etc.join("relative")).unwrap();
        symlink("../../../../outside", etc.join("upward")).unwrap();
        symlink(scratch.path().join("outside"), etc.join("elsewhere")).unwrap();
        symlink("loop", etc.join("loop")).unwrap();
        let read = |path: &str| read(root.as_fd(), path.as_bytes(), 100);
        assert_eq!(read("etc/absolute").unwrap(), b"ann");
        assert_eq!(read("/etc/relative").unwrap(), b"ann");
        assert_eq!(read("etc/upward").unwrap(), b"inside");
        assert_eq!(read("../../outside").unwrap(), b"inside");
        assert_eq!(read("etc/elsewhere").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(read("etc/loop").is_err());
    }

    #[test]
    fn what_is_no_regular_file_is_not_opened_and_a_long_file_is_cut() {
        let (scratch, root) = scene();
        let path = scratch.path().join("root/etc/fifo");
        rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in ["etc/fifo", "etc", "."] {
            let error = read(root.as_fd(), path.as_bytes(), 100).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{path}");
        }
        assert_eq!(read(root.as_fd(), b"etc/real/passwd", 1).unwrap(), b"an");
    }

    #[test]
    fn without_the_help_of_the_kernel_no_link_is_followed() {
        let (scratch, root) = scene();
        symlink("real", scratch.path().join("root/etc/link")).unwrap();
        let pin = |path: &[u8]| pin_without_links(root.as_fd(), path, OFlags::empty());
        assert!(pin(b"/etc//real/./passwd").is_ok());
        assert!(pin(b".").is_ok());
        for path in [&b"etc/link/passwd"[..], b"etc/link", b"../outside", b"etc/../../outside"] {
            assert!(pin(path).is_err(), "{}", path.escape_ascii());
        }
    }
}
