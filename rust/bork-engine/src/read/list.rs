//! `list`: one line for each wanted item.
//!
//! A file whose content is not there any more is listed like all others. Where the format asks for its health, its
//! chunks are looked up in the index, and none is read. What is asked for and cannot be found out is a problem of the
//! file: a digest of content that cannot be read, and numbers of chunks that no list names any more.

use super::Reading;
use super::items::{for_each, for_each_slice, ignore, object_reader, tell};
use crate::error::EngineError;
use crate::objects::ObjectReader;
use crate::port::Event;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::render::{Extra, Format, Hash, Needs, Renderer};
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::{Item, Slice};
use digest::DynDigest;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// Bytes of lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// How items are listed.
pub struct ListFormat {
    /// The compiled format; taken by the run.
    pub format: Mutex<Option<Format>>,
    /// JSON lines instead of text.
    pub json_lines: bool,
}

/// How often chunks of the archive are used; only made for keys that ask for unique chunks.
type Uses = HashMap<Id, u32>;

/// Runs.
pub fn run(reading: &Arc<Reading>, list: &ListFormat) -> Result<(), Stop> {
    let Some(format) = list.format.lock().expect("no holder panics").take() else { return Ok(()) };
    let mut renderer = if list.json_lines { Renderer::json_lines(format) } else { Renderer::text(format) };
    let uses = if renderer.format().needs().unique { count_uses(reading)? } else { Uses::new() };
    let mut lister =
        Lister { reading, links: HashMap::new(), reader: object_reader(reading), lists: object_reader(reading), uses };
    let mut out = Vec::with_capacity(LINES_LENGTH + 4096);
    for_each(reading, tell, |path, item| {
        reading.items.fetch_add(1, Ordering::Relaxed);
        lister.render(path, &item, &mut renderer, &mut out)?;
        if out.len() >= LINES_LENGTH {
            reading.port.emit(Event::Lines(std::mem::replace(&mut out, Vec::with_capacity(LINES_LENGTH + 4096))))?;
        }
        Ok(())
    })?;
    if out.is_empty() { Ok(()) } else { reading.port.emit(Event::Lines(out)) }
}

/// A list that cannot be read is passed over here: its file is told of when it is listed.
fn count_uses(reading: &Arc<Reading>) -> Result<Uses, Stop> {
    let mut uses = Uses::new();
    let mut lists = object_reader(reading);
    for_each(reading, ignore, |_, item| {
        let counted = for_each_slice(&item.content, &mut lists, |slice| {
            *uses.entry(slice.id).or_default() += 1;
            Ok(())
        });
        if let Err(EngineError::Cancelled) = counted { Err(Stop) } else { Ok(()) }
    })?;
    Ok(uses)
}

struct Lister<'a> {
    reading: &'a Arc<Reading>,
    /// First paths of hard link sets, with the number of names still to come.
    links: HashMap<u64, (Vec<u8>, u32)>,
    reader: ObjectReader,
    lists: ObjectReader,
    uses: Uses,
}

