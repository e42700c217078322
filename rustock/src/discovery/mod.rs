//! Finding other nodes over UDP, in the dialect of rskj: the shape of discv4 with ASCII hosts and UUID ids.
//!
//! `packet` is the layout, `table` who is near whom, [`Explorer`] the state machine, `udp` the socket. Mirrors
//! `co/rsk/net/discovery`.

mod explorer;
pub mod packet;
mod table;
pub mod udp;

pub use explorer::{Effect, Explorer, Input, Known};
pub use table::distance;
