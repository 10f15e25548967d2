//! Sealing and opening with the key of one file. Specified in docs/format/object.md.
//!
//! This is the only module that calls an AEAD. Each file has a key of its own (see [`crate::secrets`]) and object `i`
//! in it nonce `i`, so there is no nonce state to lose or to share, and no pair of key and nonce comes twice.

use crate::error::EngineError;
use bork_format::pack::{Suite, TAG_LENGTH, nonce};
use ring::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

/// The key of one file, ready to use.
pub enum FileSeal {
    /// AES-256-GCM or ChaCha20-Poly1305.
    Aead(Box<LessSafeKey>),
    /// Plain bytes with a keyed BLAKE3 tag.
    Mac(Zeroizing<[u8; 32]>),
}

impl FileSeal {
    /// Prepares a key.
    pub fn new(suite: Suite, key: &[u8; 32]) -> Result<Self, EngineError> {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
            Suite::Blake3Mac => return Ok(FileSeal::Mac(Zeroizing::new(*key))),
        };
        let key = UnboundKey::new(algorithm, key).map_err(|_| EngineError::Internal("key length".into()))?;
        Ok(FileSeal::Aead(Box::new(LessSafeKey::new(key))))
    }

    /// Seals `bytes` in place as object `index`; returns the tag.
    pub fn seal(&self, index: u32, associated: &[u8], bytes: &mut [u8]) -> Result<[u8; TAG_LENGTH], EngineError> {
        match self {
            FileSeal::Aead(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce(index));
                let tag = key
                    .seal_in_place_separate_tag(nonce, Aad::from(associated), bytes)
                    .map_err(|_| EngineError::Internal("sealing failed".into()))?;
                let mut out = [0; TAG_LENGTH];
                out.copy_from_slice(tag.as_ref());
                Ok(out)
            }
            FileSeal::Mac(key) => Ok(mac(key, index, associated, bytes)),
        }
    }

    /// Opens object `index` in place: `bytes` end with the tag. Returns the plain part, or an error if any bit of
    /// the bytes, the index or the associated data differs from what was sealed.
    pub fn open<'a>(&self, index: u32, associated: &[u8], bytes: &'a mut [u8]) -> Result<&'a mut [u8], EngineError> {
        let damaged = || EngineError::damaged("sealed object", "it does not authenticate");
        if bytes.len() < TAG_LENGTH {
            return Err(damaged());
        }
        match self {
            FileSeal::Aead(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce(index));
                key.open_in_place(nonce, Aad::from(associated), bytes).map_err(|_| damaged())
            }
            FileSeal::Mac(key) => {
                let (plain, tag) = bytes.split_at_mut(bytes.len() - TAG_LENGTH);
                let expected = mac(key, index, associated, plain);
                // Compared without a branch on the position of a difference.
                let difference = expected.iter().zip(&*tag).fold(0, |sum, (a, b)| sum | (a ^ b));
                if difference == 0 { Ok(plain) } else { Err(damaged()) }
            }
        }
    }
}

fn mac(key: &[u8; 32], index: u32, associated: &[u8], bytes: &[u8]) -> [u8; TAG_LENGTH] {
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&nonce(index)).update(&(associated.len() as u32).to_le_bytes()).update(associated).update(bytes);
    let mut tag = [0; TAG_LENGTH];
    tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG_LENGTH]);
    tag
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_every_suite_each_flipped_bit_and_each_wrong_context_is_refused() {
        for suite in [Suite::Aes256Gcm, Suite::ChaCha20Poly1305, Suite::Blake3Mac] {
            let seal = FileSeal::new(suite, &[9; 32]).expect("key");
            let mut sealed = b"some bytes".to_vec();
            let tag = seal.seal(3, b"context", &mut sealed).expect("seals");
            sealed.extend_from_slice(&tag);
            assert_eq!(seal.open(3, b"context", &mut sealed.clone()).expect("opens"), b"some bytes");
            assert!(seal.open(4, b"context", &mut sealed.clone()).is_err());
            assert!(seal.open(3, b"Context", &mut sealed.clone()).is_err());
            for bit in 0..sealed.len() * 8 {
                let mut bad = sealed.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(seal.open(3, b"context", &mut bad).is_err());
            }
        }
    }
}
