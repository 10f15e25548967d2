//! What compression promises, as claims.

use super::*;
use proptest::prelude::*;

const ALL: [Codec; 5] = [Codec::None, Codec::Lz4, Codec::Zstd, Codec::Zlib, Codec::Lzma];

fn spec(codec: Codec, level: u8, auto: bool) -> CompressionSpec {
    CompressionSpec { codec, level, auto, obfuscate: 0 }
}

fn compressor(codec: Codec, level: u8, auto: bool) -> Compressor {
    Compressor::new(spec(codec, level, auto)).unwrap()
}

/// Bytes that no codec makes shorter.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// Text-like bytes that all codecs make shorter.
fn prose(length: usize) -> Vec<u8> {
    (0..)
        .flat_map(|line: u32| format!("line {line} of {}\n", line.wrapping_mul(2_654_435_761)).into_bytes())
        .take(length)
        .collect()
}

/// Mixtures of noise, runs and repeats, as files have them.
fn plaintext() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        (any::<u8>(), 0..5000usize).prop_map(|(byte, count)| vec![byte; count]),
        (proptest::collection::vec(any::<u8>(), 1..20), 1..200usize).prop_map(|(unit, count)| unit.repeat(count)),
    ];
    proptest::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

fn any_spec() -> impl Strategy<Value = CompressionSpec> {
    let codec = prop_oneof![
        Just((Codec::None, 0)),
        Just((Codec::Lz4, 0)),
        (1..=22u8).prop_map(|level| (Codec::Zstd, level)),
        (0..=9u8).prop_map(|level| (Codec::Zlib, level)),
        (0..=9u8).prop_map(|level| (Codec::Lzma, level)),
    ];
    (codec, any::<bool>()).prop_map(|((codec, level), auto)| spec(codec, level, auto))
}

/// Must not panic; `true` if it succeeded.
fn survives(decompressor: &mut Decompressor, codec: Codec, input: &[u8], plain_length: usize) -> bool {
    decompressor.decompress(codec, input, plain_length, &mut vec![0; plain_length]).is_ok()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_plaintext_comes_back_from_every_codec_and_level(
        spec in any_spec(),
        inputs in proptest::collection::vec(plaintext(), 1..4),
    ) {
        let mut compressor = Compressor::new(spec).unwrap();
        let mut decompressor = Decompressor::new();
        for input in inputs {
            let mut payload = b"before".to_vec();
            let codec = compressor.compress(&input, &mut payload);
            let payload = payload.strip_prefix(b"before").unwrap();
            prop_assert!(payload.len() <= input.len());
            prop_assert!(codec != Codec::None || payload == input);
            let mut out = vec![0xaa; input.len()];
            prop_assert_eq!(decompressor.decompress(codec, payload, input.len(), &mut out), Ok(()));
            prop_assert_eq!(out, input);
        }
    }

    #[test]
    fn random_bytes_never_panic(
        codec in prop::sample::select(&ALL),
        input in proptest::collection::vec(any::<u8>(), 0..400),
        length in 0..2000usize,
    ) {
        survives(&mut Decompressor::new(), codec, &input, length);
    }

    #[test]
    fn damaged_payloads_never_panic_and_never_write_past_the_plain_length(
        spec in any_spec(),
        input in plaintext(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..4),
    ) {
        let mut payload = Vec::new();
        let codec = Compressor::new(spec).unwrap().compress(&input, &mut payload);
        if !payload.is_empty() {
            for (place, bit) in flips {
                let place = place.index(payload.len());
                payload[place] ^= 1 << bit;
            }
        }
        let mut out = vec![0xaa; input.len() + 64];
        let _ = Decompressor::new().decompress(codec, &payload, input.len(), &mut out);
        prop_assert!(out[input.len()..].iter().all(|byte| *byte == 0xaa));
    }
}

#[test]
fn each_level_of_each_codec_makes_prose_shorter() {
    let input = prose(60_000);
    let levels = [(Codec::Lz4, 0..=0), (Codec::Zstd, 1..=22), (Codec::Zlib, 1..=9), (Codec::Lzma, 0..=9)];
    for (codec, range) in levels {
        for level in range {
            let mut payload = Vec::new();
            assert_eq!(compressor(codec, level, false).compress(&input, &mut payload), codec, "level {level}");
            assert!(payload.len() < input.len() * 2 / 3, "{codec:?} {level}: {}", payload.len());
        }
    }
}

#[test]
fn noise_is_stored_as_it_is() {
    for length in [0, 1, 10, 1000, 200_000] {
        let input = noise(length);
        for codec in ALL {
            for auto in [false, true] {
                let mut payload = Vec::new();
                assert_eq!(compressor(codec, 1, auto).compress(&input, &mut payload), Codec::None);
                assert_eq!(payload, input);
            }
        }
    }
}

#[test]
fn auto_uses_the_costly_codec_only_where_lz4_sees_hope() {
    let mut compressor = compressor(Codec::Zlib, 6, true);
    let mut used = |input: &[u8]| compressor.compress(input, &mut Vec::new());
    assert_eq!(used(&prose(50_000)), Codec::Zlib);
    assert_eq!(used(&noise(50_000)), Codec::None);
    let little = [noise(49_000), vec![0; 1000]].concat();
    assert_eq!(used(&little), Codec::Lz4, "2 % gained are too few to try");
    let hidden: Vec<u8> = noise(50_000).iter().map(|byte| byte & 0x3f).collect();
    assert_eq!(used(&hidden), Codec::None, "LZ4 has no entropy coder; Borg misses this too");
}

