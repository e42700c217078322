//! What changes a state: blocks ([`block`]) with their operations ([`operation`]) and transactions ([`tx`]), the ends of
//! epochs ([`epoch`]) and slots ([`slot`]).

pub mod block;
pub mod epoch;
pub mod operation;
pub mod parallel;
pub mod slot;
pub mod tx;
