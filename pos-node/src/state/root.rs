//! The Merkle root of the consensus state and its combination with the application root.

use super::State;
use crate::types::{
    operation::Checkpoint,
    params::{GOVERNED_LEN, Params},
    primitives::Root,
    ssz::{Chunk, TreeHash, container_root, hash_pair, vector_root},
};

/// Most queued deposits and unbondings the root provides for.
const QUEUE_LIMIT: usize = 1 << 27;

impl State {
    /// Root of the consensus state.
    #[must_use]
    pub fn consensus_root(&self, params: &Params) -> Root {
        let limit = usize::try_from(params.validator_registry_limit).expect("preset limits fit memory");
        let checkpoint = |checkpoint: &Checkpoint| checkpoint.tree_root();
        let governed: &[u64; GOVERNED_LEN] = &self.params.0;
        Root(container_root(&[
            self.genesis_time.tree_root(),
            self.genesis_validators_root.tree_root(),
            self.slot.tree_root(),
            self.fork.tree_root(),
            self.latest_block_header.tree_root(),
            self.block_roots.vector_root(),
            self.state_roots.vector_root(),
            self.validators.root(limit),
            self.balances.list_root(limit),
            self.randao_mixes.vector_root(),
            self.slashings.vector_root(),
            self.previous_epoch_participation.list_root(limit),
            self.current_epoch_participation.list_root(limit),
            bits_root(self.finality.bits),
            checkpoint(&self.finality.previous_justified),
            checkpoint(&self.finality.current_justified),
            checkpoint(&self.finality.finalized),
            self.inactivity_scores.list_root(limit),
            self.deposit_balance_to_consume.tree_root(),
            self.exit_balance_to_consume.tree_root(),
            self.earliest_exit_epoch.tree_root(),
            self.pending_deposits.list_root(QUEUE_LIMIT),
            self.unbondings.list_root(QUEUE_LIMIT),
            self.proposer_lookahead.vector_root(),
            self.pools.list_root(limit),
            self.reward_accum.list_root(limit),
            vector_root(governed),
            self.next_base_fee.tree_root(),
        ]))
    }

    /// What a block header commits to: both halves of the state.
    #[must_use]
    pub fn combined_root(&self, params: &Params, app_root: &Root) -> Root {
        Root(hash_pair(&self.consensus_root(params).0, &app_root.0))
    }
}

/// Root of a vector of four bits, the first one lowest.
fn bits_root(bits: [bool; 4]) -> Chunk {
    let byte = (0u8..).zip(bits).fold(0u8, |byte, (at, bit)| byte | u8::from(bit) << at);
    byte.tree_root()
}
