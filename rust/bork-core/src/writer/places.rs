//! Where items go: the directories between the target and the current item, and the way back to where one went.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, Weak};

use bork_format::item::Item;
use rustix::fs::{Mode, OFlags, openat};

use super::{Directory, Existing, Writer};
use crate::metadata::flags;
use crate::problem::{Problem, ProblemKind};
use crate::stat::stat_fd;
use crate::walk::{MetFileSystem, class_of, describe};

/// A directory, and a name in it.
pub type Place<'a> = (Arc<Directory>, &'a [u8]);

/// The open directories, and the paths that lead to them, stripped of leading components.
pub struct Places {
    /// Makes everything.
    pub writer: Writer,
    root: Arc<Directory>,
    /// Path of the innermost open directory.
    path: Vec<u8>,
    /// Below the root, outermost first: the length of the path of each, and the directory.
    open: Vec<(usize, Arc<Directory>)>,
}

/// Where something was restored. Its directory need not stay open: it is found again by its path below the target.
pub struct Spot {
    directory: Weak<Directory>,
    /// A directory that could not be entered again, being left, stays open.
    kept: Option<Arc<Directory>>,
    path: Vec<u8>,
    name: Vec<u8>,
}

impl Places {
    /// Opens the target.
    pub fn new(writer: Writer, target: &Path) -> Result<Self, Problem> {
        let root = writer.open_root(target)?;
        Ok(Places { writer, root, path: Vec::new(), open: Vec::new() })
    }

    /// The target is a directory that is open already.
    pub fn below(writer: Writer, target: OwnedFd) -> Result<Self, Problem> {
        let root = writer.root_at(target)?;
        Ok(Places { writer, root, path: Vec::new(), open: Vec::new() })
    }

    /// What the file system of the target has, if it is one of these.
    pub fn met(&self, file_systems: &[u32]) -> Option<MetFileSystem> {
        let class = class_of(file_systems, self.root.fd())?;
        let device = stat_fd(self.root.fd()).map_or(0, |stat| stat.device);
        Some(describe(self.root.fd(), b".".to_vec(), class, device))
    }

    /// The target gets the attributes of the root of the archive, which comes first: nothing else is open yet.
    pub fn restore_root(&mut self, item: Item) -> Result<(), Problem> {
        self.root = self.writer.restore_root_again(&self.root, b".", item)?;
        Ok(())
    }

    /// Compares the target with the root of the archive.
    pub fn look_at_root(&self, item: &Item) -> Existing {
        self.writer.look_at_directory(&self.root, item)
    }

    /// The directory that an item belongs in, and its name there. Leaves directories that are complete.
    pub fn enter_parent<'a>(&mut self, path: &'a [u8]) -> Result<Place<'a>, Problem> {
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        while !is_below(&self.path, parent) {
            self.open.pop();
            self.path.truncate(self.open.last().map_or(0, |(length, _)| *length));
        }
        while self.path.len() < parent.len() {
            let start = if self.path.is_empty() { 0 } else { self.path.len() + 1 };
            let component = parent[start..].split(|byte| *byte == b'/').next().unwrap_or_default();
            let directory = self.writer.enter(self.innermost(), component, None)?;
            self.push(&parent[..start + component.len()], directory);
        }
        Ok((Arc::clone(self.innermost()), name))
    }

    /// Restores the directory at `path`, whose parent has been entered, and enters it.
    pub fn enter(&mut self, path: &[u8], name: &[u8], full_path: &[u8], item: Item) -> Result<(), Problem> {
        let directory = self.writer.enter(self.innermost(), name, Some((full_path, item)))?;
        self.push(path, directory);
        Ok(())
    }

    fn push(&mut self, path: &[u8], directory: Arc<Directory>) {
        self.path.extend_from_slice(&path[self.path.len()..]);
        self.open.push((path.len(), directory));
    }

    fn innermost(&self) -> &Arc<Directory> {
        self.open.last().map_or(&self.root, |(_, directory)| directory)
    }

    /// How many directories are open only for entries that are not complete.
    pub fn waiting(&self) -> usize {
        self.writer.open_directories().saturating_sub(self.open.len() + 1)
    }

    /// Remembers where `name` in the directory of the current item is.
    pub fn spot(&self, name: &[u8]) -> Spot {
        let directory = self.innermost();
        let kept = (!directory.lets_back_in()).then(|| Arc::clone(directory));
        Spot { directory: Arc::downgrade(directory), kept, path: self.path.clone(), name: name.to_vec() }
    }

    /// Sets the flags of a file that was restored: those that forbid further names come after all names.
    pub fn set_flags(&self, spot: &Spot, wanted: u32) -> Result<(), Problem> {
        let (directory, name) = self.find(spot)?;
        let mode = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(directory.fd(), name, mode, Mode::empty())
            .map_err(std::io::Error::from)
            .and_then(|file| flags::write(file.as_fd(), wanted, flags::KEPT).map_err(|(_, error)| error))
            .map_err(|error| Problem::metadata("set flags", error))
    }

    /// Opens the directory of a spot, and tells the name there.
    pub fn find<'a>(&self, spot: &'a Spot) -> Result<Place<'a>, Problem> {
        let directory = match spot.kept.clone().or_else(|| spot.directory.upgrade()) {
            Some(directory) => directory,
            None => self.writer.enter_again(&self.root, &spot.path)?,
        };
        Ok((directory, &spot.name))
    }

    /// Makes another name of what is at `spot`.
    pub fn link(&self, spot: &Spot, directory: &Directory, name: &[u8]) -> Result<(), Problem> {
        let (source, source_name) = self.find(spot)?;
        self.writer.hard_link(directory, name, &source, source_name)
    }
}

/// Whether `path` is `prefix` or lies below it.
pub fn is_below(prefix: &[u8], path: &[u8]) -> bool {
    prefix.is_empty() || path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// What keeps an item from being restored that no system call has to find out: for a dry run, and for a check.
pub fn refuse(path: &[u8], item: &Item) -> Result<(), Problem> {
    if path.is_empty() && !item.is_directory() {
        return Err(Problem::new(
            ProblemKind::PathTraversal,
            "it would take the place of the target, and is no directory",
        ));
    }
    Ok(())
}
