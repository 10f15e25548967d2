//! How content is cut, as archives and pull plans say it. Cutting itself is the engine's.

/// How the content of an archive is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkerParams {
    /// Keyed Gear: all three as powers of two.
    Gear {
        /// No chunk but the last of a file is shorter than `2^min_exponent` bytes.
        min_exponent: u8,
        /// No chunk is longer than `2^max_exponent` bytes.
        max_exponent: u8,
        /// Behind the minimum a cut comes on average after `2^mask_bits` bytes.
        mask_bits: u8,
    },
    /// Blocks of equal length after an optional header, for disk images.
    Fixed {
        /// Unit: bytes.
        block: u32,
        /// Length of a first chunk of its own; 0 for none. Unit: bytes.
        header: u32,
    },
}

impl ChunkerParams {
    /// Whether the values are within the format's limits.
    pub fn is_valid(&self) -> bool {
        match *self {
            ChunkerParams::Gear { min_exponent, max_exponent, mask_bits } => {
                (6..=23).contains(&min_exponent)
                    && (min_exponent..=23).contains(&max_exponent)
                    && (min_exponent..=max_exponent).contains(&mask_bits)
            }
            ChunkerParams::Fixed { block, header } => (64..=8 << 20).contains(&block) && header <= 8 << 20,
        }
    }

    /// Length of the longest chunk. Unit: bytes.
    pub fn longest(&self) -> usize {
        match *self {
            ChunkerParams::Gear { max_exponent, .. } => 1 << max_exponent,
            ChunkerParams::Fixed { block, header } => block.max(header) as usize,
        }
    }
}
