//! Content in the order of the items, as one stream of bytes for the driver.
//!
//! ```text
//! coordinator --batches--> (fetch) --objects--> workers (open, decompress, verify)
//!      +------------------ batches in order ------------> emitter --Data--> driver
//! ```
//!
//! A batch is a part of the stream with all objects that it needs; while one is emitted the next is opened, and the
//! one behind it fetched. Memory: four batches.

use super::Reading;
use crate::error::EngineError;
use crate::index::Location;
use crate::objects::{FetchPlan, Seals, hex, locate, missing, short};
use crate::pack::open_object;
use crate::port::{Bytes, Event, PendingFetch, guard, send};
use crate::seal::FileSeal;
use bork_core::compress::Decompressor;
use bork_core::seam::Stop;
use bork_core::source::printable;
use bork_format::Id;
use bork_format::item::Slice;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

/// A batch is closed at this many stored or plain bytes, or parts. Unit: bytes.
const STORED_LENGTH: u64 = 4 << 20;
const PLAIN_LENGTH: u64 = 8 << 20;
const PARTS: usize = 8192;
/// Length of the pieces that the driver gets. Unit: bytes.
const PIECE_LENGTH: usize = 1 << 20;
/// Pieces end one byte before a multiple of this, until the stream is complete: see [`Emitter::take_piece`].
const UNIT: u64 = 512;

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

/// A batch whose objects are being opened.
struct Opening {
    batch: Batch,
    plains: Vec<OnceLock<Result<Vec<u8>, EngineError>>>,
    left: AtomicUsize,
    done: (Mutex<()>, Condvar),
}

