//! Small pure tools shared by consensus and network: the exact random generators and samplers whose output is part of
//! the protocol, counted votes, the bloom filter of peer gossip, and the times of upgrades.
//! Mirrors `utils/{sampler,bag,bloom}` and `upgrade`.

pub mod bag;
pub mod bloom;
pub mod prng;
pub mod sampler;
pub mod upgrade;

pub use bag::Bag;
