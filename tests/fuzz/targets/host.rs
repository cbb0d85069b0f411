//! The target `host` for libFuzzer.

#![no_main]

libfuzzer_sys::fuzz_target!(init: infrahub_sync_fuzz::panics_end_the_program(), |data: &[u8]| infrahub_sync_fuzz::host(data));
