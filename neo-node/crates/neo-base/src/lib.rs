//! The vocabulary of Neo N3: hash values, integers, the wire form of blocks and transactions, account scripts.
//!
//! Everything here is pure and total: bytes to values and back, bounded by the limits of the protocol. Not here:
//! whether a block or transaction is valid, the virtual machine, and everything about networks and storage.
//! Mirrors `src/Neo` (`UInt160.cs`, `Network/P2P/Payloads`, `SmartContract/Contract.cs`) of the C# reference.

pub mod account;
pub mod codec;
pub mod hash;
pub mod integer;
pub mod ledger;

pub use hash::{UInt160, UInt256};
pub use integer::Int;
