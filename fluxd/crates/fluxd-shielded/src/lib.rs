//! The shielded pools: Sprout and Sapling commitment trees with witnesses, JoinSplit and Sapling signatures, Groth16
//! verification one by one or in batches. Mirrors `src/flux/` of the C++ node and the librustzcash it links.
//!
//! PHGR13 proofs are never verified, as in the reference. The rules are those before Canopy: no ZIP-212, 215 or 216.

mod batch;
pub mod ed25519;
pub mod keys;
pub mod redjubjub;
pub mod tree;
pub mod verify;

pub use batch::{Batch, Weighed};
pub use keys::ProofKeys;
pub use tree::{SaplingTree, SproutTree};
pub use verify::{ShieldedError, verify_transaction};
