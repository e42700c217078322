//! What goes over a connection between peers, without the connection: frames, compression, signed addresses, and the
//! rules of the handshake. Sockets, TLS, gossip and throttling do not exist yet. Mirrors `message` and `network/peer`.

pub mod frame;
pub mod handshake;
pub mod message;
pub mod signed_ip;
pub mod version;
