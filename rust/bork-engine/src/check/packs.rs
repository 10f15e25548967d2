//! Packs. A short one is read at once, a long one piece by piece, so that memory does not depend on what is stored.

use super::Checking;
use crate::objects::hex;
use crate::pack::{open_object, open_toc, tail_length, verify_chunks};
use crate::port::{Bytes, PendingFetch, Range, receive, send};
use crate::seal::FileSeal;
use crate::secrets::Keys;
use crate::threads::Threads;
use bork_core::compress::Decompressor;
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::pack::{HEADER_LENGTH, TRAILER_LENGTH, TocObject};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A longer pack is read in pieces of this length. Unit: bytes.
const PIECE: u64 = 16 << 20;
/// Packs that are fetched at a time.
const PACKS_MAX: usize = 16;
/// Longest table of contents of a pack that is read in pieces: 1.8 million chunks. Unit: bytes.
const TOC_MAX: usize = 64 << 20;

/// Packs that an index gives another length than the storage does.
type Misstated = HashMap<Id, u64>;

struct PackTask {
    name: Id,
    length: u64,
    /// The pack, unless it is long.
    bytes: Option<Bytes>,
}

/// The objects of a pack, and the one that is looked at.
struct Contents {
    seal: FileSeal,
    objects: Vec<TocObject>,
    next: usize,
    /// Where the next object begins. Unit: bytes.
    at: u64,
}

/// What a worker uses again for each object.
#[derive(Default)]
struct Scratch {
    decompressor: Decompressor,
    sealed: Vec<u8>,
    plain: Vec<u8>,
}

impl Checking {
    /// Fetches packs in turn, some ahead of the workers: a piece's length of short ones, so that they share latency.
    pub(super) fn packs(self: &Arc<Self>) -> Result<(), Stop> {
        let misstated = Arc::new(self.misstated());
        let (tasks, queue) = bounded(1);
        let workers = Threads::workers(&self.port, self.plan.threads.max(1), || {
            let (shared, queue, misstated) = (Arc::clone(self), queue.clone(), Arc::clone(&misstated));
            move || shared.work(&queue, &misstated)
        })?;
        drop(queue);
        let mut coming = self.plan.packs.iter();
        let mut begun: VecDeque<(u64, PackTask, Option<PendingFetch>)> = VecDeque::new();
        loop {
            while begun.len() < PACKS_MAX && begun.iter().map(|(length, ..)| *length).sum::<u64>() < PIECE {
                let Some((name, length)) = coming.next() else { break };
                let task = PackTask { name: *name, length: *length, bytes: None };
                let whole = vec![Range { pack: *name, offset: 0, length: *length }];
                match *length <= PIECE {
                    true => begun.push_back((*length, task, Some(self.port.start_fetch(whole)?))),
                    false => begun.push_back((0, task, None)),
                }
            }
            let Some((_, task, fetch)) = begun.pop_front() else { break };
            self.hand_out(task, fetch, &tasks)?;
        }
        drop(tasks); // the workers end when nobody can send to them any more
        workers.join()
    }

