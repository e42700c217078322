//! Checkpoints, votes, offences and exits: what validators sign and blocks carry. Mirrors the containers of
//! `specs/phase0/beacon-chain.md` and `specs/electra/beacon-chain.md` with one committee per slot.

use super::{
    codec::container,
    primitives::{Bitlist, Epoch, ForkVersion, List, PublicKey, Root, Signature, Slot, ValidatorIndex},
};

/// Most validators of one slot, hence most bits or indices of one vote.
pub const MAX_VALIDATORS_PER_SLOT: usize = 8192;

container! {
    /// A block root at the first slot of an epoch.
    #[derive(Copy, Default, PartialOrd, Ord, Hash)]
    rooted struct Checkpoint {
        /// The epoch.
        epoch: Epoch,
        /// Root of the block that is the chain's last at that epoch's first slot.
        root: Root,
    }
}

container! {
    /// Which rules are in force.
    #[derive(Copy, Default)]
    rooted struct Fork {
        /// Version before `epoch`.
        previous: ForkVersion,
        /// Version from `epoch` on.
        current: ForkVersion,
        /// First epoch of `current`.
        epoch: Epoch,
    }
}

impl Fork {
    /// The version in force at `epoch`.
    #[must_use]
    pub fn version_at(&self, epoch: Epoch) -> ForkVersion {
        if epoch < self.epoch { self.previous } else { self.current }
    }
}

container! {
    /// What a validator says about the chain in its slot.
    #[derive(Copy, Default, PartialOrd, Ord, Hash)]
    rooted struct AttestationData {
        /// The slot of the duty.
        slot: Slot,
        /// Committee number; always 0 on this chain.
        index: u64,
        /// Head of the chain as the validator sees it.
        beacon_block_root: Root,
        /// Justified checkpoint the vote builds on.
        source: Checkpoint,
        /// Checkpoint of the vote's epoch.
        target: Checkpoint,
    }
}

impl AttestationData {
    /// Whether one validator signing both is an offence: a double vote, or `self` surrounding `other`.
    /// Mirrors `is_slashable_attestation_data`.
    #[must_use]
    pub fn is_slashable_with(&self, other: &Self) -> bool {
        let double = self != other && self.target.epoch == other.target.epoch;
        let surround = self.source.epoch < other.source.epoch && other.target.epoch < self.target.epoch;
        double || surround
    }
}

container! {
    /// Votes of a committee with one aggregate signature.
    rooted struct Attestation {
        /// Who of the committee voted.
        aggregation_bits: Bitlist<MAX_VALIDATORS_PER_SLOT>,
        /// The common vote.
        data: AttestationData,
        /// Aggregate of the voters' signatures.
        signature: Signature,
    }
}

container! {
    /// The vote of one validator, as it is gossiped.
    rooted struct SingleAttestation {
        /// The voter.
        attester_index: ValidatorIndex,
        /// The vote.
        data: AttestationData,
        /// The voter's signature.
        signature: Signature,
    }
}

container! {
    /// Votes with the voters written out.
    rooted struct IndexedAttestation {
        /// Voters, strictly increasing.
        attesting_indices: List<ValidatorIndex, MAX_VALIDATORS_PER_SLOT>,
        /// The common vote.
        data: AttestationData,
        /// Aggregate of the voters' signatures.
        signature: Signature,
    }
}

container! {
    /// Two votes that no validator may sign both.
    rooted struct AttesterSlashing {
        /// The vote that surrounds, or one of a double vote.
        attestation_1: IndexedAttestation,
        /// The other.
        attestation_2: IndexedAttestation,
    }
}

container! {
    /// Fixed-size summary of a block; its root is the block root.
    #[derive(Copy, Default)]
    rooted struct BlockHeader {
        /// Slot of the block.
        slot: Slot,
        /// Its proposer.
        proposer_index: ValidatorIndex,
        /// Root of the parent block.
        parent_root: Root,
        /// Root of the state after the block.
        state_root: Root,
        /// Root of the body.
        body_root: Root,
    }
}

container! {
    /// A header with its proposer's signature.
    #[derive(Copy, Default)]
    rooted struct SignedHeader {
        /// The header.
        header: BlockHeader,
        /// Signature over its root.
        signature: Signature,
    }
}

container! {
    /// Two different blocks of one proposer for one slot.
    #[derive(Copy)]
    rooted struct ProposerSlashing {
        /// One block.
        signed_header_1: SignedHeader,
        /// The other.
        signed_header_2: SignedHeader,
    }
}

container! {
    /// A validator's wish to leave.
    #[derive(Copy, Default)]
    rooted struct VoluntaryExit {
        /// Earliest epoch at which the exit may be included.
        epoch: Epoch,
        /// Who leaves.
        validator_index: ValidatorIndex,
    }
}

container! {
    /// An exit with the validator's signature.
    #[derive(Copy, Default)]
    rooted struct SignedVoluntaryExit {
        /// The exit.
        exit: VoluntaryExit,
        /// The validator's signature.
        signature: Signature,
    }
}

container! {
    /// What a validator signs about a finalized checkpoint, for light clients.
    #[derive(Copy, Default)]
    rooted struct FinalityVote {
        /// Epoch of the checkpoint.
        epoch: Epoch,
        /// Its block.
        block_root: Root,
        /// State root in that block's header.
        state_root: Root,
        /// Root of the validator set that signs later checkpoints.
        next_set_root: Root,
    }
}

container! {
    /// A finality vote with its signer.
    #[derive(Copy, Default)]
    rooted struct SignedFinalityVote {
        /// The signer.
        validator_index: ValidatorIndex,
        /// The vote.
        vote: FinalityVote,
        /// The signer's signature.
        signature: Signature,
    }
}

/// Most members of a set of signers: the largest registry of any preset.
pub const MAX_SIGNERS: usize = 1 << 18;

container! {
    /// A member of the set that signs finality.
    #[derive(Copy)]
    rooted struct Signer {
        /// Its key.
        pubkey: PublicKey,
        /// Its stake that counts, in nano.
        effective_balance: u64,
    }
}

container! {
    /// Proof that two thirds of a set of signers hold a checkpoint for final.
    plain struct FinalityCert {
        /// What they signed.
        vote: FinalityVote,
        /// Who of the set.
        bits: Bitlist<MAX_SIGNERS>,
        /// The aggregate of their signatures.
        signature: Signature,
    }
}

container! {
    /// Two different finality votes of one validator for one epoch.
    #[derive(Copy)]
    rooted struct FinalitySlashing {
        /// One vote.
        vote_1: SignedFinalityVote,
        /// The other.
        vote_2: SignedFinalityVote,
    }
}

container! {
    /// What a proof of possession is signed over.
    #[derive(Copy)]
    rooted struct DepositMessage {
        /// The key whose possession is proven.
        pubkey: PublicKey,
        /// The account that will own the validator.
        owner: Root,
        /// First stake in nano.
        amount: u64,
    }
}