struct Task {
    opening: Arc<Opening>,
    number: usize,
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
    seals: Seals,
    batch: Batch,
    pending: Option<Pending>,
    tasks: Option<Sender<Task>>,
    openings: Option<Sender<Arc<Opening>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Stream {
    /// Starts the threads.
    pub fn start(reading: &Arc<Reading>) -> Result<Self, Stop> {
        let (tasks, task_queue) = bounded(2 * reading.plan.threads.max(1));
        let (openings, opening_queue) = bounded(1);
        let mut stream = Stream {
            reading: Arc::clone(reading),
            seals: Seals::default(),
            batch: Batch::default(),
            pending: None,
            tasks: Some(tasks),
            openings: Some(openings),
            threads: Vec::new(),
        };
        for number in 0..reading.plan.threads.max(1) {
            let (shared, queue) = (Arc::clone(reading), task_queue.clone());
            stream.spawn(format!("worker {number}"), move || work(&shared, &queue))?;
        }
        let shared = Arc::clone(reading);
        stream.spawn("emitter".into(), move || {
            Emitter { reading: shared, out: Vec::new(), emitted: 0 }.run(&opening_queue)
        })?;
        Ok(stream)
    }

    fn spawn(&mut self, name: String, work: impl FnOnce() -> Result<(), Stop> + Send + 'static) -> Result<(), Stop> {
        let reading = Arc::clone(&self.reading);
        let thread = std::thread::Builder::new().name(name).spawn(move || guard(&reading.port, work));
        let failed = |error| self.reading.port.fail(EngineError::Internal(format!("no thread: {error}")));
        self.threads.push(thread.map_err(failed)?);
        Ok(())
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

    fn open(&mut self, pending: Option<Pending>) -> Result<(), Stop> {
        let Some(Pending { batch, plan, fetch }) = pending else { return Ok(()) };
        let port = &self.reading.port;
        let answer = match fetch.wait(port)? {
            Ok(answer) => answer,
            Err(message) => return Err(self.find_fault(&batch, &message)?),
        };
        plan.learn(&answer, &self.reading.keys, &self.seals).map_err(|error| port.fail(error))?;
        let opening = Arc::new(Opening {
            plains: batch.wanted.iter().map(|_| OnceLock::new()).collect(),
            left: AtomicUsize::new(batch.wanted.len()),
            done: Default::default(),
            batch,
        });
        let (Some(tasks), Some(openings)) = (&self.tasks, &self.openings) else { return Err(Stop) };
        for (number, (wanted, part)) in opening.batch.wanted.iter().zip(&plan.parts).enumerate() {
            let seal = self.seals.get(&wanted.location.pack);
            let seal = seal.ok_or_else(|| port.fail(EngineError::Internal("no seal".into())))?;
            let bytes = Arc::clone(&answer[part.range]);
            send(tasks, Task { opening: Arc::clone(&opening), number, bytes, at: part.at, seal }, port)?;
        }
        send(openings, opening, port)
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
        self.end();
        if self.reading.port.is_stopped() { Err(Stop) } else { Ok(()) }
    }

    fn end(&mut self) {
        // The threads end when nobody can send to them any more.
        (self.tasks, self.openings) = (None, None);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.threads.is_empty() {
            self.reading.port.cancel(); // not finished: nothing may look complete
            self.end();
        }
    }
}

/// A path in a message.
pub fn shown(path: &[u8]) -> String {
    let mut text = Vec::new();
    printable(if path.is_empty() { b"." } else { path }, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Opens objects until there are no more.
fn work(reading: &Reading, tasks: &Receiver<Task>) -> Result<(), Stop> {
    let mut decompressor = Decompressor::new();
    let mut sealed = Vec::new();
    while let Ok(task) = tasks.recv() {
        if reading.port.is_stopped() {
            return Err(Stop);
        }
        let opened = open(reading, &task, &mut sealed, &mut decompressor);
        let _ = task.opening.plains[task.number].set(opened);
        if task.opening.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let _held = task.opening.done.0.lock().expect("no holder panics");
            task.opening.done.1.notify_all();
        }
    }
    Ok(())
}

fn open(
    reading: &Reading,
    task: &Task,
    sealed: &mut Vec<u8>,
    decompressor: &mut Decompressor,
) -> Result<Vec<u8>, EngineError> {
    let wanted = &task.opening.batch.wanted[task.number];
    let location = &wanted.location;
    let stored = (*task.bytes).as_ref().get(task.at..task.at + location.record.stored as usize);
    sealed.clear();
    sealed.extend_from_slice(stored.ok_or_else(|| short(location))?);
    let mut plain = vec![0; location.record.plain as usize];
    open_object(&task.seal, location.object_index, &location.record, sealed, decompressor, &mut plain)
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

/// Puts the parts together and hands them to the driver.
struct Emitter {
    reading: Arc<Reading>,
    out: Vec<u8>,
    emitted: u64,
}

impl Emitter {
    fn run(mut self, openings: &Receiver<Arc<Opening>>) -> Result<(), Stop> {
        while let Ok(opening) = openings.recv() {
            self.wait(&opening)?;
            self.batch(&opening)?;
        }
        // The coordinator hangs up after its last batch, and when it fails; then nothing may follow.
        if self.reading.port.is_stopped() {
            return Err(Stop);
        }
        self.reading.port.emit(Event::Data(std::mem::take(&mut self.out)))
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
                    self.out.extend_from_slice(&batch.own[own..own + length]);
                    own += length;
                }
                Part::Object(number, start, length) => {
                    let plain = match opening.plains[*number].get() {
                        Some(Ok(plain)) => plain,
                        Some(Err(error)) => return Err(self.fail(&batch.wanted[*number].path, error)),
                        None => {
                            return Err(self.reading.port.fail(EngineError::Internal("an object is not open".into())));
                        }
                    };
                    // The lengths were compared with the index, and the index with the object.
                    self.out.extend_from_slice(&plain[*start..*start + *length]);
                    self.reading.done.fetch_add(*length as u64, Ordering::Relaxed);
                }
            }
            self.take_piece()?;
        }
        Ok(())
    }

    /// Hands over what is long enough. One byte of the last block always stays back, so that a stream that ends early,
    /// for whatever reason, ends inside a block: no program takes that for an end. The first piece is short, so that all
    /// others begin inside a block, too: when the driver dies while it writes one, the pipe has taken whole pages of it.
    fn take_piece(&mut self) -> Result<(), Stop> {
        let is_first = self.emitted == 0;
        if self.out.len() < if is_first { UNIT as usize } else { PIECE_LENGTH } {
            return Ok(());
        }
        let end = if is_first { UNIT } else { (self.emitted + self.out.len() as u64) / UNIT * UNIT } - 1;
        let rest = self.out.split_off((end - self.emitted) as usize);
        let piece = std::mem::replace(&mut self.out, rest);
        self.emitted = end;
        self.reading.port.emit(Event::Data(piece))
    }

    fn fail(&self, path: &[u8], error: &EngineError) -> Stop {
        self.reading.port.fail(EngineError::damaged(shown(path), error.to_string()))
    }
}
