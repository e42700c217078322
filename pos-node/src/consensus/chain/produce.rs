//! What validators need: duties, what to vote for, the block to sign.

use super::Chain;
use crate::{
    consensus::fork_choice::BlockRefusal,
    state::{
        State,
        access::Committees,
        app::Overlay,
        transition::block::{self, BlockError},
    },
    storage::Database,
    types::{
        block::Body,
        domain::DomainType,
        operation::{AttestationData, BlockHeader, Checkpoint},
        primitives::{Epoch, Root, Signature, Slot, ValidatorIndex},
        transaction::Tx,
    },
};
use std::sync::Arc;

/// A block to sign: the header's root under the proposer domain of its epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Header.
    pub header: BlockHeader,
    /// Body.
    pub body: Body,
    /// Transactions in order.
    pub txs: Vec<Tx>,
}

/// Why there is no block or vote.
#[derive(Debug, thiserror::Error)]
pub enum ProduceError {
    /// The slot is before the head's or too far ahead.
    #[error("not a slot to produce for")]
    Slot,
    /// The head cannot be found.
    #[error("no head")]
    Head(#[from] BlockRefusal),
    /// What was put together is no valid block.
    #[error("block cannot be built")]
    Block(#[from] BlockError),
}

impl<D: Database> Chain<D> {
    /// The proposer of a slot of the current or next epoch, on the head's chain.
    pub fn proposer(&mut self, slot: Slot) -> Option<ValidatorIndex> {
        let epoch = self.config.params.epoch_of(slot).min(self.fork_choice.current_epoch());
        self.state_in_epoch(&self.head(), epoch)?.proposer(&self.config.params, slot)
    }

    /// The committees of an epoch, at most the next, on the head's chain.
    pub fn head_committees(&mut self, epoch: Epoch) -> Option<Arc<Committees>> {
        self.committees(&self.head(), epoch)
    }

    /// Domain of a message signed for `epoch`.
    #[must_use]
    pub fn domain(&self, kind: DomainType, epoch: Epoch) -> [u8; 32] {
        self.folded.1.domain(kind, epoch)
    }

    /// What a member of the slot's committee should sign now.
    ///
    /// # Errors
    /// The slot is older than the head, or its state is not at hand.
    pub fn attestation_data(&mut self, slot: Slot) -> Result<AttestationData, ProduceError> {
        let head = self.head();
        if slot < self.head_slot() {
            return Err(ProduceError::Slot);
        }
        let epoch = self.config.params.epoch_of(slot);
        let state = self.state_in_epoch(&head, epoch).ok_or(ProduceError::Slot)?;
        let start = self.config.params.start_slot(epoch);
        let target = self.fork_choice.tree().ancestor_root(&head, start).ok_or(ProduceError::Slot)?;
        Ok(AttestationData {
            slot,
            index: 0,
            beacon_block_root: head,
            source: state.finality.current_justified,
            target: Checkpoint { epoch, root: target },
        })
    }

    /// The block to propose in a slot, with what waits in the pool and those of the offered transactions that may be in
    /// it. `randao_reveal` is the proposer's signature over the epoch.
    ///
    /// # Errors
    /// Why there is none.
    pub fn propose(
        &mut self,
        slot: Slot,
        randao_reveal: Signature,
        graffiti: [u8; 32],
        offered: impl IntoIterator<Item = Tx>,
    ) -> Result<Proposal, ProduceError> {
        let parent = self.parent_for(slot)?;
        let epoch = self.config.params.epoch_of(slot);
        let known = self.blocks.get(&parent).ok_or(ProduceError::Slot)?.state.clone();
        let kept: Vec<_> = [epoch.saturating_sub(1), epoch]
            .iter()
            .filter_map(|epoch| self.committees(&parent, *epoch))
            .collect();
        let committees: Vec<&Committees> = kept.iter().map(Arc::as_ref).collect();
        let params = &self.config.params;
        let view = self.layers.view(&self.db, &parent);
        let mut app = Overlay::new(&view);
        let mut state = State::clone(&known);
        state.advance_to(params, slot, &mut app);
        let mut body = Body { randao_reveal, graffiti, ..Body::default() };
        self.pool.fill(&mut body, &state, &self.config, &committees, self.verifier.as_ref());
        let (header, body, txs) = block::propose(&mut state, &mut app, &self.config, body, offered)?;
        Ok(Proposal { header, body, txs })
    }

    /// The block to build on in a slot: the head, or what it is built on when it came too late to stay.
    ///
    /// # Errors
    /// The slot is before the head's or too far ahead, or the head cannot be found.
    pub fn parent_for(&mut self, slot: Slot) -> Result<Root, ProduceError> {
        let head = self.head();
        let head_slot = self.head_slot();
        if slot <= head_slot || slot > self.current_slot().saturating_add(1) {
            return Err(ProduceError::Slot);
        }
        let epoch = self.config.params.epoch_of(head_slot);
        let committee = self
            .committees(&head, epoch)
            .map(|committees| committees.at(&self.config.params, head_slot).to_vec())
            .unwrap_or_default();
        let justified = self.fork_choice.justified();
        self.ensure_balances(&justified);
        Ok(self.fork_choice.proposer_head(slot, &committee, self.memory.balances())?)
    }
}
