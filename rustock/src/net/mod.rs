//! Connections to other nodes: one state machine per connection, what it remembers of their behaviour, and the sockets.
//!
//! `peer` decides, `transport` carries bytes, `score` remembers. What messages mean for the chain is `sync`'s business.

pub mod peer;
pub mod score;
pub mod transport;
