//! The frame that all five daemons share. It names no chain, hash, key, amount or message; what a module offers is
//! right unchanged for a sixth daemon. Each module is a thin face over a well-kept crate where one exists.

pub mod bytes;
pub mod hex;
pub mod http;
pub mod limit;
pub mod metrics;
pub mod rpc;

#[cfg(feature = "testing")]
pub mod testing;
