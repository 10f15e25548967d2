//! A worker: turns units into items.

use super::change::{Unchanged, compare};
use super::file::{ChunkTask, Draft, FileJob, LargeReader, ReadFault, Task, has_changed, is_sparse, open, put_whole};
use super::file::read_small;
use super::hardlinks::{FileKey, HardLinks};
use super::options::SourceOptions;
use crate::chunker::Chunker;
use crate::identify::SourceKeys;
use crate::metadata::{self, NameCache, Place};
use crate::problem::{Problem, ProblemKind};
use crate::seam::{ChunkSink, Stop};
use crate::stat::{Stat, stat_at, stat_fd};
use crate::walk::{Body, Entry, EntryKind, NameKind, Unit};
use bork_format::item::{
    Content, Item, SLICES_INLINE_MAX, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE,
    TYPE_MASK, TYPE_SYMLINK, encode_slices,
};
use crossbeam_channel::{Receiver, Sender, TryRecvError, TrySendError};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Units that may be between the walker and the assembler: bounds what waits behind one large file.
pub const WINDOW_UNITS: usize = 64;
/// Files up to this size are read in one piece by one worker. Unit: bytes.
const WHOLE_MAX: usize = 4 << 20;
/// How often a file that changes while it is read is read again.
const READS_MAX: u32 = 3;
const S_IFSOCK: u32 = 0o140_000;

/// Encoded body of an item: new, or kept from the previous archive.
pub enum BodyBytes {
    /// Encoded now.
    New(Vec<u8>),
    /// Byte for byte that of the previous archive.
    Kept(Body),
}

impl BodyBytes {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            BodyBytes::New(bytes) => bytes,
            BodyBytes::Kept(body) => body.bytes(),
        }
    }
}

/// What became of a unit.
#[derive(Default)]
pub struct UnitResult {
    /// Number of the unit.
    pub sequence: u64,
    /// Items in tree order: path, body, size.
    pub items: Vec<(Vec<u8>, BodyBytes, u64)>,
    /// Status lines.
    pub lines: Vec<u8>,
    /// What could not be read.
    pub problems: Vec<(Vec<u8>, Problem)>,
    /// Regular files.
    pub files: u64,
}

/// A unit in work.
pub struct UnitState {
    result: Mutex<UnitResult>,
    slots: Mutex<Vec<Option<(Vec<u8>, BodyBytes, u64)>>>,
    remaining: AtomicUsize,
}

impl UnitState {
    /// Puts an item into its place.
    pub fn fill(&self, slot: usize, path: Vec<u8>, body: BodyBytes, size: u64) {
        self.slots.lock().expect("no holder panics")[slot] = Some((path, body, size));
    }

    /// One part of the unit is done; the last one sends the result.
    pub fn release<S>(&self, shared: &Shared<S>) {
        if self.remaining.fetch_sub(1, Ordering::AcqRel) == 1 {
            let mut result = std::mem::take(&mut *self.result.lock().expect("no holder panics"));
            let slots = std::mem::take(&mut *self.slots.lock().expect("no holder panics"));
            result.items = slots.into_iter().flatten().collect();
            // The channel holds a whole window, so this never blocks; an error means that the run is over.
            let _ = shared.results.send(result);
        }
    }
}

/// Counters that another thread may look at while the run goes on.
#[derive(Default)]
pub struct Progress {
    bytes: AtomicU64,
    files: AtomicU64,
    path: Mutex<Vec<u8>>,
}

impl Progress {
    /// Counts content. Unit: bytes.
    pub fn add_bytes(&self, count: u64) {
        self.bytes.fetch_add(count, Ordering::Relaxed);
    }

    /// Bytes, files, current path.
    pub fn read(&self) -> (u64, u64, Vec<u8>) {
        let path = self.path.lock().map(|path| path.clone()).unwrap_or_default();
        (self.bytes.load(Ordering::Relaxed), self.files.load(Ordering::Relaxed), path)
    }
}

