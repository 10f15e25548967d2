#![no_main]
//! libFuzzer calls `bork_fuzz::sealed::trailer`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::sealed::trailer(data);
});
