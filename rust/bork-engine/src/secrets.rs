//! The secrets of a repository and everything derived from them. Specified in docs/format/key.md.
//!
//! ```text
//! id secret ----> chunk id key, chunker key, archive name key        (never rotated: ids must stay comparable)
//! data secret of an epoch ----> file base key ----> key of one file   (from its header, which holds a random salt)
//! ```

use crate::error::EngineError;
use crate::kdf::{KdfCost, stretch};
use crate::seal::FileSeal;
use bork_core::identify::SourceKeys;
use bork_format::Id;
use bork_format::key::{CLEAR_LENGTH, Clear, SECRET_LENGTH};
use bork_format::pack::{HEADER_LENGTH, Header, Kind, Suite, TAG_LENGTH};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use zeroize::Zeroizing;

/// Contexts of `derive_key`; each use of a secret has its own.
pub mod context {
    /// Key of chunk ids.
    pub const CHUNK_ID: &str = "bork 2026-11 chunk id";
    /// Key of the chunker's table.
    pub const CHUNKER: &str = "bork 2026-11 chunker";
    /// Key of the names of archive heads.
    pub const ARCHIVE_NAME: &str = "bork 2026-11 archive name";
    /// Base key of the files of one epoch.
    pub const FILE: &str = "bork 2026-11 file";
    /// The id secret of mode `none`, from the repository id.
    pub const PUBLIC_ID: &str = "bork 2026-11 public id secret";
    /// The data secret of mode `none`, from the repository id.
    pub const PUBLIC_DATA: &str = "bork 2026-11 public data secret";
}

pub(crate) type Secret = Zeroizing<[u8; SECRET_LENGTH]>;

/// The secrets of one repository. Wiped when dropped.
#[derive(Clone)]
pub struct Keys {
    repository: Id,
    suite: Suite,
    id_secret: Secret,
    epochs: Vec<Secret>,
    source: SourceKeys,
    archive_name: Secret,
    file_bases: Vec<Secret>,
    repeatable: Option<Arc<Repeatable>>,
}

/// Where the salts of new files come from when the same work has to give the same bytes: a seed, and how many files of
/// each kind there were.
struct Repeatable {
    seed: Vec<u8>,
    files: Mutex<HashMap<Kind, u64>>,
}

fn derive(context: &str, secret: &[u8]) -> Secret {
    Zeroizing::new(blake3::derive_key(context, secret))
}

impl Keys {
    fn new(repository: Id, suite: Suite, id_secret: Secret, epochs: Vec<Secret>) -> Self {
        let source = SourceKeys {
            id: derive(context::CHUNK_ID, &id_secret[..]),
            chunker: derive(context::CHUNKER, &id_secret[..]),
        };
        let archive_name = derive(context::ARCHIVE_NAME, &id_secret[..]);
        let file_bases = epochs.iter().map(|secret| derive(context::FILE, &secret[..])).collect();
        Keys { repository, suite, id_secret, epochs, source, archive_name, file_bases, repeatable: None }
    }

    /// New random secrets.
    pub fn generate(repository: Id, suite: Suite) -> Result<Self, EngineError> {
        let mut secrets = [Secret::default(), Secret::default()];
        for secret in &mut secrets {
            random(&mut secret[..])?;
        }
        let [id_secret, data_secret] = secrets;
        Ok(Keys::new(repository, suite, id_secret, vec![data_secret]))
    }

    /// New random secrets, but the id secret of another repository: equal chunks get equal ids in both.
    pub fn generate_related(repository: Id, suite: Suite, id_secret: [u8; SECRET_LENGTH]) -> Result<Self, EngineError> {
        let mut data_secret = Secret::default();
        random(&mut data_secret[..])?;
        Ok(Keys::new(repository, suite, Zeroizing::new(id_secret), vec![data_secret]))
    }

    /// The id secret, for a related repository. Who has it can tell whether a repository holds a known chunk, and can
    /// open nothing.
    pub fn id_secret(&self) -> &[u8; SECRET_LENGTH] {
        &self.id_secret
    }

    /// The well-known secrets of mode `none`: they protect against accidents, not against anybody.
    pub fn public(repository: Id) -> Self {
        let id_secret = derive(context::PUBLIC_ID, &repository);
        Keys::new(repository, Suite::Blake3Mac, id_secret, vec![derive(context::PUBLIC_DATA, &repository)])
    }

    /// As [`Keys::public`], with salts that follow from `seed`: for tests that do the same work twice. Keys that are
    /// secret cannot be made so, for with them a salt must never come again.
    pub fn repeatable(repository: Id, seed: &[u8]) -> Self {
        let repeatable = Repeatable { seed: seed.to_vec(), files: Mutex::default() };
        Keys { repeatable: Some(Arc::new(repeatable)), ..Keys::public(repository) }
    }

