//! A target with a canary beside it, and small items; shared by the tests of restore.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and stops at the first surprise")]

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bork_core::metadata::NameCache;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::writer::{Directory, Options, Writer, write_at};
use bork_format::item::{Item, TYPE_DIRECTORY, TYPE_FILE, TYPE_SYMLINK, Time};

/// The modification time of every item made here.
pub const OLD: Time = Time { seconds: 1_000_000_000, nanoseconds: 5 };

/// A target with a canary beside it: a directory with one file in it.
pub struct Scene {
    _scratch: tempfile::TempDir,
    /// Where is restored.
    pub target: PathBuf,
    /// What must not change.
    pub outside: PathBuf,
    before: Vec<(i64, i64, u32, u64)>,
}

impl Scene {
    pub fn new() -> Scene {
        let scratch = tempfile::tempdir().unwrap();
        let (target, outside) = (scratch.path().join("target"), scratch.path().join("outside"));
        std::fs::create_dir(&target).unwrap();
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("canary"), b"secret").unwrap();
        let before = Self::describe(&outside);
        Scene { _scratch: scratch, target, outside, before }
    }

    fn describe(outside: &Path) -> Vec<(i64, i64, u32, u64)> {
        [outside.to_path_buf(), outside.join("canary")]
            .iter()
            .map(|path| std::fs::symlink_metadata(path).unwrap())
            .map(|m| (m.mtime(), m.mtime_nsec(), m.mode(), m.size()))
            .collect()
    }

    pub fn writer(&self) -> (Writer, Arc<Directory>) {
        let writer = Writer::new(Options::default(), NameCache::from_system());
        let root = writer.open_root(&self.target).unwrap();
        (writer, root)
    }

    #[track_caller]
    pub fn assert_canary_lives(&self) {
        assert_eq!(std::fs::read(self.outside.join("canary")).unwrap(), b"secret");
        assert_eq!(Self::describe(&self.outside), self.before);
        assert_eq!(std::fs::read_dir(&self.outside).unwrap().count(), 1);
    }
}

fn ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

pub fn item(mode: u32) -> Item {
    let (uid, gid) = ids();
    Item { mode, uid, gid, mtime: OLD, ..Item::default() }
}

pub fn file_item() -> Item {
    item(TYPE_FILE | 0o644)
}

pub fn directory_item() -> Item {
    item(TYPE_DIRECTORY | 0o755)
}

pub fn link_item(target: &[u8]) -> Item {
    Item { target: target.to_vec(), ..item(TYPE_SYMLINK | 0o777) }
}

pub fn restore_file(writer: &Writer, dir: &Directory, name: &[u8], content: &[u8]) -> Result<(), Problem> {
    let file = writer.create_file(dir, name, &file_item())?;
    write_at(file.as_fd(), 0, content).unwrap();
    writer.finish_file(dir, name, file, &file_item())
}

pub fn kind<T>(result: Result<T, Problem>) -> ProblemKind {
    result.err().expect("this must be refused").kind
}

/// Runs `work` on a thread that has given up root, if it had it.
pub fn unprivileged<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    use rustix::fs::{Gid, Uid};
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let (uid, gid) = (Uid::from_raw(65_534), Gid::from_raw(65_534));
                rustix::thread::set_thread_groups(&[]).unwrap();
                rustix::thread::set_thread_res_gid(gid, gid, gid).unwrap();
                rustix::thread::set_thread_res_uid(uid, uid, uid).unwrap();
            }
            work()
        });
        thread.join().unwrap()
    })
}
