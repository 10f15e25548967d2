//! Units from the agent become results, as those of a local backup are.
//!
//! Everything in them is the word of the client. What must hold: paths in tree order, below the roots, and without
//! `..`; items that the format allows; content that this client sent in this session, or that the server told it that
//! it has, or that its previous archive has at the number that it names. Nothing else of what a client says can reach
//! beyond its own archive.

use super::known::IdSet;
use super::line::open_body;
use super::peer;
use super::previous::{Items, reader};
use crate::error::EngineError;
use crate::half::Half;
use crate::objects::ObjectReader;
use crate::port::{receive, send};
use crate::tree::is_below;
use bork_core::compress::Decompressor;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_core::source::{BodyBytes, Status, UnitResult};
use bork_format::Id;
use bork_format::item::{Content, Item, Link, Slice};
use bork_format::node::{check_path, compare};
use bork_format::pull::{Entry, PLAIN_LENGTH_MAX, Problem as WireProblem, UNIT_ITEMS_MAX, Unit, reference_of};
use crossbeam_channel::{Receiver, Sender};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Ids that items may name before their chunks arrive: what the agent's workers keep back is far less.
const AHEAD_MAX: usize = 128 << 10;
/// Most bytes of a message of the client.
const MESSAGE_LENGTH_MAX: usize = 1024;

/// What items of this session may refer to.
pub struct References {
    /// Chunks and lists that were sent and verified, or that the agent was told it need not send.
    pub allowed: IdSet,
    /// Chunks that have been counted: when they were stored, or when they were named and need not be sent.
    pub counted: IdSet,
    /// Named by an item, not yet arrived.
    ahead: Mutex<HashSet<Id>>,
    /// Named once more before they arrived, and how often.
    repeated: Mutex<HashMap<Id, u64>>,
}

impl References {
    /// Nothing is allowed yet.
    pub fn new(scratch: &Path) -> Self {
        let set = || IdSet::new(scratch.into());
        References { allowed: set(), counted: set(), ahead: Mutex::default(), repeated: Mutex::default() }
    }

    /// A slice names a chunk. The first name counts when the chunk is stored, all others here.
    fn slice(&self, id: &Id, half: &Half) -> Result<(), EngineError> {
        self.name(id)?;
        if self.counted.insert(id)? {
            return Ok(());
        }
        match half.stored_length(id) {
            Some(stored) => half.count_reused(&[stored]),
            None => return self.repeat(id, half),
        }
        Ok(())
    }

    /// A chunk that has been counted is named once more before it has arrived.
    fn repeat(&self, id: &Id, half: &Half) -> Result<(), EngineError> {
        let mut repeated = self.repeated.lock().expect("no holder panics");
        *repeated.entry(*id).or_default() += 1;
        if repeated.len() >= AHEAD_MAX {
            repeated.retain(|id, times| match half.stored_length(id) {
                Some(stored) => {
                    (0..*times).for_each(|_| half.count_reused(&[stored]));
                    false
                }
                None => true,
            });
            if repeated.len() >= AHEAD_MAX / 2 {
                return Err(peer("its items name chunks that it does not send"));
            }
        }
        Ok(())
    }

    /// An item names a chunk.
    fn name(&self, id: &Id) -> Result<(), EngineError> {
        if self.allowed.contains(id) {
            return Ok(());
        }
        let mut ahead = self.ahead.lock().expect("no holder panics");
        ahead.insert(*id);
        if ahead.len() >= AHEAD_MAX {
            ahead.retain(|id| !self.allowed.contains(id));
            if ahead.len() >= AHEAD_MAX / 2 {
                return Err(peer("its items name chunks that it does not send"));
            }
        }
        Ok(())
    }

    /// Everything has arrived: each chunk that was named must be there.
    pub fn settle(&self, half: &Half) -> Result<(), EngineError> {
        let repeated = std::mem::take(&mut *self.repeated.lock().expect("no holder panics"));
        for (id, times) in repeated {
            let stored = half.stored_length(&id).unwrap_or(0);
            (0..times).for_each(|_| half.count_reused(&[stored]));
        }
        let ahead = self.ahead.lock().expect("no holder panics");
        if ahead.iter().all(|id| self.allowed.contains(id)) {
            Ok(())
        } else {
            Err(peer("its items name chunks that it did not send"))
        }
    }
}

/// The resolver of one session.
pub struct Resolver {
    half: Arc<Half>,
    references: Arc<References>,
    previous: Option<Items>,
    lists: ObjectReader,
    /// Paths in the archive that were asked for.
    roots: Vec<Vec<u8>>,
    last: Option<Vec<u8>>,
    sequence: u64,
    /// Sum of the sizes of all items; how many items and regular files there were.
    size: u64,
    items: u64,
    files: u64,
    opener: Decompressor,
}

impl Resolver {
    /// `previous`: root of the archive whose items the agent may refer to.
    pub fn new(half: Arc<Half>, references: Arc<References>, previous: Option<Id>, roots: Vec<Vec<u8>>) -> Self {
        let previous = previous.map(|root| Items::new(&half, root));
        let (lists, opener) = (reader(&half), Decompressor::new());
        Resolver {
            half,
            references,
            previous,
            lists,
            roots,
            last: None,
            sequence: 0,
            size: 0,
            items: 0,
            files: 0,
            opener,
        }
    }

    /// Resolves units until there are no more.
    pub fn run(mut self, units: &Receiver<Vec<u8>>, results: &Sender<UnitResult>) -> Result<(), Stop> {
        let port = Arc::clone(&self.half.port);
        while let Some(body) = receive(units, &port)? {
            let result = self.unit(&body).map_err(|error| port.fail(error))?;
            send(results, result, &port)?;
        }
        Ok(())
    }

