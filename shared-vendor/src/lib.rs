//! The frame that all five daemons share. It names no chain, hash, key, amount or message; what a module offers is
//! right unchanged for a sixth daemon. Each module is a thin face over a well-kept crate where one exists.

pub mod app;
pub mod bytes;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datadir;
pub mod exit;
pub mod hex;
pub mod http;
pub mod limit;
pub mod log;
pub mod machine;
pub mod metrics;
pub mod ops;
pub mod pool;
pub mod progress;
pub mod rpc;
pub mod signal;
pub mod tasks;

#[cfg(feature = "testing")]
pub mod testing;