impl Lister<'_> {
    fn render(&mut self, path: &[u8], item: &Item, renderer: &mut Renderer, out: &mut Vec<u8>) -> Result<(), Stop> {
        let shown: &[u8] = if path.is_empty() { b"." } else { path };
        let source = self.link_source(shown, item);
        let mut extra = Extra { link_source: source.as_deref(), ..Extra::default() };
        let found =
            if item.is_file() { self.content(item, renderer.format().needs(), &mut extra) } else { Ok(Vec::new()) };
        let digests = match found {
            Ok(digests) => digests,
            Err(EngineError::Cancelled) => return Err(Stop),
            Err(error) => {
                extra.broken = true;
                self.reading.port.problem(shown, Problem::new(ProblemKind::Damaged, error.to_string()))?;
                Vec::new()
            }
        };
        let digests: Vec<&str> = digests.iter().map(String::as_str).collect();
        extra.digests = &digests;
        renderer.render(shown, item, &extra, out);
        Ok(())
    }

    /// What the format asks of the content of a file; its digests. An error, if some of that cannot be found out.
    fn content(&mut self, item: &Item, needs: &Needs, extra: &mut Extra<'_>) -> Result<Vec<String>, EngineError> {
        let has_numbers = needs.compressed_size || needs.chunks || needs.unique;
        if has_numbers || needs.health {
            match self.count(item, extra) {
                // Its health is all that was asked for: this is the answer.
                Err(error) if !has_numbers && !matches!(error, EngineError::Cancelled) => extra.broken = true,
                counted => counted?,
            }
        }
        if needs.hashes.is_empty() { Ok(Vec::new()) } else { self.digests(item, &needs.hashes) }
    }

    fn link_source(&mut self, path: &[u8], item: &Item) -> Option<Vec<u8>> {
        let link = item.link.filter(|link| link.count > 1 && item.is_file())?;
        let Some((first, left)) = self.links.get_mut(&link.group) else {
            self.links.insert(link.group, (path.to_vec(), link.count - 1));
            return None;
        };
        let first = first.clone();
        *left -= 1;
        if *left == 0 {
            self.links.remove(&link.group);
        }
        Some(first)
    }

    fn count(&mut self, item: &Item, extra: &mut Extra<'_>) -> Result<(), EngineError> {
        let (reading, uses) = (self.reading, &self.uses);
        for_each_slice_of(item, &mut self.lists, |slice| {
            if slice.is_hole() {
                return Ok(());
            }
            let location = reading.index.locate(&slice.id);
            let end = u64::from(slice.offset) + u64::from(slice.length);
            extra.broken |= location.is_none_or(|location| u64::from(location.length) < end);
            let stored = location.map_or(0, |location| location.stored_share());
            extra.chunks += 1;
            extra.compressed_size += stored;
            if uses.get(&slice.id) == Some(&1) {
                extra.unique_chunks += 1;
                extra.unique_size += u64::from(slice.length);
                extra.unique_compressed_size += stored;
            }
            Ok(())
        })
    }

    /// Digests of the content.
    fn digests(&mut self, item: &Item, hashes: &[Hash]) -> Result<Vec<String>, EngineError> {
        let mut hashers: Vec<Box<dyn DynDigest>> = hashes.iter().map(|hash| hasher(*hash)).collect();
        let mut feed = |bytes: &[u8]| hashers.iter_mut().for_each(|hasher| hasher.update(bytes));
        let reader = &mut self.reader;
        for_each_slice_of(item, &mut self.lists, |slice| {
            if slice.is_hole() {
                for _ in 0..slice.length / 4096 {
                    feed(&[0; 4096]);
                }
                feed(&[0; 4096][..slice.length as usize % 4096]);
                return Ok(());
            }
            let chunk = reader.read(&slice.id)?;
            let start = slice.offset as usize;
            let bytes = chunk.get(start..start + slice.length as usize);
            feed(bytes.ok_or_else(|| EngineError::damaged("chunk", "it is shorter than the item says"))?);
            Ok(())
        })?;
        Ok(hashers.into_iter().map(|hasher| crate::objects::hex(&hasher.finalize())).collect())
    }
}

/// The slices of a file. A list that is the wrong one is found by the sum of their lengths.
fn for_each_slice_of(
    item: &Item,
    lists: &mut ObjectReader,
    mut each: impl FnMut(&Slice) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut size = 0;
    for_each_slice(&item.content, lists, |slice| {
        size += u64::from(slice.length);
        each(slice)
    })?;
    if size == item.size {
        return Ok(());
    }
    Err(EngineError::damaged("content", "its content lists do not add up to its size"))
}

fn hasher(hash: Hash) -> Box<dyn DynDigest> {
    match hash {
        Hash::Blake2b => Box::<blake2::Blake2b512>::default(),
        Hash::Blake2s => Box::<blake2::Blake2s256>::default(),
        Hash::Md5 => Box::<md5::Md5>::default(),
        Hash::Sha1 => Box::<sha1::Sha1>::default(),
        Hash::Sha224 => Box::<sha2::Sha224>::default(),
        Hash::Sha256 => Box::<sha2::Sha256>::default(),
        Hash::Sha384 => Box::<sha2::Sha384>::default(),
        Hash::Sha512 => Box::<sha2::Sha512>::default(),
        Hash::Sha3_224 => Box::<sha3::Sha3_224>::default(),
        Hash::Sha3_256 => Box::<sha3::Sha3_256>::default(),
        Hash::Sha3_384 => Box::<sha3::Sha3_384>::default(),
        Hash::Sha3_512 => Box::<sha3::Sha3_512>::default(),
        Hash::Xxh64 => Box::<Xxh64>::default(),
    }
}

/// xxHash64 with seed 0 behind the interface of the others.
#[derive(Clone, Default)]
struct Xxh64(xxhash_rust::xxh64::Xxh64);

impl DynDigest for Xxh64 {
    fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finalize_into(self, out: &mut [u8]) -> Result<(), digest::InvalidBufferSize> {
        out.copy_from_slice(&self.0.digest().to_be_bytes());
        Ok(())
    }

    fn finalize_into_reset(&mut self, out: &mut [u8]) -> Result<(), digest::InvalidBufferSize> {
        out.copy_from_slice(&self.0.digest().to_be_bytes());
        self.reset();
        Ok(())
    }

    fn reset(&mut self) {
        self.0.reset(0);
    }

    fn output_size(&self) -> usize {
        8
    }

    fn box_clone(&self) -> Box<dyn DynDigest> {
        Box::new(self.clone())
    }
}