    fn salt(&self, kind: Kind) -> Result<[u8; 32], EngineError> {
        let mut salt = [0; 32];
        match &self.repeatable {
            None => random(&mut salt)?,
            Some(repeatable) => {
                let mut files = repeatable.files.lock().expect("no holder panics");
                let count = files.entry(kind).or_default();
                *count += 1;
                let mut hasher = blake3::Hasher::new();
                hasher.update(&repeatable.seed).update(&[kind as u8]).update(&count.to_le_bytes());
                salt = *hasher.finalize().as_bytes();
            }
        }
        Ok(salt)
    }

    /// Opens a key object. Cost: argon2id with the parameters that the object names (bounded by the format).
    pub fn open(object: &[u8], passphrase: &[u8], repository: &Id) -> Result<Self, EngineError> {
        let clear = Clear::decode(object).map_err(|error| match error {
            bork_format::Error::Unknown { .. } => EngineError::Format(error),
            other => EngineError::KeyInvalid(other.to_string()),
        })?;
        if clear.repository != *repository {
            return Err(EngineError::KeyMismatch);
        }
        let cost = KdfCost { memory_kib: clear.memory_kib, passes: clear.passes, lanes: clear.lanes };
        let seal = FileSeal::new(Suite::Aes256Gcm, &*stretch(passphrase, &clear.salt, cost)?)?;
        let mut secrets = Zeroizing::new(object[CLEAR_LENGTH..].to_vec());
        let length =
            seal.open(0, &object[..CLEAR_LENGTH], &mut secrets).map_err(|_| EngineError::PassphraseWrong)?.len();
        let malformed = || EngineError::KeyInvalid("the secrets have an impossible length".into());
        let (id_secret, rest) = secrets[..length].split_first_chunk::<SECRET_LENGTH>().ok_or_else(malformed)?;
        let (count, rest) = rest.split_first_chunk::<2>().ok_or_else(malformed)?;
        let (epochs, left) = rest.as_chunks::<SECRET_LENGTH>();
        if !left.is_empty() || epochs.is_empty() || epochs.len() != usize::from(u16::from_le_bytes(*count)) {
            return Err(malformed());
        }
        let epochs = epochs.iter().map(|secret| Zeroizing::new(*secret)).collect();
        Ok(Keys::new(clear.repository, clear.suite, Zeroizing::new(*id_secret), epochs))
    }

    /// Seals the secrets under a passphrase: the bytes of a key object.
    pub fn seal(&self, passphrase: &[u8], cost: KdfCost) -> Result<Vec<u8>, EngineError> {
        let mut salt = [0; 32];
        random(&mut salt)?;
        let KdfCost { memory_kib, passes, lanes } = cost;
        let clear = Clear { suite: self.suite, memory_kib, passes, lanes, salt, repository: self.repository };
        let seal = FileSeal::new(Suite::Aes256Gcm, &*stretch(passphrase, &salt, cost)?)?;
        let mut secrets = Zeroizing::new(self.id_secret.to_vec());
        secrets.extend_from_slice(&(self.epochs.len() as u16).to_le_bytes());
        for epoch in &self.epochs {
            secrets.extend_from_slice(&epoch[..]);
        }
        let mut out = clear.encode().to_vec();
        let tag = seal.seal(0, &out, &mut secrets)?;
        out.extend_from_slice(&secrets);
        out.extend_from_slice(&tag);
        Ok(out)
    }

    /// The suite of new files.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// What the source half needs.
    pub fn source(&self) -> &SourceKeys {
        &self.source
    }

    /// Name of the head object of an archive.
    pub fn archive_name(&self, name: &[u8]) -> Id {
        *blake3::keyed_hash(&self.archive_name, name).as_bytes()
    }

    /// Header and seal of a new file: the newest epoch and a random salt.
    pub fn new_file(&self, kind: Kind) -> Result<(Header, FileSeal), EngineError> {
        let salt = self.salt(kind)?;
        let epoch = (self.epochs.len() - 1) as u16;
        let mut repository = [0; 16];
        repository.copy_from_slice(&self.repository[..16]);
        let header = Header { kind, suite: self.suite, epoch, repository, salt };
        let seal = self.file(&header)?;
        Ok((header, seal))
    }

