//! The chunk index: which object of which pack holds a chunk.
//!
//! An index object is fetched once and its table kept in the local cache, mapped into memory: opening costs O(new
//! index objects), memory is page cache. What this run adds is kept in small sorted tables until it is an index
//! object itself.

mod build;
mod table;

pub use build::{IndexedPack, build_table, open_index, seal_index};
pub use table::Table;
pub(crate) use table::unnamed_table;

use crate::error::EngineError;
use crate::filter::Filter;
use crate::secrets::Keys;
use bork_format::Id;
use bork_format::index::{Pack, View};
use bork_format::pack::{ObjectKind, Record};
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use table::{Backing, map_table, write_table};

/// Where a chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// Name of the pack.
    pub pack: Id,
    /// First byte of the object in the pack.
    pub object_offset: u32,
    /// Number of the object in its pack: its nonce.
    pub object_index: u32,
    /// Record of the object.
    pub record: Record,
    /// First byte of the chunk in the plaintext of the object.
    pub offset: u32,
    /// Length of the chunk. Unit: bytes.
    pub length: u32,
}

impl Location {
    /// The chunk's share of the stored bytes of its object. Unit: bytes.
    pub fn stored_share(&self) -> u64 {
        u64::from(self.record.stored) * u64::from(self.length) / u64::from(self.record.plain.max(1))
    }
}

/// All tables of a repository, shared by the threads of an engine.
#[derive(Default)]
pub struct ChunkIndex {
    tables: RwLock<Vec<Arc<Table>>>,
    damaged: RwLock<HashSet<(Id, Id)>>,
    adopted: Mutex<Vec<IndexedPack>>,
}

impl ChunkIndex {
    /// Where a chunk is that something new may refer to: not in a condemned pack, and not where it is known to be
    /// damaged. Cost: one search per table.
    pub fn find(&self, id: &Id) -> Option<Location> {
        self.best(id).and_then(|(rank, location)| (rank == (false, false)).then_some(location))
    }

    /// Where a chunk can be read: if nowhere else, in a condemned pack, or where it is damaged.
    pub fn locate(&self, id: &Id) -> Option<Location> {
        self.best(id).map(|best| best.1)
    }

    /// The best copy, with whether it is damaged and whether it is condemned.
    fn best(&self, id: &Id) -> Option<((bool, bool), Location)> {
        let damaged = self.damaged.read().expect("no holder panics");
        let tables = self.tables.read().expect("no holder panics");
        let mut best: Option<((bool, bool), Location)> = None;
        for (_, is_condemned, location) in tables.iter().rev().flat_map(|table| table.copies(id)) {
            let rank = (!damaged.is_empty() && damaged.contains(&(*id, location.pack)), is_condemned);
            if best.is_none_or(|best| rank < best.0) {
                best = Some((rank, location));
            }
            if rank == (false, false) {
                break;
            }
        }
        best
    }

    /// Number of tables. What is added comes behind them.
    pub fn table_count(&self) -> usize {
        self.tables.read().expect("no holder panics").len()
    }

    /// Where a chunk is that was added when there were `tables` tables already.
    pub fn find_since(&self, id: &Id, tables: usize) -> Option<Location> {
        let all = self.tables.read().expect("no holder panics");
        let added = all.get(tables..).unwrap_or_default();
        added.iter().rev().find_map(|table| table.copies(id).next()).map(|copy| copy.2)
    }

    /// A fixed view for a thread that looks up often.
    pub fn snapshot(&self) -> Vec<Arc<Table>> {
        self.tables.read().expect("no holder panics").clone()
    }

    fn add(&self, table: Table) {
        self.tables.write().expect("no holder panics").push(Arc::new(table));
    }

    /// Opens an index object and adds its table, which is kept in `table_path` if one is given and can be written.
    pub fn add_sealed(&self, keys: &Keys, name: Id, data: &[u8], table_path: Option<&Path>) -> Result<(), EngineError> {
        let plain = open_index(keys, data)?;
        View::new(&plain)?.check()?; // before it is kept: a kept table is trusted
        let mapped = table_path.and_then(|path| write_table(path, &plain).ok()).and_then(|()| map_table(table_path?));
        let backing = mapped.map_or(Backing::Owned(plain), Backing::Mapped);
        self.add(Table::new(backing, Some(name))?);
        Ok(())
    }

    /// Maps a table kept earlier; false if the file is not exactly what was written.
    pub fn add_table(&self, name: Id, path: &Path) -> bool {
        let Some(map) = map_table(path) else { return false };
        match Table::new(Backing::Mapped(map), Some(name)) {
            Ok(table) => {
                self.add(table);
                true
            }
            Err(_) => false,
        }
    }

    /// Adds a table that this process made, with the name of its index object if it has one. With a scratch directory it is kept there, in a file without a name, and
    /// costs 2 bytes of memory a chunk; without one it stays in memory.
    pub fn add_plain(&self, name: Option<Id>, plain: Vec<u8>, scratch: Option<&Path>) -> Result<(), EngineError> {
        // The file is made before the table is looked at: pages of a mapping that nobody touches cost nothing.
        let mapped = scratch.and_then(|directory| unnamed_table(directory, &plain).ok());
        let mut table = Table::new(Backing::Owned(plain), name)?;
        let view = table.view();
        table.filter = Some(Filter::new(table.layout.chunks, (0..table.layout.chunks).map(|at| view.id(at))));
        if let Some(map) = mapped {
            table.backing = Backing::Mapped(map);
        }
        self.add(table);
        Ok(())
    }

