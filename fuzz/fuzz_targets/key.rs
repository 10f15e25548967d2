#![no_main]
//! libFuzzer calls `bork_fuzz::sealed::key`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::sealed::key(data);
});
