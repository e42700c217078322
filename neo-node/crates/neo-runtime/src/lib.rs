//! What a ledger computes over its contents. Today: the state trie and its roots ([`state_root`]).

pub mod mempool;
pub mod state_root;
