//! Which chain is the chain: fork choice, fast confirmation. Pure: states, balances and time come from the caller.

pub mod chain;
pub mod fast_confirmation;
pub mod finality;
pub mod fork_choice;
pub mod layers;
pub mod light;
pub mod pool;
pub mod slasher;
pub mod tree;

#[cfg(test)]
mod naive;