/// What all workers share.
pub struct Shared<S> {
    /// Options.
    pub options: SourceOptions,
    /// Keys for cutting and naming.
    pub keys: SourceKeys,
    /// Counters.
    pub progress: Progress,
    /// Set when the run is over before its end.
    pub stop: AtomicBool,
    /// Units from the walker.
    pub units: Receiver<Unit>,
    /// Tasks for any worker.
    pub tasks: (Sender<Task<S>>, Receiver<Task<S>>),
    /// Results to the assembler; as long as the window, so that sending never blocks.
    pub results: Sender<UnitResult>,
    /// Free buffers of large files.
    pub buffers: (Sender<Vec<u8>>, Receiver<Vec<u8>>),
    /// Files with several names.
    pub hard_links: HardLinks,
}

impl<S> Shared<S> {
    /// Gives a buffer back to the pool.
    pub fn return_buffer(&self, buffer: Vec<u8>) {
        let _ = self.buffers.0.try_send(buffer);
    }

    /// Whether the run is over before its end.
    pub fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl<S: ChunkSink> Shared<S> {
    /// A free buffer; works on tasks while there is none, since tasks are what holds the buffers.
    pub fn take_buffer(&self, sink: &mut S) -> Result<Vec<u8>, Stop> {
        loop {
            if self.is_stopped() {
                return Err(Stop);
            }
            if let Ok(buffer) = self.buffers.1.try_recv() {
                return Ok(buffer);
            }
            match self.tasks.1.try_recv() {
                Ok(Task::Chunks(task)) => task.run(sink, self)?,
                Ok(Task::Call(call)) => call(sink)?,
                Ok(Task::Exit) | Err(TryRecvError::Disconnected) => return Err(Stop),
                Err(TryRecvError::Empty) => {
                    if let Ok(buffer) = self.buffers.1.recv_timeout(Duration::from_millis(20)) {
                        return Ok(buffer);
                    }
                }
            }
        }
    }

    /// Offers a buffer to the other workers; does it here if they are busy.
    pub fn offer(&self, task: ChunkTask, sink: &mut S) -> Result<(), Stop> {
        match self.tasks.0.try_send(Task::Chunks(task)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Task::Chunks(task))) => task.run(sink, self),
            Err(_) => Err(Stop),
        }
    }
}

/// One worker thread's state.
pub struct Worker<'a, S> {
    shared: &'a Shared<S>,
    sink: S,
    names: NameCache,
    chunker: Chunker,
    scratch: Vec<u8>,
}

/// An entry in the hands of a worker.
struct Subject<'a> {
    unit: &'a Arc<UnitState>,
    slot: usize,
    entry: &'a Entry,
    name: &'a CStr,
}

impl Subject<'_> {
    fn path(&self) -> Vec<u8> {
        self.entry.dir.stored(self.name.to_bytes())
    }

    fn shown(&self) -> Vec<u8> {
        self.entry.dir.shown(self.name.to_bytes())
    }
}

/// What reading a regular file came to.
enum FileOutcome {
    /// The item is complete.
    Item(Item),
    /// A job will fill the slot.
    Later,
}

impl<'a, S: ChunkSink> Worker<'a, S> {
    /// A worker with its own sink.
    pub fn new(shared: &'a Shared<S>, sink: S) -> Self {
        let chunker = Chunker::new(shared.options.chunker, &shared.keys.chunker);
        Worker { shared, sink, names: NameCache::from_system(), chunker, scratch: Vec::new() }
    }

