//! What a backup reads and how, compiled once from the plan.

use super::change::FilesCache;
use super::status::LineFormat;
use crate::chunker::ChunkerParams;
use crate::metadata::{MetadataOptions, NameTables};
use bork_format::item::Time;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// Which time tells that a file changed while it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Status change time.
    Ctime,
    /// Modification time.
    Mtime,
    /// Do not look.
    Disabled,
}

/// Content that comes from a descriptor and not from the file system.
pub struct Stdin {
    /// Where to read.
    pub fd: OwnedFd,
    /// Owner to record.
    pub user: Vec<u8>,
    /// Group to record.
    pub group: Vec<u8>,
    /// Permission bits to record.
    pub mode: u32,
}

/// How far the entries of a file system can be compared with those of the previous archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileSystemTrust {
    /// When a file counts as unchanged there.
    pub files_cache: FilesCache,
    /// Its change times are those of a kernel: an equal one says that no metadata has changed either.
    pub ctime: bool,
}

/// Options of the source half.
pub struct SourceOptions {
    /// Which metadata is read.
    pub metadata: MetadataOptions,
    /// Names of users and groups from a foreign root; `None`: those of this machine.
    pub names: Option<Arc<NameTables>>,
    /// When a file counts as unchanged.
    pub files_cache: FilesCache,
    /// The same on the file systems of [`crate::walk::FileSystems`], in the order of that list.
    pub file_systems: Vec<FileSystemTrust>,
    /// When a file counts as changed while it was read.
    pub files_changed: Changed,
    /// Read fifos and devices as if they were files.
    pub read_special: bool,
    /// Leave out entries with the nodump flag.
    pub exclude_nodump: bool,
    /// Look at names only.
    pub dry_run: bool,
    /// Where the entry of kind stdin is read.
    pub stdin: Option<Stdin>,
    /// Start of this archive; the stdin item carries it as its times.
    pub start: Time,
    /// Start of the previous archive on this machine's clock; items whose time is not before it are read again.
    pub previous_start: Option<Time>,
    /// How content is cut.
    pub chunker: ChunkerParams,
    /// Which status lines are wanted.
    pub lines: Option<LineFormat>,
}