    /// Adds a pack that no index object names, by its own table of contents. With `to_index` the next backup writes it
    /// into one.
    pub fn adopt(&self, pack: IndexedPack, to_index: bool) -> Result<(), EngineError> {
        let packs = [pack];
        self.add_plain(None, build_table(&packs, &[]), None)?;
        if to_index {
            self.adopted.lock().expect("no holder panics").extend(packs);
        }
        Ok(())
    }

    /// The adopted packs, which the caller now has to index.
    pub fn take_adopted(&self) -> Vec<IndexedPack> {
        std::mem::take(&mut *self.adopted.lock().expect("no holder panics"))
    }

    /// Remembers that the copies of these chunks in `pack` cannot be opened. Memory: 64 bytes a damaged chunk.
    pub fn mark_damaged(&self, chunks: impl Iterator<Item = Id>, pack: &Id) {
        self.damaged.write().expect("no holder panics").extend(chunks.map(|id| (id, *pack)));
    }

    /// Whether even the copy of the chunk that [`ChunkIndex::locate`] gives is one that cannot be opened.
    pub fn is_damaged(&self, id: &Id) -> bool {
        if self.damaged.read().expect("no holder panics").is_empty() {
            return false;
        }
        self.locate(id).is_some_and(|location| self.is_damaged_in(id, &location.pack))
    }

    /// Whether the copy of the chunk in this pack is known to be one that cannot be opened.
    pub fn is_damaged_in(&self, id: &Id, pack: &Id) -> bool {
        let damaged = self.damaged.read().expect("no holder panics");
        !damaged.is_empty() && damaged.contains(&(*id, *pack))
    }

    /// What is in some packs, by the tables that name them. Packs that no table describes wholly are left out.
    /// Cost: a pass over all tables. Memory: what is in these packs.
    pub fn describe(&self, names: &HashSet<Id>) -> Result<Vec<IndexedPack>, EngineError> {
        let mut described: HashMap<Id, IndexedPack> = HashMap::new();
        for table in self.snapshot() {
            for pack in table.describe(|pack| names.contains(&pack.name) && !described.contains_key(&pack.name))? {
                if pack.is_whole() {
                    described.insert(pack.name, pack);
                }
            }
            table.rest();
        }
        let mut packs: Vec<IndexedPack> = described.into_values().collect();
        packs.sort_unstable_by_key(|pack| pack.name);
        Ok(packs)
    }

    /// Names and lengths of all packs, absent ones included.
    pub fn packs(&self) -> Vec<Pack> {
        let tables = self.snapshot();
        tables.iter().flat_map(|table| (0..table.layout.packs).filter_map(|at| table.view().pack(at))).collect()
    }

    /// Names of the index objects that some other index object replaces.
    pub fn superseded(&self) -> Vec<Id> {
        let tables = self.snapshot();
        tables
            .iter()
            .flat_map(|table| (0..table.layout.superseded).filter_map(|at| table.view().superseded(at)))
            .collect()
    }

    /// Names of the index objects that were added.
    pub fn names(&self) -> Vec<Id> {
        self.snapshot().iter().filter_map(|table| table.name).collect()
    }

    /// Treats the chunks of these packs as absent.
    pub fn forget_packs(&self, names: &HashSet<Id>) {
        self.flag_packs(names, |table| &table.absent);
    }

    /// Lets nothing new refer to these packs: a compaction is about to delete them.
    pub fn condemn_packs(&self, names: &HashSet<Id>) {
        self.flag_packs(names, |table| &table.condemned);
    }

    fn flag_packs(&self, names: &HashSet<Id>, flags: impl Fn(&Table) -> &[AtomicBool]) {
        for table in self.snapshot() {
            for at in 0..table.layout.packs {
                if table.view().pack(at).is_some_and(|pack| names.contains(&pack.name)) {
                    flags(&table)[at].store(true, Ordering::Relaxed);
                }
            }
        }
    }

    /// Number of chunk records.
    pub fn len(&self) -> usize {
        self.snapshot().iter().map(|table| table.layout.chunks).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Unique chunks of content, their plain bytes, and their stored bytes, of packs that are there. Cost: a pass over all tables.
    pub fn totals(&self) -> (u64, u64, u64) {
        let mut totals = (0, 0, 0);
        for table in self.snapshot() {
            let view = table.view();
            for at in 0..table.layout.objects {
                let Ok(object) = view.object(at) else { continue };
                let is_there = !table.absent[object.pack as usize].load(Ordering::Relaxed);
                if is_there && object.record.kind == ObjectKind::Content {
                    totals.0 += u64::from(object.record.chunks);
                    totals.1 += u64::from(object.record.plain);
                    totals.2 += u64::from(object.record.stored);
                }
            }
            table.rest();
        }
        totals
    }
}