    fn unit(&mut self, body: &[u8]) -> Result<UnitResult, EngineError> {
        let unit = Unit::decode(&open_body(body, PLAIN_LENGTH_MAX, &mut self.opener)?).map_err(peer)?;
        let count = |entry: &Entry| if let Entry::Kept { count, .. } = entry { *count } else { 1 };
        if unit.entries.iter().map(count).fold(0, u64::saturating_add) > UNIT_ITEMS_MAX as u64 {
            return Err(peer("a unit has too many items"));
        }
        let mut items = Vec::with_capacity(unit.entries.len());
        for entry in unit.entries {
            match entry {
                Entry::Kept { ordinal, count } => self.kept(ordinal, count, &mut items)?,
                Entry::New(path, body) => {
                    self.follow(&path)?;
                    let item = self.item(&body)?;
                    let mut body = Vec::with_capacity(body.len() + 64);
                    item.encode(&mut body);
                    items.push((path, BodyBytes::New(body), item.size));
                }
            }
        }
        for (_, _, size) in &items {
            let sum = self.size.checked_add(*size).filter(|sum| *sum <= i64::MAX as u64);
            self.size = sum.ok_or_else(|| peer("its files are longer than all disks"))?;
        }
        self.items += items.len() as u64;
        self.files = self.files.saturating_add(unit.files);
        if self.files > self.items {
            return Err(peer("it counts more files than it has sent"));
        }
        let sequence = self.sequence;
        self.sequence += 1;
        let link = |linked: bool| linked.then_some(Link { group: 0, count: 0 });
        let statuses = unit.statuses.into_iter();
        let statuses = statuses.map(|s| Status { letter: s.letter, path: s.path, link: link(s.linked) }).collect();
        let problems = unit.problems.into_iter().map(problem_of).collect();
        Ok(UnitResult { sequence, items, statuses, links: unit.links, problems, files: unit.files, met: Vec::new() })
    }

    /// The next path must come after the last one, and lie below or above a root.
    fn follow(&mut self, path: &[u8]) -> Result<(), EngineError> {
        check_path(path).map_err(peer)?;
        if self.last.as_ref().is_some_and(|last| compare(last, path) != Ordering::Less) {
            return Err(peer("its items are not in order"));
        }
        if !self.roots.iter().any(|root| is_below(root, path) || is_below(path, root)) {
            return Err(peer("an item was not asked for"));
        }
        self.last = Some(path.to_vec());
        Ok(())
    }

    /// `count` items of the previous archive as they are.
    fn kept(&mut self, ordinal: u64, count: u64, out: &mut Vec<(Vec<u8>, BodyBytes, u64)>) -> Result<(), EngineError> {
        let end = ordinal.checked_add(count).filter(|_| count > 0);
        let end = end.ok_or_else(|| peer("it keeps an impossible number of items"))?;
        for number in ordinal..end {
            let (path, body) = self.find(number)?;
            self.follow(&path)?;
            let item = Item::decode(&body)?;
            self.reuse(&item.content)?;
            out.push((path, BodyBytes::New(body), item.size));
        }
        Ok(())
    }

    /// Path and body of an item of the previous archive. Numbers only grow.
    fn find(&mut self, number: u64) -> Result<(Vec<u8>, Vec<u8>), EngineError> {
        let items = self.previous.as_mut().ok_or_else(|| peer("it names an archive that it was not sent"))?;
        loop {
            let next = items.ordinal() + 1;
            if next > number {
                return Err(peer("it names items of the previous archive out of order"));
            }
            let (path, body) = items.advance().ok_or_else(|| peer("it names an item that it was not sent"))?;
            if next == number {
                return Ok((path.to_vec(), body.to_vec()));
            }
        }
    }

    fn reuse(&mut self, content: &Content) -> Result<(), EngineError> {
        let stored = self.half.stored_lengths(content, &mut self.lists);
        let stored = stored.ok_or_else(|| peer("it keeps content that is not there any more"))?;
        self.half.count_reused(&stored);
        Ok(())
    }

    /// A new item, with the content that it refers to.
    fn item(&mut self, body: &[u8]) -> Result<Item, EngineError> {
        let mut item = Item::decode(body).map_err(peer)?;
        match &item.content {
            Content::Slices(slices) => self.check(slices)?,
            Content::Lists(lists) => match lists.iter().find_map(reference_of) {
                Some(number) if lists.len() == 1 => {
                    let (_, body) = self.find(number)?;
                    let old = Item::decode(&body)?;
                    if !old.is_file() || old.size != item.size {
                        return Err(peer("it names content of another size"));
                    }
                    self.reuse(&old.content)?;
                    item.content = old.content;
                }
                Some(_) => return Err(peer("it mixes references and lists")),
                None => lists.iter().try_for_each(|id| self.references.name(id))?,
            },
        }
        Ok(item)
    }

    fn check(&self, slices: &[Slice]) -> Result<(), EngineError> {
        check_slices(slices, &self.references, &self.half)
    }
}

/// Each slice must be a hole, or a chunk that this session may refer to.
pub fn check_slices(slices: &[Slice], references: &References, half: &Half) -> Result<(), EngineError> {
    slices.iter().filter(|slice| !slice.is_hole()).try_for_each(|slice| references.slice(&slice.id, half))
}

/// A problem of a client, with its path.
pub fn problem_of(problem: WireProblem) -> (Vec<u8>, Problem) {
    (
        problem.path,
        Problem::new(ProblemKind::ALL[problem.kind.min(ProblemKind::ALL.len() - 1)], words(&problem.message)),
    )
}

/// Words of a client, without what would steer a terminal.
pub fn words(message: &[u8]) -> String {
    let text = String::from_utf8_lossy(&message[..message.len().min(MESSAGE_LENGTH_MAX)]);
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}
