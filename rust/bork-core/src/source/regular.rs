//! Regular files: reuse what the previous archive has, or read, until the file holds still.

use super::change::{Unchanged, compare};
use super::file::{
    Draft, FileJob, LargeReader, ReadFault, content_of, has_changed, is_sparse, open, put_whole, read_small,
};
use super::hardlinks::FileKey;
use super::shared::{BodyBytes, UnitResult};
use super::worker::{Subject, Worker, fail};
use crate::metadata::{self, Place};
use crate::problem::{Problem, ProblemKind};
use crate::seam::{ChunkSink, Stop};
use crate::stat::{Stat, stat_fd};
use crate::walk::Body;
use bork_format::item::{Content, Item, TYPE_FILE, TYPE_MASK};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Files up to this size are read in one piece by one worker. Unit: bytes.
const WHOLE_MAX: usize = 4 << 20;
/// How often a file that changes while it is read is read again.
const READS_MAX: u32 = 3;

/// What reading a regular file came to.
enum Read {
    /// The item is complete.
    Item(Box<Item>),
    /// A job will fill the slot.
    Later,
}

impl<S: ChunkSink> Worker<'_, S> {
    /// A regular file, or a special file that is to be read like one.
    pub(super) fn file(&mut self, subject: &Subject<'_>, stat: Option<Stat>, out: &mut UnitResult) -> Result<u8, Stop> {
        let old = self.previous_item(subject);
        if let (Some(stat), Some((old_item, body))) = (&stat, &old) {
            let unchanged = compare(self.files_cache(subject), stat, old_item, self.shared.options.previous_start);
            if unchanged != Unchanged::No && stat.is_file() && self.reuse(&old_item.content) {
                let whole = unchanged == Unchanged::Whole && self.is_whole(subject, stat, old_item);
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
        let before = (out.problems.len(), out.links.len());
        for attempt in 1..=READS_MAX {
            out.problems.truncate(before.0);
            out.links.truncate(before.1);
            let fd = match open(subject.entry.dir.fd(), subject.name, special) {
                Ok(fd) => fd,
                Err(error) => return Ok(fail(subject, "open", &error, out)),
            };
            match self.read(subject, &fd, special, attempt == READS_MAX, out) {
                Ok(None) => {}
                Ok(Some((outcome, changed))) => {
                    out.files += 1;
                    if let Read::Item(item) = outcome {
                        self.complete(subject, &item, out);
                    }
                    if changed {
                        let message = "the file changed while it was read";
                        out.problems.push((subject.shown(), Problem::new(ProblemKind::Changed, message)));
                    }
                    return Ok(if changed { b'C' } else { status });
                }
                Err(ReadFault::Source(problem)) => {
                    out.links.truncate(before.1);
                    out.problems.push((subject.shown(), problem));
                    return Ok(b'E');
                }
                Err(ReadFault::Stop) => return Err(Stop),
            }
        }
        Ok(b'E')
    }

    fn complete(&self, subject: &Subject<'_>, item: &Item, out: &mut UnitResult) {
        if let Err(problem) = subject.unit.fill_item(subject.slot, subject.path(), item) {
            out.problems.push((subject.shown(), problem));
        }
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
        out.links.extend(old.link);
        self.shared.progress.add_bytes(old.size);
        if let Some(body) = body {
            subject.unit.fill(subject.slot, subject.path(), BodyBytes::Kept(body.clone()), old.size);
            return b'U';
        }
        let mut item = Item::default();
        // Most file flags are told of open files alone.
        let file = match self.shared.options.metadata.flags {
            true => open(subject.entry.dir.fd(), subject.name, false).ok(),
            false => None,
        };
        let place =
            Place { dir: subject.entry.dir.fd(), name: subject.name, file: file.as_ref().map(|file| file.as_fd()) };
        let problems = metadata::read(&mut item, stat, place, &mut self.names, &self.shared.options.metadata);
        out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
        item.size = old.size;
        item.content = old.content.clone();
        self.complete(subject, &item, out);
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
    ) -> Result<Option<(Read, bool)>, ReadFault> {
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
        out.problems.extend(problems.into_iter().map(|problem| (subject.shown(), problem)));
        out.links.extend(item.link);
        let key = FileKey::new(before.device, before.inode, before.ctime);
        if before.links > 1
            && !special
            && let Some((content, size)) = self.shared.hard_links.take(&key)
        {
            (item.content, item.size) = (content, size);
            self.shared.progress.add_bytes(size);
            return Ok(Some((Read::Item(Box::new(item)), false)));
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
        item.content = content_of(slices, &mut self.sink)?;
        if before.links > 1 && !changed {
            self.shared.hard_links.put(key, before.links, &item.content, item.size);
        }
        Ok(Some((Read::Item(Box::new(item)), changed)))
    }

    fn read_large(
        &mut self,
        subject: &Subject<'_>,
        fd: &OwnedFd,
        mut item: Item,
        before: &Stat,
        special: bool,
        last: bool,
    ) -> Result<Option<(Read, bool)>, ReadFault> {
        let job = FileJob::new(Arc::clone(subject.unit), subject.slot);
        let shared = self.shared;
        let mut reader = LargeReader::new(shared, &self.chunker, &job);
        let size =
            reader.read(fd.as_fd(), is_sparse(before) && !special, &mut self.sink).inspect_err(|_| job.abandon())?;
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
        subject.unit.expect();
        let key = FileKey::new(before.device, before.inode, before.ctime);
        let linked = (before.links > 1 && !special && !changed).then_some((key, before.links));
        let draft = Draft { item, path: subject.path(), shown: subject.shown(), linked };
        job.finish(draft, &mut self.sink, shared)?;
        Ok(Some((Read::Later, changed)))
    }
}
