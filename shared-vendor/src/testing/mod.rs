//! Test support, behind the feature `testing`: never linked into a daemon.

pub mod metrics;
pub mod node;
pub mod sim;
pub mod socket;
pub mod vectors;
