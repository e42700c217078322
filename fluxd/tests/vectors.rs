//! Runs every file of `$VECTORS_DIR/fluxd` (see `shared_vendor::testing::vectors`). A file is claimed by its folder
//! and by what it holds, so another file of the same kind in the same folder is run without a change here.

#![allow(clippy::panic)] // a malformed vector is a failed case; the ledger turns the panic into one

#[path = "vectors/alerts.rs"]
mod alerts;
#[path = "vectors/blocks.rs"]
mod blocks;
#[path = "vectors/common.rs"]
mod common;
#[path = "vectors/consensus.rs"]
mod consensus;
#[path = "vectors/keys.rs"]
mod keys;
#[allow(dead_code, unused_imports, clippy::unwrap_used)] // of the integration tests, which use all of it
#[path = "it/nodes.rs"]
mod nodes;
#[path = "vectors/rpc.rs"]
mod rpc;
#[path = "vectors/scripts.rs"]
mod scripts;
#[path = "vectors/shielded.rs"]
mod shielded;
#[path = "vectors/transactions.rs"]
mod transactions;
#[path = "vectors/wallet.rs"]
mod wallet;

use shared_vendor::testing::vectors::{self, Claim, File};

fn main() -> std::process::ExitCode {
    vectors::run("fluxd", env!("CARGO_MANIFEST_DIR"), claim)
}

fn claim(file: &File<'_>) -> Option<Claim> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", file.path));
    match folder {
        "flux_mainnet" => flux_mainnet(file),
        "fluxnode_tx" => Some(Claim::Run(transactions::start_transactions)),
        "zcash_blocks" if name.starts_with("block-") => Some(Claim::Run(blocks::zcash)),
        "zcash_blocks" if name.contains("treestate") => Some(Claim::Run(shielded::tree_state)),
        "difficulty" => Some(Claim::Run(consensus::difficulty)),
        "" => root(file),
        "core" => core(file, name),
        "zcash" => zcash(file, name),
        "rpc_golden" => rpc::golden(file).map(Claim::Run),
        _ => None,
    }
}

/// Tables about the whole protocol, told apart by their fields.
fn root(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    Some(if json.get("main").is_some() {
        Claim::Run(consensus::networks)
    } else if json[0].get("subsidy").is_some() {
        Claim::Run(consensus::subsidies)
    } else if file.path.contains("rpc") {
        Claim::Run(rpc::methods)
    } else {
        return None;
    })
}

/// The unit-test data of the C++ node, told apart by name as its tests do.
fn core(file: &File<'_>, name: &str) -> Option<Claim> {
    Some(match name.trim_end_matches(".json") {
        "base58_encode_decode" => Claim::Run(keys::base58),
        "base58_keys_valid" => Claim::Run(keys::valid_keys),
        "base58_keys_invalid" => Claim::Run(keys::invalid_keys),
        "script_valid" => Claim::Run(scripts::valid),
        "tx_valid" => Claim::Run(scripts::valid_transactions),
        "tx_invalid" => Claim::Run(scripts::invalid_transactions),
        "script_invalid" => Claim::Run(scripts::invalid),
        _ if first_cell(file, 0).starts_with("raw_transaction") => Claim::Run(scripts::sighash),
        _ if shielded::is_tree_file(&serde_json::from_slice(file.bytes).unwrap_or_default(), name) => {
            Claim::Run(shielded::trees)
        }
        "alertTests.raw" => Claim::Run(alerts::all),
        _ => return None,
    })
}

/// Vectors of the Zcash project, told apart by their columns.
fn zcash(file: &File<'_>, name: &str) -> Option<Claim> {
    if name.ends_with(".vk") {
        return Some(Claim::Run(shielded::sprout_key));
    }
    let columns = first_cell(file, 1);
    let has = |column: &str| columns.split(", ").any(|name| name == column);
    Some(if has("script_code") {
        Claim::Run(scripts::zip_sighash)
    } else if has("skb") {
        Claim::Run(shielded::generators)
    } else if has("rsig") {
        Claim::Run(shielded::signatures)
    } else if has("xsk") {
        Claim::Run(wallet::derivation)
    } else if has("note_nf") {
        Claim::Run(wallet::components)
    } else if has("c_enc") {
        Claim::Run(wallet::encryption)
    } else if has("external_ovk") {
        Claim::Run(wallet::transparent_accounts)
    } else if file.json()[0].get("branch_id").is_some() {
        Claim::Run(shielded::transactions)
    } else {
        return None;
    })
}

/// The first cell of a row of a JSON table, where there is one.
fn first_cell(file: &File<'_>, row: usize) -> String {
    let json: serde_json::Value = serde_json::from_slice(file.bytes).unwrap_or_default();
    json[row][0].as_str().unwrap_or_default().to_owned()
}

/// Rows of the mainnet folder are told apart by the fields of their first row.
fn flux_mainnet(file: &File<'_>) -> Option<Claim> {
    let json = file.json();
    let row = json.get(0).unwrap_or(&json);
    let has = |field: &str| row.get(field).is_some();
    Some(if has("block_raw") {
        Claim::Run(blocks::genesis)
    } else if has("header_hash_preimage") {
        Claim::Run(blocks::pon)
    } else if has("equihash_input") {
        Claim::Run(blocks::pow_headers)
    } else if has("txs") && has("merkle_root") {
        Claim::Run(blocks::body)
    } else if has("txid_preimage") {
        Claim::Run(transactions::mainnet)
    } else if has("hex") && has("vin") {
        Claim::Run(transactions::explorer)
    } else if has("time") && has("hash") {
        Claim::Run(transactions::blocks_of_explorer)
    } else if has("hash") && has("height") {
        Claim::Run(consensus::known_blocks)
    } else {
        return None;
    })
}
