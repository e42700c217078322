//! Signatures and keys: BLS of validators, Ed25519 of accounts, derivation from seeds, encrypted key files. Pure: seeds,
//! salts and multipliers come from the caller.

pub mod bls;
pub mod derive;
pub mod ed25519;
pub mod keystore;
