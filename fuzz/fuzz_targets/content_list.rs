#![no_main]
//! libFuzzer calls `bork_fuzz::nodes::content_list`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::nodes::content_list(data);
});
