//! Symbolic links, fifos and device nodes.
//!
//! They cannot be opened, so their attributes would have to be set by name, and a name can be swapped between two
//! calls: a `chown` could hit a hard link to somebody's file. So the new entry is pinned with an `O_PATH` descriptor, and
//! looked at: it must be of the type just made, with a single link. Everything else is then done to what is pinned.

use std::os::fd::AsFd;

use bork_format::item::{Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_FIFO, TYPE_SYMLINK};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::attributes::{self, Handle, Leftovers};
use super::directory::{Directory, race};
use super::links::LinkAttributes;
use super::{Writer, check_name};
use crate::problem::{Problem, ProblemKind};
use crate::stat::stat_fd;

impl Writer {
    /// Makes a symbolic link, a fifo or a device node in the place of whatever is there, and sets its attributes.
    /// Those that cannot be set go to [`Writer::take_problems`].
    ///
    /// # Errors
    /// [`ProblemKind::PathTraversal`] for a bad name, [`ProblemKind::Permission`] for a device without privilege,
    /// [`ProblemKind::Race`] when something else takes the name, else what the system says.
    pub fn make_other(&self, dir: &Directory, name: &[u8], item: &Item) -> Result<(), Problem> {
        check_name(name)?;
        match item.file_type() {
            TYPE_SYMLINK => {
                let make = || rustix::fs::symlinkat(item.target.as_slice(), dir.fd(), name);
                self.make(dir, name, "make symbolic link", make)?;
            }
            TYPE_FIFO => self.make_node(dir, name, item, FileType::Fifo, 0)?,
            TYPE_CHARACTER_DEVICE => self.make_node(dir, name, item, FileType::CharacterDevice, device(item)?)?,
            TYPE_BLOCK_DEVICE => self.make_node(dir, name, item, FileType::BlockDevice, device(item)?)?,
            _ => return Err(Problem::new(ProblemKind::Io, "the item is no link, fifo or device")),
        }
        self.finish_other(dir, name, item)
    }

    fn make_node(&self, dir: &Directory, name: &[u8], item: &Item, kind: FileType, device: u64) -> Result<(), Problem> {
        let mode = attributes::creation_mode(&self.0, item);
        self.make(dir, name, "make node", || rustix::fs::mknodat(dir.fd(), name, kind, mode, device))
    }

    fn finish_other(&self, dir: &Directory, name: &[u8], item: &Item) -> Result<(), Problem> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let pinned = match rustix::fs::openat(dir.fd(), name, flags, Mode::empty()) {
            Ok(pinned) => pinned,
            Err(Errno::NOENT) => return Err(race(name)),
            Err(error) => return Err(Problem::from_io("pin", error)),
        };
        let stat = stat_fd(pinned.as_fd()).map_err(|error| Problem::from_io("pin", error))?;
        if stat.file_type() != item.file_type() || stat.links != 1 {
            return Err(race(name));
        }
        if stat.file_type() == TYPE_SYMLINK && !self.may_set_attributes(dir, name, stat.device, item) {
            return Ok(());
        }
        let handle = Handle::Pinned { fd: pinned.as_fd(), dir: dir.fd(), name };
        let leftovers = if dir.inherits_acl { Leftovers::Acl } else { Leftovers::Nothing };
        let problems = attributes::apply(&self.0, &handle, item, leftovers);
        self.0.report(&dir.path_of(name), problems);
        Ok(())
    }
}

impl Writer {
    /// Whether the attributes of a link are its own on this file system. If not, that is reported once.
    fn may_set_attributes(&self, dir: &Directory, name: &[u8], device: u64, item: &Item) -> bool {
        let (answer, is_new) = self.0.link_attributes(dir.fd(), device);
        if answer == LinkAttributes::Settable {
            return true;
        }
        let mut problems = Vec::new();
        if is_new {
            let message = "owners and times of symbolic links are left out on this file system, \
                           where setting them would change what the links point to";
            problems.push(Problem::new(ProblemKind::Metadata, message));
        }
        if self.0.options.xattrs && !item.xattrs.is_empty() {
            problems.push(Problem::new(ProblemKind::Metadata, "the attributes of this link are left out"));
        }
        self.0.report(&dir.path_of(name), problems);
        false
    }
}

fn device(item: &Item) -> Result<u64, Problem> {
    let (major, minor) =
        item.device.ok_or_else(|| Problem::new(ProblemKind::Io, "the item of a device has no device number"))?;
    Ok(rustix::fs::makedev(major, minor))
}
