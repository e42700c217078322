//! What the P-chain keeps on disk. Only the history of validator sets exists.

pub mod validator_diffs;
