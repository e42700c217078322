//! Bytes to values and back, as the reference implementation hashes and sends them. Total functions without I/O;
//! whether a value is valid is decided in `verify`.

pub mod full;
pub mod genesis;
pub mod header;
pub mod keccak;
pub mod receipt;
pub mod rlp;
pub mod sha256;
pub mod unitrie;

pub use full::{Extension, decode_full, encode_full};
pub use genesis::genesis;
pub use header::{DecodeError, decode_header, decode_headers, hash_for_merged_mining};
