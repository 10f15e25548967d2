//! Key objects: the secrets of a repository, sealed under a passphrase. Specified in docs/format/key.md.
//!
//! ```text
//! clear part 88 | sealed secrets: id secret 32, number of epochs 2, data secrets 32 each | tag 16
//! ```

use crate::codec::Reader;
use crate::pack::{Suite, TAG_LENGTH};
use crate::{Error, Id, Result, malformed};

/// First bytes of a key object.
pub const MAGIC: [u8; 8] = *b"BORKKEY\0";
/// Version of the key format.
pub const VERSION: u8 = 1;
/// Length of the clear part, which is the associated data of the sealed part. Unit: bytes.
pub const CLEAR_LENGTH: usize = 88;
/// Length of a secret. Unit: bytes.
pub const SECRET_LENGTH: usize = 32;
/// Most data secrets (key epochs) in one key object.
pub const EPOCHS_MAX: usize = 1024;
/// Largest argon2id memory that a reader accepts. Unit: KiB. A hostile key object must not exhaust the machine.
pub const MEMORY_KIB_MAX: u32 = 1 << 20;
/// Most argon2id passes that a reader accepts.
pub const PASSES_MAX: u32 = 64;
/// Most argon2id lanes that a reader accepts.
pub const LANES_MAX: u32 = 64;
/// Key derivation: argon2id, version 0x13.
pub const KDF_ARGON2ID: u8 = 1;
/// A key that reads and writes. Put-only keys have a number of their own, reserved: 2.
pub const ROLE_FULL: u8 = 1;

const WHAT: &str = "key";

/// The clear part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clear {
    /// How objects of the repository are sealed.
    pub suite: Suite,
    /// argon2id memory. Unit: KiB.
    pub memory_kib: u32,
    /// argon2id passes.
    pub passes: u32,
    /// argon2id lanes.
    pub lanes: u32,
    /// argon2id salt, random.
    pub salt: [u8; 32],
    /// Repository that the key belongs to.
    pub repository: Id,
}

impl Clear {
    /// The 88 bytes.
    pub fn encode(&self) -> [u8; CLEAR_LENGTH] {
        let mut out = [0; CLEAR_LENGTH];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&[VERSION, KDF_ARGON2ID, ROLE_FULL, self.suite as u8]);
        out[12..16].copy_from_slice(&self.memory_kib.to_le_bytes());
        out[16..20].copy_from_slice(&self.passes.to_le_bytes());
        out[20..24].copy_from_slice(&self.lanes.to_le_bytes());
        out[24..56].copy_from_slice(&self.salt);
        out[56..88].copy_from_slice(&self.repository);
        out
    }

    /// Reads the clear part, and refuses parameters that would exhaust the machine.
    pub fn decode(bytes: &[u8]) -> Result<Clear> {
        let mut r = Reader::new(bytes, WHAT);
        if r.take_array::<8>()? != MAGIC {
            return malformed(WHAT, "it does not begin with BORKKEY");
        }
        let [version, kdf, role, suite] = r.take_array()?;
        for (field, value, known) in
            [("version", version, VERSION), ("key derivation", kdf, KDF_ARGON2ID), ("role", role, ROLE_FULL)]
        {
            if value != known {
                return Err(Error::Unknown { what: WHAT, field, value: u64::from(value) });
            }
        }
        let [memory_kib, passes, lanes] = [r.take_array()?, r.take_array()?, r.take_array()?].map(u32::from_le_bytes);
        if memory_kib > MEMORY_KIB_MAX || passes > PASSES_MAX || lanes > LANES_MAX || passes == 0 || lanes == 0 {
            return malformed(WHAT, "its key derivation parameters are out of bounds");
        }
        let clear = Clear {
            suite: Suite::from_byte(suite)?,
            memory_kib,
            passes,
            lanes,
            salt: r.take_array()?,
            repository: r.take_array()?,
        };
        let sealed = bytes.len() - CLEAR_LENGTH;
        let least = SECRET_LENGTH * 2 + 2 + TAG_LENGTH;
        if sealed < least || sealed > least + (EPOCHS_MAX - 1) * SECRET_LENGTH {
            return malformed(WHAT, "its sealed part has an impossible length");
        }
        Ok(clear)
    }
}