    fn hand_out(&self, mut task: PackTask, fetch: Option<PendingFetch>, tasks: &Sender<PackTask>) -> Result<(), Stop> {
        if let Some(fetch) = fetch {
            match fetch.wait(&self.port)? {
                Ok(mut answer) => task.bytes = Some(answer.swap_remove(0)),
                Err(message) => {
                    self.problem(pack_path(&task.name).as_bytes(), message)?;
                    self.done.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
            }
        }
        send(tasks, task, &self.port)
    }

    fn misstated(&self) -> Misstated {
        let packs: HashMap<Id, u64> = self.plan.packs.iter().copied().collect();
        let differs = |name: &Id, length: u64| packs.get(name).is_some_and(|found| *found != length);
        let stated = self.index.packs().into_iter().filter(|pack| differs(&pack.name, pack.length));
        stated.map(|pack| (pack.name, pack.length)).collect()
    }

    fn fetch(&self, task: &PackTask, offset: u64, length: u64) -> Result<Result<Bytes, String>, Stop> {
        let answer = self.port.fetch(vec![Range { pack: task.name, offset, length }])?;
        Ok(answer.map(|mut answer| answer.swap_remove(0)))
    }

    fn work(&self, queue: &Receiver<PackTask>, misstated: &Misstated) -> Result<(), Stop> {
        let mut scratch = Scratch::default();
        while let Some(task) = receive(queue, &self.port)? {
            let path = pack_path(&task.name);
            self.at(path.as_bytes());
            let hash = match &task.bytes {
                Some(bytes) => self.short(&task, &path, (**bytes).as_ref(), &mut scratch)?,
                None => match self.long(&task, &path, &mut scratch)? {
                    Ok(hash) => hash,
                    Err(message) => {
                        self.problem(path.as_bytes(), message)?;
                        self.done.fetch_add(1, Ordering::Relaxed);
                        continue;
                    }
                },
            };
            if hash != task.name {
                self.problem(path.as_bytes(), "The content of the pack does not match its name.")?;
            } else if let Some(stated) = misstated.get(&task.name) {
                let message = format!("An index gives it {stated} bytes, and it has {}.", task.length);
                self.problem(path.as_bytes(), message)?;
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn short(&self, task: &PackTask, path: &str, bytes: &[u8], scratch: &mut Scratch) -> Result<Id, Stop> {
        if let Some(mut contents) = self.contents(path, bytes.len() as u64, bytes, bytes)? {
            self.objects(task, path, &mut contents, 0, bytes, scratch)?;
        }
        Ok(*blake3::hash(bytes).as_bytes())
    }

    /// Memory: some pieces, and the longest object. The hash, or why the pack cannot be read.
    fn long(&self, task: &PackTask, path: &str, scratch: &mut Scratch) -> Result<Result<Id, String>, Stop> {
        let mut contents = match self.ends(task, path)? {
            Ok(Some((head, tail))) => self.contents(path, task.length, (*head).as_ref(), (*tail).as_ref())?,
            Ok(None) => None,
            Err(message) => return Ok(Err(message)),
        };
        let mut hasher = blake3::Hasher::new();
        let (mut start, mut rest) = (0, Vec::new());
        let mut at = 0;
        while at < task.length {
            let length = PIECE.min(task.length - at);
            let piece = match self.fetch(task, at, length)? {
                Ok(piece) => piece,
                Err(message) => return Ok(Err(message)),
            };
            let piece: &[u8] = (*piece).as_ref();
            hasher.update(piece);
            at += length;
            if let Some(contents) = &mut contents {
                rest.extend_from_slice(piece);
                self.objects(task, path, contents, start, &rest, scratch)?;
                rest.drain(..(contents.at - start) as usize);
                start = contents.at;
            }
        }
        Ok(Ok(*hasher.finalize().as_bytes()))
    }

    /// Header and tail of a long pack; nothing without keys.
    fn ends(&self, task: &PackTask, path: &str) -> Result<Result<Option<(Bytes, Bytes)>, String>, Stop> {
        if self.keys.is_none() {
            return Ok(Ok(None));
        }
        let trailer = match self.fetch(task, task.length - TRAILER_LENGTH as u64, TRAILER_LENGTH as u64)? {
            Ok(trailer) => trailer,
            Err(message) => return Ok(Err(message)),
        };
        let length = match tail_length((*trailer).as_ref()) {
            Ok(length) if length <= TOC_MAX => (length as u64).min(task.length),
            Ok(_) => {
                self.problem(path.as_bytes(), "Its table of contents is too long.")?;
                return Ok(Ok(None));
            }
            Err(error) => {
                self.problem(path.as_bytes(), format!("Its table of contents: {error}"))?;
                return Ok(Ok(None));
            }
        };
        let head = self.fetch(task, 0, HEADER_LENGTH as u64)?;
        let tail = self.fetch(task, task.length - length, length)?;
        Ok(head.and_then(|head| Ok(Some((head, tail?)))))
    }

    /// Opens the table of contents, and looks up its chunks. None, if there is nothing to look at.
    fn contents(&self, path: &str, length: u64, head: &[u8], tail: &[u8]) -> Result<Option<Contents>, Stop> {
        let Some(keys) = &self.keys else { return Ok(None) };
        let (seal, objects) = match open_toc(keys, length, head, tail) {
            Ok((_, seal, objects)) => (seal, objects),
            Err(error) => {
                self.problem(path.as_bytes(), format!("Its table of contents: {error}"))?;
                return Ok(None);
            }
        };
        self.objects.fetch_add(objects.len() as u64, Ordering::Relaxed);
        for (id, _) in objects.iter().flat_map(|object| &object.chunks) {
            if self.index.locate(id).is_none() {
                self.problem(path.as_bytes(), format!("Chunk {} of it is not in the index.", hex(id)))?;
            }
        }
        let contents = Contents { seal, objects, next: 0, at: HEADER_LENGTH as u64 };
        Ok(self.plan.verify_data.then_some(contents))
    }

    /// Opens the objects that are whole in `bytes`, which begin at `start` in the pack.
    fn objects(
        &self,
        task: &PackTask,
        path: &str,
        contents: &mut Contents,
        start: u64,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), Stop> {
        let Some(keys) = &self.keys else { return Ok(()) };
        let Contents { seal, objects, next, at } = contents;
        while let Some(object) = objects.get(*next) {
            let from = (*at - start) as usize;
            let Some(sealed) = bytes.get(from..from + object.record.stored as usize) else { break };
            if let Err(message) = scratch.verify(keys, seal, *next as u32, object, sealed) {
                self.index.mark_damaged(object.chunks.iter().map(|(id, _)| *id), &task.name);
                self.problem(path.as_bytes(), format!("The object at offset {at}: {message}"))?;
            }
            *at += u64::from(object.record.stored);
            *next += 1;
        }
        Ok(())
    }
}

impl Scratch {
    fn verify(
        &mut self,
        keys: &Keys,
        seal: &FileSeal,
        number: u32,
        object: &TocObject,
        sealed: &[u8],
    ) -> Result<(), String> {
        self.sealed.clear();
        self.sealed.extend_from_slice(sealed);
        self.plain.resize(object.record.plain as usize, 0);
        open_object(seal, number, &object.record, &mut self.sealed, &mut self.decompressor, &mut self.plain)
            .map_err(|error| error.to_string())?;
        verify_chunks(keys, &object.chunks, &self.plain).map_err(|error| error.to_string())
    }
}

fn pack_path(name: &Id) -> String {
    let digits = hex(name);
    format!("packs/{}/{digits}", &digits[..2])
}
