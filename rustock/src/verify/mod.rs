//! Is a header valid? Pure functions over decoded headers; one error per rule of the protocol.
//!
//! [`check`] applies the rules that need only the header itself and makes a [`Checked`]; [`link`] those against its
//! parent; [`fork_data`] those against the last 449 ancestors; [`verify`] all of them. Which branch is the chain is
//! decided in `chain`. Mirrors the validators under `co/rsk/validators` that concern headers; [`verify_body`]
//! tells whether a body belongs to a header; what transactions and uncles do is not judged.

mod bitcoin_tree;
mod body;
pub mod difficulty;
#[cfg(test)]
pub(crate) mod draft;
mod fallback;
pub mod finality;
pub mod fork_detection;
pub mod fork_monitor;
mod header;
mod merged_mining;
pub mod receipt;
mod rule;
mod sequence;

pub use body::{Body, BodyError, verify_body};
pub use fork_detection::ForkWindow;
pub use header::{Checked, canonical, check, check_all, fork_data, link, verify};
pub use merged_mining::{coinbase_hash, proof_of_work};
pub use rule::Rule;
pub use sequence::Sequence;

#[cfg(test)]
mod tests;
