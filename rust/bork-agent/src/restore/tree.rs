//! Entries are made below the target, or left alone where they are right already.

use super::content::{Files, Pending, Wrong};
use bork_core::metadata::flags;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::writer::{Existing, Place, Places, Spot, refuse};
use bork_format::item::{Item, Link};
use bork_format::pull::{Run, Verdict};
use std::collections::HashMap;

/// What may be remembered of sets of hard links. Unit: bytes.
const LINKS_LENGTH_MAX: usize = 32 << 20;
/// What a set takes besides its path. Unit: bytes.
const LINK_LENGTH: usize = 256;

/// The first name of a set of hard links.
struct Linked {
    spot: Spot,
    /// Number of its file, if that had to wait for content.
    number: Option<u64>,
    /// Names still to come.
    left: u32,
    cost: usize,
}

/// The tree that is written.
pub struct Tree {
    places: Places,
    /// Files that wait for their content.
    pub files: Files,
    links: HashMap<u64, Linked>,
    links_length: usize,
    /// Files with several names that must not be changed any more: their flags come after all names.
    locked: Vec<(Spot, Vec<u8>, u32)>,
    open_max: usize,
    problems: Vec<(Vec<u8>, Problem)>,
}

impl Tree {
    /// `open_max`: directories that may be open for files that wait.
    pub fn new(places: Places, open_max: usize) -> Self {
        Tree {
            places,
            files: Files::default(),
            links: HashMap::new(),
            links_length: 0,
            locked: Vec::new(),
            open_max,
            problems: Vec::new(),
        }
    }

    /// Whether further entries may come before more content has come.
    pub fn has_room(&self) -> bool {
        self.files.is_empty() || self.places.waiting().max(self.files.names()) < self.open_max
    }

    /// The entries of a batch have been dealt with.
    pub fn end_batch(&mut self) {
        self.files.end_batch();
        self.complete();
    }

    /// Makes an entry, or as much of it as can be made without its content.
    pub fn entry(&mut self, path: &[u8], item: Item) -> Verdict {
        match self.restore(path, item) {
            Ok(verdict) => verdict,
            Err(problem) => {
                self.problems.push((path.to_vec(), problem));
                Verdict::Refused
            }
        }
    }

    fn restore(&mut self, path: &[u8], item: Item) -> Result<Verdict, Problem> {
        refuse(path, &item)?;
        if path.is_empty() {
            let verdict = verdict(&self.places.look_at_root(&item));
            self.places.restore_root(item)?;
            return Ok(verdict);
        }
        let (directory, name) = self.places.enter_parent(path)?;
        let existing = self.places.writer.look(&directory, name, &item)?;
        let verdict = verdict(&existing);
        if item.is_directory() {
            self.places.enter(path, name, path, item)?;
            return Ok(verdict);
        }
        if let Some(link) = item.link
            && self.links.contains_key(&link.group)
        {
            self.link_again(link.group, (directory, name))?;
            return Ok(verdict);
        }
        if item.is_file() {
            return Ok(self.file(path, (directory, name), item, existing));
        }
        if !matches!(existing, Existing::Same) {
            self.places.writer.make_other(&directory, name, &item)?;
        }
        self.remember(item.link, name, None, path);
        Ok(verdict)
    }

    fn file(&mut self, path: &[u8], (directory, name): Place<'_>, mut item: Item, existing: Existing) -> Verdict {
        let locks = item.flags & (flags::IMMUTABLE | flags::APPEND) != 0 && self.places.writer.options().flags;
        let is_room = self.links_length < LINKS_LENGTH_MAX;
        if item.link.is_some() && locks && is_room && !matches!(existing, Existing::Same) {
            self.links_length += path.len() + LINK_LENGTH;
            self.locked.push((self.places.spot(name), path.to_vec(), std::mem::take(&mut item.flags)));
        }
        let content = match existing {
            Existing::Nothing => Verdict::MadeOfContent,
            Existing::Other => Verdict::ReplacedByContent,
            Existing::Same | Existing::Alike(None) => {
                self.remember(item.link, name, None, path);
                return Verdict::Same;
            }
            Existing::Alike(Some(file)) => {
                self.places.writer.correct_file(&directory, name, &file, &item);
                self.remember(item.link, name, None, path);
                return Verdict::Corrected;
            }
        };
        let number = self.files.next_number();
        self.remember(item.link, name, Some(number), path);
        self.files.push(Pending::new(directory, name.to_vec(), item));
        content
    }

    /// The first name of a set of hard links: further ones are made from it, as long as there is room to remember it.
    fn remember(&mut self, link: Option<Link>, name: &[u8], number: Option<u64>, path: &[u8]) {
        let Some(link) = link.filter(|link| link.count > 1) else { return };
        let cost = path.len() + LINK_LENGTH;
        if self.links_length + cost > LINKS_LENGTH_MAX {
            let message = "too many hard links are under way: its further names become files of their own";
            self.problems.push((path.to_vec(), Problem::new(ProblemKind::Metadata, message)));
            return;
        }
        self.links_length += cost;
        self.links.insert(link.group, Linked { spot: self.places.spot(name), number, left: link.count - 1, cost });
    }

    /// A further name of something that was restored, or waits for its content.
    fn link_again(&mut self, group: u64, place: Place<'_>) -> Result<(), Problem> {
        let Some(linked) = self.links.get_mut(&group) else { return Ok(()) };
        let made = match linked.number.and_then(|number| self.files.waiting(number)) {
            Some(pending) => {
                pending.names.push((place.0, place.1.to_vec()));
                Ok(())
            }
            None => self.places.link(&linked.spot, &place.0, place.1),
        };
        linked.left -= 1;
        if linked.left == 0 {
            self.forget(group);
        }
        made
    }

    fn forget(&mut self, group: u64) {
        if let Some(linked) = self.links.remove(&group) {
            self.links_length = self.links_length.saturating_sub(linked.cost);
        }
    }

    /// The next run of content. Errors: the server sent what nobody waits for.
    pub fn run(&mut self, run: Run<'_>) -> Result<(), Wrong> {
        self.files.run(run, &self.places.writer)?;
        self.complete();
        Ok(())
    }

    /// Completes the files whose content has come.
    fn complete(&mut self) {
        while let Some(done) = self.files.take_done(&self.places.writer) {
            if let Some(link) = done.item.link.filter(|_| !done.is_whole) {
                self.forget(link.group); // the next name that comes is tried as if it was the first
            }
            self.problems.extend(done.problems);
        }
    }

    /// The problems met since the last call.
    pub fn take_problems(&mut self) -> Vec<(Vec<u8>, Problem)> {
        self.problems.extend(self.places.writer.take_problems());
        std::mem::take(&mut self.problems)
    }

    /// Directories get their attributes now. Returns the last problems.
    pub fn finish(mut self) -> Vec<(Vec<u8>, Problem)> {
        let mut problems = self.take_problems();
        let writer = self.places.writer.clone();
        let Tree { places, locked, files, .. } = self;
        drop(files);
        for (spot, path, flags) in locked {
            if let Err(problem) = places.set_flags(&spot, flags) {
                problems.push((path, problem));
            }
        }
        drop(places);
        problems.extend(writer.take_problems());
        problems
    }
}

/// What becomes of an entry that needs no content.
pub fn verdict(existing: &Existing) -> Verdict {
    match existing {
        Existing::Nothing => Verdict::Made,
        Existing::Other => Verdict::Replaced,
        Existing::Same => Verdict::Same,
        Existing::Alike(_) => Verdict::Corrected,
    }
}
