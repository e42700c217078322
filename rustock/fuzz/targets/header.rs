#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rustock::fuzzing::header(bytes));
