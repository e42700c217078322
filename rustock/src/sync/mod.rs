//! Header synchronisation: decides what to ask of whom, and answers what others ask.
//!
//! [`HeaderSync`] is a state machine without I/O; looking into the store and verifying headers are effects that the node
//! carries out and answers. [`serve`] is the other side: which answer a request deserves, given a view of our chain.
//! Mirrors `co/rsk/net/sync` and the request half of `co/rsk/net/NodeBlockProcessor.java`.

pub mod bodies;
pub mod checkpoint;
mod chunks;
mod headers;
mod peers;
pub mod serve;
mod skeleton;

use shared_vendor::clock::Time;

pub use headers::{Effect, Fault, HeaderSync, Imported, Input, Part, PeerKey, Progress};

/// A request under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ask {
    peer: PeerKey,
    request: u64,
    at: Time,
    deadline: Time,
}
