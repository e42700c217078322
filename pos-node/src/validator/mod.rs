//! What validators do: when they propose and vote, what they put into blocks, and the one gate through which their
//! signatures leave. Mirrors `specs/phase0/validator.md`. There is no aggregation duty: proposers aggregate.

pub mod duties;
pub mod vault;

#[cfg(test)]
mod kill_tests;
