#![no_main]
//! libFuzzer calls `bork_fuzz::nodes::item`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::nodes::item(data);
});
