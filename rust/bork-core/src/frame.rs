//! Bodies of compressed frames: what the two halves of the engine send each other besides chunks. Specified in
//! docs/protocol.md, "The agent".

use crate::compress::{CompressionSpec, Compressor, DecompressError, Decompressor, SpecError};
use bork_format::codec::{Reader, put_varint, take_varint};
use bork_format::pack::Codec;

/// zstd 3, as that of tree nodes.
const COMPRESSION: CompressionSpec = CompressionSpec { codec: Codec::Zstd, level: 3, auto: false, obfuscate: 0 };

/// Why a body cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Its head is not what the protocol demands.
    #[error(transparent)]
    Format(#[from] bork_format::Error),
    /// It says that it has more plain bytes than it may have.
    #[error("it is longer than {0} bytes")]
    TooLong(usize),
    /// Its payload is not what its head says.
    #[error(transparent)]
    Damaged(#[from] DecompressError),
}

/// Compresses bodies as senders of single frames do.
pub fn body_compressor() -> Result<Compressor, SpecError> {
    Compressor::new(COMPRESSION)
}

/// The body of a compressed frame.
pub fn put_body(compressor: &mut Compressor, plain: &[u8]) -> Vec<u8> {
    let (mut body, mut payload) = (Vec::with_capacity(plain.len() / 2 + 16), Vec::with_capacity(plain.len() / 2));
    body.push(compressor.compress(plain, &mut payload) as u8);
    put_varint(&mut body, plain.len() as u64);
    body.extend_from_slice(&payload);
    body
}

/// Opens the body of a compressed frame, which has at most `length_max` plain bytes. Memory: those.
pub fn open_body(body: &[u8], length_max: usize, opener: &mut Decompressor) -> Result<Vec<u8>, BodyError> {
    let mut reader = Reader::new(body, "frame");
    let codec = Codec::from_byte(reader.take(1)?[0])?;
    let length = take_varint(&mut reader)?;
    let length = usize::try_from(length).ok().filter(|length| *length <= length_max);
    let length = length.ok_or(BodyError::TooLong(length_max))?;
    let mut plain = vec![0; length];
    opener.decompress(codec, &body[reader.position()..], length, &mut plain)?;
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_comes_back_within_its_limit_and_no_longer_one_does() {
        let plain = b"entry ".repeat(100);
        let body = put_body(&mut body_compressor().expect("known"), &plain);
        let mut opener = Decompressor::new();
        assert_eq!(open_body(&body, plain.len(), &mut opener).expect("whole"), plain);
        assert!(matches!(open_body(&body, plain.len() - 1, &mut opener), Err(BodyError::TooLong(599))));
        assert!((0..body.len()).all(|length| open_body(&body[..length], plain.len(), &mut opener).is_err()));
    }
}
