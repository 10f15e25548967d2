#![no_main]
//! libFuzzer calls `bork_fuzz::words::render`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::words::render(data);
});
