//! The repository half of a backup: dedup, compress, seal, pack, index.
//!
//! Each worker owns a data pack, so that sealing needs no lock and two neighbouring chunks often end in different
//! packs. Small chunks are grouped: one object holds many, which compresses faster and better than one by one, while
//! each chunk keeps its id and is found on its own. Tree nodes and content lists share one metadata pack.

mod sink;

pub use sink::LocalSink;

use crate::buffer::{BufferPool, PackBuffer};
use crate::claims::Claims;
use crate::error::EngineError;
use crate::index::{ChunkIndex, IndexedPack, build_table, seal_index};
use crate::objects::ObjectReader;
use crate::pack::{FinishedPack, OpenPack, Prepared};
use crate::port::{Event, Port};
use crate::secrets::Keys;
use bork_core::compress::{CompressionSpec, Compressor, Decompressor};
use bork_core::seam::Stop;
use bork_core::source::Progress;
use bork_format::Id;
use bork_format::item::{Content, Slice, decode_list};
use bork_format::pack::{Codec, Kind, ObjectKind, PLAIN_LENGTH_MAX};
use sink::GROUP_LENGTH;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// New chunks after which a part of the index is written, so that memory does not grow with the backup.
const INDEX_CHUNKS: usize = 128 << 10;
/// Metadata compresses well and is read often. zstd 3.
const METADATA_COMPRESSION: CompressionSpec =
    CompressionSpec { codec: Codec::Zstd, level: 3, auto: false, obfuscate: 0 };
/// A metadata pack is complete at this length. Unit: bytes.
const METADATA_PACK_LENGTH: usize = 4 << 20;

/// Counts of a backup.
#[derive(Default)]
pub struct Counters {
    /// Stored bytes of all chunks referenced, known ones included.
    pub compressed: AtomicU64,
    /// Stored bytes of new chunks.
    pub deduplicated: AtomicU64,
    /// Chunks referenced.
    pub chunks: AtomicU64,
    /// Chunks that were new.
    pub chunks_new: AtomicU64,
    /// Stored bytes of new metadata.
    pub metadata: AtomicU64,
}

impl Counters {
    /// The counts under the names that an outcome gives them.
    pub fn numbers(&self) -> [(&'static str, u64); 5] {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("compressed_size", load(&self.compressed)),
            ("deduplicated_size", load(&self.deduplicated)),
            ("metadata_size", load(&self.metadata)),
            ("chunks", load(&self.chunks)),
            ("chunks_new", load(&self.chunks_new)),
        ]
    }

    /// Original, compressed and deduplicated size, files, current path.
    pub fn progress(&self, source: &Progress) -> (u64, u64, u64, u64, Vec<u8>) {
        let (bytes, files, path) = source.read();
        let [compressed, new] = [&self.compressed, &self.deduplicated].map(|c| c.load(Ordering::Relaxed));
        (bytes, compressed, new, files, path)
    }

    fn count(&self, stored: u64, is_new: bool) {
        self.chunks.fetch_add(1, Ordering::Relaxed);
        self.compressed.fetch_add(stored, Ordering::Relaxed);
        if is_new {
            self.chunks_new.fetch_add(1, Ordering::Relaxed);
            self.deduplicated.fetch_add(stored, Ordering::Relaxed);
        }
    }
}

/// How packs are made.
#[derive(Debug, Clone)]
pub struct PackOptions {
    /// Compression of content.
    pub compression: CompressionSpec,
    /// A data pack is complete at this length. Unit: bytes.
    pub pack_length: usize,
    /// Longest chunk. Unit: bytes.
    pub chunk_length: usize,
    /// A directory for unnamed files that keep tables out of memory.
    pub scratch: Option<PathBuf>,
}

/// What the workers' sinks share.
pub struct Half {
    /// Secrets.
    pub keys: Arc<Keys>,
    /// What the repository holds.
    pub index: Arc<ChunkIndex>,
    /// To the driver.
    pub port: Arc<Port>,
    /// Counts.
    pub counters: Counters,
    options: PackOptions,
    claims: Claims,
    pool: Arc<BufferPool>,
    metadata_pool: Arc<BufferPool>,
    metadata: Mutex<(Option<OpenPack>, Decompressor)>,
    unindexed: Mutex<Vec<IndexedPack>>,
}

impl Half {
    /// `sinks`: how many data packs may be open at a time.
    pub fn new(keys: Arc<Keys>, index: Arc<ChunkIndex>, port: Arc<Port>, options: PackOptions, sinks: usize) -> Self {
        // Room behind the mark for one more object, and for a table of contents of chunks of 4 KiB. Padding makes an
        // object of any payload as long as the format permits.
        let padded = if options.compression.obfuscate == 0 { 0 } else { PLAIN_LENGTH_MAX as usize };
        let longest = options.chunk_length.max(2 * GROUP_LENGTH).max(padded);
        let capacity = options.pack_length + longest + options.pack_length / 64;
        let adopted = index.take_adopted();
        Half {
            keys,
            index,
            port,
            counters: Counters::default(),
            options,
            claims: Claims::new(),
            pool: BufferPool::new(sinks + 1, capacity + (64 << 10)),
            metadata_pool: BufferPool::new(2, METADATA_PACK_LENGTH + PLAIN_LENGTH_MAX as usize + (1 << 20)),
            metadata: Mutex::default(),
            unindexed: Mutex::new(adopted),
        }
    }

