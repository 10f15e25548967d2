#![no_main]
//! libFuzzer calls `bork_fuzz::tapes::tar`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::tapes::tar(data);
});
