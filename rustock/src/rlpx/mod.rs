//! The encrypted transport of RLPx as Rootstock nodes speak it: key agreement, handshake, frames.
//!
//! Everything here is a function of bytes, keys and entropy that the caller passes in: no socket, clock or generator.
//! What the messages inside the frames mean is `wire`'s business. Mirrors `org/ethereum/net/rlpx` and
//! `org/ethereum/crypto/ECIESCoder` of rskj.

mod ecies;
mod frame;
mod handshake;
mod identity;
mod secrets;
pub mod snappy;

pub use ecies::{EciesError, Envelope, decrypt, encrypt};
pub use frame::{
    Frame, FrameCodec, FrameError, MAX_FRAME_BYTES, MAX_SENT_FRAME_BYTES, Message, Opener, Reassembly, Sealer,
};
pub use handshake::{Ack, Auth, Entropy, HandshakeError, Initiator, Outcome, Responder};
pub use identity::{IdentityError, NodeId, NodeKey, Recoverable, recover};
pub use secrets::{MacState, Secrets, Transcript};
