//! Payloads of objects: every codec, to exactly the length that a record says.

use bork_core::compress::{Codec, CompressionSpec, Compressor, DecompressError, Decompressor};
use std::cell::RefCell;

/// Longest plaintext that is tried. Unit: bytes.
const PLAIN_LENGTH_MAX: usize = 1 << 18;
const GUARD: [u8; 16] = [0xa5; 16];

thread_local! {
    // One for all inputs: a damaged payload must not spoil what comes after it.
    static DECOMPRESSOR: RefCell<Decompressor> = RefCell::new(Decompressor::new());
}

/// Codec, 3 bytes plain length, payload. Nothing is written beyond the plain length; what is accepted does not change
/// by being compressed and decompressed again; after any payload the next one is read well.
pub fn decompress(data: &[u8]) -> bool {
    let [codec, a, b, c, payload @ ..] = data else { return false };
    let Ok(codec) = Codec::from_byte(codec % 5) else { return false };
    let length = u32::from_le_bytes([*a, *b, *c, 0]) as usize % (PLAIN_LENGTH_MAX + 1);
    DECOMPRESSOR.with_borrow_mut(|decompressor| {
        let first = run(decompressor, codec, payload, length);
        let plain = match &first {
            Ok(plain) => &plain[..],
            Err(_) => b"what comes after: what comes after: what comes after",
        };
        let spec = CompressionSpec { codec, level: 1, auto: false, obfuscate: 0 };
        let mut again = Vec::new();
        let used = Compressor::new(spec).expect("a level that is").compress(plain, &mut again);
        assert!(again.len() <= plain.len());
        assert_eq!(run(decompressor, used, &again, plain.len()).as_deref(), Ok(plain));
        first.is_ok()
    })
}

fn run(
    decompressor: &mut Decompressor,
    codec: Codec,
    payload: &[u8],
    length: usize,
) -> Result<Vec<u8>, DecompressError> {
    let mut out = vec![0; length];
    out.extend_from_slice(&GUARD);
    let outcome = decompressor.decompress(codec, payload, length, &mut out);
    assert_eq!(out[length..], GUARD, "{codec:?} wrote beyond its plain length");
    out.truncate(length);
    outcome.map(|()| out)
}
