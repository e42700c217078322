//! Errors of methods: the codes of the reference (`src/rpc/protocol.h`) and texts that its clients match on.

use fluxd_chainstate::ChainError;

use crate::json::Json;

/// What a method answers instead of a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct RpcError {
    /// One of the constants of this module.
    pub code: i32,
    /// Text.
    pub message: String,
}

/// Anything else; also the help text when arguments are too few or too many.
pub const MISC: i32 = -1;
/// The method does not run in safe mode.
pub const SAFE_MODE: i32 = -2;
/// An argument of another type.
pub const TYPE: i32 = -3;
/// No such address, key, block or transaction.
pub const ADDRESS_OR_KEY: i32 = -5;
/// An argument out of its bounds.
pub const PARAMETER: i32 = -8;
/// No peers.
pub const NOT_CONNECTED: i32 = -9;
/// The node still downloads.
pub const INITIAL_DOWNLOAD: i32 = -10;
/// The store failed.
pub const DATABASE: i32 = -20;
/// Bytes that are no block or transaction.
pub const DESERIALIZATION: i32 = -22;
/// The node is in the list already.
pub const NODE_ALREADY_ADDED: i32 = -23;
/// The node is not in the list.
pub const NODE_NOT_ADDED: i32 = -24;
/// A transaction or block failed a check.
pub const VERIFY: i32 = -25;
/// A transaction or block was refused by the rules.
pub const VERIFY_REJECTED: i32 = -26;
/// The transaction is in a block already.
pub const ALREADY_IN_CHAIN: i32 = -27;
/// The node starts.
pub const WARMUP: i32 = -28;
/// The peer is not connected.
pub const NODE_NOT_CONNECTED: i32 = -29;
/// Not an address or network.
pub const INVALID_IP_OR_SUBNET: i32 = -30;
/// JSON, but no request.
pub const INVALID_REQUEST: i32 = -32600;
/// No such method.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// Arguments that make no sense.
pub const INVALID_PARAMS: i32 = -32602;
/// A fault of the node.
pub const INTERNAL: i32 = -32603;
/// Not JSON.
pub const PARSE: i32 = -32700;

impl RpcError {
    /// An error with a code and a text.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// The `error` member of an answer.
    #[must_use]
    pub fn json(&self) -> Json {
        Json::object().with("code", self.code).with("message", self.message.as_str())
    }
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::UnknownBlock(_) => Self::new(ADDRESS_OR_KEY, "Block not found"),
            ChainError::NoBody(_) => Self::new(MISC, "Block not available (pruned data)"),
            ChainError::NoIndex(_) => Self::new(MISC, "Error: the index that this method reads is disabled"),
            other => {
                tracing::warn!(error = %shared_vendor::log::Chain(&other), "an RPC method failed");
                Self::new(DATABASE, "Can't read from disk")
            }
        }
    }
}
