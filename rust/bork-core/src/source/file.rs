//! Reading content: small files in one go, large files in buffers that any worker may cut up further.

use super::hardlinks::FileKey;
use super::options::Changed;
use super::shared::{Shared, UnitState};
use crate::chunker::Chunker;
use crate::problem::{Problem, ProblemKind};
use crate::seam::{ChunkSink, Stop};
use crate::stat::Stat;
use bork_format::Id;
use bork_format::item::{Content, Item, LISTS_MAX, SLICES_INLINE_MAX, SLICES_PER_LIST_MAX, Slice, encode_slices};
use rustix::fs::{SeekFrom, seek};
use std::collections::BTreeMap;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Work of the other half that wants a worker's sink.
pub type Call<S> = Box<dyn FnOnce(&mut S) -> Result<(), Stop> + Send>;

/// Work that any worker can do.
pub enum Task<S> {
    /// Identify and store the chunks of one buffer of a large file.
    Chunks(ChunkTask),
    /// Something that the other half wants done, with a worker's sink.
    Call(Call<S>),
    /// End of the run.
    Exit,
}

/// One buffer of a large file.
pub struct ChunkTask {
    job: Arc<FileJob>,
    part: u64,
    buffer: Vec<u8>,
    ends: Vec<usize>,
}

/// A large file on its way to become an item.
pub struct FileJob {
    unit: Arc<UnitState>,
    slot: usize,
    /// Buffers not yet done, plus one while the reader is at work.
    pending: AtomicUsize,
    abandoned: AtomicBool,
    assembly: Mutex<Assembly>,
}

/// What comes next in a file. A hole stays a number until its turn: it can be worth millions of slices.
enum Part {
    Slices(Vec<Slice>),
    /// Unit: bytes.
    Hole(u64),
}

#[derive(Default)]
struct Assembly {
    next: u64,
    early: BTreeMap<u64, Part>,
    tail: Vec<Slice>,
    lists: Vec<Id>,
    draft: Option<Draft>,
}

/// What is known of the item when its file has been read.
pub struct Draft {
    /// The item without its content.
    pub item: Item,
    /// Stored path.
    pub path: Vec<u8>,
    /// Path on the machine, for messages.
    pub shown: Vec<u8>,
    /// Identity and number of names, if further names of the file may come.
    pub linked: Option<(FileKey, u32)>,
}

impl FileJob {
    /// A job that fills `slot` of `unit`.
    pub fn new(unit: Arc<UnitState>, slot: usize) -> Arc<Self> {
        let (pending, abandoned) = (AtomicUsize::new(1), AtomicBool::new(false));
        Arc::new(FileJob { unit, slot, pending, abandoned, assembly: Mutex::default() })
    }

    /// The file changed or failed: nothing of this job becomes an item.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn add<S: ChunkSink>(&self, number: u64, part: Part, sink: &mut S) -> Result<(), Stop> {
        let mut assembly = self.assembly.lock().expect("no holder panics");
        assembly.early.insert(number, part);
        loop {
            let next = assembly.next;
            match assembly.early.remove(&next) {
                Some(Part::Slices(slices)) => assembly.extend(slices, sink)?,
                Some(Part::Hole(length)) => assembly.extend(holes(length), sink)?,
                None => return Ok(()),
            }
            assembly.next += 1;
        }
    }

    /// The reader is done: the item gets its content when the last buffer is.
    pub fn finish<S: ChunkSink>(&self, draft: Draft, sink: &mut S, shared: &Shared<S>) -> Result<(), Stop> {
        self.assembly.lock().expect("no holder panics").draft = Some(draft);
        self.release(sink, shared)
    }

    fn release<S: ChunkSink>(&self, sink: &mut S, shared: &Shared<S>) -> Result<(), Stop> {
        if self.pending.fetch_sub(1, Ordering::AcqRel) != 1 || self.abandoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (draft, content) = {
            let mut assembly = self.assembly.lock().expect("no holder panics");
            let content = assembly.content(sink)?;
            (assembly.draft.take(), content)
        };
        let Some(mut draft) = draft else { return Ok(()) };
        if let Some((key, links)) = draft.linked {
            shared.hard_links.put(key, links, &content, draft.item.size);
        }
        draft.item.content = content;
        if let Err(problem) = self.unit.fill_item(self.slot, draft.path, &draft.item) {
            self.unit.problem(draft.shown, problem);
        }
        self.unit.release(shared);
        Ok(())
    }
}

