//! The workers of a restore: open objects, verify chunks, write them into files.

use super::Reading;
use super::items::object_reader;
use crate::error::EngineError;
use crate::index::Location;
use crate::objects::{ObjectReader, hex, locate};
use crate::pack::open_object;
use crate::port::{Bytes, receive};
use crate::seal::FileSeal;
use bork_core::compress::Decompressor;
use bork_core::direct::{ALIGNMENT, AlignedBuffer, LargeFile, congruent_start, write_at, write_chunk};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_core::writer::{Directory, Writer, prepare_thread, set_length};
use bork_format::Id;
use bork_format::item::{Content, Item, Slice, Time};
use bork_format::pack::PLAIN_LENGTH_MAX;
use crossbeam_channel::Receiver;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// Files of at least this size are written past the page cache. Unit: bytes.
const LARGE_SIZE: u64 = 4 << 20;

/// A fetched object and what its chunks are for.
pub struct ObjectTask {
    /// Fetched bytes.
    pub bytes: Bytes,
    /// Where the object begins in them.
    pub at: usize,
    /// Its record.
    pub location: Location,
    /// Key of its pack.
    pub seal: Arc<FileSeal>,
    /// Who needs its chunks.
    pub uses: Vec<Use>,
}

/// One file needs one slice of a chunk.
pub struct Use {
    /// Which file.
    pub file: Arc<FileState>,
    /// Where in the file. Unit: bytes.
    pub file_offset: u64,
    /// The chunk.
    pub id: Id,
    /// Where the chunk begins in the plaintext of its object.
    pub chunk_offset: u32,
    /// Length of the chunk.
    pub chunk_length: u32,
    /// Where the slice begins in the chunk.
    pub slice_offset: u32,
    /// Length of the slice.
    pub slice_length: u32,
}

impl Use {
    fn slice_end(&self) -> usize {
        self.slice_offset as usize + self.slice_length as usize
    }
}

enum Opened {
    Small(OwnedFd),
    Large(Arc<LargeFile>),
}

/// Further names of a file. They outlive its [`FileState`], and keep no directory open once the file is complete.
#[derive(Default)]
pub struct Names(Mutex<NamesState>);

#[derive(Default)]
struct NamesState {
    /// Whether the file is there; nothing while it is on its way.
    made: Option<bool>,
    waiting: Vec<(Arc<Directory>, Vec<u8>)>,
}

/// What becomes of a further name.
pub enum Further {
    /// It is made when the file is complete.
    Waits,
    /// The file is there, and the caller makes the name.
    Now,
    /// The file was not made. What has its first name is something else: an older file, or another one of this restore.
    Never,
}

impl Names {
    /// Keeps another name for when the file is complete, unless it is known already what becomes of that.
    pub fn wait(&self, directory: &Arc<Directory>, name: &[u8]) -> Further {
        let mut state = self.0.lock().expect("no holder panics");
        match state.made {
            Some(true) => Further::Now,
            Some(false) => Further::Never,
            None => {
                state.waiting.push((Arc::clone(directory), name.to_vec()));
                Further::Waits
            }
        }
    }

    fn complete(&self, made: bool) -> Vec<(Arc<Directory>, Vec<u8>)> {
        let mut state = self.0.lock().expect("no holder panics");
        state.made = Some(made);
        std::mem::take(&mut state.waiting)
    }
}

/// What is said of a further name of a file that was not made.
pub fn not_made() -> Problem {
    Problem::new(ProblemKind::NotFound, "the file that it is a name of was not restored")
}

/// A regular file on its way.
pub struct FileState {
    reading: Arc<Reading>,
    place: Option<(Writer, Arc<Directory>, Vec<u8>)>,
    path: Vec<u8>,
    item: Item,
    file: Mutex<Option<Opened>>,
    /// The file was made; its content may be damaged.
    made: AtomicBool,
    remaining: AtomicUsize,
    problem: Mutex<Option<Problem>>,
    names: Arc<Names>,
}

impl FileState {
    /// A file to be written at `place`, or only to be verified. Its creator holds the first part of it.
    pub fn new(
        reading: Arc<Reading>,
        place: Option<(Writer, Arc<Directory>, Vec<u8>)>,
        path: Vec<u8>,
        item: Item,
    ) -> Arc<Self> {
        reading.files.fetch_add(1, Ordering::Relaxed);
        Arc::new(FileState {
            reading,
            place,
            path,
            item,
            file: Mutex::default(),
            made: AtomicBool::new(false),
            remaining: AtomicUsize::new(1),
            problem: Mutex::default(),
            names: Arc::default(),
        })
    }

