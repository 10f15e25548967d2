//! Directories as open descriptors that finish themselves.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bork_format::item::{Item, TYPE_SYMLINK};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::attributes::{self, Handle, Leftovers};
use super::{Context, Writer, check_name};
use crate::metadata::acl;
use crate::problem::{Problem, ProblemKind, printable};
use crate::stat::stat_fd;

const OPEN: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How often a step is tried again when something else meddles with the name.
const ATTEMPTS_MAX: u32 = 8;

/// A directory of the target. It holds its parent; when the last reference is dropped its attributes are set.
#[derive(Debug)]
pub struct Directory {
    context: Arc<Context>,
    fd: OwnedFd,
    /// What its path has behind that of its parent; a whole path would make memory grow with the square of the depth.
    tail: Vec<u8>,
    /// Nothing stands before the tail: components that were stripped do not agree with the parent's.
    is_whole: bool,
    /// Unit: bytes. 0 for the root.
    path_length: usize,
    parent: Option<Arc<Directory>>,
    /// When its attributes are set, or those of a parent, its owner may not enter it any more.
    is_shut: bool,
    /// What to set at the end; nothing for a parent that the archive does not describe.
    item: Option<Box<Item>>,
    /// What may be there that the item knows nothing of.
    leftovers: Leftovers,
    /// New entries get an ACL from a default ACL that is none of ours.
    pub(super) inherits_acl: bool,
}

impl Directory {
    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Whether [`Writer::enter_again`] can find it when it has its attributes.
    pub fn lets_back_in(&self) -> bool {
        !self.is_shut
    }

    /// Its path in the archive, for messages only. Cost: the depth.
    pub fn path(&self) -> Vec<u8> {
        let mut tails = vec![&self.tail[..]];
        let mut at = self;
        while let (false, Some(parent)) = (at.is_whole, &at.parent) {
            at = parent;
            if at.parent.is_some() {
                tails.push(&at.tail);
            }
        }
        tails.reverse();
        tails.join(&b'/')
    }

    /// The path of an entry in it, for messages only.
    pub fn path_of(&self, name: &[u8]) -> Vec<u8> {
        match self.parent {
            None => name.to_vec(),
            Some(_) => [&self.path()[..], name].join(&b'/'),
        }
    }

    fn length_of(&self, name: &[u8]) -> usize {
        if self.path_length == 0 { name.len() } else { self.path_length + 1 + name.len() }
    }

    /// A directory that keeps what it has. `path`: tail, whether that is all, length of the path.
    fn new(
        context: &Arc<Context>,
        fd: OwnedFd,
        path: (Vec<u8>, bool, usize),
        parent: Option<&Arc<Directory>>,
    ) -> Directory {
        context.open_directories.fetch_add(1, Ordering::Relaxed);
        let (tail, is_whole, path_length) = path;
        Directory {
            context: Arc::clone(context),
            fd,
            tail,
            is_whole,
            path_length,
            parent: parent.cloned(),
            is_shut: false,
            item: None,
            leftovers: Leftovers::Everything,
            inherits_acl: false,
        }
    }

    /// The root of a restore. `fd`: the target, open for reading.
    pub(super) fn root(writer: &Writer, fd: OwnedFd, item: Option<(&[u8], Item)>) -> Result<Arc<Directory>, Problem> {
        check_is_directory(item.as_ref())?;
        let (path, item) = item.map_or_else(Default::default, |(path, item)| (path.to_vec(), Some(Box::new(item))));
        let mut root = Directory::new(&writer.0, fd, (path, true, 0), None);
        root.item = item;
        root.take_over(false);
        Ok(Arc::new(root))
    }

    /// Prepares a directory for its children: they need the right to be created, and must not inherit an ACL that
    /// the archive does not know.
    fn take_over(&mut self, created: bool) {
        let inherits = if created {
            self.parent.as_ref().is_some_and(|parent| parent.inherits_acl)
        } else {
            self.context.options.acls && has_default_acl(self.fd.as_fd())
        };
        if self.item.is_none() {
            self.inherits_acl = inherits;
            return;
        }
        if inherits {
            // A failure shows when the children's own ACLs are cleared.
            self.inherits_acl = rustix::fs::fremovexattr(&self.fd, acl::DEFAULT).is_err();
        }
        if !created && !self.context.privileged {
            // A directory restored before may be read-only; only its owner can change that, others fail later.
            if let Ok(stat) = stat_fd(self.fd.as_fd())
                && stat.mode & 0o700 != 0o700
            {
                let _ = rustix::fs::fchmod(&self.fd, Mode::from_raw_mode(stat.mode & 0o7777 | 0o700));
            }
        }
    }

    fn finish(&mut self) {
        let Some(item) = self.item.take() else { return };
        let handle = Handle::Open(self.fd.as_fd());
        let problems = attributes::apply(&self.context, &handle, &item, self.leftovers);
        if !problems.is_empty() {
            self.context.report(&self.path(), problems);
        }
    }
}

impl Drop for Directory {
    /// Sets the attributes, then those of each parent that nobody else holds. A loop, because the depth of the tree is
    /// the archive's choice and the stack is not.
    fn drop(&mut self) {
        self.context.open_directories.fetch_sub(1, Ordering::Relaxed);
        self.finish();
        let mut next = self.parent.take();
        while let Some(mut directory) = next.and_then(Arc::into_inner) {
            directory.finish();
            next = directory.parent.take();
        }
    }
}

