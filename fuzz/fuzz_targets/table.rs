#![no_main]
//! libFuzzer calls `bork_fuzz::tables::table`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::tables::table(data);
});
