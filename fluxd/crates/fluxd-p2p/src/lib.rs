//! The network of Flux: bytes of sockets to messages, the state machine of one connection, who is known and who is
//! banned, and what to download from whom. Knows nothing of chain state: `node.rs` of the binary carries values over.
//!
//! The path of a message: `transport.rs` (socket) -> `frame.rs` -> `message.rs` -> `peer.rs` (handshake, liveness,
//! score) -> the node -> `sync/{headers,blocks}.rs` (what to ask of whom). Mirrors `src/net.cpp`, `src/addrman.cpp` and
//! the network half of `src/main.cpp`.

pub mod addresses;
pub mod alert;
pub mod bans;
pub mod frame;
pub mod merkle;
pub mod message;
pub mod partial;
pub mod peer;
pub mod siphash;
pub mod sync;
pub mod transport;

pub use message::Message;
