//! Many nodes of the production code on a virtual clock. `SIM_SEEDS` says how many seeds each test runs; a failure
//! prints its seed.

mod actor;
mod network;
mod runs;
mod signatures;

/// Runs a test for as many seeds as `SIM_SEEDS` says, else its default, from `SIM_FIRST` on; all of them, also when some
/// fail. The test gives a number, whose largest value is told.
fn for_seeds(default: u64, test: fn(u64) -> u64) {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let (first, count) = (number("SIM_FIRST").unwrap_or(0), number("SIM_SEEDS").unwrap_or(default));
    let (mut bad, mut most) = (Vec::new(), 0);
    for seed in first..first + count {
        match std::panic::catch_unwind(|| on_one_thread(|| test(seed))) {
            Ok(number) => most = most.max(number),
            Err(_) => bad.push(seed),
        }
        if (seed + 1 - first).is_multiple_of(100) || seed + 1 == first + count {
            eprintln!("{} seeds from {first} on, bad: {bad:?}, at most {most}", seed + 1 - first);
        }
    }
    assert!(bad.is_empty(), "bad seeds: {bad:?}");
}

/// All work of a simulation is done by one thread, also what the node spreads over cores: a handover between threads
/// costs more than a block here.
fn on_one_thread<T: Send>(run: impl FnOnce() -> T + Send) -> T {
    rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread").install(run)
}