    /// Works until the run ends; returns the sink after it has handed over what it kept back.
    pub fn run(mut self) -> Result<S, Stop> {
        let shared = self.shared;
        let (tasks, mut units) = (shared.tasks.1.clone(), shared.units.clone());
        loop {
            if shared.is_stopped() {
                return Err(Stop);
            }
            // Tasks first: they hold buffers, and somebody may wait for them.
            let task = match tasks.try_recv() {
                Ok(task) => Some(task),
                Err(_) => crossbeam_channel::select! {
                    recv(tasks) -> task => task.ok(),
                    recv(units) -> unit => {
                        match unit {
                            Ok(unit) => self.unit(unit)?,
                            Err(_) => units = crossbeam_channel::never(),
                        }
                        continue;
                    }
                    default(Duration::from_millis(100)) => continue,
                },
            };
            match task {
                Some(Task::Chunks(task)) => task.run(&mut self.sink, shared)?,
                Some(Task::Call(call)) => call(&mut self.sink)?,
                Some(Task::Exit) | None => break,
            }
        }
        self.sink.finish()?;
        Ok(self.sink)
    }

    fn unit(&mut self, unit: Unit) -> Result<(), Stop> {
        let slots = Mutex::new((0..unit.entries.len()).map(|_| None).collect());
        let result = Mutex::new(UnitResult { sequence: unit.sequence, ..UnitResult::default() });
        let state = Arc::new(UnitState { result, slots, remaining: AtomicUsize::new(1) });
        let mut local = UnitResult::default();
        for (slot, entry) in unit.entries.iter().enumerate() {
            if self.shared.is_stopped() {
                return Err(Stop);
            }
            let subject = Subject { unit: &state, slot, entry, name: unit.name(entry) };
            self.entry(&subject, &mut local)?;
        }
        self.shared.progress.files.fetch_add(local.files, Ordering::Relaxed);
        if let (Some(entry), Ok(mut path)) = (unit.entries.last(), self.shared.progress.path.try_lock()) {
            *path = entry.dir.shown(unit.name(entry).to_bytes());
        }
        {
            let mut result = state.result.lock().expect("no holder panics");
            result.lines = local.lines;
            result.problems = local.problems;
            result.files = local.files;
        }
        state.release(self.shared);
        Ok(())
    }

    fn entry(&mut self, subject: &Subject<'_>, out: &mut UnitResult) -> Result<(), Stop> {
        let status = match &subject.entry.kind {
            EntryKind::Excluded => b'x',
            EntryKind::Failed(problem) => {
                out.problems.push((subject.shown(), problem.clone()));
                b'E'
            }
            _ if self.shared.options.dry_run => b'-',
            EntryKind::Directory(dir) => {
                let dir = Arc::clone(dir);
                match stat_fd(dir.fd()) {
                    Ok(stat) => self.other(subject, &stat, Some(dir.fd()), out),
                    Err(error) => fail(subject, "stat", &error, out),
                }
            }
            EntryKind::Stdin => self.stdin(subject, out)?,
            EntryKind::Other(kind) => self.look(subject, *kind, out)?,
        };
        if status != 0 {
            if let Some(lines) = &self.shared.options.lines {
                lines.write(status, &subject.shown(), &mut out.lines);
            }
        }
        Ok(())
    }

    /// The content of a descriptor, as a regular file.
    fn stdin(&mut self, subject: &Subject<'_>, out: &mut UnitResult) -> Result<u8, Stop> {
        let shared = self.shared;
        let Some(stdin) = &shared.options.stdin else { return Ok(0) };
        let start = shared.options.start;
        let mut item = Item {
            mode: TYPE_FILE | stdin.mode & !TYPE_MASK,
            user: stdin.user.clone(),
            group: stdin.group.clone(),
            mtime: start,
            ctime: shared.options.metadata.ctime.then_some(start),
            atime: shared.options.metadata.atime.then_some(start),
            ..Item::default()
        };
        item.uid = self.names.user_id(&stdin.user).unwrap_or(0);
        item.gid = self.names.group_id(&stdin.group).unwrap_or(0);
        let job = FileJob::new(Arc::clone(subject.unit), subject.slot);
        match LargeReader::new(shared, &self.chunker, &job).read(stdin.fd.as_fd(), false, &mut self.sink) {
            Ok(size) => item.size = size,
            Err(ReadFault::Stop) => return Err(Stop),
            Err(ReadFault::Source(problem)) => {
                job.abandon();
                out.problems.push((subject.shown(), problem));
                return Ok(b'E');
            }
        }
        out.files += 1;
        subject.unit.remaining.fetch_add(1, Ordering::AcqRel);
        job.finish(Draft { item, path: subject.path() }, &mut self.sink, shared)?;
        Ok(b'i')
    }

