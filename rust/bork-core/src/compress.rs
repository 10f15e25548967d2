//! Compression of objects: plaintext in, payload and the codec that was really used out.
//!
//! A payload carries neither its codec nor its length: the record of the object does ([`bork_format::pack::Record`]).
//! So a codec here adds as little of its own as its format allows, and no checksum where that can be switched off:
//! the object is authenticated as a whole. The formats stay the public ones, so that any LZ4, zstd, zlib or xz
//! library can read a payload. What does not get smaller is stored as it is.
//!
//! Sealing may add zero bytes after the payload ([`padding`]) to blur its length; the record keeps the true length of
//! the payload, and a [`Decompressor`] never sees the padding.
//!
//! Contexts (hash tables of LZ4, the zstd and zlib states) live in a [`Compressor`], one for each worker thread.

mod decompress;
mod padding;

pub use bork_format::pack::Codec;
pub use decompress::{DecompressError, Decompressor};
pub use padding::{is_padding_spec, padding};

use flate2::{Compress as ZlibState, Compression, FlushCompress, Status};
use liblzma::stream::{Action, Check, Filters, LzmaOptions, Status as LzmaStatus, Stream};
use lz4_flex::block::{CompressTable, compress_into_with_table, get_maximum_output_size};
use zstd::bulk::Compressor as ZstdState;
use zstd::zstd_safe::CParameter;

/// Inputs of at least this length need the large LZ4 table: entries of the small one have 16 bits.
const LZ4_SMALL_LENGTH_MAX: usize = u16::MAX as usize;
/// `auto` tries the costly codec if LZ4 gets below this many percent of the input (Borg's ratio 0.97).
const AUTO_TRY_PERCENT: usize = 97;
/// `auto` keeps the costly result if it is below this many percent of LZ4's (Borg's ratio 0.99).
const AUTO_KEEP_PERCENT: usize = 99;
/// Smallest dictionary that the xz format can name. Unit: bytes.
const LZMA_DICTIONARY_MIN: usize = 4096;

/// What `-C` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompressionSpec {
    /// The codec to try.
    pub codec: Codec,
    /// Its level: zstd 1 to 22, zlib and lzma 0 to 9; ignored by none and lz4.
    pub level: u8,
    /// Ask LZ4 first whether trying `codec` is worth it.
    pub auto: bool,
    /// Padding rule for [`padding`], 0 for none. Applied by whoever seals, not by the [`Compressor`].
    pub obfuscate: u16,
}

/// Why no [`Compressor`] can be made of a specification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The codec has no such level.
    #[error("compression level {level} is not between {min} and {max}")]
    Level {
        /// The level asked for.
        level: u8,
        /// Lowest level of the codec.
        min: u8,
        /// Highest level of the codec.
        max: u8,
    },
    /// The padding rule is unknown.
    #[error("obfuscation {0} is none of 1 to 6, 110 to 123, 250")]
    Obfuscation(u16),
    /// The codec's library refused its parameters, or had no memory for its state.
    #[error("{codec:?} could not be set up: {why}")]
    Setup {
        /// The codec.
        codec: Codec,
        /// The words of the library.
        why: String,
    },
}

impl CompressionSpec {
    /// Checks level and padding rule.
    pub fn validate(&self) -> Result<(), SpecError> {
        let (min, max) = match self.codec {
            Codec::None | Codec::Lz4 => (0, u8::MAX),
            Codec::Zstd => (1, 22),
            Codec::Zlib | Codec::Lzma => (0, 9),
        };
        if !(min..=max).contains(&self.level) {
            return Err(SpecError::Level { level: self.level, min, max });
        }
        if !is_padding_spec(self.obfuscate) {
            return Err(SpecError::Obfuscation(self.obfuscate));
        }
        Ok(())
    }
}

