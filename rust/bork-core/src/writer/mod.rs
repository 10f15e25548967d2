//! The writing half of restore: entries are put back below one directory, and nowhere else.
//!
//! An archive may come from an attacker, and another attacker may move things about in the target while we write. So
//! no path is ever given to the kernel: each directory is held as an open descriptor, each name is one component that
//! is checked first, no symbolic link is followed, no existing file is opened, and an existing entry is removed before
//! a new one is made with `O_EXCL`. A parent that is a symbolic link is refused; as an item it is replaced.
//!
//! The order is Borg's, with its scars: data, then owner (which clears set-uid bits and capabilities), then extended
//! attributes, ACL and mode, then times, then file flags, since an immutable file takes no times. Directories come
//! after all their children: a [`Directory`] sets its own attributes when the last reference to it is dropped, so
//! memory and descriptors are bounded by the work in flight and the depth of the tree.
//!
//! Restoring small files is bound by the journal of the file system, so no call is made that changes nothing: a file
//! is created with its final permissions, and one `statx` (which costs no journal) tells what is still wrong.

mod attributes;
mod directory;
mod entries;
mod existing;
mod links;
mod places;
mod special;

use std::collections::HashMap;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::time::Duration;

use bork_format::item::{Item, Time};
use rustix::fs::{Mode, OFlags};
use rustix::thread::{CapabilitySet, UnshareFlags};
use rustix::time::{ClockId, clock_gettime};

pub use crate::direct::write_at;
use crate::metadata::NameCache;
use crate::problem::{Problem, ProblemKind, printable};
pub use directory::Directory;
pub use entries::set_length;
pub use existing::Existing;
use links::LinkAttributes;
pub use places::{Place, Places, Spot, is_below, refuse};

/// Which attributes to restore. The default is all of them, with ids by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Use numeric ids even where a name is known.
    pub numeric_ids: bool,
    /// Restore extended attributes, file capabilities among them.
    pub xattrs: bool,
    /// Restore POSIX ACLs.
    pub acls: bool,
    /// Restore file flags.
    pub flags: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { numeric_ids: false, xattrs: true, acls: true, flags: true }
    }
}

/// Shared by all threads of one restore; a clone is another reference to it.
#[derive(Debug, Clone)]
pub struct Writer(Arc<Context>);

#[derive(Debug)]
struct Context {
    options: Options,
    /// Whether owners can be set: `CAP_CHOWN`.
    privileged: bool,
    /// Groups that an unprivileged process may give its files to.
    groups: Vec<u32>,
    /// Mode of parents that the archive does not describe.
    parent_mode: Mode,
    /// When the restore began: an entry born later was made by this restore, or by a race with it.
    start: Time,
    /// Done when the clock that stamps files is past the start.
    settled: Once,
    /// Cleared when the kernel has no `openat2`.
    has_openat2: AtomicBool,
    open_directories: AtomicUsize,
    names: Mutex<NameCache>,
    /// File systems on which the attributes of a link may be those of its target, by their numbers of `statfs(2)`.
    suspects: Vec<u32>,
    /// By device number.
    link_attributes: Mutex<HashMap<u64, LinkAttributes>>,
    problems: Mutex<Vec<(Vec<u8>, Problem)>>,
}

impl Writer {
    /// A writer that maps names to ids with `names`: this machine's, or those of a foreign root.
    pub fn new(options: Options, names: NameCache) -> Self {
        Writer::suspecting(options, names, Vec::new())
    }

    /// As [`Writer::new`]. `suspects`: file systems, by their numbers of `statfs(2)`, on which setting the owner and the
    /// times of a symbolic link may set those of its target. Where a test shows that it does, these are left out.
    pub fn suspecting(options: Options, names: NameCache, suspects: Vec<u32>) -> Self {
        let privileged = rustix::thread::capabilities(None).map_or_else(
            |_| rustix::process::geteuid().is_root(),
            |sets| sets.effective.contains(CapabilitySet::CHOWN),
        );
        let mut groups: Vec<u32> =
            rustix::process::getgroups().unwrap_or_default().into_iter().map(|gid| gid.as_raw()).collect();
        groups.push(rustix::process::getegid().as_raw());
        Writer(Arc::new(Context {
            options,
            privileged,
            groups,
            parent_mode: Mode::from_raw_mode(0o777 & !process_umask()),
            start: clock(ClockId::Realtime),
            settled: Once::new(),
            has_openat2: AtomicBool::new(true),
            open_directories: AtomicUsize::new(0),
            names: Mutex::new(names),
            suspects,
            link_attributes: Mutex::default(),
            problems: Mutex::default(),
        }))
    }

    /// Whether owners are restored: the process has `CAP_CHOWN`.
    pub fn is_privileged(&self) -> bool {
        self.0.privileged
    }

    /// Which attributes are restored.
    pub fn options(&self) -> Options {
        self.0.options
    }

    /// How many directories are open: each has a descriptor.
    pub fn open_directories(&self) -> usize {
        self.0.open_directories.load(Ordering::Relaxed)
    }

    /// Opens the directory below which everything is restored. It must exist; links in this path are followed, since
    /// the user typed it. Nothing of the directory itself is changed.
    ///
    /// # Errors
    /// The path cannot be opened as a directory.
    pub fn open_root(&self, path: &Path) -> Result<Arc<Directory>, Problem> {
        self.root_at(open_target(rustix::fs::CWD, path)?)
    }

