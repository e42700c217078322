//! The consensus structures, bottom up: one decision ([`instance`]), a tree of them over the bits of competing ids
//! ([`tree`]), and trees along a chain of blocks ([`topological`]).

pub mod instance;
pub mod params;
pub mod topological;
pub mod tree;

pub use params::{Flavor, Params, ParamsError};
pub use topological::{AddError, Decision, Polls, Topological};
pub use tree::Tree;
