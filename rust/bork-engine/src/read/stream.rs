//! Content in the order of the items, as one stream.
//!
//! ```text
//! coordinator --batches--> (fetch) --objects--> workers (open, decompress, verify)
//!      +------------------ batches in order ------------> emitter --> driver
//! ```
//!
//! A batch is a part of the stream with all objects that it needs; while one is emitted the next is opened, and the
//! one behind it fetched. Memory: four batches.

use super::Reading;
use super::items::object_reader;
use crate::error::EngineError;
use crate::index::Location;
use crate::objects::{FetchPlan, Seals, hex, locate, missing, short};
use crate::pack::open_object;
use crate::port::{Bytes, PendingFetch, receive, send};
use crate::seal::FileSeal;
use crate::threads::Threads;
use bork_core::compress::Decompressor;
use bork_core::seam::Stop;
use bork_core::source::printable;
use bork_format::Id;
use bork_format::item::Slice;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::time::Duration;

/// A batch is closed at this many stored or plain bytes, or parts. Unit: bytes.
const STORED_LENGTH: u64 = 4 << 20;
const PLAIN_LENGTH: u64 = 8 << 20;
const PARTS: usize = 8192;

/// What the stream becomes, part by part.
pub trait Emit: Send + 'static {
    /// Bytes that were appended as such.
    fn own(&mut self, bytes: &[u8]) -> Result<(), Stop>;
    /// Bytes of a slice.
    fn content(&mut self, bytes: &[u8]) -> Result<(), Stop>;
    /// A slice that cannot be read, and who wanted its object first. An error ends the run.
    fn lost(&mut self, path: &[u8], error: &EngineError) -> Result<(), Stop>;
    /// Nothing more comes.
    fn finish(&mut self) -> Result<(), Stop>;
}

/// One chunk of an object that is needed whole, because only then it can be verified.
struct Chunk {
    id: Id,
    start: usize,
    length: usize,
}

struct Wanted {
    location: Location,
    chunks: Vec<Chunk>,
    /// Who needed it first.
    path: Arc<[u8]>,
}

enum Part {
    /// The next bytes of the batch's own.
    Own(usize),
    /// Bytes of an object: its number, first byte, length.
    Object(usize, usize, usize),
}

#[derive(Default)]
struct Batch {
    own: Vec<u8>,
    parts: Vec<Part>,
    wanted: Vec<Wanted>,
    places: HashMap<(Id, u32), usize>,
    stored: u64,
    plain: u64,
}

/// An open object: its plaintext, and which bytes of it are not what they should be.
struct Plain {
    bytes: Vec<u8>,
    lost: Vec<(Range<usize>, EngineError)>,
}

/// A batch whose objects are being opened.
struct Opening {
    batch: Batch,
    plains: Vec<OnceLock<Plain>>,
    left: AtomicUsize,
    done: (Mutex<()>, Condvar),
}

struct Task {
    opening: Arc<Opening>,
    number: usize,
    fetched: Result<Fetched, EngineError>,
}

/// Where an object begins in the bytes that were read, and the key of its pack.
struct Fetched {
    bytes: Bytes,
    at: usize,
    seal: Arc<FileSeal>,
}

struct Pending {
    batch: Batch,
    plan: FetchPlan,
    fetch: PendingFetch,
}

/// Takes the stream apart into batches.
pub struct Stream {
    reading: Arc<Reading>,
    /// What is lost is told to the emitter, and does not end the run.
    goes_on: bool,
    seals: Seals,
    batch: Batch,
    pending: Option<Pending>,
    tasks: Option<Sender<Task>>,
    openings: Option<Sender<Arc<Opening>>>,
    threads: Threads,
}

