//! Whether the owner and the times of a symbolic link can be set without changing what the link points to.
//!
//! SFTP has no call for the attributes of a link itself, so sshfs changes those of its target: a link in a home
//! directory to `/etc/shadow`, restored with its owner, would give `/etc/shadow` away. On a file system that is suspected
//! of it this is found out, once, with a link and a file of our own.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::Context;
use crate::walk::class_of;

/// A time that nothing has by itself: 2001-09-09.
const MARK_S: i64 = 1_000_000_000;
/// How many names for the directory are tried.
const NAMES_MAX: u32 = 100;
const TARGET: &str = "target";
const RENAMED: &str = "target renamed";
const LINK: &str = "link";

/// What setting attributes of links does on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LinkAttributes {
    /// It changes the link.
    Settable,
    /// It changes what the link points to, or that could not be found out.
    Unsafe,
}

impl Context {
    /// What is known of the file system with this device number, on which `dir` lies. The second value is whether it
    /// was found out just now. Costs one `statfs` for each device number; on suspected file systems fifteen calls more.
    pub(super) fn link_attributes(&self, dir: BorrowedFd<'_>, device: u64) -> (LinkAttributes, bool) {
        if self.suspects.is_empty() {
            return (LinkAttributes::Settable, false);
        }
        // The lock is held meanwhile: other threads that make links there have to wait for the answer anyway.
        let mut known = self.link_attributes.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(answer) = known.get(&device) {
            return (*answer, false);
        }
        let answer = match class_of(&self.suspects, dir) {
            None => LinkAttributes::Settable,
            Some(_) => probe(dir).unwrap_or(LinkAttributes::Unsafe),
        };
        known.insert(device, answer);
        (answer, true)
    }
}

fn probe(dir: BorrowedFd<'_>) -> Result<LinkAttributes, Errno> {
    let (name, private) = make_private(dir)?;
    let answer = try_link(private.as_fd());
    for entry in [LINK, TARGET, RENAMED] {
        let _ = rustix::fs::unlinkat(&private, entry, AtFlags::empty());
    }
    drop(private);
    let _ = rustix::fs::unlinkat(dir, name.as_str(), AtFlags::REMOVEDIR);
    answer
}

/// A new directory that nobody else may enter.
fn make_private(dir: BorrowedFd<'_>) -> Result<(String, OwnedFd), Errno> {
    let process = rustix::process::getpid().as_raw_nonzero();
    for number in 0..NAMES_MAX {
        let name = format!(".bork-link-test-{process}-{number}");
        match rustix::fs::mkdirat(dir, name.as_str(), Mode::RWXU) {
            Ok(()) => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                return Ok((name.clone(), rustix::fs::openat(dir, name.as_str(), flags, Mode::empty())?));
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

fn try_link(dir: BorrowedFd<'_>) -> Result<LinkAttributes, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, TARGET, flags, Mode::RUSR | Mode::WUSR)?;
    let before = rustix::fs::fstat(&file)?;
    drop(file);
    rustix::fs::symlinkat(TARGET, dir, LINK)?;
    let link = rustix::fs::openat(dir, LINK, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    // Refusals are fine: what cannot be set does no harm.
    let mark = Timespec { tv_sec: MARK_S, tv_nsec: 0 };
    let times = Timestamps { last_access: mark, last_modification: mark };
    let _ = rustix::fs::utimensat(&link, c"", &times, AtFlags::EMPTY_PATH)
        .or_else(|_| rustix::fs::utimensat(dir, LINK, &times, AtFlags::SYMLINK_NOFOLLOW));
    let (uid, gid) = (Uid::from_raw(before.st_uid ^ 1), Gid::from_raw(before.st_gid ^ 1));
    let _ = rustix::fs::chownat(&link, c"", Some(uid), Some(gid), AtFlags::EMPTY_PATH);
    // Such file systems remember attributes by name, for 20 s. Under a new name, and after a change, they ask.
    rustix::fs::renameat(dir, TARGET, dir, RENAMED)?;
    rustix::fs::chmodat(dir, RENAMED, Mode::RUSR, AtFlags::empty())?;
    let after = rustix::fs::statat(dir, RENAMED, AtFlags::SYMLINK_NOFOLLOW)?;
    let reached = |stat: &Stat| stat.st_mtime == MARK_S || (stat.st_uid, stat.st_gid) != (before.st_uid, before.st_gid);
    Ok(if reached(&after) { LinkAttributes::Unsafe } else { LinkAttributes::Settable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_file_system_sets_the_attributes_of_the_link_and_nothing_is_left_behind() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        assert_eq!(probe(dir.as_fd()), Ok(LinkAttributes::Settable));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
    }
}
