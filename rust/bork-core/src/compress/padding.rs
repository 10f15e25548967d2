//! How many zero bytes to add to a payload, so that its length says less about its plaintext (`-C obfuscate,SPEC`).
//!
//! The rules are Borg 1.4's: relative random padding (1 to 6), additive random padding (110 to 123), and Padmé (250,
//! deterministic; Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs",
//! 2019). The zeros stand behind the payload, inside the seal; they are not compressed, or they would hide nothing.

use bork_format::pack::PLAIN_LENGTH_MAX;

/// Smallest random fraction of the relative rules: padding is at most 10,000 times their factor.
const FRACTION_MIN: f64 = 0.0001;
/// 2^-53: a double holds a random number of 53 bits exactly.
const FRACTION_UNIT: f64 = 1.0 / (1u64 << 53) as f64;

/// Whether [`padding`] knows the rule; 0 is the rule that pads nothing.
pub fn is_padding_spec(spec: u16) -> bool {
    matches!(spec, 0..=6 | 110..=123 | 250)
}

/// Number of zero bytes to add to a payload of `length` bytes. Pure: the same arguments give the same answer.
///
/// `random` must be uniform in all 64 bits and new for each object. Payload and padding together never exceed
/// [`PLAIN_LENGTH_MAX`]. An unknown rule pads nothing; [`is_padding_spec`] tells them apart.
pub fn padding(spec: u16, length: usize, random: u64) -> usize {
    let fraction = (random >> 11) as f64 * FRACTION_UNIT;
    let wanted = match spec {
        1..=6 => {
            let factor = 0.001 * 10f64.powi(i32::from(spec));
            (length as f64 * (factor / fraction.max(FRACTION_MIN))) as usize
        }
        110..=123 => ((1u64 << (spec - 100)) as f64 * fraction) as usize,
        250 => padme(length),
        _ => 0,
    };
    wanted.min((PLAIN_LENGTH_MAX as usize).saturating_sub(length))
}

/// Rounds up to a length whose low bits are zero: of a length with exponent E, about log2(E) + 1 high bits stay. At
/// most 12 % are added, and lengths up to L fall into O(log log L) classes for each power of two.
fn padme(length: usize) -> usize {
    if length < 2 {
        return 0;
    }
    let exponent = length.ilog2();
    let low_bits = exponent - (exponent.ilog2() + 1);
    length.next_multiple_of(1 << low_bits) - length
}