impl Stream {
    /// Starts the threads. A stream that `goes_on` leaves it to `emit` what becomes of what cannot be read.
    pub fn start(reading: &Arc<Reading>, emit: impl Emit, goes_on: bool) -> Result<Self, Stop> {
        let (tasks, task_queue) = bounded(2 * reading.plan.threads.max(1));
        let (openings, opening_queue) = bounded(1);
        let mut threads = Threads::workers(&reading.port, reading.plan.threads.max(1), || {
            let (shared, queue) = (Arc::clone(reading), task_queue.clone());
            move || work(&shared, &queue, goes_on)
        })?;
        let emitter = Emitter { reading: Arc::clone(reading), emit };
        let started = threads.start("emitter", move || emitter.run(&opening_queue));
        started.map_err(|error| reading.port.fail(error))?;
        Ok(Stream {
            reading: Arc::clone(reading),
            goes_on,
            seals: Seals::default(),
            batch: Batch::default(),
            pending: None,
            tasks: Some(tasks),
            openings: Some(openings),
            threads,
        })
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<(), Stop> {
        self.batch.own.extend_from_slice(bytes);
        match self.batch.parts.last_mut() {
            Some(Part::Own(length)) => *length += bytes.len(),
            _ => self.batch.parts.push(Part::Own(bytes.len())),
        }
        self.batch.plain += bytes.len() as u64;
        self.close_if_full()
    }

    /// Appends the bytes of a slice that is no hole. `path` is who wants them.
    pub fn slice(&mut self, slice: &Slice, path: &Arc<[u8]>) -> Result<(), EngineError> {
        let location = self.reading.index.locate(&slice.id).ok_or_else(|| missing(&slice.id))?;
        if u64::from(slice.offset) + u64::from(slice.length) > u64::from(location.length) {
            return Err(EngineError::damaged(format!("chunk {}", hex(&slice.id)), "it is shorter than the item says"));
        }
        let batch = &mut self.batch;
        let number = *batch.places.entry((location.pack, location.object_index)).or_insert_with(|| {
            batch.stored += u64::from(location.record.stored);
            batch.plain += u64::from(location.record.plain);
            batch.wanted.push(Wanted { location, chunks: Vec::new(), path: Arc::clone(path) });
            batch.wanted.len() - 1
        });
        let start = location.offset as usize;
        let chunks = &mut batch.wanted[number].chunks;
        if chunks.last().is_none_or(|last| last.id != slice.id) {
            chunks.push(Chunk { id: slice.id, start, length: location.length as usize });
        }
        batch.parts.push(Part::Object(number, start + slice.offset as usize, slice.length as usize));
        self.close_if_full().map_err(|Stop| EngineError::Cancelled)
    }

    fn close_if_full(&mut self) -> Result<(), Stop> {
        let batch = &self.batch;
        let is_full = batch.stored >= STORED_LENGTH || batch.plain >= PLAIN_LENGTH || batch.parts.len() >= PARTS;
        if is_full { self.close() } else { Ok(()) }
    }

    /// Asks for the objects of the batch; meanwhile has those of the one before opened.
    fn close(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch);
        let locations: Vec<Location> = batch.wanted.iter().map(|wanted| wanted.location).collect();
        let plan = FetchPlan::new(&locations, &self.seals);
        let fetch = self.reading.port.start_fetch(plan.ranges.clone())?;
        let previous = self.pending.replace(Pending { batch, plan, fetch });
        self.open(previous)
    }

    /// Hands over all that was appended, without waiting until it is long enough.
    pub fn flush(&mut self) -> Result<(), Stop> {
        if !self.batch.parts.is_empty() {
            self.close()?;
        }
        let pending = self.pending.take();
        self.open(pending)
    }

    fn open(&mut self, pending: Option<Pending>) -> Result<(), Stop> {
        let Some(Pending { batch, plan, fetch }) = pending else { return Ok(()) };
        let port = Arc::clone(&self.reading.port);
        let fetched = match fetch.wait(&port)? {
            Ok(answer) => match plan.learn(&answer, &self.reading.keys, &self.seals) {
                Ok(()) => {
                    let parts = plan.parts.iter().zip(&batch.wanted);
                    let fetched = parts.map(|(part, wanted)| match self.part(&answer, part, wanted) {
                        Some(fetched) => Ok(Ok(fetched)),
                        None => self.alone(wanted), // too many packs were met meanwhile: its header has to be read again
                    });
                    fetched.collect::<Result<_, Stop>>()?
                }
                Err(error) if !self.goes_on => return Err(port.fail(error)),
                Err(_) => self.one_by_one(&batch)?,
            },
            Err(message) if !self.goes_on => return Err(self.find_fault(&batch, &message)?),
            Err(_) => self.one_by_one(&batch)?,
        };
        let opening = Arc::new(Opening {
            plains: batch.wanted.iter().map(|_| OnceLock::new()).collect(),
            left: AtomicUsize::new(batch.wanted.len()),
            done: Default::default(),
            batch,
        });
        let (Some(tasks), Some(openings)) = (&self.tasks, &self.openings) else { return Err(Stop) };
        for (number, fetched) in fetched.into_iter().enumerate() {
            send(tasks, Task { opening: Arc::clone(&opening), number, fetched }, &port)?;
        }
        send(openings, opening, &port)
    }