/// As many slices as a hole needs.
fn holes(length: u64) -> impl Iterator<Item = Slice> {
    let longest = u64::from(u32::MAX);
    (0..length.div_ceil(longest)).map(move |at| Slice::hole((length - at * longest).min(longest) as u32))
}

/// A length that no list of slices could hold, even if it were all one hole.
pub fn refuse_length(length: u64) -> Result<(), Problem> {
    match length.div_ceil(u64::from(u32::MAX)) > (LISTS_MAX * SLICES_PER_LIST_MAX) as u64 {
        true => Err(Problem::new(ProblemKind::Io, "it is 256 PiB long or longer, which no archive can hold")),
        false => Ok(()),
    }
}

impl Assembly {
    fn extend<S: ChunkSink>(&mut self, slices: impl IntoIterator<Item = Slice>, sink: &mut S) -> Result<(), Stop> {
        for slice in slices {
            self.tail.push(slice);
            if self.tail.len() >= 2 * SLICES_PER_LIST_MAX {
                self.cut_list(SLICES_PER_LIST_MAX, sink)?;
            }
        }
        Ok(())
    }

    fn cut_list<S: ChunkSink>(&mut self, count: usize, sink: &mut S) -> Result<(), Stop> {
        let rest = self.tail.split_off(count);
        let list = std::mem::replace(&mut self.tail, rest);
        self.lists.push(sink.put_list(&encode_slices(&list))?);
        Ok(())
    }

    fn content<S: ChunkSink>(&mut self, sink: &mut S) -> Result<Content, Stop> {
        if self.lists.is_empty() && self.tail.len() <= SLICES_INLINE_MAX {
            return Ok(Content::Slices(std::mem::take(&mut self.tail)));
        }
        while !self.tail.is_empty() {
            self.cut_list(self.tail.len().min(SLICES_PER_LIST_MAX), sink)?;
        }
        Ok(Content::Lists(std::mem::take(&mut self.lists)))
    }
}

/// Content that is put together slice by slice. Memory: two content lists at most, whatever the length of the file.
#[derive(Default)]
pub struct ContentBuilder(Assembly);

impl ContentBuilder {
    /// Appends a slice.
    pub fn push<S: ChunkSink>(&mut self, slice: Slice, sink: &mut S) -> Result<(), Stop> {
        self.0.extend([slice], sink)
    }

    /// The content; many slices are in content lists.
    pub fn finish<S: ChunkSink>(mut self, sink: &mut S) -> Result<Content, Stop> {
        self.0.content(sink)
    }
}

/// The content made of these slices; many go into content lists.
pub fn content_of<S: ChunkSink>(slices: Vec<Slice>, sink: &mut S) -> Result<Content, Stop> {
    Assembly { tail: slices, ..Assembly::default() }.content(sink)
}

impl ChunkTask {
    /// Identifies and stores the chunks; gives the buffer back.
    pub fn run<S: ChunkSink>(self, sink: &mut S, shared: &Shared<S>) -> Result<(), Stop> {
        let result = if self.job.abandoned.load(Ordering::Relaxed) {
            Ok(())
        } else {
            put_chunks(&self.buffer, &self.ends, sink, shared)
                .and_then(|slices| self.job.add(self.part, Part::Slices(slices), sink))
        };
        shared.return_buffer(self.buffer);
        result?;
        self.job.release(sink, shared)
    }
}

fn put_chunks<S: ChunkSink>(
    buffer: &[u8],
    ends: &[usize],
    sink: &mut S,
    shared: &Shared<S>,
) -> Result<Vec<Slice>, Stop> {
    let mut start = 0;
    ends.iter()
        .map(|end| {
            let bytes = &buffer[start..*end];
            start = *end;
            let id = shared.keys.identify(bytes);
            sink.put(&id, bytes)?;
            Ok(Slice { id, offset: 0, length: bytes.len() as u32 })
        })
        .collect()
}

/// Why reading a file ended early.
pub enum ReadFault {
    /// The file: reported, the run goes on.
    Source(Problem),
    /// The other half: the run ends.
    Stop,
}

impl From<Stop> for ReadFault {
    fn from(_: Stop) -> Self {
        ReadFault::Stop
    }
}

