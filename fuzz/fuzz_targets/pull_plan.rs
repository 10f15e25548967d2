#![no_main]
//! libFuzzer calls `bork_fuzz::pulled::plan`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::pulled::plan(data);
});
