//! A worker: turns units into items.

use super::change::{FilesCache, Unchanged, compare};
use super::file::{Draft, FileJob, LargeReader, ReadFault, Task};
use super::options::{FileSystemTrust, SourceOptions};
use super::shared::{BodyBytes, Shared, UnitResult, UnitState};
use super::status::Status;
use crate::chunker::Chunker;
use crate::metadata::{self, NameCache, Place, acl};
use crate::problem::{Problem, ProblemKind};
use crate::seam::{ChunkSink, Stop};
use crate::stat::{Stat, stat_at, stat_fd};
use crate::walk::{Body, Entry, EntryKind, NameKind, Unit};
use bork_format::item::{
    Item, TYPE_BLOCK_DEVICE, TYPE_CHARACTER_DEVICE, TYPE_DIRECTORY, TYPE_FIFO, TYPE_FILE, TYPE_MASK, TYPE_SYMLINK,
};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

const S_IFSOCK: u32 = 0o140_000;

/// One worker thread's state.
pub struct Worker<'a, S> {
    pub(super) shared: &'a Shared<S>,
    pub(super) sink: S,
    pub(super) names: NameCache,
    pub(super) chunker: Chunker,
    pub(super) scratch: Vec<u8>,
}

/// An entry in the hands of a worker.
pub(super) struct Subject<'a> {
    pub(super) unit: &'a Arc<UnitState>,
    pub(super) slot: usize,
    pub(super) entry: &'a Entry,
    pub(super) name: &'a CStr,
}

impl Subject<'_> {
    pub(super) fn path(&self) -> Vec<u8> {
        self.entry.dir.stored(self.name.to_bytes())
    }

    pub(super) fn shown(&self) -> Vec<u8> {
        self.entry.dir.shown(self.name.to_bytes())
    }

    /// How far its file system is to be trusted, if it is one of the list.
    pub(super) fn trust(&self, options: &SourceOptions) -> Option<FileSystemTrust> {
        let dir = match &self.entry.kind {
            EntryKind::Directory(dir) => dir,
            _ => &self.entry.dir,
        };
        options.file_systems.get(usize::from(dir.class?)).copied()
    }
}

impl<'a, S: ChunkSink> Worker<'a, S> {
    /// A worker with its own sink, which gets the names of users and groups from where the options say.
    pub fn new(shared: &'a Shared<S>, sink: S) -> Self {
        let chunker = Chunker::new(shared.options.chunker, &shared.keys.chunker);
        let names = NameCache::new(shared.options.names.clone());
        Worker { shared, sink, names, chunker, scratch: Vec::new() }
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

    fn unit(&mut self, mut unit: Unit) -> Result<(), Stop> {
        let state = UnitState::new(unit.sequence, unit.entries.len());
        let mut local = UnitResult { met: std::mem::take(&mut unit.met), ..UnitResult::default() };
        for (slot, entry) in unit.entries.iter().enumerate() {
            if self.shared.is_stopped() {
                return Err(Stop);
            }
            let subject = Subject { unit: &state, slot, entry, name: unit.name(entry) };
            self.entry(&subject, &mut local)?;
        }
        if let Some(entry) = unit.entries.last() {
            self.shared.progress.at(local.files, || entry.dir.shown(unit.name(entry).to_bytes()));
        }
        state.report(local);
        state.release(self.shared);
        Ok(())
    }

    fn entry(&mut self, subject: &Subject<'_>, out: &mut UnitResult) -> Result<(), Stop> {
        let links = out.links.len();
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
        let status = match &subject.entry.kind {
            EntryKind::Directory(dir) if dir.is_tagged && status != b'E' => b'x',
            _ => status,
        };
        let link = out.links.get(links).copied();
        if status != 0 && self.shared.options.lines.is_some() {
            out.statuses.push(Status { letter: status, path: subject.shown(), link });
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
        subject.unit.expect();
        job.finish(Draft { item, path: subject.path(), shown: subject.shown(), linked: None }, &mut self.sink, shared)?;
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
        if stat.is_device() && stat.rdev == (0, 0) && subject.trust(options).is_some() {
            let message = "this file system does not tell the number of the device, which is left out";
            out.problems.push((subject.shown(), Problem::new(ProblemKind::Metadata, message)));
            return b'E';
        }
        let old = self.previous_item(subject);
        match &old {
            Some((old, body)) if self.is_whole(subject, stat, old) => {
                subject.unit.fill(subject.slot, subject.path(), BodyBytes::Kept(body.clone()), 0);
            }
            _ => {
                let mut item = Item::default();
                let place = Place { dir: subject.entry.dir.fd(), name: subject.name, file: fd };
                let problems = metadata::read(&mut item, stat, place, &mut self.names, &options.metadata);
                let failed = item.file_type() == TYPE_SYMLINK && item.target.is_empty();
                out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
                if failed {
                    return b'E';
                }
                if let Err(problem) = subject.unit.fill_item(subject.slot, subject.path(), &item) {
                    out.problems.push((subject.shown(), problem));
                    return b'E';
                }
            }
        }
        match stat.file_type() {
            TYPE_DIRECTORY => b'd',
            TYPE_SYMLINK => b's',
            TYPE_FIFO => b'f',
            TYPE_CHARACTER_DEVICE => b'c',
            _ => b'b',
        }
    }

    pub(super) fn previous_item(&self, subject: &Subject<'_>) -> Option<(Item, Body)> {
        let body = subject.entry.previous.as_ref()?;
        Some((Item::decode(body.bytes()).ok()?, body.clone()))
    }

    /// Which values must be equal for a file to count as unchanged.
    pub(super) fn files_cache(&self, subject: &Subject<'_>) -> FilesCache {
        let options = &self.shared.options;
        subject.trust(options).map_or(options.files_cache, |trust| trust.files_cache)
    }

    /// Whether the old body says all that a new one would say.
    pub(super) fn is_whole(&mut self, subject: &Subject<'_>, stat: &Stat, old: &Item) -> bool {
        let options = &self.shared.options;
        let kept = subject.trust(options).is_none_or(|trust| trust.ctime)
            && options.metadata.atime == old.atime.is_some()
            && options.metadata.ctime == old.ctime.is_some()
            && !options.metadata.atime
            && options.metadata.missing() == old.missing
            && old.link == metadata::link(stat);
        kept && compare(self.files_cache(subject), stat, old, options.previous_start) == Unchanged::Whole
            && self.names_match(stat, old, options.metadata.numeric_ids)
    }

    /// Whether the ids still have the names that the previous archive recorded.
    fn names_match(&mut self, stat: &Stat, old: &Item, numeric_ids: bool) -> bool {
        let mut acl = old.acl_access.iter().chain(&old.acl_default);
        if numeric_ids {
            return old.user.is_empty() && old.group.is_empty() && acl.all(|entry| entry.name.is_empty());
        }
        self.names.user(stat.uid) == old.user
            && self.names.group(stat.gid) == old.group
            && acl.all(|entry| entry.name == acl::name_of(entry.tag, entry.id, &mut self.names))
    }
}

pub(super) fn fail(subject: &Subject<'_>, what: &str, error: &io::Error, out: &mut UnitResult) -> u8 {
    out.problems.push((subject.shown(), Problem::of_io(what, error)));
    b'E'
}

fn points_to_special(dir: BorrowedFd<'_>, name: &CStr) -> bool {
    rustix::fs::statat(dir, name, rustix::fs::AtFlags::empty())
        .is_ok_and(|stat| matches!(stat.st_mode & TYPE_MASK, TYPE_FIFO | TYPE_CHARACTER_DEVICE | TYPE_BLOCK_DEVICE))
}
