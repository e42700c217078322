//! The Merkle-Patricia trie over contract storage, whose root every state validator signs.
//!
//! [`Trie`] changes in memory and hashes at [`Trie::commit`] only; [`proof`] proves a value, or its absence, to whoever
//! knows the root. Keys are `contract id (i32, little-endian) ++ storage key`; the Ledger contract is left out by the
//! caller. Mirrors the plugin `MPTTrie` of the C# reference.
//!
//! [`voting`] is how state validators sign the roots, [`message`] what they say.

pub mod message;
pub mod node;
pub mod proof;
pub mod trie;
pub mod voting;

pub use node::{MAX_KEY_BYTES, MAX_VALUE_BYTES, NodeError};
pub use trie::{Commit, NodeSource, Trie, TrieEntry, TrieError};

#[cfg(test)]
mod tests;
