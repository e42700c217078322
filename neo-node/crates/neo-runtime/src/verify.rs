//! Which headers and transactions are valid over a state. Mirrors `Header.Verify`, `Transaction.Verify*`, the `Verify`
//! of attributes, and `Helper.VerifyWitnesses`.

mod transaction;
mod witness;

use neo_base::{UInt160, ledger::Header};
use neo_contract::{
    ProtocolSettings,
    engine::{EngineError, Store},
    native::ledger,
};

pub use transaction::{
    Passed, check_new, check_stateless, is_quick, verify, verify_in_block, verify_stateful,
};
pub use witness::{MAX_VERIFICATION_GAS, Signed, verify_witness};

/// Why a transaction, header or payload is not valid: one variant for each rule.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A transaction of more than 102,400 bytes (`VerifyStateIndependent`).
    #[error("the transaction has {0} bytes")]
    OverSize(usize),
    /// The script does not decode, or jumps to nowhere (`VerifyStateIndependent`).
    #[error("the script is malformed")]
    Script,
    /// A standard witness of another account (`VerifyStateIndependent`).
    #[error("the witness of {0} is that of another account")]
    WitnessAccount(UInt160),
    /// A signature that does not verify (`VerifyStateIndependent`).
    #[error("the signature of {0} is wrong")]
    Signature(UInt160),
    /// The transaction is on the chain (`Blockchain.OnNewTransaction`).
    #[error("the transaction is on the chain")]
    AlreadyExists,
    /// A transaction of one of its signers on the chain excludes it (`Blockchain.OnNewTransaction`).
    #[error("a transaction on the chain excludes it")]
    Excluded,
    /// Its last height is past (`VerifyStateDependent`).
    #[error("valid until {until}, the chain is at {height}")]
    Expired {
        /// Last height at which the transaction is valid.
        until: u32,
        /// Height of the chain.
        height: u32,
    },
    /// Its last height is too far ahead (`VerifyStateDependent`).
    #[error("valid until {until}, which is too far above {height}")]
    NotYetValid {
        /// Last height at which the transaction is valid.
        until: u32,
        /// Height of the chain.
        height: u32,
    },
    /// A signer is blocked (`VerifyStateDependent`).
    #[error("the account {0} is blocked")]
    Blocked(UInt160),
    /// The sender cannot pay this and its other transactions (`TransactionVerificationContext.CheckTransaction`).
    #[error("the sender cannot pay the fees")]
    InsufficientFunds,
    /// Another pooled transaction answers the same oracle request (`CheckTransaction`).
    #[error("another transaction answers the same request")]
    OracleAnswered,
    /// An attribute that is not allowed here (`TransactionAttribute.Verify`).
    #[error("attribute: {0}")]
    Attribute(&'static str),
    /// The network fee does not pay for size, attributes and witnesses (`VerifyStateDependent`).
    #[error("the network fee is too low")]
    NetworkFee,
    /// A witness whose scripts do not say yes (`VerifyWitness`).
    #[error("the witness of {account}: {reason}")]
    Witness {
        /// The account.
        account: UInt160,
        /// What is wrong.
        reason: String,
    },
    /// The header names a primary beyond the validators (`Header.Verify`).
    #[error("no validator has the number {0}")]
    Primary(u8),
    /// The header does not follow the last one (`Header.Verify`).
    #[error("the header does not follow the last one")]
    Previous,
    /// The header is not younger than the last one (`Header.Verify`).
    #[error("the header is not younger than the last one")]
    Timestamp,
    /// The state cannot be read.
    #[error("the state")]
    State(#[from] EngineError),
}

impl VerifyError {
    /// True when nobody but this node is to blame: its state cannot be read.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::State(_))
    }
}

/// Checks a header against the one before it. The witness is judged by the state of the store.
///
/// # Errors
/// See [`VerifyError`].
pub fn verify_header<S: Store>(
    settings: &std::sync::Arc<ProtocolSettings>,
    store: &S,
    previous: &Header,
    header: &Header,
) -> Result<(), VerifyError> {
    let (body, before) = (header.body(), previous.body());
    if usize::from(body.primary) >= settings.validators_count {
        return Err(VerifyError::Primary(body.primary));
    }
    if body.previous != previous.hash() || before.index.checked_add(1) != Some(body.index) {
        return Err(VerifyError::Previous);
    }
    if before.timestamp >= body.timestamp {
        return Err(VerifyError::Timestamp);
    }
    let signed = Signed::Other { hash: header.hash(), accounts: vec![before.next_consensus] };
    verify_witness(settings, store, &signed, &before.next_consensus, header.witness(), MAX_VERIFICATION_GAS)?;
    Ok(())
}

/// The header of the last stored block.
pub(crate) fn last_header<S: Store>(store: &S) -> Result<Header, EngineError> {
    let (hash, _) = ledger::current(store)?.ok_or(EngineError::State("no current block"))?;
    let block = ledger::trimmed_block(store, &hash)?.ok_or(EngineError::State("no block of the tip"))?;
    Ok(block.header)
}