    /// `None`: the seal of its pack was forgotten.
    fn part(&self, answer: &[Bytes], part: &crate::objects::Part, wanted: &Wanted) -> Option<Fetched> {
        let seal = self.seals.get(&wanted.location.pack)?;
        Some(Fetched { bytes: Arc::clone(&answer[part.range]), at: part.at, seal })
    }

    /// Fetches one object by itself.
    fn alone(&self, wanted: &Wanted) -> Result<Result<Fetched, EngineError>, Stop> {
        let plan = FetchPlan::new(std::slice::from_ref(&wanted.location), &self.seals);
        let answer = self.reading.port.fetch(plan.ranges.clone())?.map_err(EngineError::Storage);
        Ok(answer.and_then(|answer| {
            plan.learn(&answer, &self.reading.keys, &self.seals)?;
            let part = self.part(&answer, &plan.parts[0], wanted);
            part.ok_or_else(|| EngineError::Internal("the seal of a pack is not known that was just read".into()))
        }))
    }

    /// Part of a batch cannot be read: finds out which part.
    fn one_by_one(&self, batch: &Batch) -> Result<Vec<Result<Fetched, EngineError>>, Stop> {
        batch.wanted.iter().map(|wanted| self.alone(wanted)).collect()
    }

    /// A batch could not be fetched: ends the run with the name of the first item that this concerns.
    fn find_fault(&self, batch: &Batch, message: &str) -> Result<Stop, Stop> {
        let port = &self.reading.port;
        for wanted in &batch.wanted {
            let plan = FetchPlan::new(std::slice::from_ref(&wanted.location), &self.seals);
            if let Err(message) = port.fetch(plan.ranges)? {
                return Ok(port.fail(EngineError::damaged(shown(&wanted.path), message)));
            }
        }
        Ok(port.fail(EngineError::Storage(message.to_string())))
    }

    /// Emits all that is left, and ends the threads. Only then the stream is complete.
    pub fn finish(mut self) -> Result<(), Stop> {
        self.close()?;
        let pending = self.pending.take();
        self.open(pending)?;
        (self.tasks, self.openings) = (None, None); // the threads end when nobody can send to them any more
        self.threads.take().join()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.threads.end(); // before its queues are closed: of a stream that is not finished nothing may look complete
    }
}

