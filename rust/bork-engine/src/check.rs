//! The check engine: are the packs what they were, and does every reference from an archive resolve?
//!
//! Packs are read whole, once, by several workers: name (BLAKE3 of the file), header, table of contents, agreement
//! with the index, and with `verify_data` every object, down to the ids of its chunks. Archives are read node by node:
//! nodes seen in one archive are not read again for the next.

use crate::error::EngineError;
use crate::index::ChunkIndex;
use crate::objects::{ObjectReader, hex};
use crate::pack::{open_object, open_toc};
use crate::port::{Bytes, Event, Outcome, Port, Range, guard, send};
use crate::secrets::Keys;
use bork_core::compress::Decompressor;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::Id;
use bork_format::item::{Content, Item, Slice, decode_list};
use bork_format::node::{INNER, LeafReader, decode_inner};
use bork_format::pack::HEADER_LENGTH;
use crossbeam_channel::{Receiver, bounded};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Nodes remembered as read, so that archives that share them are checked once. 64 MB at most.
const NODES_MAX: usize = 2 << 20;

/// What is to be checked.
pub struct CheckPlan {
    /// Worker threads, at least 1.
    pub threads: usize,
    /// Packs that the storage lists: name and length.
    pub packs: Vec<(Id, u64)>,
    /// Archives: name to show, and root node.
    pub archives: Vec<(String, Id)>,
    /// Open every object of the packs.
    pub verify_data: bool,
}

struct Checking {
    plan: CheckPlan,
    keys: Option<Arc<Keys>>,
    index: Arc<ChunkIndex>,
    port: Arc<Port>,
    done: AtomicU64,
    objects: AtomicU64,
    problems: AtomicU64,
    name: Mutex<Vec<u8>>,
}

/// A running check.
pub struct CheckEngine {
    checking: Arc<Checking>,
    coordinator: Option<JoinHandle<()>>,
}

impl CheckEngine {
    /// Starts the threads. Without keys only names of packs are checked.
    pub fn start(plan: CheckPlan, keys: Option<Arc<Keys>>, index: Arc<ChunkIndex>) -> Result<Self, EngineError> {
        let checking = Arc::new(Checking {
            plan,
            keys,
            index,
            port: Port::new(),
            done: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            name: Mutex::default(),
        });
        let shared = Arc::clone(&checking);
        let coordinator = std::thread::Builder::new()
            .name("check".into())
            .spawn(move || guard(&shared.port, || shared.run()))
            .map_err(|error| EngineError::Internal(format!("no thread: {error}")))?;
        Ok(CheckEngine { checking, coordinator: Some(coordinator) })
    }

    /// The port of the driver.
    pub fn port(&self) -> &Port {
        &self.checking.port
    }

    /// Packs and archives done, in all, objects opened, current name.
    pub fn progress(&self) -> (u64, u64, u64, Vec<u8>) {
        let checking = &self.checking;
        let total = checking.plan.packs.len() + checking.plan.archives.len();
        let name = checking.name.lock().map(|name| name.clone()).unwrap_or_default();
        (checking.done.load(Ordering::Relaxed), total as u64, checking.objects.load(Ordering::Relaxed), name)
    }
}

impl Drop for CheckEngine {
    fn drop(&mut self) {
        self.port().cancel();
        if let Some(thread) = self.coordinator.take() {
            let _ = thread.join();
        }
    }
}

struct PackTask {
    name: Id,
    length: u64,
    bytes: Bytes,
}

impl Checking {
    fn run(self: &Arc<Self>) -> Result<(), Stop> {
        if !self.plan.packs.is_empty() {
            self.packs()?;
        }
        if let Some(keys) = &self.keys {
            let mut seen = HashSet::new();
            for (name, root) in &self.plan.archives {
                self.at(name.as_bytes());
                let (index, port) = (Arc::clone(&self.index), Arc::clone(&self.port));
                let reader = ObjectReader::new(Arc::clone(keys), index, port);
                self.archive(name, *root, reader, &mut seen)?;
                self.done.fetch_add(1, Ordering::Relaxed);
            }
        }
        let numbers = vec![
            ("objects", self.objects.load(Ordering::Relaxed)),
            ("problems", self.problems.load(Ordering::Relaxed)),
        ];
        self.port.emit(Event::Done(Outcome { root: None, numbers }))
    }

