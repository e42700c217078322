//! Runs every file of `$VECTORS_DIR/pos-node` (see `shared_vendor::testing::vectors`).

#![allow(clippy::panic, unreachable_pub)] // a malformed vector is a failed case

#[path = "vectors/bls.rs"]
mod bls;
#[path = "vectors/ed25519.rs"]
mod ed25519;
#[path = "vectors/epoch.rs"]
mod epoch;
#[path = "vectors/fork_choice.rs"]
mod fork_choice;
#[path = "vectors/functions.rs"]
mod functions;
#[path = "vectors/keys.rs"]
mod keys;
#[path = "vectors/operations.rs"]
mod operations;
#[path = "vectors/protection.rs"]
mod protection;
#[path = "vectors/state.rs"]
mod state;
#[path = "vectors/support.rs"]
mod support;
#[path = "vectors/tree.rs"]
mod tree;

use shared_vendor::testing::vectors::{self, Claim, File};

fn main() -> std::process::ExitCode {
    vectors::run("pos-node", env!("CARGO_MANIFEST_DIR"), claim)
}

fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    match folder {
        "bls" => bls::claim(file),
        "ed25519" => ed25519::claim(file),
        "functions" | "shuffling" => functions::claim(file),
        "keys" => keys::claim(file),
        "misc" => keys::claim(file).or_else(|| tree::claim(file)),
        "epoch" | "rewards" | "finality" => epoch::claim(file),
        "operations" => operations::claim(file),
        "fork_choice" | "fast_confirmation" => fork_choice::claim(file),
        "slashing_protection" => protection::claim(file),
        "jmt" => tree::claim(file),
        _ => None,
    }
}
