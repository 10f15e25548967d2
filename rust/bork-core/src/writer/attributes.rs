//! Owner, extended attributes, ACL, mode, times and flags, in an order in which no step undoes another.
//!
//! * Owner first: `chown` clears set-uid bits and `security.capability`.
//! * Extended attributes before the mode: without privilege they need write permission, which the mode may lack.
//! * ACL before the mode: it sets the nine permission bits itself; until then the group has no rights.
//! * Times before flags: nobody can set the times of an immutable file, and no flag changes a time.

use std::os::fd::BorrowedFd;

use bork_format::item::{Item, TYPE_DIRECTORY, TYPE_SYMLINK, Time};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;

use super::Context;
use crate::metadata::xattr::{proc_is_mounted, proc_path};
use crate::metadata::{acl, flags};
use crate::problem::{Problem, ProblemKind, printable};
use crate::stat::{Stat, stat_fd};

const SET_UID: u32 = 0o4000;
const SET_GID: u32 = 0o2000;

/// How an entry is reached.
pub(super) enum Handle<'a> {
    /// Open for reading or writing.
    Open(BorrowedFd<'a>),
    /// Pinned with `O_PATH`; directory and name for kernels that need them.
    Pinned { fd: BorrowedFd<'a>, dir: BorrowedFd<'a>, name: &'a [u8] },
}

/// What an entry may have that its item knows nothing of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leftovers {
    /// It was made a moment ago.
    Nothing,
    /// It was made in a directory with a default ACL.
    Acl,
    /// It was there before.
    Everything,
}

/// The mode to create an entry with: the final permissions, unless they are not safe or not usable yet.
///
/// Set-uid and set-gid wait for the owner. With an ACL the group bits are its mask, so the group waits for the ACL.
/// An unprivileged process keeps write permission for itself while there are attributes to set.
pub(super) fn creation_mode(context: &Context, item: &Item) -> Mode {
    let mut mode = item.mode & 0o777;
    if !item.acl_access.is_empty() {
        mode &= 0o700;
    }
    if !context.privileged && !item.xattrs.is_empty() {
        mode |= 0o200;
    }
    Mode::from_raw_mode(mode)
}

/// Sets everything that differs; returns what could not be set.
pub(super) fn apply(context: &Context, handle: &Handle<'_>, item: &Item, leftovers: Leftovers) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut stat = match stat_fd(handle.fd()) {
        Ok(stat) => stat,
        Err(error) => return vec![Problem::from_io("read back attributes", error)],
    };
    let mode = set_owner(context, handle, item, &mut stat, &mut problems);
    if context.options.xattrs {
        set_xattrs(handle, item, &mut problems);
    }
    if item.file_type() != TYPE_SYMLINK {
        set_acl_and_mode(context, handle, item, mode, &stat, leftovers, &mut problems);
    }
    if let Err(error) = handle.set_times(item) {
        problems.push(Problem::metadata("set times", error));
    }
    let kept = item.flags & flags::KEPT;
    if let (true, Handle::Open(file)) = (context.options.flags, handle)
        && (kept != 0 || leftovers == Leftovers::Everything)
        && let Err((refused, error)) = flags::write(*file, kept, flags::KEPT)
        && refused != 0
    {
        problems.push(Problem::metadata(&format!("set file flags {}", flags::words(refused)), error));
    }
    problems
}

/// Sets owner and group where they differ and where that is possible. Returns the mode to set: without set-uid when
/// the owner is another than in the archive, and without set-gid for another group, or the program would run with
/// rights that nobody gave it.
fn set_owner(context: &Context, handle: &Handle<'_>, item: &Item, stat: &mut Stat, problems: &mut Vec<Problem>) -> u32 {
    let (uid, gid) = wanted_owner(context, item);
    let may_set_group = context.privileged || context.groups.contains(&gid);
    let new_uid = (context.privileged && uid != stat.uid).then_some(uid);
    let new_gid = (may_set_group && gid != stat.gid).then_some(gid);
    if new_uid.is_some() || new_gid.is_some() {
        match handle.set_owner(new_uid, new_gid) {
            Ok(()) => {
                // The kernel has cleared the special bits of what is not a directory.
                stat.mode &= if item.is_directory() { !0 } else { !(SET_UID | SET_GID) };
                (stat.uid, stat.gid) = (new_uid.unwrap_or(stat.uid), new_gid.unwrap_or(stat.gid));
            }
            Err(error) if context.privileged => {
                problems.push(Problem::metadata(&format!("set owner {uid}:{gid}"), error));
            }
            Err(_) => {}
        }
    }
    let mut mode = item.mode & 0o7777;
    let mut refused = 0;
    if !matches!(item.file_type(), TYPE_DIRECTORY | TYPE_SYMLINK) {
        refused |= if stat.uid == uid { 0 } else { mode & SET_UID };
        refused |= if stat.gid == gid { 0 } else { mode & SET_GID };
    }
    if refused != 0 {
        mode &= !refused;
        let message = format!("mode bits {refused:o} are left out, because the owner could not be restored");
        problems.push(Problem::new(ProblemKind::Metadata, message));
    }
    mode
}

