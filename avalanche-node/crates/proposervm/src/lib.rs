//! Snowman++: blocks of a chain wrapped with a proposer's certificate, time and P-chain height, and the schedule that
//! says who may propose when. Pure; rules that need other blocks or the clock are not here yet.
//! Mirrors `vms/proposervm`.

pub mod block;
pub mod epoch;
pub mod windower;