/// State of the codec that a specification names.
enum Engine {
    None,
    Lz4,
    Zstd(ZstdState<'static>),
    Zlib(ZlibState),
    Lzma(u32),
}

/// Compresses one object after the other with the same specification.
///
/// Memory: the longest input once (twice with `auto`), the LZ4 tables (24 KiB), and the state of the codec. For inputs
/// of 1 MiB that was measured as 1 MiB for zstd 3, 11 MiB for zstd 9, 18 MiB for zstd 19 and 12 MiB for lzma 6.
/// Cost: lzma sets its state up anew for each input.
pub struct Compressor {
    engine: Engine,
    auto: bool,
    lz4_small: CompressTable,
    lz4_large: CompressTable,
    cheap: Vec<u8>,
    costly: Vec<u8>,
}

impl Compressor {
    /// Sets up the contexts.
    ///
    /// # Errors
    /// A level or padding rule that does not exist, or no memory.
    pub fn new(spec: CompressionSpec) -> Result<Compressor, SpecError> {
        spec.validate()?;
        let engine = match spec.codec {
            Codec::None => Engine::None,
            Codec::Lz4 => Engine::Lz4,
            Codec::Zstd => Engine::Zstd(zstd_state(spec.level)?),
            Codec::Zlib => Engine::Zlib(ZlibState::new(Compression::new(u32::from(spec.level)), true)),
            Codec::Lzma => Engine::Lzma(u32::from(spec.level)),
        };
        Ok(Compressor {
            engine,
            // LZ4 would only be asked twice, and answer the same.
            auto: spec.auto && spec.codec != Codec::Lz4,
            lz4_small: CompressTable::small(),
            lz4_large: CompressTable::large(),
            cheap: Vec::new(),
            costly: Vec::new(),
        })
    }

    /// Appends the payload of `input` to `out` and returns its codec. The payload is never longer than the input;
    /// where no codec makes it shorter, it is the input itself and the codec is [`Codec::None`].
    ///
    /// A codec that fails (its library ran out of memory) counts as one that does not make the input shorter.
    pub fn compress(&mut self, input: &[u8], out: &mut Vec<u8>) -> Codec {
        let (codec, payload) = if self.auto { self.automatic(input) } else { self.plain(input) };
        match payload {
            Some(payload) => out.extend_from_slice(payload),
            None => out.extend_from_slice(input),
        }
        codec
    }

    /// The codec of the specification, or none.
    fn plain(&mut self, input: &[u8]) -> (Codec, Option<&[u8]>) {
        let tables = (&mut self.lz4_small, &mut self.lz4_large);
        match self.engine.run(input, tables, &mut self.costly) {
            Some(length) => (self.engine.codec(), Some(&self.costly[..length])),
            None => (Codec::None, None),
        }
    }

    /// Borg's `auto`: none if LZ4 gains nothing, LZ4 if it gains little, else the better of LZ4 and the costly codec.
    fn automatic(&mut self, input: &[u8]) -> (Codec, Option<&[u8]>) {
        let tables = (&mut self.lz4_small, &mut self.lz4_large);
        let Some(cheap) = lz4(input, tables, &mut self.cheap) else { return (Codec::None, None) };
        if cheap * 100 < input.len() * AUTO_TRY_PERCENT {
            let tables = (&mut self.lz4_small, &mut self.lz4_large);
            if let Some(costly) = self.engine.run(input, tables, &mut self.costly)
                && costly * 100 < cheap * AUTO_KEEP_PERCENT
            {
                return (self.engine.codec(), Some(&self.costly[..costly]));
            }
        }
        (Codec::Lz4, Some(&self.cheap[..cheap]))
    }
}

type Lz4Tables<'a> = (&'a mut CompressTable, &'a mut CompressTable);

impl Engine {
    fn codec(&self) -> Codec {
        match self {
            Engine::None => Codec::None,
            Engine::Lz4 => Codec::Lz4,
            Engine::Zstd(_) => Codec::Zstd,
            Engine::Zlib(_) => Codec::Zlib,
            Engine::Lzma(_) => Codec::Lzma,
        }
    }

