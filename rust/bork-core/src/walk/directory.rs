//! An open directory and the sorted names in it.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{FileType, Mode, OFlags, RawDir, openat};
use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;

/// What `getdents` says of a name, without a `statx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameKind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A link, a fifo, a device or a socket.
    Other,
    /// The file system does not say.
    Unknown,
}

/// An open directory with its two paths, both without a trailing slash.
pub struct Dir {
    fd: OwnedFd,
    /// Path in the archive; empty for its root.
    pub path: Vec<u8>,
    /// Path on the machine as the user named it: what messages and lists show, and what patterns see.
    pub source: Vec<u8>,
    /// Which file system of [`super::FileSystems`] it lies on.
    pub class: Option<u8>,
    /// It is kept, but of its content only the tags that say so: lists show it as left out.
    pub is_tagged: bool,
}

impl Dir {
    /// Wraps an open directory.
    pub fn new(fd: OwnedFd, path: Vec<u8>, source: Vec<u8>, class: Option<u8>) -> Self {
        Dir { fd, path, source, class, is_tagged: false }
    }

    /// Opens `name` in `parent`, not following a symbolic link. Access times are not touched where permitted.
    pub fn open_at(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags | OFlags::NOATIME, Mode::empty())
            .or_else(|error| match error {
                rustix::io::Errno::PERM => openat(parent, name, flags, Mode::empty()),
                other => Err(other),
            })
            .map_err(io::Error::from)
    }

    /// The descriptor.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Path in the archive of an entry of this directory; of the directory itself for an empty name.
    pub fn stored(&self, name: &[u8]) -> Vec<u8> {
        join(&self.path, name)
    }

    /// Path on the machine of an entry of this directory.
    pub fn shown(&self, name: &[u8]) -> Vec<u8> {
        let path = join(&self.source, name);
        if path.is_empty() { b".".to_vec() } else { path }
    }
}

/// `directory/name`, without a slash where one of them is empty or the slash is there already.
pub fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    if !path.is_empty() && !path.ends_with(b"/") && !name.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// The names of a directory, sorted as bytes, in one arena: about 12 bytes a name beside the name itself.
#[derive(Default)]
pub struct Names {
    arena: Vec<u8>,
    starts: Vec<(u32, NameKind)>,
    next: usize,
}

impl Names {
    /// Reads and sorts. Names that vanish or appear meanwhile may or may not be in it, as POSIX says.
    pub fn read(fd: BorrowedFd<'_>) -> io::Result<Names> {
        let mut names = Names::default();
        let mut buffer: Vec<MaybeUninit<u8>> = vec![MaybeUninit::uninit(); 64 << 10];
        let mut entries = RawDir::new(fd, &mut buffer);
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let start = u32::try_from(names.arena.len())
                .map_err(|_| io::Error::other("the names of one directory exceed 4 GiB"))?;
            let kind = match entry.file_type() {
                FileType::Directory => NameKind::Directory,
                FileType::RegularFile => NameKind::File,
                FileType::Unknown => NameKind::Unknown,
                _ => NameKind::Other,
            };
            names.arena.extend_from_slice(name.to_bytes_with_nul());
            names.starts.push((start, kind));
        }
        let Names { arena, starts, .. } = &mut names;
        starts.sort_unstable_by(|a, b| name_at(arena, a.0).to_bytes().cmp(name_at(arena, b.0).to_bytes()));
        // Some file systems list a name twice when it is replaced meanwhile, or by mistake.
        starts.dedup_by(|later, earlier| name_at(arena, later.0) == name_at(arena, earlier.0));
        Ok(names)
    }

    /// The next name in order.
    pub fn advance(&mut self) -> Option<(&CStr, NameKind)> {
        let (start, kind) = *self.starts.get(self.next)?;
        self.next += 1;
        Some((name_at(&self.arena, start), kind))
    }

    /// The same without a step.
    pub fn peek(&self) -> Option<&CStr> {
        self.starts.get(self.next).map(|(start, _)| name_at(&self.arena, *start))
    }

    /// Whether a name is there.
    pub fn contains(&self, name: &[u8]) -> bool {
        self.starts.binary_search_by(|(start, _)| name_at(&self.arena, *start).to_bytes().cmp(name)).is_ok()
    }

    /// Forgets all names but those that `keep` accepts.
    pub fn retain(&mut self, keep: impl Fn(&[u8]) -> bool) {
        let arena = &self.arena;
        self.starts.retain(|(start, _)| keep(name_at(arena, *start).to_bytes()));
    }
}

fn name_at(arena: &[u8], start: u32) -> &CStr {
    CStr::from_bytes_until_nul(&arena[start as usize..]).expect("each name was stored with its zero byte")
}
