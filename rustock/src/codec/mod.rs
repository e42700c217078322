//! Bytes to values and back, as the reference implementation hashes and sends them. Total functions without I/O;
//! whether a value is valid is decided in `verify`.

pub mod genesis;
pub mod header;
pub mod keccak;
pub mod rlp;

pub use header::{DecodeError, decode_header};
