//! Many nodes of the production code on a virtual clock. `SIM_SEEDS` says how many seeds each test runs; a failure
//! prints its seed.

mod actor;
mod network;
mod runs;
mod signatures;

/// Seeds to run: `SIM_SEEDS`, else the default of the test.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let first = std::env::var("SIM_FIRST").ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let count = std::env::var("SIM_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    first..first + count
}
