//! Values of the protocol and their two encodings: bytes ([`codec`]) and Merkle roots ([`ssz`]). No rule that needs
//! state, no signature check, no I/O.

pub mod address;
pub mod block;
pub mod codec;
pub mod domain;
pub mod operation;
pub mod params;
pub mod primitives;
pub mod ssz;
pub mod transaction;
