//! Fluxnodes: which collateral makes which tier, who signs what, how nodes start, confirm, expire and queue for
//! payment. Mirrors `src/fluxnode/fluxnode.{h,cpp}` and the fluxnode half of `src/coins.cpp` of the C++ node.
//!
//! Coins are not known here: that a collateral exists, is unspent, old enough and of the right script is checked by
//! whoever holds the coins, before a transaction reaches [`state::NodeState`].

pub mod message;
pub mod rules;
pub mod state;

pub use rules::{NodeRules, Tier, Transition};
pub use state::{BlockChanges, Node, NodeError, NodeState, Undo};
