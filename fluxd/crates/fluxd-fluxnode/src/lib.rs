//! Fluxnodes: which collateral makes which tier, who signs what, how nodes start, confirm, expire and queue for
//! payment. Mirrors `src/fluxnode/fluxnode.{h,cpp}` and the fluxnode half of `src/coins.cpp` of the C++ node.
//!
//! Coins are brought by the caller: whoever holds them finds the unspent collateral, asks [`collateral`] about it, and
//! only then hands the transaction to [`state::NodeState`].

pub mod collateral;
pub mod message;
pub mod rules;
pub mod state;

pub use rules::{NodeRules, Tier, Transition};
pub use state::{BlockChanges, Node, NodeError, NodeState, Undo};
