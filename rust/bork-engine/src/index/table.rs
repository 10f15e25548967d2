//! One table of the index, mapped from a file or in memory.

use super::{IndexedPack, Location};
use crate::error::EngineError;
use crate::filter::Filter;
use bork_format::Id;
use bork_format::index::{Layout, Pack, View};
use bork_format::pack::TocObject;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) enum Backing {
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
    pub(super) backing: Backing,
    pub(super) layout: Layout,
    /// Number, within its pack, of the first object of each pack: objects of a pack stand together.
    first_objects: Vec<u32>,
    pub(super) absent: Vec<AtomicBool>,
    /// Packs that a compaction is about to delete: nothing new may refer to them.
    pub(super) condemned: Vec<AtomicBool>,
    pub(super) name: Option<Id>,
    /// Of tables that this run made: most look-ups while it goes on are for chunks that nobody has.
    pub(super) filter: Option<Filter>,
}

impl Table {
    pub(super) fn new(backing: Backing, name: Option<Id>) -> Result<Self, EngineError> {
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

    /// What is in the packs that are wanted.
    pub(super) fn describe(&self, is_wanted: impl Fn(&Pack) -> bool) -> Result<Vec<IndexedPack>, EngineError> {
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

pub(super) fn write_table(path: &Path, plain: &[u8]) -> std::io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let mut file = File::create(&temporary)?;
    let written = file.write_all(plain).and_then(|()| file.write_all(blake3::hash(plain).as_bytes()));
    written.and_then(|()| std::fs::rename(&temporary, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&temporary);
    })
}

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
pub(super) fn map_table(path: &Path) -> Option<memmap2::Mmap> {
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
