//! The chunk index: which object of which pack holds a chunk.
//!
//! An index object is fetched once and its table kept in the local cache, mapped into memory: opening costs O(new
//! index objects), memory is page cache. What this run adds is kept in small sorted tables until it is an index
//! object itself.

use crate::error::EngineError;
use crate::filter::Filter;
use crate::secrets::Keys;
use bork_format::Id;
use bork_format::index::{self, Layout, Pack, SEGMENT_LENGTH, View};
use bork_format::pack::{HEADER_LENGTH, Header, Kind, ObjectKind, Record, TAG_LENGTH, TocObject};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, RwLock};

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

enum Backing {
    Mapped(memmap2::Mmap),
    Owned(Vec<u8>),
}

impl Backing {
    fn bytes(&self) -> &[u8] {
        match self {
            // The last 32 bytes of a cache file are its checksum.
            Backing::Mapped(map) => &map[..map.len() - 32],
            Backing::Owned(bytes) => bytes,
        }
    }
}

/// One table with what is known about its packs.
pub struct Table {
    backing: Backing,
    layout: Layout,
    /// Number, within its pack, of the first object of each pack: objects of a pack stand together.
    first_objects: Vec<u32>,
    absent: Vec<AtomicBool>,
    /// Packs that a compaction is about to delete: nothing new may refer to them.
    condemned: Vec<AtomicBool>,
    name: Option<Id>,
    /// Of tables that this run made: most look-ups while it goes on are for chunks that nobody has.
    filter: Option<Filter>,
}

impl Table {
    fn new(backing: Backing, name: Option<Id>) -> Result<Self, EngineError> {
        let view = View::new(backing.bytes())?;
        let layout = view.layout();
        let mut first_objects = vec![u32::MAX; layout.packs];
        for at in 0..layout.objects {
            let pack = view.object(at)?.pack as usize;
            match first_objects.get_mut(pack) {
                Some(first) if *first == u32::MAX => *first = at as u32,
                Some(_) => {}
                None => return Err(EngineError::damaged("index", "an object names a pack that is not there")),
            }
        }
        Ok(Table {
            absent: (0..layout.packs).map(|_| AtomicBool::new(false)).collect(),
            condemned: (0..layout.packs).map(|_| AtomicBool::new(false)).collect(),
            backing,
            layout,
            first_objects,
            name,
            filter: None,
        })
    }

    /// The table itself.
    pub fn view(&self) -> View<'_> {
        View::with_layout(self.backing.bytes(), self.layout)
    }

    /// Gives back the pages that a pass over the table has touched: they stay in the page cache, and are only not this
    /// process's any more.
    pub fn rest(&self) {
        if let Backing::Mapped(map) = &self.backing {
            // SAFETY: the mapping is of a file, shared and read-only: pages that are touched again come from the file.
            let _ = unsafe { map.unchecked_advise(memmap2::UncheckedAdvice::DontNeed) };
        }
    }

    /// Bytes that are mapped.
    pub fn mapped_length(&self) -> usize {
        match &self.backing {
            Backing::Mapped(map) => map.len(),
            Backing::Owned(_) => 0,
        }
    }

    /// Name of the index object, if it is one.
    pub fn name(&self) -> Option<Id> {
        self.name
    }

    /// Whether the pack with this number is not in the store.
    pub fn is_absent(&self, pack: usize) -> bool {
        self.absent[pack].load(Ordering::Relaxed)
    }

    /// All copies of a chunk in packs that the store holds: position, whether the pack is condemned, place.
    pub fn copies(&self, id: &Id) -> impl Iterator<Item = (usize, bool, Location)> {
        let view = self.view();
        let is_possible = self.filter.as_ref().is_none_or(|filter| filter.may_contain(id));
        let positions = if is_possible { view.positions(id) } else { 0..0 };
        positions.filter_map(move |at| {
            let chunk = view.chunk(at);
            let object = view.object(chunk.object as usize).ok()?;
            let pack = object.pack as usize;
            if self.is_absent(pack) {
                return None;
            }
            let location = Location {
                pack: view.pack(pack)?.name,
                object_offset: object.offset,
                object_index: chunk.object - self.first_objects[pack],
                record: object.record,
                offset: chunk.offset,
                length: chunk.length,
            };
            Some((at, self.condemned[pack].load(Ordering::Relaxed), location))
        })
    }
}

