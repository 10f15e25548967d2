//! Restoring items below a directory, or verifying their content only.

use super::Reading;
use super::content::Gatherer;
use super::items::{for_each, for_each_slice, object_reader};
use super::restore::{FileState, Use, work};
use crate::error::EngineError;
use crate::objects::{ObjectReader, missing};
use crate::port::{Event, guard};
use bork_core::metadata::{NameCache, flags};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_core::source::printable;
use bork_core::writer::{Directory, Writer};
use bork_format::item::{Item, Slice};
use crossbeam_channel::bounded;
use rustix::fs::{Mode, OFlags, openat};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Bytes of `--list` lines that are collected before they are handed to the driver.
const LINES_LENGTH: usize = 64 << 10;

/// A directory, and a name in it.
type Place<'a> = (Arc<Directory>, &'a [u8]);

/// Another name of something that was restored.
enum Linked {
    File(Arc<FileState>),
    Other(Arc<Directory>, Vec<u8>),
    /// Verified in a dry run.
    Nothing,
}

struct Extract {
    reading: Arc<Reading>,
    writer: Option<Writer>,
    target: Option<PathBuf>,
    /// The directories between the target and the current item, outermost first, with their stripped paths.
    open: Vec<(Vec<u8>, Arc<Directory>)>,
    /// First names of hard links, with the number of names still to come.
    links: HashMap<u64, (Linked, u32)>,
    /// Files with several names that must not be changed any more: their flags come after all names.
    locked: Vec<(Arc<Directory>, Vec<u8>, u32)>,
    gatherer: Gatherer,
    lists: ObjectReader,
    lines: Vec<u8>,
}

/// Runs the restore. Without a target everything is read and verified and nothing written.
pub fn run(reading: &Arc<Reading>, target: Option<&Path>) -> Result<(), Stop> {
    crate::port::allow_open_files();
    let (tasks, task_queue) = bounded(2 * reading.plan.threads);
    let mut workers = Vec::new();
    for number in 0..reading.plan.threads.max(1) {
        let (shared, queue) = (Arc::clone(reading), task_queue.clone());
        let thread = std::thread::Builder::new().name(format!("worker {number}"));
        let thread = thread.spawn(move || guard(&shared.port, || work(&shared, &queue)));
        workers.push(thread.map_err(|error| internal(reading, &error))?);
    }
    drop(task_queue);
    let writer = target.map(|_| Writer::new(reading.plan.write, NameCache::from_system()));
    let mut extract = Extract {
        reading: Arc::clone(reading),
        writer: writer.clone(),
        target: target.map(Path::to_path_buf),
        open: Vec::new(),
        links: HashMap::new(),
        locked: Vec::new(),
        gatherer: Gatherer::new(Arc::clone(reading), tasks),
        lists: object_reader(reading),
        lines: Vec::new(),
    };
    if let (Some(writer), Some(target)) = (&writer, target) {
        let root = writer.open_root(target).map_err(|problem| {
            reading.port.fail(EngineError::Plan(format!("{}: {}", target.display(), problem.message)))
        })?;
        extract.open.push((Vec::new(), root));
    }
    let result = for_each(reading, |path, item| extract.item(path, item)).and_then(|()| extract.finish());
    let Extract { open, locked, gatherer, .. } = extract;
    drop(gatherer); // the workers end when nobody can send to them any more
    for worker in workers {
        let _ = worker.join();
    }
    for (directory, name, flags) in locked {
        if let Err(error) = lock(&directory, &name, flags) {
            reading.port.problem(&directory.path_of(&name), Problem::metadata("set flags", error))?;
        }
    }
    drop(open);
    result?;
    if reading.port.is_stopped() { Err(Stop) } else { report(reading, writer.as_ref()) }
}

fn lock(directory: &Directory, name: &[u8], wanted: u32) -> std::io::Result<()> {
    let mode = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(directory.fd(), name, mode, Mode::empty())?;
    flags::write(file.as_fd(), wanted, flags::KEPT).map_err(|(_, error)| error)
}

fn internal(reading: &Reading, error: &std::io::Error) -> Stop {
    reading.port.fail(EngineError::Internal(format!("no thread: {error}")))
}

