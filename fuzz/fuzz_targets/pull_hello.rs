#![no_main]
//! libFuzzer calls `bork_fuzz::pulled::hello`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::pulled::hello(data);
});
