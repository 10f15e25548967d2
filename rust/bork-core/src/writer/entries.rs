//! Regular files and hard links, and making room for any entry.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};

use bork_format::item::Item;
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::attributes::{self, Handle, Leftovers};
use super::directory::{Directory, race};
use super::{Writer, check_name};
use crate::direct::LargeFile;
use crate::metadata::flags;
use crate::problem::{Problem, ProblemKind, printable};

/// How often making an entry is tried again when something else takes the name.
const ATTEMPTS_MAX: u32 = 8;

impl Writer {
    /// Creates an empty regular file in the place of whatever is there, open for reading and writing. It has its
    /// final permissions already, as far as they are safe before its owner and ACL are set. Cost: one system call.
    ///
    /// # Errors
    /// [`ProblemKind::PathTraversal`] for a bad name, [`ProblemKind::Race`] when the entry in the way was made during
    /// this restore (two names may be one on this file system) or keeps coming back, else what the system says.
    pub fn create_file(&self, dir: &Directory, name: &[u8], item: &Item) -> Result<OwnedFd, Problem> {
        self.create(dir, name, item, attributes::creation_mode(&self.0, item))
    }

    /// As [`Writer::create_file`], for a file that is worth writing past the page cache.
    ///
    /// # Errors
    /// As [`Writer::create_file`].
    pub fn create_large_file(&self, dir: &Directory, name: &[u8], item: &Item) -> Result<LargeFile, Problem> {
        // It is opened a second time, which a mode such as 0444 would forbid; the end sets the mode right.
        let mode = attributes::creation_mode(&self.0, item) | Mode::WUSR;
        self.create(dir, name, item, mode).map(LargeFile::new)
    }

    fn create(&self, dir: &Directory, name: &[u8], item: &Item, mode: Mode) -> Result<OwnedFd, Problem> {
        if !item.is_file() {
            return Err(Problem::new(ProblemKind::Io, "the item is no regular file"));
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let make = || rustix::fs::openat(dir.fd(), name, flags, mode);
        let file = self.make(dir, name, "create file", make)?;
        if self.0.options.flags && item.flags & flags::BEFORE_DATA != 0 {
            // A refusal is reported at the end, when all flags are set.
            let _ = flags::write(file.as_fd(), item.flags, flags::BEFORE_DATA);
        }
        Ok(file)
    }

    /// Sets everything but the content and closes the file. Attributes that cannot be set go to
    /// [`Writer::take_problems`]. Cost of a plain file of the right owner: `statx`, `utimensat`, `close`.
    ///
    /// # Errors
    /// Closing reported that data was lost (network file systems write late).
    pub fn finish_file(
        &self,
        dir: &Directory,
        name: &[u8],
        file: impl Into<OwnedFd>,
        item: &Item,
    ) -> Result<(), Problem> {
        let file = file.into();
        let leftovers = if dir.inherits_acl { Leftovers::Acl } else { Leftovers::Nothing };
        let problems = attributes::apply(&self.0, &Handle::Open(file.as_fd()), item, leftovers);
        if !problems.is_empty() {
            self.0.report(&dir.path_of(name), problems);
        }
        close(file).map_err(|error| Problem::from_io("close", error))
    }

    /// Makes `name` another name of the entry `source_name` in `source_dir`. A symbolic link as source is linked
    /// itself. When both are the same entry already, nothing is done.
    ///
    /// # Errors
    /// [`ProblemKind::PathTraversal`] for a bad name; what the system says, such as too many links or another file
    /// system: then the caller may restore a copy.
    pub fn hard_link(
        &self,
        dir: &Directory,
        name: &[u8],
        source_dir: &Directory,
        source_name: &[u8],
    ) -> Result<(), Problem> {
        check_name(name)?;
        check_name(source_name)?;
        // No flag AT_SYMLINK_FOLLOW: a link swapped in for the source discloses nothing.
        let link = || rustix::fs::linkat(source_dir.fd(), source_name, dir.fd(), name, AtFlags::empty());
        match link() {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(Problem::from_io("make hard link", error)),
        }
        let source = identity(source_dir, source_name).map_err(|error| Problem::from_io("hard link source", error))?;
        if identity(dir, name).is_ok_and(|existing| existing == source) {
            return Ok(());
        }
        self.make(dir, name, "make hard link", link)
    }

    /// Runs `make` until it finds no entry in its way.
    pub(super) fn make<T>(
        &self,
        dir: &Directory,
        name: &[u8],
        what: &str,
        mut make: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Problem> {
        check_name(name)?;
        self.0.settle();
        for _ in 0..ATTEMPTS_MAX {
            match make() {
                Ok(made) => return Ok(made),
                Err(Errno::EXIST) => self.clear_way(dir, name)?,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Problem::from_io(what, error)),
            }
        }
        Err(race(name))
    }

    /// Removes what has the name: any entry, a directory only if it is empty, and nothing that was born after the
    /// restore began, because that was restored a moment ago under a name that this file system takes for the same.
    pub(super) fn clear_way(&self, dir: &Directory, name: &[u8]) -> Result<(), Problem> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        if let Ok(stat) = rustix::fs::statx(dir.fd(), name, flags, StatxFlags::BTIME)
            && stat.stx_mask & StatxFlags::BTIME.bits() != 0
            && (stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec) > (self.0.start.seconds, self.0.start.nanoseconds)
        {
            let message = format!("\"{}\" was made during this restore and is not replaced", printable(name));
            return Err(Problem::new(ProblemKind::Race, message));
        }
        let removed = match rustix::fs::unlinkat(dir.fd(), name, AtFlags::empty()) {
            Err(Errno::ISDIR) => rustix::fs::unlinkat(dir.fd(), name, AtFlags::REMOVEDIR),
            result => result,
        };
        match removed {
            // The directory became something else meanwhile: the next attempt sees what.
            Ok(()) | Err(Errno::NOENT | Errno::NOTDIR) => Ok(()),
            Err(error) => Err(Problem::from_io(&format!("remove the existing \"{}\"", printable(name)), error)),
        }
    }
}

/// Makes the file `size` bytes long; what was never written reads as zeros and takes no space.
///
/// # Errors
/// Those of `ftruncate`.
pub fn set_length(file: BorrowedFd<'_>, size: u64) -> io::Result<()> {
    Ok(rustix::fs::ftruncate(file, size)?)
}

fn identity(dir: &Directory, name: &[u8]) -> Result<(u64, u64), Errno> {
    let stat = rustix::fs::statat(dir.fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// Closes and tells what `close` says; dropping a descriptor would hide it.
fn close(file: OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is owned and given up here.
    if unsafe { libc::close(file.into_raw_fd()) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // Linux has closed the descriptor even when it was interrupted.
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
