//! Extended attributes of any entry, open or not.
//!
//! An open file is asked through its descriptor. For all else (symbolic links, fifos, devices, unreadable files) the
//! kernel has only calls that take a path, and a path from the root would race with renames and end at `PATH_MAX`. So
//! the path starts at the open directory: `/proc/self/fd/<directory>/<name>`. Without `/proc` (a bare chroot) a helper
//! thread takes its own working directory with `unshare(CLONE_FS)` and uses the name alone; the working directory of
//! the process, which belongs to our caller, never changes. (Linux 6.13 has `getxattrat`; it is too new to rely on.)

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;

use bork_format::item::XATTR_VALUE_LENGTH_MAX;
use rustix::io::Errno;
use rustix::thread::UnshareFlags;

use super::Place;

/// Longest list of names that the kernel gives (`XATTR_LIST_MAX`). Unit: bytes.
const LIST_LENGTH_MAX: usize = 65_536;
/// What is tried first, on the stack: most lists and values are shorter. Unit: bytes.
const SHORT_LENGTH: usize = 1024;
/// `PROC_SUPER_MAGIC`.
const PROC_MAGIC: rustix::fs::FsWord = 0x9fa0;

/// A way to the attributes of one entry.
pub struct Access<'a> {
    place: Place<'a>,
    /// Path below `/proc`, when the entry is not open and `/proc` is there.
    path: Option<Vec<u8>>,
}

impl<'a> Access<'a> {
    /// Chooses the way to the entry. No system call but the first time.
    pub fn new(place: Place<'a>) -> Self {
        let path = (place.file.is_none() && proc_is_mounted()).then(|| {
            let mut path = proc_path(place.dir);
            path.push(b'/');
            path.extend_from_slice(place.name.to_bytes());
            path
        });
        Access { place, path }
    }

    /// Names of all attributes, each followed by a zero byte; empty where there are none or no support for them.
    ///
    /// # Errors
    /// Those of `listxattr`, except that it is not supported.
    pub fn list(&self) -> io::Result<Vec<u8>> {
        let list = self.call(LIST_LENGTH_MAX, |way, buffer| match way {
            Way::Open(file) => rustix::fs::flistxattr(file, buffer),
            Way::Path(path) => rustix::fs::llistxattr(path, buffer),
        });
        none_if_unsupported(list).map(Option::unwrap_or_default)
    }

    /// Value of one attribute; `None` when it is gone meanwhile.
    ///
    /// # Errors
    /// Those of `getxattr`, except that the attribute is absent or not supported.
    pub fn get(&self, name: &[u8]) -> io::Result<Option<Vec<u8>>> {
        none_if_unsupported(self.call(XATTR_VALUE_LENGTH_MAX, |way, buffer| match way {
            Way::Open(file) => rustix::fs::fgetxattr(file, name, buffer),
            Way::Path(path) => rustix::fs::lgetxattr(path, name, buffer),
        }))
    }

    /// Runs `ask` with a small buffer and, when that is too small, with one of the greatest possible length.
    fn call(
        &self,
        length_max: usize,
        ask: impl Fn(Way<'_>, &mut [u8]) -> Result<usize, Errno> + Sync,
    ) -> Result<Vec<u8>, Errno> {
        let with_buffer = |way: Way<'_>| {
            let mut short = [0; SHORT_LENGTH];
            match ask(way, &mut short) {
                Ok(length) => Ok(short[..length].to_vec()),
                Err(Errno::RANGE) => {
                    let mut long = vec![0; length_max];
                    let length = ask(way, &mut long)?;
                    long.truncate(length);
                    long.shrink_to_fit();
                    Ok(long)
                }
                Err(error) => Err(error),
            }
        };
        match (self.place.file, &self.path) {
            (Some(file), _) => with_buffer(Way::Open(file)),
            (None, Some(path)) => with_buffer(Way::Path(path)),
            (None, None) => in_directory(self.place.dir, || with_buffer(Way::Path(self.place.name.to_bytes()))),
        }
    }
}

