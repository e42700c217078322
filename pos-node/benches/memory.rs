//! Resident memory of a chain with a million accounts, opened from its database. The database is made by a process of its
//! own, so that what making it took does not count.

#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use pos_node::{
    consensus::chain::Chain,
    state::{
        app::{Account, MemoryStore, Overlay, keys},
        transition::slot::Application,
        verifier::BatchVerifier,
    },
    storage::{Batch, Database, Fold, History, SqliteDatabase},
    types::{
        codec::encode,
        operation::Checkpoint,
        params::{Config, POS, Params},
        primitives::Address,
        ssz::sha256,
    },
};
use std::{path::Path, process::Command, sync::Arc};

const ACCOUNTS: u64 = 1_000_000;
const FOLDER: &str = "POS_NODE_MEMORY_FOLDER";

fn config() -> Arc<Config> {
    Arc::new(Config {
        params: Params::mainnet(),
        chain_id: 7,
        genesis_fork_version: [0, 0, 0, 1],
        genesis_time: 0,
    })
}

fn address(number: u64) -> Address {
    Address(sha256(&number.to_le_bytes()))
}

fn open(folder: &Path) -> SqliteDatabase {
    SqliteDatabase::open(&folder.join("chain.db"), &config().hash(), History::Slots(1000)).unwrap()
}

fn make(folder: &Path) {
    let mut store = MemoryStore::default();
    let mut app = Overlay::new(&store);
    for number in 0..ACCOUNTS {
        app.put_account(&address(number), &Account { balance: POS, ..Account::default() });
    }
    let root = app.root();
    let changes = app.into_changes();
    store.apply(changes);
    let mut state = pos_node::state::State::empty(&config().params);
    state.genesis_time = 0;
    let header = pos_node::types::operation::BlockHeader {
        state_root: state.combined_root(&config().params, &root),
        ..state.latest_block_header
    };
    let header = pos_node::types::operation::SignedHeader { header, ..Default::default() };
    let block = pos_node::types::block::SignedBlock { header, body: Default::default() };
    let block_root = block.root();
    let stored = pos_node::storage::StoredBlock { block, txs: Vec::new(), receipts: Vec::new() };
    let fold = Fold {
        root: block_root,
        values: store.entries().map(|(key, value)| (key.to_vec(), Some(value.to_vec()))).collect(),
        nodes: store.nodes().map(|(path, node)| (path.to_bytes(), Some(encode(node)))).collect(),
        state: pos_node::state::encoding::rows(&state, None),
    };
    open(folder)
        .commit(Batch {
            block: Some((block_root, Arc::new(stored))),
            canonical: vec![(0, Some(block_root))],
            fold: Some(fold),
            finalized: Some(Checkpoint { epoch: 0, root: block_root }),
            ..Batch::default()
        })
        .unwrap();
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

fn main() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        return make(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(std::env::current_exe().unwrap()).env(FOLDER, folder.path()).status().unwrap();
    assert!(made.success());
    let chain = Chain::open(config(), open(folder.path()), Arc::new(BatchVerifier::new([0; 32]))).unwrap();
    let opened = resident_kib();
    let found =
        (0..ACCOUNTS).filter(|number| chain.db().value(&keys::account(&address(*number))).is_some()).count();
    println!(
        "{found} accounts: {} MiB resident after opening, {} MiB after reading all, {} MiB on disk",
        opened / 1024,
        resident_kib() / 1024,
        chain.db().size().unwrap() / 1024 / 1024
    );
}
