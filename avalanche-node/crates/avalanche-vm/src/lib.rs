//! What the virtual machines of the network share: the boundary to consensus, UTXOs and how they are kept, the memory two
//! chains share, gossip of transactions, the secp256k1, NFT and property fxs, signed transactions, and gas. Rules about them live with each chain.
//! Mirrors `snow/engine/snowman/block`, `chains/atomic`, `vms/components` and `vms/{secp256k1fx,nftfx,propertyfx}`.

pub mod avax;
pub mod chain;
pub mod gas;
pub mod index;
pub mod nftfx;
pub mod propertyfx;
pub mod secp256k1fx;
pub mod shared_memory;
pub mod tx_gossip;
pub mod utxo_store;
