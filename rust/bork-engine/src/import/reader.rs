//! Goes through the stream: small files are collected and cut up by the workers, large ones are cut as they come.

use super::entries::LINK;
use crate::error::EngineError;
use crate::half::LocalSink;
use crate::port::{Port, send};
use crate::tar::item::{Meaning, clean, interpret};
use crate::tar::read::{Fault, Member, Reader};
use bork_core::chunker::Chunker;
use bork_core::metadata::NameCache;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::{ChunkSink, Stop};
use bork_core::source::{
    BodyBytes, Draft, FileJob, LargeReader, ReadFault, Shared, Status, Task, UnitResult, UnitState, content_of,
    printable, put_whole, refuse_length,
};
use bork_format::item::{
    Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_SYMLINK,
};
use crossbeam_channel::Sender;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

/// Files up to this size are collected. Unit: bytes.
const SMALL_MAX: u64 = 1 << 20;
/// Members and bytes that are collected for one worker.
const COLLECTED_MEMBERS: usize = 256;
const COLLECTED_LENGTH: usize = 1 << 20;

/// One thread's work: the stream from its first to its last byte.
pub struct TarSource {
    /// To the driver.
    pub port: Arc<Port>,
    /// What all threads share.
    pub shared: Arc<Shared<LocalSink>>,
    /// For what this thread stores itself.
    pub sink: LocalSink,
    /// Cuts.
    pub chunker: Arc<Chunker>,
    /// Tokens of units on their way.
    pub window: Sender<()>,
    /// Receives the number of units.
    pub total: Arc<OnceLock<u64>>,
    /// How the stream is called in messages.
    pub name: Vec<u8>,
}

/// A member that is known whole.
struct Small {
    path: Vec<u8>,
    entry: Entry,
}

enum Entry {
    /// An item, and which of the collected bytes are its content.
    Item(Box<Item>, Range<usize>),
    Link(Vec<u8>),
}

/// Members on their way to a worker.
#[derive(Default)]
struct Collected {
    members: Vec<Small>,
    content: Vec<u8>,
    local: UnitResult,
}

struct Run {
    source: TarSource,
    tar: Reader<Waiting>,
    names: NameCache,
    collected: Collected,
    units: u64,
}

/// A file that can be waited for without becoming deaf to the end of the run.
struct Waiting(File, Arc<Port>);

impl Read for Waiting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let slice = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        loop {
            if self.1.is_stopped() {
                return Err(io::Error::other("stopped"));
            }
            let fd = self.0.as_fd();
            match poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&slice)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            return self.0.read(buffer);
        }
    }
}

impl TarSource {
    /// Reads all members.
    pub fn run(self, file: File, ignore_zeros: bool) -> Result<(), Stop> {
        let tar = Reader::new(Waiting(file, Arc::clone(&self.port)), ignore_zeros);
        let names = NameCache::from_system();
        let mut run = Run { source: self, tar, names, collected: Collected::default(), units: 0 };
        while let Some(member) = run.tar.next_member().map_err(|fault| run.fail(&fault))? {
            run.member(&member)?;
        }
        run.dispatch()?;
        if run.tar.drain().map_err(|fault| run.fail(&fault))? {
            let text = "something follows the end of the tar file and was not imported; --ignore-zeros reads on";
            run.source.port.problem(&run.source.name, Problem::new(ProblemKind::Io, text))?;
        }
        let Run { mut source, units, .. } = run;
        source.sink.finish()?;
        let _ = source.total.set(units);
        Ok(())
    }
}

impl Run {
    fn fail(&self, fault: &Fault) -> Stop {
        let mut name = Vec::new();
        printable(&self.source.name, &mut name);
        let name = String::from_utf8_lossy(&name).into_owned();
        self.source.port.fail(EngineError::Tar { name, why: fault.to_string() })
    }

    fn member(&mut self, member: &Member) -> Result<(), Stop> {
        let understood = clean(&member.path)
            .and_then(|path| interpret(member, &mut self.names).map(|(meaning, problems)| (path, meaning, problems)))
            .and_then(|understood| {
                member.sparse.as_ref().map_or(Ok(()), |sparse| refuse_length(sparse.0)).map(|()| understood)
            });
        let (path, meaning, problems) = match understood {
            Ok(understood) => understood,
            Err(problem) => {
                self.status(b'E', &member.path);
                self.collected.local.problems.push((member.path.clone(), problem));
                return self.dispatch_if_full();
            }
        };
        self.collected.local.problems.extend(problems.into_iter().map(|problem| (path.clone(), problem)));
        match meaning {
            Meaning::Nothing => Ok(()),
            Meaning::Link(target) => {
                self.status(b'h', &path);
                self.collected.members.push(Small { path, entry: Entry::Link(target) });
                self.dispatch_if_full()
            }
            Meaning::Item(item) => {
                self.status(letter(&item), &path);
                if !item.is_file() {
                    self.collected.members.push(Small { path, entry: Entry::Item(item, 0..0) });
                    return self.dispatch_if_full();
                }
                self.collected.local.files += 1;
                if member.data > SMALL_MAX || member.sparse.is_some() {
                    return self.large(path, *item, member);
                }
                let start = self.collected.content.len();
                self.collected.content.resize(start + member.data as usize, 0);
                let mut filled = start;
                while filled < self.collected.content.len() {
                    let count = self.tar.read_data(&mut self.collected.content[filled..]);
                    filled += count.map_err(|fault| self.fail(&fault))?;
                }
                self.collected.members.push(Small { path, entry: Entry::Item(item, start..filled) });
                self.dispatch_if_full()
            }
        }
    }