    /// Compresses to the beginning of `buffer`; the length, if shorter than the input.
    fn run(&mut self, input: &[u8], tables: Lz4Tables<'_>, buffer: &mut Vec<u8>) -> Option<usize> {
        let length = match self {
            Engine::None => None,
            Engine::Lz4 => lz4(input, tables, buffer),
            Engine::Zstd(state) => {
                // With room for the worst case zstd need not check for the end of the buffer.
                let room = grown(buffer, zstd::zstd_safe::compress_bound(input.len()));
                state.compress_to_buffer(input, room).ok()
            }
            Engine::Zlib(state) => zlib(input, state, grown(buffer, input.len())),
            Engine::Lzma(level) => lzma(input, *level, grown(buffer, input.len())),
        };
        length.filter(|length| *length < input.len())
    }
}

/// The first `length` bytes of `buffer`, which is made longer if needed and never shorter.
fn grown(buffer: &mut Vec<u8>, length: usize) -> &mut [u8] {
    if buffer.len() < length {
        buffer.resize(length, 0);
    }
    &mut buffer[..length]
}

fn zstd_state(level: u8) -> Result<ZstdState<'static>, SpecError> {
    let setup = |error: std::io::Error| SpecError::Setup { codec: Codec::Zstd, why: error.to_string() };
    let mut state = ZstdState::new(i32::from(level)).map_err(setup)?;
    // The record knows the length, the seal protects the bytes, and there are no dictionaries: a frame of one block
    // is 9 bytes longer than its block.
    for parameter in
        [CParameter::ContentSizeFlag(false), CParameter::ChecksumFlag(false), CParameter::DictIdFlag(false)]
    {
        state.set_parameter(parameter).map_err(setup)?;
    }
    Ok(state)
}

fn lz4(input: &[u8], (small, large): Lz4Tables<'_>, buffer: &mut Vec<u8>) -> Option<usize> {
    let table = if input.len() < LZ4_SMALL_LENGTH_MAX { small } else { large };
    let room = grown(buffer, get_maximum_output_size(input.len()));
    compress_into_with_table(input, room, table).ok().filter(|length| *length < input.len())
}

/// One zlib stream; none if it does not fit into `room`.
fn zlib(input: &[u8], state: &mut ZlibState, room: &mut [u8]) -> Option<usize> {
    state.reset();
    match state.compress(input, room, FlushCompress::Finish) {
        Ok(Status::StreamEnd) => Some(state.total_out() as usize),
        _ => None,
    }
}

/// One xz stream without integrity check; none if it does not fit into `room`.
///
/// The dictionary is no larger than the input needs: tables for 64 MiB (level 9) would cost more than the work, and
/// the reader has to allocate what is written here.
fn lzma(input: &[u8], level: u32, room: &mut [u8]) -> Option<usize> {
    let mut options = LzmaOptions::new_preset(level).ok()?;
    let dictionary = lzma_dictionary(input.len());
    if dictionary < lzma_preset_dictionary(level) {
        options.dict_size(dictionary);
    }
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let mut stream = Stream::new_stream_encoder(&filters, Check::None).ok()?;
    loop {
        let (read, written) = (stream.total_in() as usize, stream.total_out() as usize);
        match stream.process(&input[read..], &mut room[written..], Action::Finish) {
            Ok(LzmaStatus::StreamEnd) => return Some(stream.total_out() as usize),
            Ok(_) if (stream.total_in() as usize, stream.total_out() as usize) != (read, written) => {}
            _ => return None,
        }
    }
}

/// A dictionary that covers a plaintext of `length` bytes: a power of two, which xz can write exactly.
fn lzma_dictionary(length: usize) -> u32 {
    length.max(LZMA_DICTIONARY_MIN).next_power_of_two().min(1 << 31) as u32
}

/// The dictionary sizes of `xz -0` to `xz -9`. Unit: bytes.
fn lzma_preset_dictionary(level: u32) -> u32 {
    let exponents = [18, 20, 21, 22, 22, 23, 23, 24, 25, 26];
    1 << exponents[level.min(9) as usize]
}

#[cfg(test)]
mod tests;
