//! The engines of one chain, as one state machine. While bootstrapping, [`bootstrap`] finds out what the network
//! accepted and executes it; then [`snowman`] follows and takes part in consensus. [`getter`] answers questions in both
//! phases, [`machine`] puts them together with requests, timeouts and the list of benched validators.

pub mod ancestors;
pub mod bootstrap;
pub mod dead;
pub mod getter;
pub mod jobs;
pub mod machine;
pub mod peers;
pub mod poll;
pub mod ranges;
pub mod snowman;
