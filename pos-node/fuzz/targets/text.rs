#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| pos_node::fuzzing::text(bytes));