    /// An entry that is no directory. Returns its status letter, or 0 for an entry that is passed over in silence.
    fn look(&mut self, subject: &Subject<'_>, kind: NameKind, out: &mut UnitResult) -> Result<u8, Stop> {
        let dir = subject.entry.dir.fd();
        if kind == NameKind::File && subject.entry.previous.is_none() && !self.shared.options.exclude_nodump {
            return self.file(subject, None, out);
        }
        let stat = match stat_at(dir, subject.name) {
            Ok(stat) => stat,
            Err(error) => return Ok(fail(subject, "stat", &error, out)),
        };
        if self.shared.options.exclude_nodump && stat.nodump {
            return Ok(b'x');
        }
        match stat.file_type() {
            TYPE_FILE => self.file(subject, Some(stat), out),
            S_IFSOCK => Ok(0),
            TYPE_FIFO | TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE if self.shared.options.read_special => {
                self.file(subject, Some(stat), out)
            }
            TYPE_SYMLINK if self.shared.options.read_special && points_to_special(dir, subject.name) => {
                self.file(subject, Some(stat), out)
            }
            TYPE_DIRECTORY => {
                let problem = Problem::new(ProblemKind::Race, "it became a directory while it was looked at");
                out.problems.push((subject.shown(), problem));
                Ok(b'E')
            }
            _ => Ok(self.other(subject, &stat, None, out)),
        }
    }

    /// A directory, link, fifo or device.
    fn other(&mut self, subject: &Subject<'_>, stat: &Stat, fd: Option<BorrowedFd<'_>>, out: &mut UnitResult) -> u8 {
        let options = &self.shared.options;
        if options.exclude_nodump && stat.nodump {
            return b'x';
        }
        let old = self.previous_item(subject);
        let body = match &old {
            Some((old, body)) if self.is_whole(stat, old) => BodyBytes::Kept(body.clone()),
            _ => {
                let mut item = Item::default();
                let place = Place { dir: subject.entry.dir.fd(), name: subject.name, file: fd };
                let problems = metadata::read(&mut item, stat, place, &mut self.names, &options.metadata);
                let failed = item.file_type() == TYPE_SYMLINK && item.target.is_empty();
                out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
                if failed {
                    return b'E';
                }
                let mut body = Vec::with_capacity(160);
                item.encode(&mut body);
                BodyBytes::New(body)
            }
        };
        subject.unit.fill(subject.slot, subject.path(), body, 0);
        match stat.file_type() {
            TYPE_DIRECTORY => b'd',
            TYPE_SYMLINK => b's',
            TYPE_FIFO => b'f',
            TYPE_CHARACTER_DEVICE => b'c',
            _ => b'b',
        }
    }

    fn previous_item(&self, subject: &Subject<'_>) -> Option<(Item, Body)> {
        let body = subject.entry.previous.as_ref()?;
        Some((Item::decode(body.bytes()).ok()?, body.clone()))
    }

    /// Whether the old body says all that a new one would say.
    fn is_whole(&mut self, stat: &Stat, old: &Item) -> bool {
        let options = &self.shared.options;
        let kept = options.metadata.atime == old.atime.is_some()
            && options.metadata.ctime == old.ctime.is_some()
            && !options.metadata.atime;
        kept && compare(options.files_cache, stat, old, options.previous_start) == Unchanged::Whole
            && self.names_match(stat, old, options.metadata.numeric_ids)
    }

    /// Whether the ids still have the names that the previous archive recorded.
    fn names_match(&mut self, stat: &Stat, old: &Item, numeric_ids: bool) -> bool {
        if numeric_ids {
            return old.user.is_empty() && old.group.is_empty();
        }
        self.names.user(stat.uid) == old.user && self.names.group(stat.gid) == old.group
    }

