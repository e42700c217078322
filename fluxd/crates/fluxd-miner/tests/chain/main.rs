//! Chains with fluxnodes on a private network where every upgrade is active: chain states that must agree.

mod common;
mod reference;
mod stored;
mod sync;
