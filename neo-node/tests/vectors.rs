//! Runs every file of `$VECTORS_DIR/neo-node` (see `shared_vendor::testing::vectors`). Runners live in one module
//! for each area; files are claimed by folder and shape.

use shared_vendor::testing::vectors::{self, Cases, Claim, File};

#[path = "vectors/chain.rs"]
mod chain;
#[path = "vectors/consensus.rs"]
mod consensus;
#[path = "vectors/contracts.rs"]
mod contracts;
#[path = "vectors/core.rs"]
mod core_vectors;
#[path = "vectors/invoke.rs"]
mod invoke;
#[path = "vectors/ledger.rs"]
mod ledger;
#[path = "vectors/p2p.rs"]
mod p2p;
#[path = "vectors/rpc.rs"]
mod rpc;
#[path = "vectors/rpc_csharp.rs"]
mod rpc_csharp;
#[path = "vectors/state_root.rs"]
mod state_root;
#[path = "vectors/vm.rs"]
mod vm;
#[path = "vectors/wallet.rs"]
mod wallet;

fn main() -> std::process::ExitCode {
    vectors::run("neo-node", env!("CARGO_MANIFEST_DIR"), claim)
}

fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, _) = file.path.split_once('/')?;
    match folder {
        "core" => core_vectors::claim(file),
        "bench" => {
            Some(Claim::NotRun("measured, every root compared: step f of `make interop CHAIN=neo-node`"))
        }
        "chains" => chains(file),
        "manifest" | "native-csharp" => contracts::claim(file),
        "recorded" => recorded(file),
        "rpc-csharp" => rpc_csharp::claim(file),
        "vm-json" => vm::claim(file),
        "wallet" => wallet::claim(file),
        _ => None,
    }
}

/// Runners of recorded files; several may look at different sides of one file.
const RECORDED: &[fn(&File<'_>) -> Option<Claim>] = &[
    ledger::claim,
    chain::claim,
    consensus::claim,
    invoke::claim,
    contracts::claim,
    state_root::claim,
    p2p::claim,
    rpc::claim,
    wallet::claim,
];

/// Runners of chains.
const CHAINS: &[fn(&File<'_>) -> Option<Claim>] = &[ledger::claim, chain::claim];

fn recorded(file: &File<'_>) -> Option<Claim> {
    let run = |file: &File<'_>, cases: &mut Cases| run_all(RECORDED, file, cases);
    let claims: Vec<_> = RECORDED.iter().filter_map(|claim| claim(file)).collect();
    if claims.iter().any(|claim| matches!(claim, Claim::Run(_))) {
        return Some(Claim::Run(run));
    }
    claims.into_iter().next()
}

fn chains(file: &File<'_>) -> Option<Claim> {
    let known = CHAINS.iter().any(|claim| claim(file).is_some());
    if known {
        Some(Claim::Run(|file, cases| run_all(CHAINS, file, cases)))
    } else {
        Some(Claim::NotRun("belongs to the chain beside it"))
    }
}

fn run_all(claims: &[fn(&File<'_>) -> Option<Claim>], file: &File<'_>, cases: &mut Cases) {
    for claim in claims.iter().filter_map(|claim| claim(file)) {
        if let Claim::Run(run) = claim {
            run(file, cases);
        }
    }
}