    fn status(&mut self, letter: u8, path: &[u8]) {
        let shown = if path.is_empty() { b"." } else { path };
        if self.source.shared.options.lines.is_some() {
            self.collected.local.statuses.push(Status { letter, path: shown.to_vec(), link: None });
        }
        self.source.shared.progress.at(u64::from(letter == b'A'), || shown.to_vec());
    }

    fn dispatch_if_full(&mut self) -> Result<(), Stop> {
        let Collected { members, content, local } = &self.collected;
        let is_full = members.len() + local.problems.len() >= COLLECTED_MEMBERS || content.len() >= COLLECTED_LENGTH;
        if is_full { self.dispatch() } else { Ok(()) }
    }

    fn unit(&mut self, slots: usize) -> Result<Arc<UnitState>, Stop> {
        send(&self.source.window, (), &self.source.port)?;
        self.units += 1;
        Ok(UnitState::new(self.units - 1, slots))
    }

    /// Has a worker store what is collected.
    fn dispatch(&mut self) -> Result<(), Stop> {
        let collected = std::mem::take(&mut self.collected);
        if collected.members.is_empty() && collected.local.problems.is_empty() && collected.local.statuses.is_empty() {
            return Ok(());
        }
        let unit = self.unit(collected.members.len())?;
        let (shared, chunker) = (Arc::clone(&self.source.shared), Arc::clone(&self.source.chunker));
        let call = move |sink: &mut LocalSink| store(collected, &unit, &shared, &chunker, sink);
        send(&self.source.shared.tasks.0, Task::Call(Box::new(call)), &self.source.port)
    }

    /// A file that is cut up while it is read.
    fn large(&mut self, path: Vec<u8>, mut item: Item, member: &Member) -> Result<(), Stop> {
        // Its own line belongs to its own unit.
        let local = UnitResult {
            files: 1,
            statuses: self.collected.local.statuses.pop().into_iter().collect(),
            ..UnitResult::default()
        };
        self.collected.local.files -= 1;
        self.dispatch()?;
        let unit = self.unit(1)?;
        unit.report(local);
        let job = FileJob::new(Arc::clone(&unit), 0);
        unit.expect();
        let shared = Arc::clone(&self.source.shared);
        let mut large = LargeReader::new(&shared, &self.source.chunker, &job);
        let (tar, sink) = (&mut self.tar, &mut self.source.sink);
        let mut fault = None;
        let mut read = |buffer: &mut [u8]| {
            tar.read_data(buffer).map_err(|error| {
                fault = Some(error);
                io::Error::other("the tar stream cannot be read on")
            })
        };
        let done = (|| {
            let Some((size, regions)) = &member.sparse else {
                large.extent(&mut read, member.data, sink)?;
                return Ok(member.data);
            };
            let mut position = 0;
            for (start, length) in regions.iter().filter(|(_, length)| *length > 0) {
                large.hole(start - position, sink)?;
                large.extent(&mut read, *length, sink)?;
                position = start + length;
            }
            large.hole(size - position, sink)?;
            Ok(*size)
        })();
        match (done, fault) {
            (Ok(size), None) => item.size = size,
            (_, Some(fault)) => return Err(self.fail(&fault)),
            (Err(ReadFault::Stop | ReadFault::Source(_)), None) => return Err(Stop),
        }
        let draft = Draft { item, shown: path.clone(), path, linked: None };
        job.finish(draft, &mut self.source.sink, &shared)?;
        unit.release(&shared);
        Ok(())
    }
}

/// A worker's part: cut, identify, store, encode.
fn store(
    collected: Collected,
    unit: &Arc<UnitState>,
    shared: &Shared<LocalSink>,
    chunker: &Chunker,
    sink: &mut LocalSink,
) -> Result<(), Stop> {
    let Collected { members, content, mut local } = collected;
    for (slot, Small { path, entry }) in members.into_iter().enumerate() {
        let (mut item, range) = match entry {
            Entry::Item(item, range) => (item, range),
            Entry::Link(target) => {
                let body = [&[LINK], &target[..]].concat();
                unit.fill(slot, path, BodyBytes::New(body), 0);
                continue;
            }
        };
        if !range.is_empty() {
            item.size = range.len() as u64;
            let slices = put_whole(&content[range], chunker, sink, shared)?;
            item.content = content_of(slices, sink)?;
            shared.progress.add_bytes(item.size);
        }
        if let Err(problem) = unit.fill_item(slot, path.clone(), &item) {
            local.problems.push((path, problem));
        }
    }
    unit.report(local);
    unit.release(shared);
    Ok(())
}

fn letter(item: &Item) -> u8 {
    match item.file_type() {
        TYPE_FILE => b'A',
        TYPE_DIRECTORY => b'd',
        TYPE_SYMLINK => b's',
        TYPE_FIFO => b'f',
        TYPE_CHARACTER_DEVICE => b'c',
        TYPE_BLOCK_DEVICE => b'b',
        _ => b'?',
    }
}