impl Writer {
    /// Makes or enters the directory `name` below `parent`.
    ///
    /// With an `item` (and its path, for messages) it is restored: whatever else has the name is removed, and the
    /// attributes are set when the last reference is dropped. Without, it is only on the way to something: an
    /// existing directory is used as it is, a missing one is made with default permissions, and a symbolic link in its
    /// place is refused. Entering a directory again is allowed. Cost: two system calls when new.
    ///
    /// # Errors
    /// [`ProblemKind::PathTraversal`] for a bad name, [`ProblemKind::SymlinkParent`] for a link,
    /// [`ProblemKind::Race`] when something else keeps changing the name, else what the system says.
    pub fn enter(
        &self,
        parent: &Arc<Directory>,
        name: &[u8],
        item: Option<(&[u8], Item)>,
    ) -> Result<Arc<Directory>, Problem> {
        check_name(name)?;
        check_is_directory(item.as_ref())?;
        let (fd, created) = self.make_and_open(parent, name, item.is_some())?;
        let (tail, is_whole) = match &item {
            Some((path, _)) if path.len() != parent.length_of(name) => (path.to_vec(), true),
            _ => (name.to_vec(), false),
        };
        let path_length = if is_whole { tail.len() } else { parent.length_of(name) };
        let mut directory = Directory::new(&self.0, fd, (tail, is_whole, path_length), Some(parent));
        directory.is_shut =
            parent.is_shut || (!self.0.privileged && item.as_ref().is_some_and(|(_, item)| item.mode & 0o500 != 0o500));
        directory.item = item.map(|(_, item)| Box::new(item));
        directory.leftovers = match (created, parent.inherits_acl) {
            (true, false) => Leftovers::Nothing,
            (true, true) => Leftovers::Acl,
            (false, _) => Leftovers::Everything,
        };
        directory.take_over(created);
        Ok(Arc::new(directory))
    }

    /// Opens a directory below `root` again that was restored before. Nothing is made and nothing is set.
    ///
    /// # Errors
    /// As [`Writer::enter`]; what the system says when the directory has gone.
    pub fn enter_again(&self, root: &Arc<Directory>, path: &[u8]) -> Result<Arc<Directory>, Problem> {
        let mut at: Option<OwnedFd> = None;
        for name in path.split(|byte| *byte == b'/') {
            check_name(name)?;
            let parent = at.as_ref().map_or(root.fd(), AsFd::as_fd);
            at = Some(match self.0.open_directory(parent, name) {
                Ok(fd) => fd,
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(not_a_directory(parent, name)),
                Err(error) => return Err(Problem::from_io("open directory", error)),
            });
        }
        let fd = at.ok_or_else(|| Problem::new(ProblemKind::Io, "a path of no components"))?;
        Ok(Arc::new(Directory::new(&self.0, fd, (path.to_vec(), false, path.len()), Some(root))))
    }

    fn make_and_open(&self, parent: &Directory, name: &[u8], is_item: bool) -> Result<(OwnedFd, bool), Problem> {
        // An item is closed to others until its owner and ACL are right.
        let mode = if is_item { Mode::RWXU } else { self.0.parent_mode };
        self.0.settle();
        for _ in 0..ATTEMPTS_MAX {
            let created = match rustix::fs::mkdirat(parent.fd(), name, mode) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(error) => return Err(Problem::from_io("make directory", error)),
            };
            match self.0.open_directory(parent.fd(), name) {
                Ok(fd) => return Ok((fd, created)),
                Err(Errno::LOOP | Errno::NOTDIR) if is_item => self.clear_way(parent, name)?,
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(not_a_directory(parent.fd(), name)),
                Err(Errno::NOENT | Errno::AGAIN) => {}
                Err(error) => return Err(Problem::from_io("open directory", error)),
            }
        }
        Err(race(name))
    }
}

impl Context {
    /// Opens one component. With `openat2` the kernel itself promises to stay beneath; without, a single component
    /// opened with `O_NOFOLLOW` cannot leave either, since the name was checked.
    fn open_directory(&self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
        if self.has_openat2.load(Ordering::Relaxed) {
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(parent, name, OPEN, Mode::empty(), resolve) {
                // EPERM is what old seccomp filters answer to calls that they do not know.
                Err(Errno::NOSYS | Errno::PERM) => self.has_openat2.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        rustix::fs::openat(parent, name, OPEN, Mode::empty())
    }
}

fn check_is_directory(item: Option<&(&[u8], Item)>) -> Result<(), Problem> {
    match item {
        Some((_, item)) if !item.is_directory() => {
            Err(Problem::new(ProblemKind::Io, "the item is no directory".to_string()))
        }
        _ => Ok(()),
    }
}

fn has_default_acl(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fgetxattr_query(fd, acl::DEFAULT).is_ok()
}

fn not_a_directory(parent: BorrowedFd<'_>, name: &[u8]) -> Problem {
    let is_link = rustix::fs::statat(parent, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| stat.st_mode & bork_format::item::TYPE_MASK == TYPE_SYMLINK);
    if is_link {
        let message = format!("\"{}\" is a symbolic link, not a directory", printable(name));
        return Problem::new(ProblemKind::SymlinkParent, message);
    }
    Problem::new(ProblemKind::Io, format!("\"{}\" is in the way and no directory", printable(name)))
}

/// Something else keeps changing the name.
pub(super) fn race(name: &[u8]) -> Problem {
    Problem::new(ProblemKind::Race, format!("\"{}\" keeps being replaced by something else", printable(name)))
}