/// Reads a whole file of about `expected` bytes into `scratch`, which only grows, so that it is not cleared each time.
/// Returns the length, or `None` if it is longer than `limit`.
pub fn read_small(fd: BorrowedFd<'_>, expected: u64, limit: usize, scratch: &mut Vec<u8>) -> io::Result<Option<usize>> {
    let mut length = 0;
    let mut room = (expected as usize + 1).min(limit + 1);
    loop {
        if scratch.len() < room {
            scratch.resize(room, 0);
        }
        let count = retry(|| rustix::io::read(fd, &mut scratch[length..room]))?;
        length += count;
        // A short read of a regular file is its end; one more read would only say so again.
        if count == 0 || (length < room && length as u64 == expected) {
            return Ok(Some(length));
        }
        if length > limit {
            return Ok(None);
        }
        if length == room {
            room = (room * 2).min(limit + 1);
        }
    }
}

/// Waits until there is something to read, or the end of it. An error, if the run is over before.
fn wait_readable(fd: BorrowedFd<'_>, is_over: impl Fn() -> bool) -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    while !is_over() {
        match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&slice)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::Error::other("the run is over"))
}

fn retry(mut call: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => std::thread::sleep(std::time::Duration::from_millis(5)),
            other => return other.map_err(io::Error::from),
        }
    }
}

/// Cuts a buffer that holds a whole file and stores its chunks.
pub fn put_whole<S: ChunkSink>(
    bytes: &[u8],
    chunker: &Chunker,
    sink: &mut S,
    shared: &Shared<S>,
) -> Result<Vec<Slice>, Stop> {
    let mut ends = Vec::new();
    let mut start = 0;
    while let Some(length) = chunker.cut(&bytes[start..], start as u64, true) {
        start += length;
        ends.push(start);
    }
    put_chunks(bytes, &ends, sink, shared)
}

/// Whether the file is no longer what it was when reading began.
pub fn has_changed(mode: Changed, before: &Stat, after: &Stat) -> bool {
    match mode {
        Changed::Ctime => before.ctime != after.ctime || before.size != after.size,
        Changed::Mtime => before.mtime != after.mtime || before.size != after.size,
        Changed::Disabled => false,
    }
}

/// Reads large content buffer by buffer and hands the buffers to whoever is free.
pub struct LargeReader<'a, S: ChunkSink> {
    /// Shared state of the workers.
    pub shared: &'a Shared<S>,
    /// Cuts.
    pub chunker: &'a Chunker,
    /// Receives the parts.
    pub job: &'a Arc<FileJob>,
    part: u64,
    total: u64,
}

impl<'a, S: ChunkSink> LargeReader<'a, S> {
    /// Starts reading for `job`.
    pub fn new(shared: &'a Shared<S>, chunker: &'a Chunker, job: &'a Arc<FileJob>) -> Self {
        LargeReader { shared, chunker, job, part: 0, total: 0 }
    }

    /// Reads `fd` to its end. Holes of a sparse file become hole slices without being read. Returns the bytes read,
    /// holes included.
    pub fn read(&mut self, fd: BorrowedFd<'_>, sparse: bool, sink: &mut S) -> Result<u64, ReadFault> {
        let shared = self.shared;
        let read = |buffer: &mut [u8]| retry(|| rustix::io::read(fd, &mut *buffer));
        if !sparse {
            // It can be a pipe, whose writer may be idle for ever.
            let waited = |buffer: &mut [u8]| wait_readable(fd, || shared.is_stopped()).and_then(|()| read(buffer));
            self.extent(waited, u64::MAX, sink)?;
            return Ok(self.total);
        }
        loop {
            let here = self.total;
            let data = match seek(fd, SeekFrom::Data(here)) {
                Ok(data) => data,
                Err(rustix::io::Errno::NXIO) => return self.end_hole(fd, sink),
                Err(error) => return Err(ReadFault::Source(Problem::from_io("lseek", error))),
            };
            // A file system in user space can answer anything.
            self.hole(data.checked_sub(here).ok_or_else(went_back)?, sink)?;
            let hole = seek(fd, SeekFrom::Hole(data)).map_err(|e| ReadFault::Source(Problem::from_io("lseek", e)))?;
            seek(fd, SeekFrom::Start(data)).map_err(|e| ReadFault::Source(Problem::from_io("lseek", e)))?;
            self.extent(read, hole.checked_sub(data).ok_or_else(went_back)?, sink)?;
            if self.total < hole {
                return Ok(self.total); // truncated meanwhile; the caller sees that it changed
            }
        }
    }