impl Table {
    /// What is in the packs that are wanted.
    fn describe(&self, is_wanted: impl Fn(&Pack) -> bool) -> Result<Vec<IndexedPack>, EngineError> {
        let view = self.view();
        // Where a wanted pack is in the result; and where the objects of the table are in it.
        let mut packs = Vec::new();
        let mut places = vec![None; self.layout.packs];
        for (at, place) in places.iter_mut().enumerate() {
            if let Some(pack) = view.pack(at).filter(&is_wanted) {
                *place = Some(packs.len());
                packs.push(IndexedPack { name: pack.name, length: pack.length, objects: Vec::new() });
            }
        }
        if packs.is_empty() {
            return Ok(packs);
        }
        for at in 0..self.layout.objects {
            let object = view.object(at)?;
            if let Some(place) = places[object.pack as usize] {
                packs[place].objects.push(TocObject { record: object.record, chunks: Vec::new() });
            }
        }
        let mut chunks: Vec<(u32, u32, Id, u32)> = Vec::new();
        for at in 0..self.layout.chunks {
            let chunk = view.chunk(at);
            if places[view.object(chunk.object as usize)?.pack as usize].is_some() {
                chunks.push((chunk.object, chunk.offset, chunk.id, chunk.length));
            }
        }
        chunks.sort_unstable();
        for (number, _, id, length) in chunks {
            let pack = view.object(number as usize)?.pack as usize;
            let Some(place) = places[pack] else { continue };
            packs[place].objects[(number - self.first_objects[pack]) as usize].chunks.push((id, length));
        }
        Ok(packs)
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

/// A finished pack as an index sees it.
pub struct IndexedPack {
    /// Name of the pack.
    pub name: Id,
    /// Length of the file. Unit: bytes.
    pub length: u64,
    /// Its table of contents.
    pub objects: Vec<TocObject>,
}

impl IndexedPack {
    /// Whether each object has all of its chunks: a table may leave out what another pack of it holds, too.
    fn is_whole(&self) -> bool {
        self.objects.iter().all(|object| {
            let total: u64 = object.chunks.iter().map(|(_, length)| u64::from(*length)).sum();
            total == u64::from(object.record.plain) && object.chunks.len() == usize::from(object.record.chunks)
        })
    }
}

/// Builds the table of some packs. A chunk that stands in several packs is listed for each of them.
pub fn build_table(packs: &[IndexedPack], superseded: &[Id]) -> Vec<u8> {
    let mut objects = Vec::new();
    let mut chunks = Vec::new();
    for (number, pack) in packs.iter().enumerate() {
        let mut offset = HEADER_LENGTH as u32;
        for object in &pack.objects {
            let mut inside = 0;
            for (id, length) in &object.chunks {
                chunks.push(index::Chunk { id: *id, object: objects.len() as u32, offset: inside, length: *length });
                inside += length;
            }
            objects.push(index::Object { pack: number as u32, offset, record: object.record });
            offset += object.record.stored;
        }
    }
    chunks.sort_unstable_by_key(|chunk| (chunk.id, chunk.object));
    chunks.dedup_by_key(|chunk| (chunk.id, chunk.object));
    let packs: Vec<Pack> = packs.iter().map(|pack| Pack { name: pack.name, length: pack.length }).collect();
    index::encode(&packs, superseded, &objects, chunks)
}

/// Seals a table in its place: the bytes of an index object. See docs/format/index.md. Memory: none of its own.
pub fn seal_index(keys: &Keys, plain: Vec<u8>) -> Result<Vec<u8>, EngineError> {
    const SEALED: usize = SEGMENT_LENGTH + TAG_LENGTH;
    let (header, seal) = keys.new_file(Kind::Index)?;
    let (length, segments) = (plain.len(), plain.len().div_ceil(SEGMENT_LENGTH));
    let mut out = plain;
    out.reserve_exact(HEADER_LENGTH + segments * TAG_LENGTH);
    out.resize(HEADER_LENGTH + length + segments * TAG_LENGTH, 0);
    // Room for the header, and for a tag behind each segment: the last one is moved first.
    for number in (0..segments).rev() {
        let start = number * SEGMENT_LENGTH;
        out.copy_within(start..length.min(start + SEGMENT_LENGTH), HEADER_LENGTH + number * SEALED);
    }
    out[..HEADER_LENGTH].copy_from_slice(&header.encode());
    for (number, sealed) in out[HEADER_LENGTH..].chunks_mut(SEALED).enumerate() {
        let (segment, tag) = sealed.split_at_mut(sealed.len() - TAG_LENGTH);
        tag.copy_from_slice(&seal.seal(number as u32, &segment_context(segments), segment)?);
    }
    Ok(out)
}

/// Opens an index object.
pub fn open_index(keys: &Keys, data: &[u8]) -> Result<Vec<u8>, EngineError> {
    let header = Header::decode(data.get(..HEADER_LENGTH).unwrap_or(data))?;
    if header.kind != Kind::Index {
        return Err(EngineError::damaged("index", "it is a file of another kind"));
    }
    let seal = keys.file(&header)?;
    let body = &data[HEADER_LENGTH..];
    let segments = body.len().div_ceil(SEGMENT_LENGTH + TAG_LENGTH);
    if body.len() % (SEGMENT_LENGTH + TAG_LENGTH) == TAG_LENGTH {
        return Err(EngineError::damaged("index", "its last segment is empty"));
    }
    let mut plain = Vec::with_capacity(body.len());
    let mut segment = Vec::new();
    for (number, sealed) in body.chunks(SEGMENT_LENGTH + TAG_LENGTH).enumerate() {
        sealed.clone_into(&mut segment);
        plain.extend_from_slice(seal.open(number as u32, &segment_context(segments), &mut segment)?);
    }
    Ok(plain)
}

fn segment_context(segments: usize) -> [u8; 4] {
    (segments as u32).to_le_bytes()
}

fn write_table(path: &Path, plain: &[u8]) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let mut file = File::create(&temporary)?;
    let written = file.write_all(plain).and_then(|()| file.write_all(blake3::hash(plain).as_bytes()));
    written.and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

/// Maps a table through a file that has no name any more.
/// Keeps bytes out of memory, in a file without a name; 32 bytes stand behind them.
pub(crate) fn unnamed_table(directory: &Path, plain: &[u8]) -> std::io::Result<memmap2::Mmap> {
    let path = directory.join(format!("scratch-{}-{:x}", std::process::id(), plain.as_ptr() as usize));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    file.write_all(plain)?;
    file.write_all(&[0; 32])?; // where a kept table has its checksum
    // SAFETY: nobody else can open the file, and it is not changed again.
    unsafe { memmap2::Mmap::map(&file) }
}

/// Maps a cache file whose checksum is right. Cost: one pass at the speed of BLAKE3.
fn map_table(path: &Path) -> Option<memmap2::Mmap> {
    let file = File::open(path).ok()?;
    // Read, not through the mapping: what is only hashed should not count as this process's memory.
    let length = usize::try_from(file.metadata().ok()?.len()).ok()?;
    let split = length.checked_sub(32)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader((&file).take(split as u64)).ok()?;
    let mut sum = [0; 32];
    (&file).read_exact(&mut sum).ok()?;
    if *hasher.finalize().as_bytes() != sum {
        return None;
    }
    // SAFETY: the file is in bork's private cache directory; it is published by rename and never changed in place.
    let map = unsafe { memmap2::Mmap::map(&file) }.ok()?;
    (map.len() == length).then_some(map)
}

/// Chunks of packs that this run is writing: claimed by the worker that saw them first.
#[derive(Default)]
pub struct Claims {
    shards: Vec<Mutex<HashMap<Id, u32>>>,
}

impl Claims {
    /// Empty.
    pub fn new() -> Self {
        Claims { shards: (0..64).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, id: &Id) -> &Mutex<HashMap<Id, u32>> {
        &self.shards[usize::from(id[0]) % self.shards.len()]
    }

    /// True if the caller is the first to see the chunk and so must store it.
    pub fn claim(&self, id: &Id) -> bool {
        let mut shard = self.shard(id).lock().expect("no holder panics");
        if shard.contains_key(id) {
            return false;
        }
        shard.insert(*id, 0);
        true
    }

    /// Whether somebody has claimed the chunk.
    pub fn contains(&self, id: &Id) -> Option<u32> {
        self.shard(id).lock().expect("no holder panics").get(id).copied()
    }

    /// Records the stored length of a claimed chunk.
    pub fn stored(&self, id: &Id, length: u32) {
        if let Some(slot) = self.shard(id).lock().expect("no holder panics").get_mut(id) {
            *slot = length;
        }
    }

    /// Forgets a chunk that a table now lists.
    pub fn release(&self, id: &Id) {
        self.shard(id).lock().expect("no holder panics").remove(id);
    }
}
