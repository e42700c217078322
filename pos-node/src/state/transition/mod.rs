//! What changes a state: operations of blocks ([`operation`]), the ends of epochs ([`epoch`]) and slots ([`slot`]).

pub mod epoch;
pub mod operation;
pub mod slot;