    /// As [`Writer::open_root`], for a directory that is open for reading already.
    ///
    /// # Errors
    /// It cannot be asked for its attributes.
    pub fn root_at(&self, target: OwnedFd) -> Result<Arc<Directory>, Problem> {
        Directory::root(self, target, None)
    }

    /// As [`Writer::open_root`], and the directory gets the attributes of `item` at the end, as any other.
    ///
    /// # Errors
    /// The path cannot be opened as a directory, or the item is none.
    pub fn restore_root(&self, path: &Path, item_path: &[u8], item: Item) -> Result<Arc<Directory>, Problem> {
        Directory::root(self, open_target(rustix::fs::CWD, path)?, Some((item_path, item)))
    }

    /// The same directory that is a root already, whatever its path leads to by now, gets the attributes of `item`.
    pub(super) fn restore_root_again(
        &self,
        root: &Directory,
        path: &[u8],
        item: Item,
    ) -> Result<Arc<Directory>, Problem> {
        Directory::root(self, open_target(root.fd(), Path::new("."))?, Some((path, item)))
    }

    /// Takes the problems met so far with attributes, each with the path of its entry. Call it now and then: they
    /// are kept in memory. Directories report when they are dropped, so the last call comes after the last drop.
    pub fn take_problems(&self) -> Vec<(Vec<u8>, Problem)> {
        std::mem::take(&mut self.0.problems.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Context {
    /// Waits, before the first entry is made, until the clock that stamps files is past the start; it advances every
    /// 1 to 10 ms and is read late by as much. So every birth time after the start is one of this restore, and every
    /// entry of this restore has such a birth time. Mostly the first data arrives later than that anyway.
    fn settle(&self) {
        self.settled.call_once(|| {
            // A clock that is set back in this very moment must not stop the restore: then a check is lost.
            for _ in 0..100 {
                if clock(ClockId::RealtimeCoarse) > self.start {
                    break;
                }
                std::thread::sleep(Duration::from_micros(500));
            }
        });
    }

    fn report(&self, path: &[u8], problems: Vec<Problem>) {
        if problems.is_empty() {
            return;
        }
        let mut sink = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        sink.extend(problems.into_iter().map(|problem| (path.to_vec(), problem)));
    }

    /// Runs `work` with the name cache, or with none if only numbers count.
    fn with_names<T>(&self, work: impl FnOnce(Option<&mut NameCache>) -> T) -> T {
        if self.options.numeric_ids {
            return work(None);
        }
        work(Some(&mut self.names.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Makes a worker thread create entries with exactly the mode that is asked for: it leaves the file system context
/// that the threads of a process share (`unshare(CLONE_FS)`) and sets its own umask to zero. Without it, restoring is
/// as correct, but costs a `chmod` for modes that the umask cuts.
///
/// Call it once on each thread that was started for this work. On the main thread it does nothing, because the
/// working directory there is the one that the caller changes and expects its threads to share. Returns whether it
/// took effect.
pub fn prepare_thread() -> bool {
    if rustix::thread::gettid() == rustix::process::getpid() {
        return false;
    }
    // SAFETY: the call is unsafe because of CLONE_FILES, which is not asked for.
    if unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }.is_err() {
        return false;
    }
    rustix::process::umask(Mode::empty());
    true
}

fn open_target(at: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Problem> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty()).map_err(|error| Problem::from_io("open target directory", error))
}

fn clock(id: ClockId) -> Time {
    let now = clock_gettime(id);
    Time { seconds: now.tv_sec, nanoseconds: now.tv_nsec as u32 }
}

/// The umask of the process, without setting it (which would hit all threads for a moment); 022 where `/proc` does not
/// tell.
fn process_umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|value| u32::from_str_radix(value.trim(), 8).ok()).unwrap_or(0o022) & 0o777
}

/// Refuses names that are not exactly one component.
fn check_name(name: &[u8]) -> Result<(), Problem> {
    if name.is_empty() || name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0) {
        let message = format!("the name \"{}\" would lead elsewhere", printable(name));
        return Err(Problem::new(ProblemKind::PathTraversal, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_names() {
        for name in [&b""[..], b".", b"..", b"/", b"a/b", b"/a", b"a/", b"a\0", b"\0", b"../a"] {
            assert_eq!(check_name(name).unwrap_err().kind, ProblemKind::PathTraversal, "{name:?}");
        }
        for name in [&b"a"[..], b"...", b"..a", b" ", b"\n", b"\xff", b"\\..\\"] {
            check_name(name).unwrap();
        }
    }

    #[test]
    fn a_prepared_thread_has_its_own_umask_and_the_process_keeps_its_own() {
        let before = process_umask();
        let prepared = std::thread::spawn(|| {
            let prepared = prepare_thread();
            (prepared, rustix::process::umask(Mode::empty()).as_raw_mode())
        });
        let (prepared, umask) = prepared.join().unwrap();
        if !prepared {
            eprintln!("skipped: unshare is not permitted here");
            return;
        }
        assert_eq!(umask, 0);
        assert_eq!(process_umask(), before);
    }
}
