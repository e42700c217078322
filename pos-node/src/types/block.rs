//! Blocks: a signed header and a body of operations and transaction ids. Transaction bodies are never part of a block;
//! they are found by id.

use super::{
    codec::container,
    operation::{
        Attestation, AttesterSlashing, FinalitySlashing, ProposerSlashing, SignedHeader, SignedVoluntaryExit,
    },
    primitives::{Address, List, Root, Signature},
    ssz::TreeHash,
};

/// Most transactions of one block.
pub const MAX_TXS_PER_BLOCK: usize = 1 << 17;
/// Most aggregated votes of one block.
pub const MAX_ATTESTATIONS: usize = 64;
/// Most attester slashings of one block.
pub const MAX_ATTESTER_SLASHINGS: usize = 1;
/// Most proposer slashings of one block.
pub const MAX_PROPOSER_SLASHINGS: usize = 16;
/// Most voluntary exits of one block.
pub const MAX_VOLUNTARY_EXITS: usize = 16;
/// Most finality slashings of one block.
pub const MAX_FINALITY_SLASHINGS: usize = 1;

container! {
    /// Results of executing the block's transactions, fixed by the proposer and recomputed by everybody.
    #[derive(Default)]
    rooted struct ExecSummary {
        /// Price of the block in nano per 1000 gas.
        base_fee: u64,
        /// Gas its transactions used.
        gas_used: u64,
        /// Most gas they could have used.
        gas_limit: u64,
        /// Number of transactions.
        tx_count: u64,
        /// Root of the list of receipt hashes.
        receipts_root: Root,
        /// Account that receives the tips.
        fee_recipient: Address,
    }
}

container! {
    /// Everything of a block but its header.
    rooted struct Body {
        /// The proposer's signature over the epoch: its contribution to randomness.
        randao_reveal: Signature,
        /// Free text of the proposer.
        graffiti: [u8; 32],
        /// Version of the rules the proposer's program knows; a signal, not a rule.
        protocol_version: u32,
        /// Proposers caught signing two blocks.
        proposer_slashings: List<ProposerSlashing, MAX_PROPOSER_SLASHINGS>,
        /// Voters caught contradicting themselves.
        attester_slashings: List<AttesterSlashing, MAX_ATTESTER_SLASHINGS>,
        /// Validators caught signing two finality votes.
        finality_slashings: List<FinalitySlashing, MAX_FINALITY_SLASHINGS>,
        /// Votes.
        attestations: List<Attestation, MAX_ATTESTATIONS>,
        /// Validators that leave.
        voluntary_exits: List<SignedVoluntaryExit, MAX_VOLUNTARY_EXITS>,
        /// Results of the transactions.
        exec: ExecSummary,
        /// The transactions, in order of execution.
        tx_ids: List<Root, MAX_TXS_PER_BLOCK>,
    }
}

impl Default for Body {
    fn default() -> Self {
        Self {
            randao_reveal: Signature::ZERO,
            graffiti: [0; 32],
            protocol_version: 0,
            proposer_slashings: List::empty(),
            attester_slashings: List::empty(),
            finality_slashings: List::empty(),
            attestations: List::empty(),
            voluntary_exits: List::empty(),
            exec: ExecSummary::default(),
            tx_ids: List::empty(),
        }
    }
}

container! {
    /// A block as it is gossiped and stored.
    #[derive(Default)]
    plain struct SignedBlock {
        /// Header and the proposer's signature.
        header: SignedHeader,
        /// The body that the header commits to.
        body: Body,
    }
}

impl SignedBlock {
    /// The block root: the root of its header.
    #[must_use]
    pub fn root(&self) -> Root {
        Root(self.header.header.tree_root())
    }

    /// Whether the header commits to this body.
    #[must_use]
    pub fn body_matches(&self) -> bool {
        self.header.header.body_root.0 == self.body.tree_root()
    }
}
