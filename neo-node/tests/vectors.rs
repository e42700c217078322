//! Runs every file of `$VECTORS_DIR/neo-node` (see `shared_vendor::testing::vectors`). Runners live in one module
//! for each area; files are claimed by folder and shape.

use shared_vendor::testing::vectors::{self, Claim, File};

#[path = "vectors/core.rs"]
mod core_vectors;
#[path = "vectors/ledger.rs"]
mod ledger;
#[path = "vectors/state_root.rs"]
mod state_root;
#[path = "vectors/vm.rs"]
mod vm;

fn main() -> std::process::ExitCode {
    vectors::run("neo-node", env!("CARGO_MANIFEST_DIR"), claim)
}

fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    match folder {
        "core" => core_vectors::claim(file),
        "bench" => Some(Claim::NotRun("no ledger yet: blocks are not executed")),
        "chains" => ledger::claim(file).or(Some(Claim::NotRun("no ledger yet: blocks are not executed"))),
        "manifest" | "native-csharp" => Some(Claim::NotRun("contract manifests are not built yet")),
        "recorded" => ledger::claim(file)
            .or_else(|| state_root::claim(file))
            .or(Some(Claim::NotRun("contracts, ledger, network and consensus are not built yet"))),
        "rpc-csharp" => Some(Claim::NotRun("the RPC server is not built yet")),
        "vm-json" => vm::claim(file),
        "wallet" => Some(Claim::NotRun("NEP-6 wallets are not built yet")),
        _ => None,
    }
}
