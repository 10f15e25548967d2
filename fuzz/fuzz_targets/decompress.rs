#![no_main]
//! libFuzzer calls `bork_fuzz::compressed::decompress`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::compressed::decompress(data);
});
