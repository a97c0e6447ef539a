#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| flame_core::lies::maps(bytes));