    fn end_hole(&mut self, fd: BorrowedFd<'_>, sink: &mut S) -> Result<u64, ReadFault> {
        let end = seek(fd, SeekFrom::End(0)).map_err(|e| ReadFault::Source(Problem::from_io("lseek", e)))?;
        self.hole(end.saturating_sub(self.total), sink)?;
        Ok(self.total)
    }

    /// Appends a hole. Unit: bytes.
    pub fn hole(&mut self, length: u64, sink: &mut S) -> Result<(), ReadFault> {
        refuse_length(self.total.saturating_add(length)).map_err(ReadFault::Source)?;
        self.total += length;
        if length > 0 {
            self.job.add(self.part, Part::Hole(length), sink)?;
            self.part += 1;
        }
        Ok(())
    }

    /// Appends what `read` gives: `limit` bytes, or all until it gives none.
    pub fn extent(
        &mut self,
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
        limit: u64,
        sink: &mut S,
    ) -> Result<(), ReadFault> {
        let mut left = limit;
        let mut position = 0;
        let mut buffer = self.shared.take_buffer(sink)?;
        let mut filled = 0;
        loop {
            let room = (buffer.len() - filled).min(usize::try_from(left).unwrap_or(usize::MAX));
            let count = if room == 0 {
                0
            } else {
                read(&mut buffer[filled..filled + room])
                    .map_err(|error| ReadFault::Source(Problem::from_io("read", error)))?
            };
            filled += count;
            left -= count as u64;
            self.total += count as u64;
            self.shared.progress.add_bytes(count as u64);
            let at_end = left == 0 || (count == 0 && filled < buffer.len());
            if !at_end && filled < buffer.len() {
                continue;
            }
            let (ends, used) = self.cut(&buffer[..filled], position, at_end);
            if at_end && used == 0 {
                self.shared.return_buffer(buffer);
                return Ok(());
            }
            let mut next = if at_end { Vec::new() } else { self.shared.take_buffer(sink)? };
            if !at_end {
                next[..filled - used].copy_from_slice(&buffer[used..filled]);
            }
            position += used as u64;
            self.dispatch(buffer, ends, sink)?;
            if at_end {
                return Ok(());
            }
            filled -= used;
            buffer = next;
        }
    }

    fn cut(&self, bytes: &[u8], position: u64, last: bool) -> (Vec<usize>, usize) {
        let mut ends = Vec::new();
        let mut start = 0;
        while let Some(length) = self.chunker.cut(&bytes[start..], position + start as u64, last) {
            start += length;
            ends.push(start);
        }
        (ends, start)
    }

    fn dispatch(&mut self, buffer: Vec<u8>, ends: Vec<usize>, sink: &mut S) -> Result<(), ReadFault> {
        self.job.pending.fetch_add(1, Ordering::AcqRel);
        let task = ChunkTask { job: Arc::clone(self.job), part: self.part, buffer, ends };
        self.part += 1;
        self.shared.offer(task, sink)?;
        Ok(())
    }
}

fn went_back() -> ReadFault {
    ReadFault::Source(Problem::new(ProblemKind::Io, "lseek: its file system says that its data is where it is not"))
}

/// Whether a regular file has fewer blocks than its size needs.
pub fn is_sparse(stat: &Stat) -> bool {
    stat.is_file() && stat.blocks.saturating_mul(512) < stat.size
}

/// Opens an entry for reading: never a link, never waiting for a fifo's writer unless `special`.
pub fn open(dir: BorrowedFd<'_>, name: &std::ffi::CStr, special: bool) -> io::Result<std::os::fd::OwnedFd> {
    use rustix::fs::{Mode, OFlags, openat};
    let mut flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY;
    if !special {
        flags |= OFlags::NOFOLLOW | OFlags::NONBLOCK;
    }
    let fd = openat(dir, name, flags | OFlags::NOATIME, Mode::empty()).or_else(|error| match error {
        rustix::io::Errno::PERM => openat(dir, name, flags, Mode::empty()),
        other => Err(other),
    })?;
    Ok(fd)
}