    /// A regular file, or a special file that is to be read like one.
    fn file(&mut self, subject: &Subject<'_>, stat: Option<Stat>, out: &mut UnitResult) -> Result<u8, Stop> {
        let old = self.previous_item(subject);
        if let (Some(stat), Some((old_item, body))) = (&stat, &old) {
            let unchanged = compare(self.shared.options.files_cache, stat, old_item, self.shared.options.previous_start);
            if unchanged != Unchanged::No && stat.is_file() && self.reuse(&old_item.content) {
                let whole = unchanged == Unchanged::Whole && self.is_whole(stat, old_item);
                return Ok(self.unchanged(subject, stat, old_item, whole.then_some(body), out));
            }
        }
        let special = stat.is_some_and(|stat| !stat.is_file());
        let status = if special {
            b'A'
        } else if old.is_some() {
            b'M'
        } else {
            b'A'
        };
        for attempt in 1..=READS_MAX {
            let fd = match open(subject.entry.dir.fd(), subject.name, special) {
                Ok(fd) => fd,
                Err(error) => return Ok(fail(subject, "open", &error, out)),
            };
            match self.read(subject, &fd, special, attempt == READS_MAX, out) {
                Ok(None) => {}
                Ok(Some((outcome, changed))) => {
                    out.files += 1;
                    if let FileOutcome::Item(item) = outcome {
                        self.complete(subject, &item);
                    }
                    if changed {
                        let message = "the file changed while it was read";
                        out.problems.push((subject.shown(), Problem::new(ProblemKind::Changed, message)));
                    }
                    return Ok(if changed { b'C' } else { status });
                }
                Err(ReadFault::Source(problem)) => {
                    out.problems.push((subject.shown(), problem));
                    return Ok(b'E');
                }
                Err(ReadFault::Stop) => return Err(Stop),
            }
        }
        Ok(b'E')
    }

    fn complete(&self, subject: &Subject<'_>, item: &Item) {
        let mut body = Vec::with_capacity(192);
        item.encode(&mut body);
        subject.unit.fill(subject.slot, subject.path(), BodyBytes::New(body), item.size);
    }

    /// Counts the chunks of earlier content, if the repository still holds all of them.
    fn reuse(&mut self, content: &Content) -> bool {
        let slices = match content {
            Content::Slices(slices) => slices,
            Content::Lists(lists) => return self.sink.reuse_lists(lists),
        };
        let mut stored = Vec::with_capacity(slices.len());
        for slice in slices.iter().filter(|slice| !slice.is_hole()) {
            match self.sink.known(&slice.id) {
                Some(length) => stored.push((slice.id, length)),
                None => return false,
            }
        }
        for (id, length) in &stored {
            self.sink.reused(id, *length);
        }
        true
    }

    fn unchanged(
        &mut self,
        subject: &Subject<'_>,
        stat: &Stat,
        old: &Item,
        body: Option<&Body>,
        out: &mut UnitResult,
    ) -> u8 {
        out.files += 1;
        self.shared.progress.add_bytes(old.size);
        if let Some(body) = body {
            subject.unit.fill(subject.slot, subject.path(), BodyBytes::Kept(body.clone()), old.size);
            return b'U';
        }
        let mut item = Item::default();
        let place = Place { dir: subject.entry.dir.fd(), name: subject.name, file: None };
        let problems = metadata::read(&mut item, stat, place, &mut self.names, &self.shared.options.metadata);
        out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
        item.size = old.size;
        item.content = old.content.clone();
        self.complete(subject, &item);
        b'U'
    }

