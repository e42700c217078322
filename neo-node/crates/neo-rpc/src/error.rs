//! Codes and names of errors. Mirrors `RpcError.cs` of the C# node's RPC server; the details in `data` are our own words.

use neo_runtime::{mempool::PoolError, verify::VerifyError};
use serde_json::Value;
use shared_vendor::rpc::{Dialect, Error};

macro_rules! errors {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name() -> Error {
            Error::new($code, $text)
        }
    )*};
}

errors! {
    /// The request is not one of JSON-RPC 2.0.
    invalid_request = -32600, "Invalid request";
    /// No such method.
    method_not_found = -32601, "Method not found";
    /// Parameters are missing, of another type or out of range.
    invalid_params = -32602, "Invalid params";
    /// A fault of the node.
    internal = -32603, "Internal error";
    /// The body is not JSON.
    bad_request = -32700, "Parse error";
    /// No block with this hash.
    unknown_block = -101, "Unknown block";
    /// No contract.
    unknown_contract = -102, "Unknown contract";
    /// No transaction.
    unknown_transaction = -103, "Unknown transaction";
    /// Nothing is stored under this key.
    unknown_storage_item = -104, "Unknown storage item";
    /// No application log with this hash.
    unknown_script_container = -105, "Unknown script container";
    /// No state root.
    unknown_state_root = -106, "Unknown state root";
    /// No session.
    unknown_session = -107, "Unknown session";
    /// No iterator in the session.
    unknown_iterator = -108, "Unknown iterator";
    /// No block of this height.
    unknown_height = -109, "Unknown height";
    /// The transaction or block is refused for another reason than the ones below.
    verification_failed = -500, "Inventory verification failed";
    /// The transaction is on the chain.
    already_exists = -501, "Inventory already exists";
    /// The pool is full.
    mempool_cap_reached = -502, "Memory pool capacity reached";
    /// The transaction is in the pool.
    already_in_pool = -503, "Already in pool";
    /// The network fee does not pay for size and witnesses.
    insufficient_network_fee = -504, "Insufficient network fee";
    /// The policy refuses it.
    policy_failed = -505, "Policy check failed";
    /// The script is malformed.
    invalid_script = -506, "Invalid transaction script";
    /// An attribute is not allowed.
    invalid_attribute = -507, "Invalid transaction attribute";
    /// A signature is wrong.
    invalid_signature = -508, "Invalid signature";
    /// Too large.
    invalid_size = -509, "Invalid inventory size";
    /// It is too late, or too early, for the transaction.
    expired_transaction = -510, "Expired transaction";
    /// The sender cannot pay.
    insufficient_funds = -511, "Insufficient funds for fee";
    /// The contract does not verify anything.
    invalid_contract_verification = -512, "Invalid contract verification function";
    /// Not for everybody.
    access_denied = -600, "Access denied";
    /// The node keeps no iterators.
    sessions_disabled = -601, "State iterator sessions disabled";
    /// States of this height are not kept.
    unsupported_state = -606, "Old state not supported";
    /// The proof does not prove anything.
    invalid_proof = -607, "Invalid proof";
}

/// Adds what exactly is wrong.
#[must_use]
pub fn because(error: Error, what: impl Into<String>) -> Error {
    error.with_data(Value::String(what.into()))
}

/// Codes and texts of the envelope.
#[must_use]
pub fn dialect() -> Dialect {
    Dialect {
        parse_error: bad_request,
        parse_error_id: Value::Null,
        invalid_request,
        method_not_found: |method| {
            let name: String = method.escape_debug().take(64).collect();
            because(method_not_found(), format!("method \"{name}\" not supported"))
        },
        ..Dialect::default()
    }
}

/// What a transaction is answered that the pool does not take.
#[must_use]
pub fn refused(error: &PoolError<VerifyError>) -> Error {
    let base = match error {
        PoolError::AlreadyInPool => already_in_pool(),
        PoolError::CapacityReached => mempool_cap_reached(),
        PoolError::Conflict => verification_failed(),
        PoolError::Invalid(invalid) => return of_verify(invalid),
    };
    because(base, error.to_string())
}

/// What an invalid transaction is answered.
#[must_use]
pub fn of_verify(error: &VerifyError) -> Error {
    let base = match error {
        VerifyError::OverSize(_) => invalid_size(),
        VerifyError::Script => invalid_script(),
        VerifyError::Signature(_) | VerifyError::WitnessAccount(_) | VerifyError::Witness { .. } => {
            invalid_signature()
        }
        VerifyError::AlreadyExists => already_exists(),
        VerifyError::Expired { .. } | VerifyError::NotYetValid { .. } => expired_transaction(),
        VerifyError::Blocked(_) => policy_failed(),
        VerifyError::InsufficientFunds => insufficient_funds(),
        VerifyError::Attribute(_) => invalid_attribute(),
        VerifyError::NetworkFee => insufficient_network_fee(),
        VerifyError::State(_) => return internal(),
        _ => verification_failed(),
    };
    because(base, error.to_string())
}
