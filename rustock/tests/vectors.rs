//! Runs every file of `$VECTORS_DIR/rustock` (see `shared_vendor::testing::vectors`).

use shared_vendor::testing::vectors::{self, Claim};

fn main() -> std::process::ExitCode {
    vectors::run("rustock", env!("CARGO_MANIFEST_DIR"), |_| Some(Claim::NotRun("this chain is not built yet")))
}
