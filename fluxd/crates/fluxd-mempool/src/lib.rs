//! Transactions that wait for a block: which are admitted, which go when there is no room, which wait for their parents,
//! and what fee gets a transaction into a block. Mirrors `AcceptToMemoryPool` of `src/main.cpp`, `src/txmempool.cpp`,
//! `src/mempool_limit.cpp` and `src/policy/fees.cpp`.
//!
//! Rules are not judged here but by the crates below; the pool adds what the reference calls policy. Time and randomness
//! are brought by the caller.

mod accept;
mod entry;
mod estimator;
mod limit;
mod orphans;
mod pool;
mod saved;
mod standard;

pub use accept::{Admission, Admitted, Drop, Reject, is_expiring_soon};
pub use entry::Entry;
pub use estimator::FeeEstimator;
pub use orphans::Orphans;
pub use pool::{Mempool, Policy, PoolDelta, PoolSpending};
pub use saved::SavedError;
pub use standard::{NonStandard, is_dust};
