//! Moving the chunks that are needed out of packs that hold little else: the second half of a compaction.
//!
//! Each worker takes a pack, fetches the objects with needed chunks in batches, opens and verifies them, and appends
//! them to a pack of its own: whole objects as they are, compressed bytes and all; of the others the needed chunks, in
//! new groups. Nothing is deleted here.

use crate::error::EngineError;
use crate::half::{Half, LocalSink, PackOptions};
use crate::index::{ChunkIndex, IndexedPack, Location};
use crate::mark::Marks;
use crate::objects::{FetchPlan, Seals};
use crate::pack::{Prepared, open_payload, verify_chunks};
use crate::port::{Bytes, Event, Outcome, Port, guard};
use crate::secrets::Keys;
use bork_core::compress::Decompressor;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::{ChunkSink, Stop};
use bork_format::Id;
use bork_format::pack::{HEADER_LENGTH, ObjectKind, TocObject};
use crossbeam_channel::{Receiver, bounded};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Objects are fetched in batches of this many stored bytes. Unit: bytes.
const BATCH_LENGTH: u64 = 8 << 20;

/// What is to be moved, and how.
pub struct RewritePlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Packs whose needed chunks are moved.
    pub packs: Vec<Id>,
    /// How new packs are made; the compression is for groups of chunks that stay of a larger group.
    pub options: PackOptions,
}

struct Rewriting {
    packs: Vec<Id>,
    threads: usize,
    half: Arc<Half>,
    marks: Arc<Marks>,
    done: AtomicU64,
    objects: AtomicU64,
    bytes: AtomicU64,
    /// Packs of which something could not be moved.
    kept: Mutex<Vec<Id>>,
}

/// Moves needed chunks into new packs.
pub struct RewriteEngine {
    rewriting: Arc<Rewriting>,
    coordinator: Option<JoinHandle<()>>,
}

impl RewriteEngine {
    /// Starts the threads.
    pub fn start(
        plan: RewritePlan,
        keys: Arc<Keys>,
        index: Arc<ChunkIndex>,
        marks: Arc<Marks>,
    ) -> Result<Self, EngineError> {
        let RewritePlan { threads, packs, options } = plan;
        let threads = threads.max(1);
        let half = Arc::new(Half::new(keys, index, Port::new(), options, threads));
        let [done, objects, bytes] = [0; 3].map(AtomicU64::new);
        let rewriting =
            Arc::new(Rewriting { packs, threads, half, marks, done, objects, bytes, kept: Mutex::default() });
        let shared = Arc::clone(&rewriting);
        let coordinator = std::thread::Builder::new()
            .name("rewrite".into())
            .spawn(move || guard(&shared.half.port, || shared.run()))
            .map_err(|error| EngineError::Internal(format!("no thread: {error}")))?;
        Ok(RewriteEngine { rewriting, coordinator: Some(coordinator) })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.rewriting.half.port
    }

    /// Packs done, packs in all, objects moved.
    pub fn progress(&self) -> (u64, u64, u64) {
        let [done, objects] =
            [&self.rewriting.done, &self.rewriting.objects].map(|count| count.load(Ordering::Relaxed));
        (done, self.rewriting.packs.len() as u64, objects)
    }

    /// Packs of which something could not be moved: they have to stay.
    pub fn kept(&self) -> Vec<Id> {
        self.rewriting.kept.lock().expect("no holder panics").clone()
    }
}

impl Drop for RewriteEngine {
    fn drop(&mut self) {
        self.port().cancel();
        if let Some(thread) = self.coordinator.take() {
            let _ = thread.join();
        }
    }
}

/// An object with what is needed of it.
struct Wanted<'a> {
    object: &'a TocObject,
    location: Location,
    needed: Vec<bool>,
}

