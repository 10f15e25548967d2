#![no_main]
//! libFuzzer calls `bork_fuzz::sealed::record`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::sealed::record(data);
});
