//! Restoring items below a directory, or verifying their content only.

use super::Reading;
use super::content::Gatherer;
use super::items::{for_each, for_each_slice, object_reader, tell};
use super::lines::Lines;
use super::restore::{FileState, Further, Names, Use, not_made, work};
use super::strip;
use crate::error::EngineError;
use crate::objects::{ObjectReader, missing};
use crate::port::Event;
use crate::threads::Threads;
use crate::tree::is_below;
use bork_core::metadata::{NameCache, flags};
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_core::writer::{Place, Places, Spot, Writer, refuse};
use bork_format::item::{Item, Slice};
use crossbeam_channel::bounded;
use rustix::process::{Resource, getrlimit};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Something that was restored and has further names.
enum Linked {
    File(Spot, Arc<Names>),
    Other(Spot),
    /// Verified in a dry run.
    Nothing,
}

struct Extract {
    reading: Arc<Reading>,
    /// Nothing in a dry run.
    places: Option<Places>,
    /// The last item of a dry run that is no directory: nothing can be restored below it.
    leaf: Option<Vec<u8>>,
    /// Files and directories that may be open for items before the current one.
    open_max: usize,
    /// First names of hard links, with the number of names still to come.
    links: HashMap<u64, (Linked, u32)>,
    /// Files with several names that must not be changed any more: their flags come after all names.
    locked: Vec<(Spot, Vec<u8>, u32)>,
    gatherer: Gatherer,
    lists: ObjectReader,
    lines: Lines,
}

/// Runs the restore. Without a target everything is read and verified and nothing written.
pub fn run(reading: &Arc<Reading>, target: Option<&Path>) -> Result<(), Stop> {
    bork_core::descriptors::allow_open_files();
    let (tasks, task_queue) = bounded(2 * reading.plan.threads);
    let workers = Threads::workers(&reading.port, reading.plan.threads.max(1), || {
        let (shared, queue) = (Arc::clone(reading), task_queue.clone());
        move || work(&shared, &queue)
    })?;
    drop(task_queue);
    let plan = &reading.plan;
    let names = NameCache::new(plan.names.clone());
    let writer = target.map(|_| Writer::suspecting(plan.write, names, plan.file_systems.clone()));
    let places = match (&writer, target) {
        (Some(writer), Some(target)) => Some(Places::new(writer.clone(), target).map_err(|problem| {
            reading.port.fail(EngineError::Plan(format!("{}: {}", target.display(), problem.message)))
        })?),
        _ => None,
    };
    if let Some(met) = places.as_ref().and_then(|places| places.met(&plan.file_systems)) {
        reading.port.emit(Event::FileSystem(met))?;
    }
    let mut extract = Extract {
        reading: Arc::clone(reading),
        places,
        leaf: None,
        open_max: open_max(),
        links: HashMap::new(),
        locked: Vec::new(),
        gatherer: Gatherer::new(Arc::clone(reading), tasks),
        lists: object_reader(reading),
        lines: Lines::default(),
    };
    let result = for_each(reading, tell, |path, item| extract.item(path, item)).and_then(|()| extract.finish());
    let Extract { places, locked, gatherer, links, .. } = extract;
    drop((gatherer, links)); // the workers end when nobody can send to them any more
    let worked = workers.join();
    for (spot, path, flags) in locked {
        if let Err(problem) = places.as_ref().map_or(Ok(()), |places| places.set_flags(&spot, flags)) {
            reading.port.problem(&path, problem)?;
        }
    }
    drop(places);
    result.and(worked)?;
    report(reading, writer.as_ref())
}

