//! Templates of blocks on top of the tip: which transactions of the pool go in, whom the coinbase pays, what the header
//! says. On private networks also whole blocks. Mirrors `src/miner.cpp` and `generate` of `src/rpc/mining.cpp`.
//!
//! The pool is not known here: its transactions come as plain values.

mod generate;
mod select;
mod template;
#[cfg(feature = "testing")]
pub mod testing;

pub use generate::{MineError, mine};
pub use select::{PoolTx, Selection};
pub use template::{Maker, Payment, Settings, Template, TemplateError, create};