fn report(reading: &Reading, writer: Option<&Writer>) -> Result<(), Stop> {
    for (path, problem) in writer.map(Writer::take_problems).unwrap_or_default() {
        reading.port.problem(&path, problem)?;
    }
    Ok(())
}

impl Extract {
    fn item(&mut self, full_path: &[u8], item: Item) -> Result<(), Stop> {
        let Some(path) = strip(full_path, self.reading.plan.strip_components) else { return Ok(()) };
        self.reading.items.fetch_add(1, Ordering::Relaxed);
        self.note(full_path)?;
        if let Err(problem) = self.restore(path, full_path, item)? {
            self.reading.port.problem(full_path, problem)?;
        }
        report(&self.reading, self.writer.as_ref())
    }

    fn note(&mut self, path: &[u8]) -> Result<(), Stop> {
        if let Ok(mut current) = self.reading.path.try_lock() {
            current.clear();
            current.extend_from_slice(path);
        }
        if self.reading.plan.lines.is_some() {
            printable(if path.is_empty() { b"." } else { path }, &mut self.lines);
            self.lines.push(b'\n');
            if self.lines.len() >= LINES_LENGTH {
                self.flush_lines()?;
            }
        }
        Ok(())
    }

    fn flush_lines(&mut self) -> Result<(), Stop> {
        let lines = std::mem::take(&mut self.lines);
        if lines.is_empty() { Ok(()) } else { self.reading.port.emit(Event::Lines(lines)) }
    }

    /// The inner result is the item's own trouble, the outer one ends the run.
    fn restore(&mut self, path: &[u8], full_path: &[u8], item: Item) -> Result<Result<(), Problem>, Stop> {
        let place = match self.enter_parent(path) {
            Ok(place) => place,
            Err(problem) => return Ok(Err(problem)),
        };
        let link = item.link.filter(|_| !item.is_directory());
        if link.is_some_and(|link| self.link_again(link.group, place.as_ref())) {
            return Ok(Ok(()));
        }
        if item.is_file() {
            return self.file(place, full_path, item).map(Ok);
        }
        let (Some(writer), Some((parent, name))) = (&self.writer, place) else { return Ok(Ok(())) };
        if item.is_directory() {
            return Ok(self.directory(parent, name, path, full_path, item));
        }
        let made = writer.make_other(&parent, name, &item);
        if let (Ok(()), Some(link)) = (&made, item.link) {
            self.remember(link.group, link.count, Linked::Other(parent, name.to_vec()));
        }
        Ok(made)
    }

    fn directory(
        &mut self,
        parent: Arc<Directory>,
        name: &[u8],
        path: &[u8],
        full_path: &[u8],
        item: Item,
    ) -> Result<(), Problem> {
        let Some(writer) = &self.writer else { return Ok(()) };
        if let (true, Some(target)) = (name.is_empty(), &self.target) {
            // The root of the archive is the target itself; it comes first, so nothing else is open yet.
            self.open = vec![(Vec::new(), writer.restore_root(target, b".", item)?)];
            return Ok(());
        }
        let directory = writer.enter(&parent, name, Some((full_path, item)))?;
        self.open.push((path.to_vec(), directory));
        Ok(())
    }

