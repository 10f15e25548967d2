//! The way back: a payload to exactly as many bytes as the record of its object says.
//!
//! Payloads are authenticated before they come here, but a key holder may lie, so no number in a payload is
//! trusted: every codec writes into the caller's slice and stops at its end, and the only state whose size a payload
//! could choose, the dictionary of xz, is limited to what the plaintext length needs.

use super::{Codec, lzma_dictionary};
use flate2::{Decompress as ZlibState, FlushDecompress, Status};
use liblzma::stream::{Action, Status as LzmaStatus, Stream};
use zstd::bulk::Decompressor as ZstdState;

/// What liblzma needs beside the dictionary. Unit: bytes.
const LZMA_STATE_LENGTH: u64 = 1 << 20;

/// Why a payload is not what its record says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// The caller's buffer does not hold the plaintext length.
    #[error("a buffer of {have} bytes cannot take a plaintext of {needed}")]
    Buffer {
        /// Length of the buffer.
        have: usize,
        /// Length of the plaintext.
        needed: usize,
    },
    /// The payload is no valid stream of its codec, or a longer one than it may be.
    #[error("the {codec:?} payload of {payload} bytes is damaged: {why}")]
    Damaged {
        /// The codec.
        codec: Codec,
        /// Length of the payload.
        payload: usize,
        /// What the decoder says.
        why: String,
    },
    /// The payload is a valid stream of another length.
    #[error("the {codec:?} payload gives {found} bytes where its record says {expected}")]
    Length {
        /// The codec.
        codec: Codec,
        /// Length in the record.
        expected: usize,
        /// Length that came out.
        found: usize,
    },
}

type Result<T> = std::result::Result<T, DecompressError>;

/// Decompresses one payload after the other. Memory: 160 KiB for zstd and 40 KiB for zlib, each on first use; an
/// lzma call allocates the plaintext length, rounded up to a power of two, and 1 MiB at most.
#[derive(Default)]
pub struct Decompressor {
    zstd: Option<ZstdState<'static>>,
    zlib: Option<ZlibState>,
}

impl Decompressor {
    /// No context yet; each codec makes its own on first use.
    pub fn new() -> Decompressor {
        Decompressor::default()
    }

    /// Writes the plaintext of `input` to `out[..plain_length]`, which it must fill exactly.
    ///
    /// # Errors
    /// `out` too short, a damaged payload, bytes after the end of the stream, or another length than `plain_length`.
    /// The content of `out` is then undefined.
    pub fn decompress(&mut self, codec: Codec, input: &[u8], plain_length: usize, out: &mut [u8]) -> Result<()> {
        let have = out.len();
        let Some(out) = out.get_mut(..plain_length) else {
            return Err(DecompressError::Buffer { have, needed: plain_length });
        };
        let found = match codec {
            Codec::None => none(input, out),
            Codec::Lz4 => lz4(input, out),
            Codec::Zstd => zstd(self.zstd.get_or_insert_with(ZstdState::default), input, out),
            Codec::Zlib => zlib(self.zlib.get_or_insert_with(|| ZlibState::new(true)), input, out),
            Codec::Lzma => lzma(input, out),
        }
        .map_err(|why| DecompressError::Damaged { codec, payload: input.len(), why })?;
        if found != plain_length {
            return Err(DecompressError::Length { codec, expected: plain_length, found });
        }
        Ok(())
    }
}

/// Length of what was written, or the decoder's complaint.
type Outcome = std::result::Result<usize, String>;

const BYTES_LEFT: &str = "bytes are left over after its end";

fn none(input: &[u8], out: &mut [u8]) -> Outcome {
    if input.len() == out.len() {
        out.copy_from_slice(input);
    }
    Ok(input.len())
}

fn lz4(input: &[u8], out: &mut [u8]) -> Outcome {
    lz4_flex::block::decompress_into(input, out).map_err(|error| error.to_string())
}

/// One frame. Decoding in one call uses `out` itself as the window, so a window size in the frame costs nothing.
fn zstd(state: &mut ZstdState<'static>, input: &[u8], out: &mut [u8]) -> Outcome {
    let complaint = |code| zstd::zstd_safe::get_error_name(code).to_owned();
    if zstd::zstd_safe::find_frame_compressed_size(input).map_err(complaint)? != input.len() {
        return Err(BYTES_LEFT.to_owned());
    }
    state.decompress_to_buffer(input, out).map_err(|error| error.to_string())
}

fn zlib(state: &mut ZlibState, input: &[u8], out: &mut [u8]) -> Outcome {
    state.reset(true);
    match state.decompress(input, out, FlushDecompress::Finish) {
        Ok(Status::StreamEnd) if state.total_in() == input.len() as u64 => Ok(state.total_out() as usize),
        Ok(Status::StreamEnd) => Err(BYTES_LEFT.to_owned()),
        Ok(_) => Err("it is truncated, or longer than its record says".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn lzma(input: &[u8], out: &mut [u8]) -> Outcome {
    let memory = u64::from(lzma_dictionary(out.len())) + LZMA_STATE_LENGTH;
    let mut stream = Stream::new_stream_decoder(memory, 0).map_err(|error| error.to_string())?;
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        match stream.process(&input[read..], &mut out[written..], Action::Finish) {
            Ok(LzmaStatus::StreamEnd) if stream.total_in() == input.len() as u64 => {
                return Ok(stream.total_out() as usize);
            }
            Ok(LzmaStatus::StreamEnd) => return Err(BYTES_LEFT.to_owned()),
            Ok(_) if (stream.total_in() as usize, stream.total_out() as usize) != (read, written) => {}
            Ok(_) => return Err("it is truncated, or longer than its record says".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
}