/// A path in a message.
pub fn shown(path: &[u8]) -> String {
    let mut text = Vec::new();
    printable(if path.is_empty() { b"." } else { path }, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Opens objects until there are no more.
fn work(reading: &Reading, tasks: &Receiver<Task>, goes_on: bool) -> Result<(), Stop> {
    let mut decompressor = Decompressor::new();
    let mut sealed = Vec::new();
    while let Some(task) = receive(tasks, &reading.port)? {
        let Task { opening, number, fetched } = task;
        let wanted = &opening.batch.wanted[number];
        let opened = fetched.and_then(|fetched| open(reading, wanted, &fetched, &mut sealed, &mut decompressor));
        let plain = match opened {
            Ok(bytes) => Plain { bytes, lost: Vec::new() },
            Err(error) if goes_on => other_copies(reading, wanted, &error),
            Err(error) => Plain { bytes: Vec::new(), lost: vec![(0..usize::MAX, error)] },
        };
        let _ = opening.plains[number].set(plain);
        if opening.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _held = opening.done.0.lock().expect("no holder panics");
            opening.done.1.notify_all();
        }
    }
    Ok(())
}

fn open(
    reading: &Reading,
    wanted: &Wanted,
    fetched: &Fetched,
    sealed: &mut Vec<u8>,
    decompressor: &mut Decompressor,
) -> Result<Vec<u8>, EngineError> {
    let location = &wanted.location;
    let stored = (*fetched.bytes).as_ref().get(fetched.at..fetched.at + location.record.stored as usize);
    sealed.clear();
    sealed.extend_from_slice(stored.ok_or_else(|| short(location))?);
    let mut plain = vec![0; location.record.plain as usize];
    open_object(&fetched.seal, location.object_index, &location.record, sealed, decompressor, &mut plain)
        .map_err(|error| locate(error, location))?;
    for chunk in &wanted.chunks {
        let damaged = |why| locate(EngineError::damaged(format!("chunk {}", hex(&chunk.id)), why), location);
        let bytes = plain.get(chunk.start..chunk.start + chunk.length).ok_or_else(|| damaged("it is cut short"))?;
        if reading.keys.source().identify(bytes) != chunk.id {
            return Err(damaged("its content does not match its id"));
        }
    }
    Ok(plain)
}

/// An object cannot be read: each of its chunks is read from another pack, if there is one.
fn other_copies(reading: &Reading, wanted: &Wanted, error: &EngineError) -> Plain {
    let mut plain = Plain { bytes: vec![0; wanted.location.record.plain as usize], lost: Vec::new() };
    let mut reader = object_reader(reading);
    for chunk in &wanted.chunks {
        let range = chunk.start..chunk.start + chunk.length;
        reading.index.mark_damaged(std::iter::once(chunk.id), &wanted.location.pack);
        let copy = if reading.index.is_damaged(&chunk.id) { None } else { reader.read(&chunk.id).ok() };
        match (copy, plain.bytes.get_mut(range.clone())) {
            (Some(copy), Some(place)) if copy.len() == chunk.length => place.copy_from_slice(&copy),
            _ => plain.lost.push((range, error.clone())),
        }
    }
    plain
}

/// Puts the parts together.
struct Emitter<E> {
    reading: Arc<Reading>,
    emit: E,
}

impl<E: Emit> Emitter<E> {
    fn run(mut self, openings: &Receiver<Arc<Opening>>) -> Result<(), Stop> {
        while let Some(opening) = receive(openings, &self.reading.port)? {
            self.wait(&opening)?;
            self.batch(&opening)?;
        }
        // The coordinator hangs up after its last batch, and when it fails; then nothing may follow.
        if self.reading.port.is_stopped() { Err(Stop) } else { self.emit.finish() }
    }

    fn wait(&self, opening: &Opening) -> Result<(), Stop> {
        let mut held = opening.done.0.lock().expect("no holder panics");
        while opening.left.load(Ordering::Acquire) > 0 {
            if self.reading.port.is_stopped() {
                return Err(Stop);
            }
            held = opening.done.1.wait_timeout(held, Duration::from_millis(50)).expect("no holder panics").0;
        }
        Ok(())
    }

    fn batch(&mut self, opening: &Opening) -> Result<(), Stop> {
        let batch = &opening.batch;
        let mut own = 0;
        for part in &batch.parts {
            match part {
                Part::Own(length) => {
                    self.emit.own(&batch.own[own..own + length])?;
                    own += length;
                }
                Part::Object(number, start, length) => {
                    let Some(plain) = opening.plains[*number].get() else {
                        return Err(self.reading.port.fail(EngineError::Internal("an object is not open".into())));
                    };
                    match plain.lost.iter().find(|(range, _)| range.contains(start)) {
                        Some((_, error)) => self.emit.lost(&batch.wanted[*number].path, error)?,
                        None => {
                            // The lengths were compared with the index, and the index with the object.
                            self.emit.content(&plain.bytes[*start..*start + *length])?;
                            self.reading.done.fetch_add(*length as u64, Ordering::Relaxed);
                        }
                    }
                }
            }
        }
        Ok(())
    }
}