    /// Reads content and metadata. `None`: it changed meanwhile and is to be read again.
    fn read(
        &mut self,
        subject: &Subject<'_>,
        fd: &OwnedFd,
        special: bool,
        last: bool,
        out: &mut UnitResult,
    ) -> Result<Option<(FileOutcome, bool)>, ReadFault> {
        let source = |what: &'static str| move |error: io::Error| ReadFault::Source(Problem::from_io(what, error));
        let before = stat_fd(fd.as_fd()).map_err(source("stat"))?;
        if !special && !before.is_file() {
            return Err(ReadFault::Source(Problem::new(ProblemKind::Race, "it is no longer a regular file")));
        }
        let mut item = Item::default();
        let place = Place { dir: subject.entry.dir.fd(), name: subject.name, file: Some(fd.as_fd()) };
        let problems = metadata::read(&mut item, &before, place, &mut self.names, &self.shared.options.metadata);
        if special {
            item.mode = TYPE_FILE | item.mode & !TYPE_MASK;
            item.device = None;
            item.link = None;
        }
        let key = FileKey::new(before.device, before.inode, before.ctime);
        if before.links > 1 && !special {
            if let Some((content, size)) = self.shared.hard_links.take(&key) {
                (item.content, item.size) = (content, size);
                self.shared.progress.add_bytes(size);
                out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
                return Ok(Some((FileOutcome::Item(item), false)));
            }
        }
        if special || before.size > WHOLE_MAX as u64 || is_sparse(&before) {
            return self.read_large(subject, fd, item, &before, special, last);
        }
        let length = read_small(fd.as_fd(), before.size, WHOLE_MAX, &mut self.scratch).map_err(source("read"))?;
        let Some(length) = length else {
            rustix::fs::seek(fd, rustix::fs::SeekFrom::Start(0)).map_err(|error| source("lseek")(error.into()))?;
            return self.read_large(subject, fd, item, &before, special, last);
        };
        let after = stat_fd(fd.as_fd()).map_err(source("stat"))?;
        let changed = has_changed(self.shared.options.files_changed, &before, &after);
        if changed && !last {
            return Ok(None);
        }
        item.size = length as u64;
        self.shared.progress.add_bytes(item.size);
        let slices = put_whole(&self.scratch[..length], &self.chunker, &mut self.sink, self.shared)?;
        item.content = if slices.len() <= SLICES_INLINE_MAX {
            Content::Slices(slices)
        } else {
            Content::Lists(vec![self.sink.put_list(&encode_slices(&slices))?])
        };
        if before.links > 1 && !changed {
            self.shared.hard_links.put(key, before.links, &item.content, item.size);
        }
        out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
        Ok(Some((FileOutcome::Item(item), changed)))
    }

    fn read_large(
        &mut self,
        subject: &Subject<'_>,
        fd: &OwnedFd,
        mut item: Item,
        before: &Stat,
        special: bool,
        last: bool,
    ) -> Result<Option<(FileOutcome, bool)>, ReadFault> {
        let job = FileJob::new(Arc::clone(subject.unit), subject.slot);
        let shared = self.shared;
        let mut reader = LargeReader::new(shared, &self.chunker, &job);
        let size = reader.read(fd.as_fd(), is_sparse(before) && !special, &mut self.sink).inspect_err(|_| job.abandon())?;
        let mut changed = false;
        if !special {
            let after = stat_fd(fd.as_fd()).map_err(|error| {
                job.abandon();
                ReadFault::Source(Problem::from_io("stat", error))
            })?;
            changed = has_changed(shared.options.files_changed, before, &after);
        }
        if changed && !last {
            job.abandon();
            return Ok(None);
        }
        item.size = size;
        subject.unit.remaining.fetch_add(1, Ordering::AcqRel);
        let draft = Draft { item, path: subject.path() };
        job.finish(draft, &mut self.sink, shared)?;
        Ok(Some((FileOutcome::Later, changed)))
    }
}

fn fail(subject: &Subject<'_>, what: &str, error: &io::Error, out: &mut UnitResult) -> u8 {
    out.problems.push((subject.shown(), Problem::of_io(what, error)));
    b'E'
}

fn points_to_special(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    rustix::fs::statat(dir, name, rustix::fs::AtFlags::empty()).is_ok_and(|stat| {
        matches!(stat.st_mode & TYPE_MASK, TYPE_FIFO | TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE)
    })
}