    /// Seal of an existing file.
    pub fn file(&self, header: &Header) -> Result<FileSeal, EngineError> {
        if header.repository != self.repository[..16] {
            return Err(EngineError::damaged("file header", "it belongs to another repository"));
        }
        if header.suite != self.suite {
            return Err(EngineError::damaged("file header", "it names another way of sealing than the repository"));
        }
        let Some(base) = self.file_bases.get(usize::from(header.epoch)) else {
            return Err(EngineError::damaged("file header", "it names a key epoch that this key does not have"));
        };
        let mut hasher = blake3::Hasher::new_keyed(base);
        hasher.update(&self.repository).update(&header.encode());
        FileSeal::new(header.suite, hasher.finalize().as_bytes())
    }

    /// Seals an archive head. See docs/format/archive.md.
    pub fn seal_head(&self, name: &[u8], plain: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.seal_small(Kind::Head, &self.archive_name(name), plain)
    }

    /// Opens an archive head that was stored as `object_name`.
    pub fn open_head(&self, object_name: &Id, data: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.open_small(Kind::Head, "archive head", object_name, data)
    }

    /// Seals a generation. See docs/format/sessions.md.
    pub fn seal_generation(&self, number: u64, plain: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.seal_small(Kind::Generation, &number.to_le_bytes(), plain)
    }

    /// Opens a generation that was stored under `number`.
    pub fn open_generation(&self, number: u64, data: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.open_small(Kind::Generation, "generation", &number.to_le_bytes(), data)
    }

    /// A file of one sealed object: header, sealed bytes, tag, BLAKE3 of all before.
    fn seal_small(&self, kind: Kind, associated: &[u8], plain: &[u8]) -> Result<Vec<u8>, EngineError> {
        let (header, seal) = self.new_file(kind)?;
        let mut out = header.encode().to_vec();
        let mut body = plain.to_vec();
        let tag = seal.seal(0, associated, &mut body)?;
        out.extend_from_slice(&body);
        out.extend_from_slice(&tag);
        let sum = *blake3::hash(&out).as_bytes();
        out.extend_from_slice(&sum);
        Ok(out)
    }

    fn open_small(&self, kind: Kind, what: &str, associated: &[u8], data: &[u8]) -> Result<Vec<u8>, EngineError> {
        if data.len() < HEADER_LENGTH + TAG_LENGTH + 32 {
            return Err(EngineError::damaged(what, "it is truncated"));
        }
        let (sealed, sum) = data.split_at(data.len() - 32);
        if blake3::hash(sealed).as_bytes() != sum {
            return Err(EngineError::damaged(what, "its checksum does not match"));
        }
        let header = Header::decode(&sealed[..HEADER_LENGTH])?;
        if header.kind != kind {
            return Err(EngineError::damaged(what, "it is a file of another kind"));
        }
        let mut body = sealed[HEADER_LENGTH..].to_vec();
        let length = self.file(&header)?.open(0, associated, &mut body)?.len();
        body.truncate(length);
        Ok(body)
    }
}

/// Fills `out` from the system's generator.
pub fn random(out: &mut [u8]) -> Result<(), EngineError> {
    getrandom::fill(out).map_err(|error| EngineError::Internal(format!("the system gives no random bytes: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: KdfCost = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };

    #[test]
    fn a_key_opens_with_its_passphrase_only_and_every_flipped_bit_is_noticed() {
        let keys = Keys::generate([1; 32], Suite::Aes256Gcm).expect("random");
        let object = keys.seal(b"secret", FAST).expect("sealed");
        let opened = Keys::open(&object, b"secret", &[1; 32]).expect("right passphrase");
        assert_eq!(opened.source.id, keys.source.id);
        assert!(matches!(Keys::open(&object, b"wrong", &[1; 32]), Err(EngineError::PassphraseWrong)));
        assert!(matches!(Keys::open(&object, b"secret", &[2; 32]), Err(EngineError::KeyMismatch)));
        for at in (0..object.len()).filter(|at| !(12..24).contains(at)) {
            let mut bad = object.clone();
            bad[at] ^= 1;
            assert!(Keys::open(&bad, b"secret", &[1; 32]).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_head_is_bound_to_its_name_and_every_flipped_bit_is_noticed() {
        let keys = Keys::public([1; 32]);
        let head = keys.seal_head(b"monday", b"{}").expect("sealed");
        assert_eq!(keys.open_head(&keys.archive_name(b"monday"), &head).expect("opens"), b"{}");
        assert!(keys.open_head(&keys.archive_name(b"tuesday"), &head).is_err());
        for at in 0..head.len() {
            let mut bad = head.clone();
            bad[at] ^= 0x10;
            assert!(keys.open_head(&keys.archive_name(b"monday"), &bad).is_err(), "byte {at}");
        }
    }
}