/// Who an item belongs to on this machine.
pub(super) fn wanted_owner(context: &Context, item: &Item) -> (u32, u32) {
    context.with_names(|names| match names {
        Some(names) => (names.user_id(&item.user).unwrap_or(item.uid), names.group_id(&item.group).unwrap_or(item.gid)),
        None => (item.uid, item.gid),
    })
}

fn set_xattrs(handle: &Handle<'_>, item: &Item, problems: &mut Vec<Problem>) {
    for (name, value) in &item.xattrs {
        // An ACL in the guise of an attribute would pass by the options and the mapping of ids.
        let is_acl = name.starts_with(acl::PREFIX) || name.starts_with(acl::PREFIX_XFS);
        let result = if is_acl { Err(Errno::INVAL) } else { handle.set_xattr(name, value) };
        if let Err(error) = result {
            problems.push(Problem::metadata(&format!("set attribute {}", printable(name)), error));
        }
    }
}

fn set_acl_and_mode(
    context: &Context,
    handle: &Handle<'_>,
    item: &Item,
    mode: u32,
    stat: &Stat,
    leftovers: Leftovers,
    problems: &mut Vec<Problem>,
) {
    let mut perms = mode;
    let mut acl_is_set = false;
    for (name, entries) in [(acl::ACCESS, &item.acl_access), (acl::DEFAULT, &item.acl_default)] {
        if !context.options.acls {
            continue;
        }
        let is_default = name == acl::DEFAULT;
        if !entries.is_empty() {
            let value = context.with_names(|names| acl::encode(entries, names));
            match handle.set_xattr(name, &value) {
                Ok(()) => acl_is_set |= !is_default,
                Err(error) => {
                    problems.push(Problem::metadata(&format!("set attribute {}", printable(name)), error));
                }
            }
        } else if leftovers != Leftovers::Nothing && (!is_default || item.is_directory()) {
            // That there is none, or no support, is what is wanted.
            let _ = handle.remove_xattr(name);
        }
    }
    if !acl_is_set {
        perms = acl::mode_without_acl(mode, &item.acl_access);
    }
    let differs = (perms ^ stat.mode) & 0o7777;
    // An ACL has set the nine permission bits, so only special bits can differ then.
    if (if acl_is_set { differs & 0o7000 } else { differs }) != 0
        && let Err(error) = handle.set_mode(Mode::from_raw_mode(perms))
    {
        problems.push(Problem::metadata(&format!("set mode {perms:04o}"), error));
    }
}

impl Handle<'_> {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Open(fd) | Handle::Pinned { fd, .. } => *fd,
        }
    }

    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> Result<(), Errno> {
        // The greatest number means "leave as it is" to the kernel.
        if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
            return Err(Errno::INVAL);
        }
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        match self {
            Handle::Open(fd) => rustix::fs::fchown(fd, uid, gid),
            Handle::Pinned { fd, .. } => rustix::fs::chownat(fd, c"", uid, gid, AtFlags::EMPTY_PATH),
        }
    }

    fn set_mode(&self, mode: Mode) -> Result<(), Errno> {
        match self {
            Handle::Open(fd) => rustix::fs::fchmod(fd, mode),
            Handle::Pinned { fd, .. } => rustix::fs::chmod(path_of_pinned(*fd)?, mode),
        }
    }

    fn set_xattr(&self, name: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Handle::Open(fd) => rustix::fs::fsetxattr(fd, name, value, XattrFlags::empty()),
            // The link in /proc is followed to the pinned entry, and no further.
            Handle::Pinned { fd, .. } => rustix::fs::setxattr(path_of_pinned(*fd)?, name, value, XattrFlags::empty()),
        }
    }

    fn remove_xattr(&self, name: &[u8]) -> Result<(), Errno> {
        match self {
            Handle::Open(fd) => rustix::fs::fremovexattr(fd, name),
            Handle::Pinned { fd, .. } => rustix::fs::removexattr(path_of_pinned(*fd)?, name),
        }
    }

    /// Sets both times in one call; an item without access time gets its modification time, as in Borg.
    fn set_times(&self, item: &Item) -> Result<(), Errno> {
        let times = Timestamps {
            last_access: timespec(item.atime.unwrap_or(item.mtime)),
            last_modification: timespec(item.mtime),
        };
        match self {
            Handle::Open(fd) => rustix::fs::futimens(fd, &times),
            Handle::Pinned { fd, dir, name } => {
                match rustix::fs::utimensat(fd, c"", &times, AtFlags::EMPTY_PATH) {
                    // Before Linux 5.8; the name cannot be followed out, and only times are at stake.
                    Err(Errno::INVAL) => rustix::fs::utimensat(dir, *name, &times, AtFlags::SYMLINK_NOFOLLOW),
                    result => result,
                }
            }
        }
    }
}

fn path_of_pinned(fd: BorrowedFd<'_>) -> Result<Vec<u8>, Errno> {
    if proc_is_mounted() { Ok(proc_path(fd)) } else { Err(Errno::OPNOTSUPP) }
}

fn timespec(time: Time) -> Timespec {
    Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() }
}
