//! Which file system a directory lies on, where that matters: those on a list that the control plane hands in.
//!
//! On file systems of the network and of FUSE some of what a backup relies on may not be true, and some of what it keeps
//! may not be there. Which ones, and what follows from it, is on the list; here they are recognized, and asked what they
//! have, once each.

use super::directory::Dir;
use super::pseudo::magic_of;
use crate::metadata::flags;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::collections::HashMap;

/// A file system of the list, met for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetFileSystem {
    /// Path of the directory where it was met, as messages show it.
    pub path: Vec<u8>,
    /// Number in the list.
    pub class: u8,
    /// Its device number: `st_dev`.
    pub device: u64,
    /// It has extended attributes.
    pub xattrs: bool,
    /// It has POSIX ACLs.
    pub acls: bool,
    /// It has file capabilities.
    pub capabilities: bool,
    /// It has file flags.
    pub flags: bool,
}

/// The list, and what of it was met.
#[derive(Debug, Default)]
pub struct FileSystems {
    magics: Vec<u32>,
    met: HashMap<u64, Option<u8>>,
}

impl FileSystems {
    /// `magics`: numbers of `statfs(2)`.
    pub fn new(magics: Vec<u32>) -> Self {
        FileSystems { magics, met: HashMap::new() }
    }

    /// Number in the list of the file system that `dir` lies on. Costs one `statfs` for each device number.
    pub fn class(&mut self, dir: BorrowedFd<'_>, device: u64) -> Option<u8> {
        let magics = &self.magics;
        *self.met.entry(device).or_insert_with(|| class_of(magics, dir))
    }

    /// Whether [`FileSystems::class`] was asked for this device.
    pub fn knows(&self, device: u64) -> bool {
        self.met.contains_key(&device)
    }
}

/// Number in the list.
pub fn class_of(magics: &[u32], dir: BorrowedFd<'_>) -> Option<u8> {
    let magic = magic_of(dir)?;
    magics.iter().position(|known| *known == magic).and_then(|class| u8::try_from(class).ok())
}

/// Asks for what the file system has, at a directory on it that need only be pinned. Costs six system calls. Where the
/// directory may not be read, nothing is said to be missing.
pub fn describe(dir: BorrowedFd<'_>, path: Vec<u8>, class: u8, device: u64) -> MetFileSystem {
    let Ok(dir) = Dir::open_at(dir, c".") else {
        return MetFileSystem { path, class, device, xattrs: true, acls: true, capabilities: true, flags: true };
    };
    let dir = dir.as_fd();
    let lacks = |result: Result<usize, Errno>| matches!(result, Err(Errno::OPNOTSUPP | Errno::NOSYS));
    let mut buffer = [0; 1024];
    let xattrs = !lacks(rustix::fs::flistxattr(dir, &mut buffer));
    // Some file systems answer that there is no ACL instead of that there are none at all; without attributes there
    // is no place for them.
    let mut has = |name: &[u8]| xattrs && !lacks(rustix::fs::fgetxattr(dir, name, &mut buffer));
    let (acls, capabilities) = (has(crate::metadata::acl::ACCESS), has(b"security.capability"));
    MetFileSystem { path, class, device, xattrs, acls, capabilities, flags: flags::are_known(dir) }
}
