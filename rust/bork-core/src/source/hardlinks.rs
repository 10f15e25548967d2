//! Content of hard-linked files, so that a file with many names is read once.

use bork_format::item::{Content, Time};
use std::collections::HashMap;
use std::sync::Mutex;

/// Most files remembered at a time; beyond it a further name of a file is simply read again. About 20 MB.
const FILES_MAX: usize = 100_000;

/// Identity and version of a file on the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Device and inode.
    pub file: (u64, u64),
    /// Seconds and nanoseconds of the ctime.
    pub ctime: (i64, u32),
}

impl FileKey {
    /// Key of an inode at a ctime.
    pub fn new(device: u64, inode: u64, ctime: Time) -> Self {
        FileKey { file: (device, inode), ctime: (ctime.seconds, ctime.nanoseconds) }
    }
}

struct Known {
    content: Content,
    size: u64,
    names_left: u32,
}

/// Shared by the workers.
#[derive(Default)]
pub struct HardLinks(Mutex<HashMap<FileKey, Known>>);

impl HardLinks {
    /// Content and size, if another name of the file was read. Forgets the file after its last name.
    pub fn take(&self, key: &FileKey) -> Option<(Content, u64)> {
        let mut files = self.0.lock().expect("no holder panics");
        let known = files.get_mut(key)?;
        known.names_left -= 1;
        let found = (known.content.clone(), known.size);
        if known.names_left == 0 {
            files.remove(key);
        }
        Some(found)
    }

    /// Remembers the content of a file with `links` names.
    pub fn put(&self, key: FileKey, links: u32, content: &Content, size: u64) {
        let mut files = self.0.lock().expect("no holder panics");
        if links > 1 && files.len() < FILES_MAX {
            files.insert(key, Known { content: content.clone(), size, names_left: links - 1 });
        }
    }
}
