//! Snowman++: blocks of a chain wrapped with a proposer's certificate, time and P-chain height, and the schedule that
//! says who may propose when. [`rules`] judges a wrapper by its parent, [`vm`] wraps a whole machine. Pure: the clock and
//! signatures come in.
//! Mirrors `vms/proposervm`.

pub mod block;
pub mod epoch;
pub mod rules;
pub mod vm;
pub mod windower;
