//! A key from a passphrase: argon2id. Its parameters are those of docs/format/key.md.

use crate::error::EngineError;
use crate::secrets::Secret;
use argon2::{Algorithm, Argon2, Params, Version};
use bork_format::key::SECRET_LENGTH;

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
/// Its memory is in pages of the usual size: huge ones save a tenth of the time on a machine with free memory, and cost
/// up to twice the time where the page cache fills it.
///
/// # Errors
/// `KeyInvalid`, when argon2id knows no such cost; `NoMemory`; `Internal`, when there is no thread.
pub(crate) fn stretch(passphrase: &[u8], salt: &[u8; 32], cost: KdfCost) -> Result<Secret, EngineError> {
    let invalid = |error: argon2::Error| match error {
        argon2::Error::OutOfMemory => EngineError::NoMemory("the derivation of a key from the passphrase"),
        error => EngineError::KeyInvalid(format!("its key derivation parameters: {error}")),
    };
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(SECRET_LENGTH)).map_err(invalid)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut key = Secret::default();
    let mut run = || argon2.hash_password_into(passphrase, salt, &mut key[..]);
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
