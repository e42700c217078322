//! What nodes say to each other: topics and their checks, requests and answers, limits, and the libp2p transport that
//! carries them. Mirrors `specs/phase0/p2p-interface.md` with this chain's messages.
//!
//! Deciding what to ask of whom is not here.

pub mod gossip;
pub mod limit;
pub mod message;
pub mod request;
pub mod score;
pub mod seen;
pub mod topic;
pub mod transport;
