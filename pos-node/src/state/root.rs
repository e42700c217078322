//! The Merkle root of the consensus state and its combination with the application root.

use super::State;
use crate::types::{
    operation::Checkpoint,
    params::{GOVERNED_LEN, Params},
    primitives::Root,
    ssz::{Chunk, TreeHash, container_root, hash_pair, list_root, vector_root},
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
            vector_root(&self.block_roots),
            vector_root(&self.state_roots),
            self.validators.root(limit),
            list_root(&self.balances, limit),
            vector_root(&self.randao_mixes),
            vector_root(&self.slashings),
            list_root(&self.previous_epoch_participation, limit),
            list_root(&self.current_epoch_participation, limit),
            bits_root(self.finality.bits),
            checkpoint(&self.finality.previous_justified),
            checkpoint(&self.finality.current_justified),
            checkpoint(&self.finality.finalized),
            list_root(&self.inactivity_scores, limit),
            self.deposit_balance_to_consume.tree_root(),
            self.exit_balance_to_consume.tree_root(),
            self.earliest_exit_epoch.tree_root(),
            list_root(&self.pending_deposits, QUEUE_LIMIT),
            list_root(&self.unbondings, QUEUE_LIMIT),
            vector_root(&self.proposer_lookahead),
            list_root(&self.pools, limit),
            list_root(&self.reward_accum, limit),
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
