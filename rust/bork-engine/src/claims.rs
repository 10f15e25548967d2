//! Chunks that are on their way into packs, which no table lists yet.

use bork_format::Id;
use std::collections::HashMap;
use std::sync::Mutex;

/// Chunks of packs that this run is writing: claimed by the worker that saw them first.
#[derive(Default)]
pub struct Claims {
    shards: Vec<Mutex<HashMap<Id, u32>>>,
}

impl Claims {
    /// Empty.
    pub fn new() -> Self {
        Claims { shards: (0..64).map(|_| Mutex::default()).collect() }
    }

    fn shard(&self, id: &Id) -> &Mutex<HashMap<Id, u32>> {
        &self.shards[usize::from(id[0]) % self.shards.len()]
    }

    /// True if the caller is the first to see the chunk and so must store it.
    pub fn claim(&self, id: &Id) -> bool {
        let mut shard = self.shard(id).lock().expect("no holder panics");
        if shard.contains_key(id) {
            return false;
        }
        shard.insert(*id, 0);
        true
    }

    /// Whether somebody has claimed the chunk.
    pub fn contains(&self, id: &Id) -> Option<u32> {
        self.shard(id).lock().expect("no holder panics").get(id).copied()
    }

    /// Records the stored length of a claimed chunk.
    pub fn stored(&self, id: &Id, length: u32) {
        if let Some(slot) = self.shard(id).lock().expect("no holder panics").get_mut(id) {
            *slot = length;
        }
    }

    /// Forgets a chunk that a table now lists.
    pub fn release(&self, id: &Id) {
        self.shard(id).lock().expect("no holder panics").remove(id);
    }
}
