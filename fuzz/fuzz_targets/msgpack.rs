#![no_main]
//! libFuzzer calls `bork_fuzz::accepted::msgpack`.

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    bork_fuzz::accepted::msgpack(data);
});