    /// The directory that an item belongs in, and its name there. Leaves directories that are complete.
    fn enter_parent<'a>(&mut self, path: &'a [u8]) -> Result<Option<Place<'a>>, Problem> {
        let Some(writer) = &self.writer else { return Ok(None) };
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(at) => (&path[..at], &path[at + 1..]),
            None => (&b""[..], path),
        };
        while self.open.len() > 1 && !self.open.last().is_some_and(|(open, _)| is_prefix(open, parent)) {
            self.open.pop();
        }
        loop {
            let Some((open, directory)) = self.open.last() else {
                return Err(Problem::new(ProblemKind::Io, "the target is not open"));
            };
            if open[..] == *parent {
                return Ok(Some((Arc::clone(directory), name)));
            }
            let rest = &parent[if open.is_empty() { 0 } else { open.len() + 1 }..];
            let component = rest.split(|byte| *byte == b'/').next().unwrap_or_default();
            let directory = writer.enter(directory, component, None)?;
            self.open.push((parent[..parent.len() - rest.len() + component.len()].to_vec(), directory));
        }
    }

    /// Whether the item is a further name of something restored before.
    fn link_again(&mut self, group: u64, place: Option<&Place<'_>>) -> bool {
        let Some((linked, left)) = self.links.get_mut(&group) else { return false };
        if let (Some((directory, name)), Some(writer)) = (place, &self.writer) {
            match linked {
                Linked::File(file) => file.link(Arc::clone(directory), name.to_vec()),
                Linked::Other(source, source_name) => {
                    if let Err(problem) = writer.hard_link(directory, name, source, source_name) {
                        let _ = self.reading.port.problem(&directory.path_of(name), problem);
                    }
                }
                Linked::Nothing => {}
            }
        }
        *left -= 1;
        if *left == 0 {
            self.links.remove(&group);
        }
        true
    }

    fn remember(&mut self, group: u64, count: u32, linked: Linked) {
        if count > 1 {
            self.links.insert(group, (linked, count - 1));
        }
    }

    fn file(&mut self, place: Option<Place<'_>>, full_path: &[u8], mut item: Item) -> Result<(), Stop> {
        let locks = item.flags & (flags::IMMUTABLE | flags::APPEND) != 0 && self.reading.plan.write.flags;
        if let (Some((directory, name)), Some(_), true) = (&place, item.link, locks) {
            self.locked.push((Arc::clone(directory), name.to_vec(), std::mem::take(&mut item.flags)));
        }
        let place = match (&self.writer, place) {
            (Some(writer), Some((directory, name))) => Some((writer.clone(), directory, name.to_vec())),
            _ => None,
        };
        let (link, size) = (item.link, item.size);
        let content = item.content.clone();
        let is_written = place.is_some();
        let file = FileState::new(Arc::clone(&self.reading), place, full_path.to_vec(), item);
        if let Some(link) = link {
            let linked = if is_written { Linked::File(Arc::clone(&file)) } else { Linked::Nothing };
            self.remember(link.group, link.count, linked);
        }
        let mut offset = 0;
        let (reading, gatherer) = (&self.reading, &mut self.gatherer);
        let gathered = for_each_slice(&content, &mut self.lists, |slice| {
            let from = offset;
            offset += u64::from(slice.length);
            gather(reading, gatherer, &file, slice, from)
        });
        match gathered {
            Ok(()) if offset == size => {}
            Ok(()) => file.fail(Problem::new(ProblemKind::Damaged, "its content lists do not add up to its size")),
            Err(Trouble::Stop) => return Err(Stop),
            Err(Trouble::Item(error)) => file.fail(Problem::new(ProblemKind::Damaged, error.to_string())),
        }
        file.release()
    }

    fn finish(&mut self) -> Result<(), Stop> {
        self.flush_lines()?;
        self.gatherer.finish()
    }
}

enum Trouble {
    Stop,
    Item(EngineError),
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        if error == EngineError::Cancelled { Trouble::Stop } else { Trouble::Item(error) }
    }
}

fn gather(
    reading: &Reading,
    gatherer: &mut Gatherer,
    file: &Arc<FileState>,
    slice: &Slice,
    file_offset: u64,
) -> Result<(), Trouble> {
    if slice.is_hole() {
        reading.done.fetch_add(u64::from(slice.length), Ordering::Relaxed);
        return Ok(());
    }
    let location = reading.index.locate(&slice.id).ok_or_else(|| Trouble::Item(missing(&slice.id)))?;
    let used = Use {
        file: Arc::clone(file),
        file_offset,
        id: slice.id,
        chunk_offset: location.offset,
        chunk_length: location.length,
        slice_offset: slice.offset,
        slice_length: slice.length,
    };
    file.expect();
    gatherer.add(location, used).map_err(|Stop| Trouble::Stop)
}

/// The path without its first components; `None` if nothing is left.
fn strip(path: &[u8], count: usize) -> Option<&[u8]> {
    let mut rest = path;
    for _ in 0..count {
        let at = rest.iter().position(|byte| *byte == b'/')?;
        rest = &rest[at + 1..];
    }
    if count > 0 && rest.is_empty() { None } else { Some(rest) }
}

fn is_prefix(open: &[u8], path: &[u8]) -> bool {
    crate::tree::is_below(open, path)
}
