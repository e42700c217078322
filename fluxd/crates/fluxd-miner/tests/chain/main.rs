//! Chains with fluxnodes on a private network where every upgrade is active: chain states that must agree.

mod common;
mod faults;
mod reference;
mod rules;
mod stored;
mod sync;
