//! Chains with fluxnodes on a private network where every upgrade is active: two chain states that must agree.

mod sync;
