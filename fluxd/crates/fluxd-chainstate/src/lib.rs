//! The chain state: which headers are known, which chain is the best, what it changes in coins, nullifiers, anchors, trees
//! and the node list, and the indexes that follow it. Mirrors the chain part of `src/main.cpp`, `src/coins.cpp`,
//! `src/txdb.cpp` and `src/chain.cpp` of the C++ node.
//!
//! A block comes in as [`fluxd_consensus::check::CheckedBlock`], is stored and linked by
//! [`ChainState::accept_block`] (`chain/accept.rs`), planned by `connect.rs` against a view of the state (`state.rs`),
//! has its expensive checks run by `checks.rs`, and is committed with the rest of its group by
//! [`ChainState::activate`] (`chain/activate.rs`). `disconnect.rs` takes it back. `follow.rs` fills the indexes.
//! The caller brings the time and hears of every change as a [`ChainEvent`].

mod chain;
mod checks;
pub mod connect;
mod disconnect;
pub mod error;
mod follow;
pub mod index;
pub mod policy;
mod reader;
mod state;
mod stats;

pub use chain::{
    Accepted, Activation, ChainEvent, ChainState, ImportProgress, Options, SnapshotSummary, ValuePools,
    Verified,
};
pub use checks::{
    check_confirm, check_confirms, check_scripts, check_shielded, check_shielded_together, check_start,
};
pub use error::{AcceptError, ChainError, ConnectError, Invalid};
pub use follow::{IndexKind, address_of};
pub use index::{BlockId, Entry, HeaderIndex};
pub use reader::{ChainReader, Found};
pub use state::Coin;
pub use stats::CoinStats;
