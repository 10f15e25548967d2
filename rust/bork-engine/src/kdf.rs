//! A key from a passphrase: argon2id. Its parameters are those of docs/format/key.md.

use crate::error::EngineError;
use crate::secrets::Secret;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use bork_format::key::SECRET_LENGTH;
use memmap2::{Advice, MmapMut};

/// Cost of argon2id.
#[derive(Debug, Clone, Copy)]
pub struct KdfCost {
    /// Unit: KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

/// The key. Cost: `passes` times over the memory, by a thread for each lane as far as there are processors.
///
/// The threads are its own and end with it: a process may fork later, and threads would be missing in the child.
///
/// # Errors
/// `KeyInvalid`, when argon2id knows no such cost; `NoMemory`; `Internal`, when there is no thread.
pub(crate) fn stretch(passphrase: &[u8], salt: &[u8; 32], cost: KdfCost) -> Result<Secret, EngineError> {
    let invalid = |error: argon2::Error| EngineError::KeyInvalid(format!("its key derivation parameters: {error}"));
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(SECRET_LENGTH)).map_err(invalid)?;
    let mut memory = Memory::new(params.block_count())?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Secret::default();
    let mut run = || argon2.hash_password_into_with_memory(passphrase, salt, &mut key[..], &mut memory);
    match threads(cost.lanes) {
        1 => run(),
        threads => workers(threads)?.install(run),
    }
    .map_err(invalid)?;
    Ok(key)
}

fn threads(lanes: u32) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    processors.min(lanes as usize)
}

fn workers(threads: usize) -> Result<rayon::ThreadPool, EngineError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(|number| format!("kdf {number}"));
    pool.build().map_err(|error| EngineError::Internal(format!("no thread for the key derivation: {error}")))
}

/// The memory that argon2id fills. In huge pages where the system gives them: it is read in random order.
struct Memory {
    map: MmapMut,
    blocks: usize,
}

impl Memory {
    fn new(blocks: usize) -> Result<Self, EngineError> {
        let map = MmapMut::map_anon(blocks * Block::SIZE);
        let map = map.map_err(|_| EngineError::NoMemory("the derivation of a key from the passphrase"))?;
        let _ = map.advise(Advice::HugePage); // faster with them, right without them
        Ok(Memory { map, blocks })
    }
}

impl AsMut<[Block]> for Memory {
    fn as_mut(&mut self) -> &mut [Block] {
        // SAFETY: the map has `blocks` times the size of a block, begins at a page, and is ours alone; a block is an
        // array of integers, for which all bytes are valid.
        unsafe { std::slice::from_raw_parts_mut(self.map.as_mut_ptr().cast(), self.blocks) }
    }
}