#[derive(Clone, Copy)]
enum Way<'a> {
    Open(BorrowedFd<'a>),
    Path(&'a [u8]),
}

fn none_if_unsupported(result: Result<Vec<u8>, Errno>) -> io::Result<Option<Vec<u8>>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::OPNOTSUPP | Errno::NODATA | Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Runs `work` on a thread of its own whose working directory is `dir`. Cost: about 30 us, for machines without
/// `/proc` only.
fn in_directory<T: Send>(dir: BorrowedFd<'_>, work: impl FnOnce() -> Result<T, Errno> + Send) -> Result<T, Errno> {
    let helper = || {
        // SAFETY: the call is unsafe because of CLONE_FILES, which is not asked for.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
        rustix::process::fchdir(dir)?;
        work()
    };
    std::thread::scope(|scope| match std::thread::Builder::new().spawn_scoped(scope, helper) {
        Ok(thread) => thread.join().unwrap_or(Err(Errno::IO)),
        Err(_) => Err(Errno::AGAIN),
    })
}

/// Whether `/proc` of this process is there, and is not a directory that only looks so.
pub(crate) fn proc_is_mounted() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| rustix::fs::statfs("/proc/self/fd").is_ok_and(|stat| stat.f_type == PROC_MAGIC))
}

/// The path of a descriptor below `/proc`, by which calls that want a path reach what it refers to.
pub(crate) fn proc_path(fd: BorrowedFd<'_>) -> Vec<u8> {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CStr;
    use std::os::fd::AsFd;

    fn set(path: &std::path::Path, name: &str, value: &[u8]) -> bool {
        match rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("skipped: cannot set {name}: {error}");
                false
            }
        }
    }

    fn names_of(list: &[u8]) -> Vec<&[u8]> {
        list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect()
    }

    /// The attributes of an entry by all three ways must agree.
    fn all_ways<'a>(dir: BorrowedFd<'a>, name: &'a CStr, file: Option<BorrowedFd<'a>>) -> Vec<Access<'a>> {
        let place = Place { dir, name, file: None };
        let mut ways = vec![Access::new(place), Access { place, path: None }];
        ways.extend(file.map(|file| Access::new(Place { file: Some(file), ..place })));
        ways
    }

    #[test]
    fn open_by_proc_and_by_helper_thread_give_the_same_values_short_and_long() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("f");
        let file = std::fs::File::create(&path).unwrap();
        if !set(&path, "user.short", b"v\0w") || !set(&path, "user.empty", b"") {
            return;
        }
        let long = set(&path, "user.long", &[7; 2000]);
        let before = std::env::current_dir().unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        for access in all_ways(dir.as_fd(), c"f", Some(file.as_fd())) {
            assert_eq!(names_of(&access.list().unwrap()).len(), 2 + usize::from(long));
            assert_eq!(access.get(b"user.short").unwrap().unwrap(), b"v\0w");
            assert_eq!(access.get(b"user.empty").unwrap().unwrap(), b"");
            assert_eq!(access.get(b"user.long").unwrap(), long.then(|| vec![7; 2000]));
            assert_eq!(access.get(b"user.none").unwrap(), None);
        }
        assert_eq!(std::env::current_dir().unwrap(), before);
    }

    #[test]
    fn attributes_of_a_link_are_its_own_and_not_those_of_its_target() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::write(scratch.path().join("target"), b"").unwrap();
        std::os::unix::fs::symlink("target", scratch.path().join("link")).unwrap();
        if !set(&scratch.path().join("target"), "trusted.t", b"1")
            || !set(&scratch.path().join("link"), "trusted.l", b"2")
        {
            return;
        }
        let dir = std::fs::File::open(scratch.path()).unwrap();
        for access in all_ways(dir.as_fd(), c"link", None) {
            assert_eq!(names_of(&access.list().unwrap()), [b"trusted.l"]);
            assert_eq!(access.get(b"trusted.l").unwrap().unwrap(), b"2");
            assert_eq!(access.get(b"trusted.t").unwrap(), None);
        }
    }

    #[test]
    fn a_vanished_entry_is_an_error() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(scratch.path()).unwrap();
        for access in all_ways(dir.as_fd(), c"gone", None) {
            assert_eq!(access.list().unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}
