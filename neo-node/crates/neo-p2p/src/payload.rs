//! What messages carry, each with the bounds of the reference. Mirrors `Network/P2P/Payloads` and `Capabilities`.

mod chain;
mod filter;
mod peers;

pub use chain::{
    BlockRequest, HashRequest, Hashes, HeaderList, InventoryKind, MAX_BLOCKS_SENT, MAX_HASHES, MAX_HEADERS,
};
pub use filter::{FilterLoad, MAX_FILTER_ADD, MerkleBlock};
pub use peers::{Address, AddressList, Capability, MAX_ADDRESSES, Ping, Version};
