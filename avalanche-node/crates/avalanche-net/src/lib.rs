//! Connections to peers. The cores are pure: frames, compression, signed addresses, the rules of the handshake, the
//! state machine of one connection (`peer`), gossip of addresses (`gossip`), which connections there are (`hub`),
//! how much of a peer is read (`throttle`). Only `tls` and `transport` touch TLS and sockets. Of what is to be sent a bounded
//! queue holds messages, not bytes. Mirrors `message`, `network` and `network/peer`.

pub mod frame;
pub mod gossip;
pub mod handshake;
pub mod hub;
pub mod message;
pub mod peer;
pub mod signed_ip;
pub mod throttle;
pub mod tls;
pub mod transport;
pub mod version;
