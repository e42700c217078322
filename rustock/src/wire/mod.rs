//! What nodes say to each other inside RLPx frames: `p2p` opens and closes a connection, `rsk` is the protocol itself.
//!
//! Total functions from bytes to values and back, with a bound on every list. Headers, blocks and transactions stay
//! encoded here: decoding them needs the network's parameters and is done by whoever uses them.

pub mod p2p;
pub mod rsk;

use crate::{codec::rlp::RlpError, types::Difficulty};
use ruint::aliases::U256;

/// Why a message was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// The payload is not the RLP that the message needs.
    #[error("malformed message")]
    Rlp(#[from] RlpError),
    /// A list has more items than the reference ever sends.
    #[error("list of more than {limit} items")]
    TooMany {
        /// The bound of the list.
        limit: usize,
    },
    /// A type that the reference does not know either; it closes the connection.
    #[error("unknown message type {0}")]
    UnknownType(u64),
    /// A frame code that is reserved or beyond the protocol.
    #[error("unknown message code {0:#04x}")]
    UnknownCode(u8),
    /// A difficulty that is negative or above 2^256 - 1.
    #[error("difficulty out of range")]
    Difficulty,
    /// A number outside its field.
    #[error("{field} out of range")]
    OutOfRange {
        /// Which field.
        field: &'static str,
    },
}

/// Reads a difficulty in the reference's signed form; the empty string is zero.
fn difficulty(bytes: &[u8]) -> Result<Difficulty, WireError> {
    if bytes.first().is_some_and(|top| *top >= 0x80) {
        return Err(WireError::Difficulty);
    }
    U256::try_from_be_slice(bytes.strip_prefix(&[0]).unwrap_or(bytes))
        .map(Difficulty)
        .ok_or(WireError::Difficulty)
}
