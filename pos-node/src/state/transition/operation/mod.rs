//! What a block does to the state besides transactions: each operation has a check, which gives the signatures that
//! still must be verified, and an application that cannot fail. Mirrors `process_operations` of
//! `specs/electra/beacon-chain.md` and `process_block_header`, `process_randao`.

pub mod attestation;
pub mod exit;
pub mod header;
pub mod slashing;

use crate::{
    crypto::bls::{Key, SignatureSet},
    types::primitives::{Epoch, Root, Signature, Slot, ValidatorIndex},
};

/// Why an operation is invalid: one variant per rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// The block is not for the state's slot.
    #[error("block of slot {block} on a state at slot {state}")]
    HeaderSlot {
        /// Slot of the block.
        block: Slot,
        /// Slot of the state.
        state: Slot,
    },
    /// The block is not after its parent.
    #[error("block is not after its parent")]
    HeaderNotAfterParent,
    /// The proposer is not the one drawn for the slot.
    #[error("wrong proposer")]
    HeaderProposer,
    /// The parent is not the state's last block.
    #[error("wrong parent")]
    HeaderParent,
    /// The proposer was slashed.
    #[error("proposer is slashed")]
    HeaderProposerSlashed,
    /// A vote's target is neither the current nor the previous epoch's.
    #[error("target epoch {0} is neither current nor previous")]
    TargetEpoch(Epoch),
    /// A vote's target epoch is not that of its slot.
    #[error("target epoch does not hold the vote's slot")]
    TargetSlot,
    /// A vote is included in its own slot or before.
    #[error("vote of a slot that is not past")]
    TooEarly,
    /// A vote names a committee other than 0.
    #[error("committee index {0}")]
    CommitteeIndex(u64),
    /// A vote has another number of bits than its committee members.
    #[error("{bits} bits for a committee of {members}")]
    CommitteeSize {
        /// Bits of the vote.
        bits: usize,
        /// Members of the committee.
        members: usize,
    },
    /// A vote without voters.
    #[error("no voter")]
    NoVoter,
    /// A vote's source is not the justified checkpoint.
    #[error("source is not the justified checkpoint")]
    Source,
    /// Voters are not strictly increasing.
    #[error("voters are not strictly increasing")]
    VoterOrder,
    /// The two messages of an alleged offence do not contradict each other.
    #[error("the messages are no offence")]
    NoOffence,
    /// Nobody who signed both can still be punished.
    #[error("nobody to slash")]
    NobodyToSlash,
    /// No validator has this index.
    #[error("unknown validator {0}")]
    UnknownValidator(ValidatorIndex),
    /// An exit of a validator that is not active.
    #[error("validator is not active")]
    NotActive,
    /// An exit of a validator that has one.
    #[error("validator is already leaving")]
    AlreadyExiting,
    /// An exit before its own epoch.
    #[error("exit is for epoch {0}")]
    ExitEpoch(Epoch),
    /// An exit of a validator that was not active long enough.
    #[error("validator was not active long enough")]
    NotActiveLongEnough,
    /// A signature is bad.
    #[error("bad signature")]
    Signature,
}

/// A signature that a check left to be verified, alone or with all others of the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who signed; never empty.
    pub signers: Vec<ValidatorIndex>,
    /// What they signed.
    pub message: Root,
    /// Their aggregate signature.
    pub signature: Signature,
}

impl Signed {
    /// The same with keys, given each signer's decompressed key.
    ///
    /// # Errors
    /// A signer is unknown.
    pub fn with_keys(
        &self,
        key_of: impl Fn(ValidatorIndex) -> Option<Key>,
    ) -> Result<SignatureSet, OperationError> {
        let keys = self
            .signers
            .iter()
            .map(|signer| key_of(*signer).ok_or(OperationError::UnknownValidator(*signer)))
            .collect::<Result<_, _>>()?;
        Ok(SignatureSet { keys, message: self.message, signature: self.signature })
    }
}