    /// One more slice is to be written.
    pub fn expect(&self) {
        self.remaining.fetch_add(1, Ordering::AcqRel);
    }

    /// Something went wrong; the first problem is reported at the end.
    pub fn fail(&self, problem: Problem) {
        self.problem.lock().expect("no holder panics").get_or_insert(problem);
    }

    /// Its further names.
    pub fn names(&self) -> &Arc<Names> {
        &self.names
    }

    /// One part is done; the last one completes the file.
    pub fn release(&self) -> Result<(), Stop> {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) != 1 {
            return Ok(());
        }
        if let Some((writer, directory, name)) = &self.place
            && let Err(problem) = self.complete(writer, directory, name)
        {
            self.fail(problem);
        }
        let problem = self.problem.lock().expect("no holder panics").take();
        let made = self.made.load(Ordering::Acquire);
        for (directory, name) in self.names.complete(made) {
            let Some((writer, source, source_name)) = &self.place else { break };
            let linked = if made { writer.hard_link(&directory, &name, source, source_name) } else { Err(not_made()) };
            if let Err(problem) = linked {
                self.reading.port.problem(&directory.path_of(&name), problem)?;
            }
        }
        match problem {
            Some(problem) => self.reading.port.problem(&self.path, problem),
            None => Ok(()),
        }
    }

    /// Opens the file if nobody has, and writes. Writers of a small file wait for each other, which costs nothing
    /// since they are few; writers of a large file do not.
    fn write(&self, write: impl FnOnce(Sink<'_>) -> std::io::Result<()>) -> Result<(), Problem> {
        let Some((writer, directory, name)) = &self.place else { return Ok(()) };
        let mut guard = self.file.lock().expect("no holder panics");
        let opened = match guard.take() {
            Some(opened) => opened,
            None => self.open(writer, directory, name)?,
        };
        let written = match guard.insert(opened) {
            Opened::Small(file) => write(Sink::Small(file)),
            Opened::Large(file) => {
                let file = Arc::clone(file);
                drop(guard);
                write(Sink::Large(&file))
            }
        };
        written.map_err(|error| Problem::from_io("write", error))
    }

    fn open(&self, writer: &Writer, directory: &Directory, name: &[u8]) -> Result<Opened, Problem> {
        if self.item.size < LARGE_SIZE {
            let file = writer.create_file(directory, name, &self.item)?;
            self.made.store(true, Ordering::Release);
            return Ok(Opened::Small(file));
        }
        let file = writer.create_large_file(directory, name, &self.item)?;
        self.made.store(true, Ordering::Release);
        // The length first: parts are written in any order, and a hole is what nobody writes.
        set_length(file.file(), self.item.size).map_err(|error| Problem::from_io("set length", error))?;
        Ok(Opened::Large(Arc::new(file)))
    }

    fn complete(&self, writer: &Writer, directory: &Directory, name: &[u8]) -> Result<(), Problem> {
        let opened = self.file.lock().expect("no holder panics").take();
        let is_damaged = self.problem.lock().expect("no holder panics").is_some();
        let opened = match opened {
            Some(opened) => opened,
            None if is_damaged => return Ok(()),
            None => self.open(writer, directory, name)?,
        };
        // The time says to rsync, to `bork push` and to people that the content is that of the archive.
        let damaged = is_damaged.then(|| Item { mtime: now(), atime: None, ..self.item.clone() });
        let item = damaged.as_ref().unwrap_or(&self.item);
        match opened {
            Opened::Small(file) => {
                if self.may_end_in_hole() {
                    set_length(file.as_fd(), item.size).map_err(|error| Problem::from_io("set length", error))?;
                }
                writer.finish_file(directory, name, file, item)
            }
            Opened::Large(file) => match Arc::into_inner(file) {
                Some(file) => writer.finish_file(directory, name, file, item),
                None => Ok(()),
            },
        }
    }

    fn may_end_in_hole(&self) -> bool {
        match &self.item.content {
            Content::Slices(slices) => self.reading.plan.sparse || slices.iter().any(Slice::is_hole),
            Content::Lists(_) => true,
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
}

impl Drop for FileState {
    fn drop(&mut self) {
        self.reading.files.fetch_sub(1, Ordering::Relaxed);
    }
}

enum Sink<'a> {
    Small(&'a OwnedFd),
    Large(&'a LargeFile),
}

impl Sink<'_> {
    fn put(&self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        match self {
            Sink::Small(file) => write_at(file.as_fd(), offset, bytes),
            Sink::Large(file) => write_chunk(file, offset, bytes),
        }
    }
}

/// Opens objects until there are no more.
pub fn work(reading: &Reading, tasks: &Receiver<ObjectTask>) -> Result<(), Stop> {
    prepare_thread();
    let mut decompressor = Decompressor::new();
    let mut reader = object_reader(reading);
    let mut sealed = Vec::new();
    let mut plain = AlignedBuffer::new(PLAIN_LENGTH_MAX as usize + ALIGNMENT);
    while let Some(task) = receive(tasks, &reading.port)? {
        // Memory and file agree modulo the page where the first use is written, which makes direct writes possible.
        let first = &task.uses[0];
        let start = congruent_start(first.file_offset.wrapping_sub(u64::from(first.chunk_offset + first.slice_offset)));
        let length = task.location.record.plain as usize;
        plain.set_len(start + length);
        sealed.clear();
        let bytes: &[u8] = (*task.bytes).as_ref();
        sealed.extend_from_slice(&bytes[task.at..task.at + task.location.record.stored as usize]);
        let record = &task.location.record;
        let target = &mut plain.as_mut_slice()[start..];
        let opened =
            open_object(&task.seal, task.location.object_index, record, &mut sealed, &mut decompressor, target);
        let opened = opened.map_err(|error| locate(error, &task.location).to_string());
        for used in task.uses {
            let problem = match &opened {
                Ok(()) => match chunk_of(reading, &used, &plain.as_slice()[start..], &task.location) {
                    Ok(chunk) => write_slice(reading, &used, chunk).err(),
                    Err(problem) => Some(problem),
                },
                Err(message) => Some(Problem::new(ProblemKind::Damaged, message.clone())),
            };
            let problem = match problem {
                Some(problem) if problem.kind == ProblemKind::Damaged => {
                    from_other_copy(reading, &mut reader, &used, &task.location.pack, problem).err()
                }
                other => other,
            };
            if let Some(problem) = problem {
                used.file.fail(problem);
            }
            reading.done.fetch_add(u64::from(used.slice_length), Ordering::Relaxed);
            used.file.release()?;
        }
    }
    Ok(())
}

/// The chunk in the plaintext of its object, verified.
fn chunk_of<'a>(reading: &Reading, used: &Use, plain: &'a [u8], location: &Location) -> Result<&'a [u8], Problem> {
    let damaged = |why: &str| {
        let error = EngineError::damaged(format!("chunk {}", hex(&used.id)), why);
        Problem::new(ProblemKind::Damaged, locate(error, location).to_string())
    };
    let start = used.chunk_offset as usize;
    let chunk = plain.get(start..start + used.chunk_length as usize).ok_or_else(|| damaged("it is cut short"))?;
    if reading.keys.source().identify(chunk) != used.id {
        return Err(damaged("its content does not match its id"));
    }
    if used.slice_end() > chunk.len() { Err(damaged("it is cut short")) } else { Ok(chunk) }
}

/// The copy of a chunk in `pack` cannot be read: reads and writes another one; `problem`, if there is none.
pub fn from_other_copy(
    reading: &Reading,
    reader: &mut ObjectReader,
    used: &Use,
    pack: &Id,
    problem: Problem,
) -> Result<(), Problem> {
    reading.index.mark_damaged(std::iter::once(used.id), pack);
    if reading.index.is_damaged(&used.id) {
        return Err(problem);
    }
    match reader.read(&used.id) {
        Ok(chunk) if used.slice_end() <= chunk.len() => write_slice(reading, used, &chunk),
        _ => Err(problem),
    }
}

/// Writes the slice of a chunk that the file needs.
fn write_slice(reading: &Reading, used: &Use, chunk: &[u8]) -> Result<(), Problem> {
    let bytes = &chunk[used.slice_offset as usize..used.slice_end()];
    if reading.plan.sparse && bytes.iter().all(|byte| *byte == 0) {
        return used.file.write(|_| Ok(()));
    }
    used.file.write(|sink| sink.put(used.file_offset, bytes))
}
