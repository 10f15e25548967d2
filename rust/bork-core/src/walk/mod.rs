//! The walk: reads directories in tree order and hands out runs of entries as units of work.
//!
//! One thread walks. It only reads names (2 million a second), opens directories, and joins with the previous
//! archive, which has the same order; `statx`, reading and everything else happens in the workers, so the walk is
//! never the stage that the others wait for. Memory: the names of the directories between the root and the current
//! one, and a bounded number of units. Directories are opened relative to their parents and never by path.

mod directory;
mod filesystem;
mod join;
mod pseudo;
mod roots;
mod walker;

pub use directory::{Dir, NameKind, Names};
pub use filesystem::{FileSystems, MetFileSystem, class_of, describe};
pub use join::{Body, Join};
pub use roots::{Root, RootError, RootKind, sort_roots};
pub use walker::{Entry, EntryKind, UNIT_ENTRIES_MAX, Unit, WalkOptions, Walker};
