//! Is what is backed up still there? A file system can go away under a walk: a server, a cable, a disk.
//!
//! Each path that is left then fails, which looks like so many unreadable files, and an archive of the few that were
//! read before would stand for all of them.

use bork_core::stat::stat_fd;
use bork_core::walk::Root;
use rustix::fs::{CWD, Mode, OFlags, fstatfs, openat};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;

/// What the kernel answers for a mount whose other end is lost. Not that a path is missing or forbidden: that can happen
/// to any path while it is backed up.
const GONE: &[Errno] = &[
    Errno::NOTCONN,
    Errno::CONNABORTED,
    Errno::STALE,
    Errno::HOSTDOWN,
    Errno::TIMEDOUT,
    Errno::IO,
    Errno::NODEV,
    Errno::NXIO,
    Errno::SHUTDOWN,
];

/// The paths of a backup, and on which file systems they are when it begins.
pub struct Sources(Vec<(Vec<u8>, u64)>);

impl Sources {
    /// Looks at each root; one that is not there is not looked at again.
    pub fn of(roots: &[Root]) -> Self {
        Sources(roots.iter().filter_map(|root| Some((root.source.clone(), device(&root.source).ok()?))).collect())
    }

    /// # Errors
    /// A sentence, when one is not there any more, or lies on another file system.
    pub fn verify(&self) -> Result<(), String> {
        for (path, before) in &self.0 {
            let why = match device(path) {
                Ok(now) if now != *before => "another file system is there now".to_string(),
                Err(error) if Errno::from_io_error(&error).is_some_and(|error| GONE.contains(&error)) => {
                    error.to_string()
                }
                _ => continue,
            };
            return Err(format!("{} went away while it was backed up: {why}", path.escape_ascii()));
        }
        Ok(())
    }
}

/// Asks for the file system itself, too: `statx` is answered from memory for a while. Of a link nothing but itself is
/// stored.
fn device(path: &[u8]) -> io::Result<u64> {
    let fd = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    fstatfs(&fd)?;
    Ok(stat_fd(fd.as_fd())?.device)
}
