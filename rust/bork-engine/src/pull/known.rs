//! Sets of ids that may be large: the chunks of a client.

use crate::error::EngineError;
use crate::filter::Filter;
use crate::index::unnamed_table;
use bork_format::{ID_LENGTH, Id};
use memmap2::Mmap;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};

/// Ids kept in memory before they go into a file. 128 Ki x 32 bytes, and as much again for the set itself.
const RECENT_MAX: usize = 128 << 10;

struct Table {
    filter: Filter,
    ids: Mmap,
}

/// A set of ids. Memory: 8 MiB, and two bytes for each id that went into a file without a name.
pub struct IdSet {
    recent: Mutex<HashSet<Id>>,
    tables: RwLock<Vec<Table>>,
    scratch: PathBuf,
}

impl IdSet {
    /// An empty set, whose files are made in `scratch`.
    pub fn new(scratch: PathBuf) -> Self {
        IdSet { recent: Mutex::default(), tables: RwLock::default(), scratch }
    }

    /// Adds some ids. Errors: the scratch directory is full or gone.
    pub fn extend<'a>(&self, ids: impl IntoIterator<Item = &'a Id>) -> Result<(), EngineError> {
        let mut recent = self.recent.lock().expect("no holder panics");
        for id in ids {
            // What is in a file stays there: a client that names the same ids again and again costs nothing.
            if self.in_file(id) || !recent.insert(*id) {
                continue;
            }
            if recent.len() >= RECENT_MAX {
                let table = self.write(&recent)?;
                self.tables.write().expect("no holder panics").push(table);
                recent.clear();
            }
        }
        Ok(())
    }

    /// Adds an id; whether it is new. Errors: as `extend`.
    pub fn insert(&self, id: &Id) -> Result<bool, EngineError> {
        let is_new = !self.contains(id);
        if is_new {
            self.extend([id])?;
        }
        Ok(is_new)
    }

    /// Whether the id is in the set.
    pub fn contains(&self, id: &Id) -> bool {
        if self.recent.lock().expect("no holder panics").contains(id) {
            return true;
        }
        self.in_file(id)
    }

    /// Writes all ids into a file, which replaces the one that is there.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = BufWriter::new(File::create(&temporary)?);
        for table in self.tables.read().expect("no holder panics").iter() {
            file.write_all(&table.ids[..table.ids.len() - ID_LENGTH])?;
        }
        for id in self.recent.lock().expect("no holder panics").iter() {
            file.write_all(id)?;
        }
        file.into_inner().map_err(io::IntoInnerError::into_error)?;
        std::fs::rename(temporary, path)
    }

    /// Adds the ids of such a file. What is cut off at its end is passed over.
    pub fn load(&self, path: &Path) -> io::Result<()> {
        let mut file = BufReader::new(File::open(path)?);
        let mut id = [0; ID_LENGTH];
        while file.read_exact(&mut id).is_ok() {
            self.extend([&id]).map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn in_file(&self, id: &Id) -> bool {
        self.tables.read().expect("no holder panics").iter().any(|table| table.contains(id))
    }

    fn write(&self, ids: &HashSet<Id>) -> Result<Table, EngineError> {
        let mut sorted: Vec<Id> = ids.iter().copied().collect();
        sorted.sort_unstable();
        let scratch = |error: std::io::Error| EngineError::Scratch {
            path: self.scratch.display().to_string(),
            why: error.to_string(),
        };
        let ids = unnamed_table(&self.scratch, sorted.as_flattened()).map_err(scratch)?;
        Ok(Table { filter: Filter::new(sorted.len(), sorted.iter().map(|id| id.as_slice())), ids })
    }
}

impl Table {
    fn contains(&self, id: &Id) -> bool {
        if !self.filter.may_contain(id) {
            return false;
        }
        let (ids, _) = self.ids[..self.ids.len() - ID_LENGTH].as_chunks::<ID_LENGTH>();
        ids.binary_search(id).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_memory_and_in_files() {
        let directory = tempfile::tempdir().expect("scratch");
        let set = IdSet::new(directory.path().into());
        let id = |number: u32| *blake3::hash(&number.to_le_bytes()).as_bytes();
        let count = RECENT_MAX as u32 * 2 + 5;
        set.extend(&(0..count).map(id).collect::<Vec<_>>()).expect("written");
        assert!((0..count).step_by(997).chain(count - 5..count).all(|number| set.contains(&id(number))));
        assert!(!(count..count + 1000).any(|number| set.contains(&id(number))));
        assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 0);
        set.save(&directory.path().join("kept")).expect("written");
        let again = IdSet::new(directory.path().into());
        again.load(&directory.path().join("kept")).expect("read");
        assert!((0..count).step_by(997).chain(count - 5..count).all(|number| again.contains(&id(number))));
        assert!(!(count..count + 1000).any(|number| again.contains(&id(number))));
    }
}
