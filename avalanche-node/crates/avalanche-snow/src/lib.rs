//! Snowman: the parameters and structures of consensus, the engines that bootstrap and follow a chain, and the requests
//! between validators. Everything is a pure state machine under `shared_vendor::machine`: messages, connections and time
//! come in, messages and calls of a [`chain::Chain`] go out; nothing here knows what a block holds, opens a socket or
//! reads a clock. Mirrors `snow/consensus`, `snow/engine/snowman` and `snow/networking`.
//!
//! Path of a message: [`engine::machine::Machine`] takes it, checks it against [`networking::timeouts`], and gives it to
//! [`engine::bootstrap`] or [`engine::snowman`]; what they want to send goes through [`networking::outbox`].

pub mod chain;
pub mod consensus;
pub mod engine;
pub mod message;
pub mod networking;