    fn at(&self, name: &[u8]) {
        if let Ok(mut current) = self.name.lock() {
            *current = name.to_vec();
        }
    }

    fn problem(&self, path: &[u8], message: impl Into<String>) -> Result<(), Stop> {
        self.problems.fetch_add(1, Ordering::Relaxed);
        self.port.problem(path, Problem::new(ProblemKind::Damaged, message))
    }

    /// Fetches packs in turn, two ahead of the workers.
    fn packs(self: &Arc<Self>) -> Result<(), Stop> {
        let (tasks, queue) = bounded(1);
        let mut workers = Vec::new();
        for number in 0..self.plan.threads.max(1) {
            let (shared, queue) = (Arc::clone(self), queue.clone());
            let thread = std::thread::Builder::new().name(format!("worker {number}"));
            let thread = thread.spawn(move || guard(&shared.port, || shared.work(&queue)));
            workers.push(thread.map_err(|error| self.port.fail(EngineError::Internal(error.to_string())))?);
        }
        drop(queue);
        for (name, length) in &self.plan.packs {
            let range = Range { pack: *name, offset: 0, length: *length };
            match self.port.fetch(vec![range])? {
                Ok(answer) => {
                    let task = PackTask { name: *name, length: *length, bytes: Arc::clone(&answer[0]) };
                    send(&tasks, task, &self.port)?;
                }
                Err(message) => {
                    self.problem(pack_path(name).as_bytes(), message)?;
                    self.done.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
        drop(tasks);
        for worker in workers {
            let _ = worker.join();
        }
        if self.port.is_stopped() { Err(Stop) } else { Ok(()) }
    }

    fn work(&self, queue: &Receiver<PackTask>) -> Result<(), Stop> {
        let mut decompressor = Decompressor::new();
        while let Ok(task) = queue.recv() {
            if self.port.is_stopped() {
                return Err(Stop);
            }
            let path = pack_path(&task.name);
            self.at(path.as_bytes());
            let bytes: &[u8] = (*task.bytes).as_ref();
            if bytes.len() as u64 != task.length || *blake3::hash(bytes).as_bytes() != task.name {
                self.problem(path.as_bytes(), "The content of the pack does not match its name.")?;
            }
            if let Some(keys) = &self.keys {
                self.pack(keys, &task, &path, bytes, &mut decompressor)?;
            }
            self.done.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn pack(
        &self,
        keys: &Keys,
        task: &PackTask,
        path: &str,
        bytes: &[u8],
        decompressor: &mut Decompressor,
    ) -> Result<(), Stop> {
        let (_, seal, objects) = match open_toc(keys, bytes.len() as u64, bytes, bytes) {
            Ok(opened) => opened,
            Err(error) => return self.problem(path.as_bytes(), format!("Its table of contents: {error}")),
        };
        let (mut sealed, mut plain, mut at) = (Vec::new(), Vec::new(), HEADER_LENGTH);
        for (number, object) in objects.iter().enumerate() {
            let end = at + object.record.stored as usize;
            self.objects.fetch_add(1, Ordering::Relaxed);
            for (id, _) in &object.chunks {
                if self.index.locate(id).is_none() {
                    self.problem(path.as_bytes(), format!("Chunk {} of it is not in the index.", hex(id)))?;
                }
            }
            if self.plan.verify_data {
                sealed.clear();
                sealed.extend_from_slice(&bytes[at..end]);
                plain.resize(object.record.plain as usize, 0);
                let record = &object.record;
                let opened = open_object(&seal, number as u32, record, &mut sealed, decompressor, &mut plain)
                    .map_err(|error| error.to_string())
                    .and_then(|()| verify_ids(keys, &object.chunks, &plain));
                if let Err(message) = opened {
                    self.index.mark_damaged(object.chunks.iter().map(|(id, _)| *id), &task.name);
                    self.problem(path.as_bytes(), format!("The object at offset {at}: {message}"))?;
                }
            }
            at = end;
        }
        Ok(())
    }

    /// Visits every node that no archive before had, and every slice in it.
    fn archive(&self, name: &str, root: Id, mut reader: ObjectReader, seen: &mut HashSet<Id>) -> Result<(), Stop> {
        let mut stack = vec![root];
        while let Some(id) = stack.pop() {
            if self.port.is_stopped() {
                return Err(Stop);
            }
            if !seen.insert(id) {
                continue;
            }
            if seen.len() > NODES_MAX {
                seen.clear();
            }
            self.objects.fetch_add(1, Ordering::Relaxed);
            let checked = reader.read(&id).map_err(|error| error.to_string()).and_then(|node| {
                if node.first() == Some(&INNER) {
                    let inner = decode_inner(&node).map_err(|error| error.to_string())?;
                    stack.extend(inner.children.iter().rev().map(|child| child.id));
                    return Ok(Vec::new());
                }
                self.leaf(&node, &mut reader).map_err(|error| error.to_string())
            });
            match checked {
                Ok(problems) => {
                    for (path, message) in problems {
                        let mut place = name.as_bytes().to_vec();
                        place.extend_from_slice(b": ");
                        place.extend_from_slice(&path);
                        self.problem(&place, message)?;
                    }
                }
                Err(_) if self.port.is_stopped() => return Err(Stop),
                Err(message) => {
                    self.problem(name.as_bytes(), format!("A part of its list of files is lost: {message}"))?;
                }
            }
        }
        Ok(())
    }

    fn leaf(&self, node: &[u8], reader: &mut ObjectReader) -> Result<Vec<(Vec<u8>, String)>, EngineError> {
        let mut problems = Vec::new();
        let mut leaf = LeafReader::new(node)?;
        while let Some(body) = leaf.advance()? {
            let item = Item::decode(body)?;
            let trouble = match &item.content {
                Content::Slices(slices) => self.slices(slices),
                Content::Lists(lists) => self.lists(lists, &item, reader),
            };
            if let Err(message) = trouble {
                problems.push((leaf.path().to_vec(), message));
            }
        }
        Ok(problems)
    }

    fn lists(&self, lists: &[Id], item: &Item, reader: &mut ObjectReader) -> Result<(), String> {
        let mut total = 0;
        for id in lists {
            let plain = reader.read(id).map_err(|error| error.to_string())?;
            let slices = decode_list(&plain).map_err(|error| error.to_string())?;
            self.slices(&slices)?;
            total += slices.iter().map(|slice| u64::from(slice.length)).sum::<u64>();
        }
        if total == item.size { Ok(()) } else { Err("Its content lists do not add up to its size.".into()) }
    }

    fn slices(&self, slices: &[Slice]) -> Result<(), String> {
        for slice in slices.iter().filter(|slice| !slice.is_hole()) {
            let Some(location) = self.index.locate(&slice.id) else {
                return Err(format!("Chunk {} of it is missing.", hex(&slice.id)));
            };
            if u64::from(slice.offset) + u64::from(slice.length) > u64::from(location.length) {
                return Err(format!("Chunk {} of it is shorter than it must be.", hex(&slice.id)));
            }
            if self.index.is_damaged(&slice.id) {
                return Err(format!("Chunk {} of it is damaged.", hex(&slice.id)));
            }
        }
        Ok(())
    }
}

fn pack_path(name: &Id) -> String {
    let digits = hex(name);
    format!("packs/{}/{digits}", &digits[..2])
}

fn verify_ids(keys: &Keys, chunks: &[(Id, u32)], plain: &[u8]) -> Result<(), String> {
    let mut at = 0;
    for (id, length) in chunks {
        let end = at + *length as usize;
        if keys.source().identify(&plain[at..end]) != *id {
            return Err(format!("the content of chunk {} does not match its id", hex(id)));
        }
        at = end;
    }
    Ok(())
}