    /// Stored length of a chunk, if the repository holds it or this run is storing it. Unit: bytes.
    pub fn stored_length(&self, id: &Id) -> Option<u64> {
        if let Some(stored) = self.claims.contains(id) {
            return Some(u64::from(stored));
        }
        self.index.find(id).map(|location| location.stored_share())
    }

    /// Stored lengths of all chunks of some content, if the repository holds them and the lists that name them.
    pub fn stored_lengths(&self, content: &Content, reader: &mut ObjectReader) -> Option<Vec<u64>> {
        let slices = |slices: &[Slice], out: &mut Vec<u64>| {
            for slice in slices.iter().filter(|slice| !slice.is_hole()) {
                out.push(self.stored_length(&slice.id)?);
            }
            Some(())
        };
        let mut stored = Vec::new();
        match content {
            Content::Slices(inline) => slices(inline, &mut stored)?,
            Content::Lists(lists) => {
                for id in lists {
                    // It can be read and yet be about to go: nothing new may refer to a list in a condemned pack.
                    self.stored_length(id)?;
                    slices(&decode_list(&reader.read(id).ok()?).ok()?, &mut stored)?;
                }
            }
        }
        Some(stored)
    }

    /// Counts chunks that are referred to and not stored again.
    pub fn count_reused(&self, stored: &[u64]) {
        stored.iter().for_each(|length| self.counters.count(*length, false));
    }

    /// Stores a tree node or a content list unless it is known.
    pub fn put_metadata(&self, kind: ObjectKind, plain: &[u8], compressor: &mut Compressor) -> Result<Id, Stop> {
        let id = self.keys.source().identify(plain);
        if self.index.find(&id).is_some() || !self.claims.claim(&id) {
            return Ok(id);
        }
        let mut payload = Vec::with_capacity(plain.len() / 2);
        let codec = compressor.compress(plain, &mut payload);
        let chunks = vec![(id, plain.len() as u32)];
        self.append_metadata(Prepared {
            payload: &payload,
            codec,
            plain_length: plain.len() as u32,
            plain: Some(plain),
            kind,
            chunks,
            padding: 0,
        })?;
        Ok(id)
    }

    fn append_metadata(&self, object: Prepared<'_>) -> Result<(), Stop> {
        let mut guard = self.metadata.lock().expect("no holder panics");
        let (pack, check) = &mut *guard;
        let mut open = match pack.take() {
            Some(open) => open,
            None => self.open_pack(Kind::Metadata, &self.metadata_pool)?,
        };
        let record = open.append(object, check).map_err(|error| self.port.fail(error))?;
        self.counters.metadata.fetch_add(u64::from(record.stored), Ordering::Relaxed);
        if open.length() >= METADATA_PACK_LENGTH {
            let finished = open.finish().map_err(|error| self.port.fail(error))?;
            drop(guard);
            self.store_pack(finished)?;
        } else {
            *pack = Some(open);
        }
        Ok(())
    }

    fn open_pack(&self, kind: Kind, pool: &Arc<BufferPool>) -> Result<OpenPack, Stop> {
        let buffer = pool.take(|| self.port.is_stopped())?;
        OpenPack::new(&self.keys, kind, buffer).map_err(|error| self.port.fail(error))
    }

    fn store_pack(&self, pack: FinishedPack) -> Result<(), Stop> {
        let indexed = IndexedPack { name: pack.name, length: pack.data.len() as u64, objects: pack.objects };
        self.port.store(Event::StorePack, pack.name, pack.data)?;
        let batch = {
            let mut unindexed = self.unindexed.lock().expect("no holder panics");
            unindexed.push(indexed);
            let chunks: usize = unindexed.iter().flat_map(|pack| &pack.objects).map(|object| object.chunks.len()).sum();
            if chunks < INDEX_CHUNKS { Vec::new() } else { std::mem::take(&mut *unindexed) }
        };
        self.store_index(&batch)
    }

    /// Writes an index object for some packs. It may become durable before its packs do only in name: the driver
    /// stores in the order of events, and one after the other.
    fn store_index(&self, packs: &[IndexedPack]) -> Result<(), Stop> {
        if packs.is_empty() {
            return Ok(());
        }
        let plain = build_table(packs, &[]);
        let sealed = seal_index(&self.keys, plain.clone()).map_err(|error| self.port.fail(error))?;
        let name = *blake3::hash(&sealed).as_bytes();
        let added = self.index.add_plain(Some(name), plain, self.options.scratch.as_deref());
        added.map_err(|error| self.port.fail(error))?;
        for (id, _) in packs.iter().flat_map(|pack| &pack.objects).flat_map(|object| &object.chunks) {
            self.claims.release(id);
        }
        self.port.store(Event::StoreIndex, name, PackBuffer::owned(sealed))
    }

    /// Completes the metadata pack and writes the rest of the index. All sinks must have finished.
    pub fn finish(&self) -> Result<(), Stop> {
        let open = self.metadata.lock().expect("no holder panics").0.take();
        if let Some(open) = open {
            let finished = open.finish().map_err(|error| self.port.fail(error))?;
            self.store_pack(finished)?;
        }
        let rest = std::mem::take(&mut *self.unindexed.lock().expect("no holder panics"));
        self.store_index(&rest)?;
        self.port.wait_stored()
    }
}

/// Compressor for tree nodes and content lists.
pub fn metadata_compressor() -> Result<Compressor, EngineError> {
    Compressor::new(METADATA_COMPRESSION).map_err(|error| EngineError::Plan(error.to_string()))
}
