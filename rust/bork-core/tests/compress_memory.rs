//! A payload cannot make a reader allocate: alone in its process, because the peak of the process is measured.

#![allow(clippy::unwrap_used)]

use bork_core::compress::{Codec, Decompressor};

/// Largest address space that the process has had. Unit: bytes.
fn peak() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

#[test]
fn a_payload_that_claims_a_huge_window_costs_no_memory() {
    let mut decompressor = Decompressor::new();
    let mut out = vec![0; 1000];
    // zstd: a window of 2 GiB, the largest (descriptor 0xa8), then a last block with a run of 1000 bytes.
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x43, 0x1f, 0x00, b'x'];
    // xz: header without check, then a block header whose LZMA2 dictionary is 4 GiB - 1 (code 40).
    let mut xz = vec![0xfd, b'7', b'z', b'X', b'Z', 0, 0, 0, 0xff, 0x12, 0xd9, 0x41];
    xz.extend([0x02, 0x00, 0x21, 0x01, 40, 0, 0, 0, 0xe6, 0xa0, 0x11, 0xb3]);
    decompressor.decompress(Codec::Zstd, &zstd, 1000, &mut out).unwrap();
    assert!(out.iter().all(|byte| *byte == b'x'));
    let before = peak();
    for _ in 0..3 {
        decompressor.decompress(Codec::Zstd, &zstd, 1000, &mut out).unwrap();
        let error = decompressor.decompress(Codec::Lzma, &xz, 1000, &mut out).unwrap_err();
        assert!(error.to_string().to_lowercase().contains("mem"), "{error}");
    }
    assert!(peak() - before < 8 << 20, "{} bytes more", peak() - before);
}
