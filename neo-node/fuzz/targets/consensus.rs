#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| neo_node::fuzzing::consensus(bytes));
