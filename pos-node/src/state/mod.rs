//! The consensus state and what changes it. Pure: no I/O, clock or entropy.

pub mod math;
pub mod shuffle;
