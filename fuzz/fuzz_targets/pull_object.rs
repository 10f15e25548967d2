#![no_main]
//! libFuzzer calls `bork_fuzz::pulled::object`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::pulled::object(data);
});
