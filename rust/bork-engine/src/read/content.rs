//! Fetching the objects that some files need, in batches, and handing them to workers.

use super::Reading;
use super::items::object_reader;
use super::restore::{ObjectTask, Use, from_other_copy};
use crate::index::Location;
use crate::objects::{FetchPlan, ObjectReader, Seals, short};
use crate::port::PendingFetch;
use bork_core::problem::{Problem, ProblemKind};
use bork_core::seam::Stop;
use bork_format::Id;
use crossbeam_channel::Sender;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A batch is fetched at this many stored bytes, or uses. As much as two full ones is under way at a time, and no more
/// than so many batches. Unit: bytes.
const BATCH_LENGTH: u64 = 8 << 20;
const BATCHES: usize = 8;
const BATCH_USES: usize = 8192;

struct Wanted {
    location: Location,
    uses: Vec<Use>,
}

struct Pending {
    wanted: Vec<Wanted>,
    plan: FetchPlan,
    fetch: PendingFetch,
    length: u64,
}

/// Collects uses of chunks, object by object.
pub struct Gatherer {
    reading: Arc<Reading>,
    seals: Arc<Seals>,
    tasks: Sender<ObjectTask>,
    wanted: Vec<Wanted>,
    places: HashMap<(Id, u32), usize>,
    length: u64,
    uses: usize,
    pending: VecDeque<Pending>,
    /// For chunks whose copy cannot be read.
    reader: ObjectReader,
}

impl Gatherer {
    /// An empty batch.
    pub fn new(reading: Arc<Reading>, tasks: Sender<ObjectTask>) -> Self {
        Gatherer {
            reader: object_reader(&reading),
            reading,
            seals: Arc::default(),
            tasks,
            wanted: Vec::new(),
            places: HashMap::new(),
            length: 0,
            uses: 0,
            pending: VecDeque::new(),
        }
    }

    /// One more use of the chunk at `location`.
    pub fn add(&mut self, location: Location, used: Use) -> Result<(), Stop> {
        let key = (location.pack, location.object_index);
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                self.length += u64::from(location.record.stored);
                self.places.insert(key, self.wanted.len());
                self.wanted.push(Wanted { location, uses: Vec::new() });
                self.wanted.len() - 1
            }
        };
        self.wanted[place].uses.push(used);
        self.uses += 1;
        if self.length >= BATCH_LENGTH || self.uses >= BATCH_USES { self.start() } else { Ok(()) }
    }

    /// Fetches what is left and hands everything over.
    pub fn finish(&mut self) -> Result<(), Stop> {
        self.start()?;
        self.dispatch()
    }

    /// Asks for the batch; meanwhile hands out the one before.
    fn start(&mut self) -> Result<(), Stop> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        let wanted = std::mem::take(&mut self.wanted);
        self.places.clear();
        let length = std::mem::take(&mut self.length);
        self.uses = 0;
        let locations: Vec<Location> = wanted.iter().map(|wanted| wanted.location).collect();
        let plan = FetchPlan::new(&locations, &self.seals);
        let fetch = self.reading.port.start_fetch(plan.ranges.clone())?;
        self.pending.push_back(Pending { wanted, plan, fetch, length });
        while self.pending.len() > BATCHES || self.under_way() > 2 * BATCH_LENGTH {
            let Some(oldest) = self.pending.pop_front() else { break };
            self.hand_out(oldest)?;
        }
        Ok(())
    }

    fn under_way(&self) -> u64 {
        self.pending.iter().map(|pending| pending.length).sum()
    }

    fn dispatch(&mut self) -> Result<(), Stop> {
        while let Some(pending) = self.pending.pop_front() {
            self.hand_out(pending)?;
        }
        Ok(())
    }

    fn hand_out(&mut self, pending: Pending) -> Result<(), Stop> {
        let Pending { wanted, plan, fetch, .. } = pending;
        let answer = match fetch.wait(&self.reading.port)? {
            Ok(answer) => answer,
            Err(message) => return self.one_by_one(wanted, &message),
        };
        if let Err(error) = plan.learn(&answer, &self.reading.keys, &self.seals) {
            return self.one_by_one(wanted, &error.to_string());
        }
        for (wanted, part) in wanted.into_iter().zip(&plan.parts) {
            let location = wanted.location;
            let bytes = &answer[part.range];
            if (**bytes).as_ref().len() < part.at + location.record.stored as usize {
                self.damaged(wanted, &short(&location).to_string())?;
                continue;
            }
            let Some(seal) = self.seals.get(&location.pack) else {
                self.alone(wanted)?; // too many packs were met meanwhile: its header has to be read again
                continue;
            };
            let task = ObjectTask { bytes: Arc::clone(bytes), at: part.at, location, seal, uses: wanted.uses };
            crate::port::send(&self.tasks, task, &self.reading.port)?;
        }
        Ok(())
    }

    /// Part of a batch cannot be read: finds out which part, and restores the rest.
    fn one_by_one(&mut self, mut wanted: Vec<Wanted>, message: &str) -> Result<(), Stop> {
        if wanted.len() == 1 {
            return wanted.pop().map_or(Ok(()), |wanted| self.damaged(wanted, message));
        }
        wanted.into_iter().try_for_each(|wanted| self.alone(wanted))
    }

    fn alone(&mut self, wanted: Wanted) -> Result<(), Stop> {
        let plan = FetchPlan::new(std::slice::from_ref(&wanted.location), &self.seals);
        let fetch = self.reading.port.start_fetch(plan.ranges.clone())?;
        self.hand_out(Pending { wanted: vec![wanted], plan, fetch, length: 0 })
    }

    /// Content that cannot be read here: it is taken from elsewhere, or its files are told.
    fn damaged(&mut self, wanted: Wanted, message: &str) -> Result<(), Stop> {
        for used in wanted.uses {
            let problem = Problem::new(ProblemKind::Damaged, message);
            if let Err(problem) =
                from_other_copy(&self.reading, &mut self.reader, &used, &wanted.location.pack, problem)
            {
                used.file.fail(problem);
            }
            used.file.release()?;
        }
        Ok(())
    }
}