/// A quarter of what this process may open: a directory and a file for each item on its way, and as much for deep trees.
fn open_max() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| (limit as usize / 4).max(64))
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
        self.lines.note(&self.reading, path)?;
        if let Err(problem) = self.restore(path, full_path, item)? {
            self.reading.port.problem(full_path, problem)?;
        }
        report(&self.reading, self.places.as_ref().map(|places| &places.writer))?;
        self.make_room()
    }

    /// Waits while too much is open for items that are not complete.
    fn make_room(&mut self) -> Result<(), Stop> {
        let Some(places) = &self.places else { return Ok(()) };
        let files = || self.reading.files.load(Ordering::Relaxed);
        if files() == 0 || files().max(places.waiting()) < self.open_max {
            return Ok(());
        }
        self.gatherer.finish()?;
        while files() > 0 && files().max(places.waiting()) > self.open_max / 2 {
            if self.reading.port.is_stopped() {
                return Err(Stop);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// The inner result is the item's own trouble, the outer one ends the run.
    fn restore(&mut self, path: &[u8], full_path: &[u8], item: Item) -> Result<Result<(), Problem>, Stop> {
        let refused = refuse(path, &item).and_then(|()| match &mut self.places {
            Some(places) => places.enter_parent(path).map(Some),
            None => rehearse(&mut self.leaf, path, &item).map(|()| None),
        });
        let place = match refused {
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
        let (Some(places), Some((parent, name))) = (&mut self.places, place) else { return Ok(Ok(())) };
        if item.is_directory() {
            let entered =
                if path.is_empty() { places.restore_root(item) } else { places.enter(path, name, full_path, item) };
            return Ok(entered);
        }
        let made = places.writer.make_other(&parent, name, &item);
        if let (Ok(()), Some(link)) = (&made, item.link) {
            let linked = Linked::Other(places.spot(name));
            self.remember(link.group, link.count, linked);
        }
        Ok(made)
    }

    /// Whether the item is a further name of something restored before.
    fn link_again(&mut self, group: u64, place: Option<&Place<'_>>) -> bool {
        let Some((linked, left)) = self.links.get_mut(&group) else { return false };
        if let (Some((directory, name)), Some(places)) = (place, &self.places) {
            let made = match linked {
                Linked::File(spot, names) => match names.wait(directory, name) {
                    Further::Waits => Ok(()),
                    Further::Now => places.link(spot, directory, name),
                    Further::Never => Err(not_made()),
                },
                Linked::Other(spot) => places.link(spot, directory, name),
                Linked::Nothing => Ok(()),
            };
            if let Err(problem) = made {
                let _ = self.reading.port.problem(&directory.path_of(name), problem);
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
        let (link, size, content) = (item.link, item.size, item.content.clone());
        let locks = item.flags & (flags::IMMUTABLE | flags::APPEND) != 0 && self.reading.plan.write.flags;
        let mut linked = Linked::Nothing;
        let (mut spot, mut at) = (None, None);
        if let (Some(places), Some((directory, name))) = (&self.places, place) {
            if link.is_some() && locks {
                self.locked.push((places.spot(name), full_path.to_vec(), std::mem::take(&mut item.flags)));
            }
            spot = link.map(|_| places.spot(name));
            at = Some((places.writer.clone(), directory, name.to_vec()));
        }
        let file = FileState::new(Arc::clone(&self.reading), at, full_path.to_vec(), item);
        if let Some(spot) = spot {
            linked = Linked::File(spot, Arc::clone(file.names()));
        }
        if let Some(link) = link {
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
        self.lines.flush(&self.reading)?;
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

/// What a restore would find out by itself: nothing can be below what is no directory.
fn rehearse(leaf: &mut Option<Vec<u8>>, path: &[u8], item: &Item) -> Result<(), Problem> {
    if let Some(leaf) = leaf
        && path.len() > leaf.len()
        && is_below(leaf, path)
    {
        let kind = if item.is_directory() { "a directory" } else { "an entry" };
        let message = format!("it is {kind} below \"{}\", which is no directory", leaf.escape_ascii());
        return Err(Problem::new(ProblemKind::SymlinkParent, message));
    }
    *leaf = (!item.is_directory()).then(|| path.to_vec());
    Ok(())
}
