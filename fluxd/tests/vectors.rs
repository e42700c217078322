//! Runs every file of `$VECTORS_DIR/fluxd` (see `shared_vendor::testing::vectors`).

use shared_vendor::testing::vectors::{self, Claim};

fn main() -> std::process::ExitCode {
    vectors::run("fluxd", env!("CARGO_MANIFEST_DIR"), |_| Some(Claim::NotRun("this chain is not built yet")))
}
