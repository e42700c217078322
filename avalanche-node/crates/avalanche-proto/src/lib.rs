//! The messages peers exchange. The types are written by hand on `prost`'s derive, so that no protobuf compiler and no
//! generated code is needed; field numbers are those of the reference's `proto/p2p/p2p.proto`. What a message means is
//! not known here.

pub mod p2p;
pub mod sdk;
