//! What a network is and what its blocks must satisfy: parameters, upgrades, subsidies, and the checks that need no
//! chain state. Mirrors `src/chainparams.cpp`, `src/consensus/` and the `Check*` functions of `src/main.cpp`.
//!
//! Rules that need coins, trees or the fluxnode list are in the crates that own those.

pub mod check;
pub mod params;
pub mod subsidy;
pub mod upgrades;

pub use params::{Network, Params};
pub use upgrades::Upgrade;
