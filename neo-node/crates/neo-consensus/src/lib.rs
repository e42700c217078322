//! dBFT 2.0: how validators of a Neo N3 network agree on the next block.
//!
//! [`message`] holds what validators say, [`service`] the state machine that hears and answers; everything it wants
//! done (send, look up transactions, judge them, keep the log, hand over the block) is an [`Effect`]. Not here: the
//! ledger, the memory pool, sockets and clocks. Mirrors `plugins/DBFTPlugin` of the C# node.

pub mod message;
pub mod recovery_log;
mod round;
pub mod service;

pub use message::{Body, ChangeReason, ChangeViewForm, Message};
pub use round::{CATEGORY, Tip};
pub use service::{Effect, Input, Note, Rejection, Role, Service, Settings};