impl Rewriting {
    fn run(self: &Arc<Self>) -> Result<(), Stop> {
        let names: HashSet<Id> = self.packs.iter().copied().collect();
        let packs = self.half.index.describe(&names).map_err(|error| self.half.port.fail(error))?;
        let described: HashSet<Id> = packs.iter().map(|pack| pack.name).collect();
        for pack in names.difference(&described) {
            self.keep(pack, &EngineError::damaged("index", "it does not say all that is in this pack"))?;
        }
        let (tasks, queue) = bounded::<IndexedPack>(packs.len().max(1));
        for pack in packs {
            crate::port::send(&tasks, pack, &self.half.port)?;
        }
        drop(tasks);
        let mut workers = Vec::new();
        for number in 0..self.threads {
            let (shared, queue) = (Arc::clone(self), queue.clone());
            let thread = std::thread::Builder::new().name(format!("worker {number}"));
            let thread = thread.spawn(move || guard(&shared.half.port, || shared.work(&queue)));
            workers.push(thread.map_err(|error| self.half.port.fail(EngineError::Internal(error.to_string())))?);
        }
        for worker in workers {
            let _ = worker.join();
        }
        if self.half.port.is_stopped() {
            return Err(Stop);
        }
        self.half.finish()?;
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let numbers = vec![("objects", load(&self.objects)), ("bytes", load(&self.bytes))];
        self.half.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    fn work(&self, queue: &Receiver<IndexedPack>) -> Result<(), Stop> {
        let mut sink = LocalSink::new(Arc::clone(&self.half)).map_err(|error| self.half.port.fail(error))?;
        let mut mover = Mover { decompressor: Decompressor::new(), seals: Seals::default(), plain: Vec::new() };
        while let Ok(pack) = queue.recv() {
            if self.half.port.is_stopped() {
                return Err(Stop);
            }
            self.pack(&pack, &mut sink, &mut mover)?;
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        sink.finish()
    }

    fn pack(&self, pack: &IndexedPack, sink: &mut LocalSink, mover: &mut Mover) -> Result<(), Stop> {
        let mut offset = HEADER_LENGTH as u32;
        let mut batch: Vec<Wanted<'_>> = Vec::new();
        let mut length = 0;
        for (number, object) in pack.objects.iter().enumerate() {
            let location = Location {
                pack: pack.name,
                object_offset: offset,
                object_index: number as u32,
                record: object.record,
                offset: 0,
                length: object.record.plain,
            };
            offset += object.record.stored;
            let is_needed = |(id, _): &(Id, u32)| self.marks.is_marked(id, &pack.name, number as u32);
            let needed: Vec<bool> = object.chunks.iter().map(is_needed).collect();
            if !needed.contains(&true) {
                continue;
            }
            length += u64::from(object.record.stored);
            batch.push(Wanted { object, location, needed });
            if length >= BATCH_LENGTH {
                self.batch(&pack.name, std::mem::take(&mut batch), sink, mover)?;
                length = 0;
            }
        }
        self.batch(&pack.name, batch, sink, mover)
    }

    fn batch(&self, pack: &Id, wanted: Vec<Wanted<'_>>, sink: &mut LocalSink, mover: &mut Mover) -> Result<(), Stop> {
        if wanted.is_empty() {
            return Ok(());
        }
        let locations: Vec<Location> = wanted.iter().map(|wanted| wanted.location).collect();
        let plan = FetchPlan::new(&locations, &mover.seals);
        let answer = self.half.port.fetch(plan.ranges.clone())?;
        let answer = answer.map_err(EngineError::Storage).and_then(|answer| {
            plan.learn(&answer, &self.half.keys, &mover.seals)?;
            Ok(answer)
        });
        let answer = match answer {
            Ok(answer) => answer,
            Err(_) if wanted.len() > 1 => {
                // Part of it cannot be read: finds out which part.
                for wanted in wanted {
                    self.batch(pack, vec![wanted], sink, mover)?;
                }
                return Ok(());
            }
            Err(error) => return self.keep(pack, &error),
        };
        for (wanted, part) in wanted.iter().zip(&plan.parts) {
            let bytes: &Bytes = &answer[part.range];
            let end = part.at + wanted.location.record.stored as usize;
            let Some(stored) = (**bytes).as_ref().get(part.at..end) else {
                self.keep(pack, &crate::objects::short(&wanted.location))?;
                continue;
            };
            match mover.open(stored, wanted, &self.half.keys) {
                Ok(payload) => self.copy(wanted, &payload, sink, mover)?,
                Err(error) => self.keep(pack, &crate::objects::locate(error, &wanted.location))?,
            }
        }
        Ok(())
    }

    fn copy(&self, wanted: &Wanted<'_>, payload: &[u8], sink: &mut LocalSink, mover: &Mover) -> Result<(), Stop> {
        let (object, record) = (wanted.object, wanted.object.record);
        self.objects.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(u64::from(record.stored), Ordering::Relaxed);
        let is_whole = wanted.needed.iter().all(|needed| *needed) && object.chunks.len() == usize::from(record.chunks);
        if is_whole || record.kind != ObjectKind::Content {
            let padding = record.stored as usize - record.payload as usize - bork_format::pack::TAG_LENGTH;
            return sink.copy(Prepared {
                payload,
                codec: record.codec,
                plain: &mover.plain,
                kind: record.kind,
                chunks: object.chunks.clone(),
                padding,
                is_verified: true,
            });
        }
        let mut at = 0;
        for ((id, length), needed) in object.chunks.iter().zip(&wanted.needed) {
            let end = at + *length as usize;
            if *needed {
                sink.regroup(id, &mover.plain[at..end])?;
            }
            at = end;
        }
        Ok(())
    }

    /// Something in a pack cannot be moved: the pack stays, and the user is told.
    fn keep(&self, pack: &Id, error: &EngineError) -> Result<(), Stop> {
        let mut kept = self.kept.lock().expect("no holder panics");
        if !kept.contains(pack) {
            kept.push(*pack);
        }
        drop(kept);
        let path = format!("packs/{}", crate::objects::hex(pack));
        self.half.port.problem(path.as_bytes(), Problem::new(ProblemKind::Damaged, error.to_string()))
    }
}

/// What one worker opens objects with.
struct Mover {
    decompressor: Decompressor,
    seals: Seals,
    plain: Vec<u8>,
}

impl Mover {
    /// Opens an object into `plain` and verifies each chunk; returns its compressed bytes.
    fn open(&mut self, stored: &[u8], wanted: &Wanted<'_>, keys: &Keys) -> Result<Vec<u8>, EngineError> {
        let Location { pack, object_index, record, .. } = &wanted.location;
        let seal = self.seals.get(pack).ok_or_else(|| EngineError::Internal("no seal".into()))?;
        let mut sealed = stored.to_vec();
        self.plain.resize(record.plain as usize, 0);
        let payload = open_payload(&seal, *object_index, record, &mut sealed)?;
        self.decompressor
            .decompress(record.codec, payload, record.plain as usize, &mut self.plain)
            .map_err(|error| EngineError::damaged("object", error.to_string()))?;
        verify_chunks(keys, &wanted.object.chunks, &self.plain)?;
        let length = payload.len();
        sealed.truncate(length);
        Ok(sealed)
    }
}