#[test]
fn auto_keeps_lz4_where_the_costly_codec_gains_less_than_one_percent() {
    let input = [noise(100_000), noise(10_000), noise(10_000)].concat();
    let mut payload = Vec::new();
    assert_eq!(compressor(Codec::Zlib, 1, true).compress(&input, &mut payload), Codec::Lz4);
}

#[test]
fn zstd_frames_carry_neither_length_nor_checksum() {
    let mut payload = Vec::new();
    compressor(Codec::Zstd, 3, false).compress(&prose(60_000), &mut payload);
    assert_eq!(payload[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert_eq!(payload[4], 0, "frame header descriptor: no content size, no checksum, no dictionary id");
}

#[test]
fn every_truncation_of_a_payload_is_an_error() {
    let input = prose(3000);
    let mut decompressor = Decompressor::new();
    for codec in ALL {
        let mut payload = Vec::new();
        let codec = compressor(codec, 3, false).compress(&input, &mut payload);
        for length in 0..payload.len() {
            assert!(!survives(&mut decompressor, codec, &payload[..length], input.len()), "{codec:?} {length}");
        }
        assert!(survives(&mut decompressor, codec, &payload, input.len()));
    }
}

#[test]
fn a_wrong_plain_length_or_bytes_after_the_end_are_an_error() {
    let input = prose(3000);
    let mut decompressor = Decompressor::new();
    for codec in ALL {
        let mut payload = Vec::new();
        let codec = compressor(codec, 3, false).compress(&input, &mut payload);
        for length in [0, 1, input.len() - 1, input.len() + 1, input.len() * 2] {
            assert!(!survives(&mut decompressor, codec, &payload, length), "{codec:?} {length}");
        }
        payload.push(0);
        assert!(!survives(&mut decompressor, codec, &payload, input.len()), "{codec:?}");
    }
}

#[test]
fn two_frames_in_a_row_are_an_error_even_if_the_length_fits() {
    for codec in [Codec::Zstd, Codec::Zlib, Codec::Lzma] {
        let mut payload = Vec::new();
        let mut compressor = compressor(codec, 3, false);
        compressor.compress(&prose(2000), &mut payload);
        compressor.compress(&prose(2000), &mut payload);
        assert!(!survives(&mut Decompressor::new(), codec, &payload, 4000), "{codec:?}");
    }
}

#[test]
fn a_failed_payload_leaves_the_decompressor_usable() {
    let input = prose(3000);
    let mut decompressor = Decompressor::new();
    for codec in ALL {
        let mut payload = Vec::new();
        let codec = compressor(codec, 3, false).compress(&input, &mut payload);
        assert!(!survives(&mut decompressor, codec, &payload[..payload.len() / 2], input.len()));
        assert!(survives(&mut decompressor, codec, &payload, input.len()));
    }
}

#[test]
fn a_buffer_that_is_too_short_is_an_error_and_a_longer_one_is_not() {
    let mut out = [0; 10];
    let mut decompressor = Decompressor::new();
    let error = decompressor.decompress(Codec::None, b"eleven byte", 11, &mut out);
    assert_eq!(error, Err(DecompressError::Buffer { have: 10, needed: 11 }));
    assert_eq!(decompressor.decompress(Codec::None, b"nine byte", 9, &mut out), Ok(()));
    assert_eq!(&out, b"nine byte\0");
}

#[test]
fn levels_and_rules_that_do_not_exist_are_refused() {
    for (codec, level) in [(Codec::Zstd, 0), (Codec::Zstd, 23), (Codec::Zlib, 10), (Codec::Lzma, 10)] {
        assert!(matches!(spec(codec, level, false).validate(), Err(SpecError::Level { .. })), "{codec:?} {level}");
    }
    let bad = CompressionSpec { obfuscate: 7, ..spec(Codec::Lz4, 0, false) };
    assert_eq!(bad.validate(), Err(SpecError::Obfuscation(7)));
}

#[test]
fn padding_is_what_borg_1_4_5_adds() {
    // (rule, payload length, random, padding): borg.compress.ObfuscateSize with random.random() replaced by
    // (random >> 11) / 2^53, and its limit of 20 MiB by 32 MiB.
    let (low, high) = (0x1234_5678_9abc_def0, u64::MAX);
    for (spec, length, random, expected) in [
        (1, 1, 0, 100),
        (1, 100, low, 14),
        (1, 4096, low, 576),
        (1, 1_000_001, high, 10_000),
        (1, 1_000_001, 0, 32_554_431),
        (3, 100, low, 1406),
        (3, 4096, low, 57_600),
        (3, 1_000_001, low, 14_062_514),
        (6, 100, low, 1_406_250),
        (6, 4096, high, 4_096_000),
        (110, 100, low, 72),
        (110, 4096, high, 1023),
        (117, 1, low, 9320),
        (123, 4096, low, 596_523),
        (123, 1_000_001, high, 8_388_607),
    ] {
        assert_eq!(padding(spec, length, random), expected, "{spec} {length} {random:#x}");
    }
    for (length, expected) in
        [(0, 0), (1, 0), (2, 0), (3, 0), (7, 0), (9, 1), (10, 0), (100, 4), (1000, 24), (1025, 63), (65_537, 2047)]
    {
        assert_eq!(padding(250, length, 0), expected, "{length}");
    }
    assert_eq!(padding(250, 4_194_305, 0), 131_071);
    assert_eq!(padding(0, 1000, high), 0);
}
