//! The values of the Flux protocol and their bytes: hashes, ids, amounts, public keys, transactions of versions 1-6,
//! the three header forms, blocks, compact targets and textual addresses.
//!
//! Everything here is a total function of its input: no I/O, no validity rules. Whether a value is *allowed* is
//! decided by the crates above. Mirrors `src/primitives`, `src/serialize.h`, `src/uint256.h`, `src/arith_uint256.cpp`,
//! `src/pubkey.h`, `src/base58.cpp` and `src/key_io.cpp` of the C++ node.

pub mod address;
pub mod amount;
pub mod block;
pub mod codec;
pub mod hash;
pub mod pubkey;
pub mod target;
pub mod transaction;

pub use address::{Address, AddressFormat};
pub use amount::{Amount, COIN, MAX_MONEY};
pub use block::{Block, BlockHeader, Proof};
pub use codec::{Codec, DecodeError};
pub use hash::{BlockHash, Hash160, Hash256, TxId, hash160, sha256, sha256d};
pub use pubkey::PublicKey;
pub use target::{CompactTarget, U256};
pub use transaction::{OutPoint, Script, Transaction, TxIn, TxOut};
