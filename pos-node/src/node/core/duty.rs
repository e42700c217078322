//! What our validators must do: propose at the start of a slot, vote when the slot's block is here or a third of the
//! slot is over. Nothing is signed while the node catches up.

use std::sync::Arc;

use shared_vendor::clock::Time;

use super::{Core, Duty, Effect};
use crate::{
    consensus::{chain::produce::ProduceError, finality::Due},
    network::{gossip::take_vote, message::Gossip, seen::SeenBlock},
    storage::Database,
    types::{
        block::SignedBlock,
        domain::DomainType,
        operation::{SignedFinalityVote, SignedHeader, SingleAttestation},
        primitives::{PublicKey, Slot, ValidatorIndex},
    },
    validator::vault::SignError,
};

impl<D: Database> Core<D> {
    pub(super) fn propose(&mut self, now: Time, slot: Slot, out: &mut Vec<Effect>) {
        if slot == 0 || self.duties.is_empty() || self.range.target().is_some() {
            return;
        }
        let Some(validator) = self.chain.proposer(slot) else { return };
        let Some(key) = self.duties.proposal(&self.chain.config().params, slot, validator) else { return };
        match self.make_block(slot, &key) {
            Ok(block) => self.publish_block(now, validator, block, out),
            Err(Trouble::Sign(error @ SignError::Record(_))) => self.stop(error.into(), out),
            Err(trouble) => {
                out.push(Effect::Duty(Duty::Missed { validator, slot, reason: trouble.to_string() }));
            }
        }
    }

    fn make_block(
        &mut self,
        slot: Slot,
        key: &PublicKey,
    ) -> Result<(SignedBlock, Vec<crate::types::transaction::Tx>), Trouble> {
        let epoch = self.chain.config().params.epoch_of(slot);
        let reveal = self.vault.randao(key, epoch, self.chain.domain(DomainType::Randao, epoch))?;
        let parent = self.chain.parent_for(slot)?;
        let state = self.chain.state(&parent).ok_or(ProduceError::Slot)?;
        // what was in a block that is passed over has left the pool, and comes before what is there
        let undone = self.txs_between(&parent, &self.chain.head());
        let waiting = self.mempool.best(state.next_base_fee).map(|tx| tx.as_ref().clone());
        let offered = self.budget.bound(state.params.clone(), undone.into_iter().chain(waiting));
        let proposal = self.chain.propose(slot, reveal, self.graffiti, offered)?;
        let domain = self.chain.domain(DomainType::Proposer, epoch);
        let signature = self.vault.block(key, &proposal.header, domain)?;
        let header = SignedHeader { header: proposal.header, signature };
        Ok((SignedBlock { header, body: proposal.body }, proposal.txs))
    }

    fn publish_block(
        &mut self,
        now: Time,
        validator: ValidatorIndex,
        (block, txs): (SignedBlock, Vec<crate::types::transaction::Tx>),
        out: &mut Vec<Effect>,
    ) {
        let (root, slot, count) = (block.root(), block.header.header.slot, txs.len());
        self.seen.add_block(SeenBlock { root, header: block.header });
        out.push(Effect::Publish(Arc::new(Gossip::Block(Box::new(block.clone())))));
        out.push(Effect::Duty(Duty::Proposed { validator, slot, root, txs: count }));
        self.import(now, block, txs, None, out);
    }

    /// Signs a checkpoint that became final with every key that may.
    pub(super) fn sign_finality(&mut self, due: &Due, out: &mut Vec<Effect>) {
        if self.range.target().is_some() || !self.duties.finality_votes(due.vote.epoch) {
            return;
        }
        let ours: Vec<(ValidatorIndex, PublicKey)> = self
            .duties
            .validators()
            .keys()
            .filter(|index| due.set.indices.binary_search(index).is_ok())
            .filter_map(|index| {
                Some((*index, self.duties.signer(*index, self.chain.fork_choice().current_epoch())?))
            })
            .collect();
        let domain = self.chain.domain(DomainType::FinalityVote, due.vote.epoch);
        for (validator_index, key) in ours {
            let signature = match self.vault.finality_vote(&key, &due.vote, domain) {
                Ok(signature) => signature,
                Err(error @ SignError::Record(_)) => return self.stop(error.into(), out),
                Err(_) => continue, // another checkpoint of this epoch was signed: the record says no
            };
            let vote = SignedFinalityVote { validator_index, vote: due.vote, signature };
            self.take_finality_vote(&vote);
            out.push(Effect::Publish(Arc::new(Gossip::FinalityVote(vote))));
        }
    }

    /// Votes at once when the block of the current slot has just become the head.
    pub(super) fn vote_when_head_is_here(&mut self, now: Time, out: &mut Vec<Effect>) {
        let Some(slot) = self.slot else { return };
        if !self.voted && self.chain.head_slot() == slot {
            self.vote(now, slot, out);
        }
    }

    pub(super) fn vote(&mut self, _: Time, slot: Slot, out: &mut Vec<Effect>) {
        self.voted = true;
        if self.duties.is_empty() || self.range.target().is_some() {
            return;
        }
        let config = self.chain.config().clone();
        let epoch = config.params.epoch_of(slot);
        let Some(committees) = self.chain.head_committees(epoch) else { return };
        let due = self.duties.votes(&config.params, slot, committees.at(&config.params, slot));
        let Some((first, _)) = due.first().copied() else { return };
        let data = match self.chain.attestation_data(slot) {
            Ok(data) => data,
            Err(error) => {
                out.push(Effect::Duty(Duty::Missed { validator: first, slot, reason: error.to_string() }));
                return;
            }
        };
        let domain = self.chain.domain(DomainType::Attester, data.target.epoch);
        let mut validators = Vec::new();
        for (validator, key) in due {
            let signature = match self.vault.vote(&key, &data, domain) {
                Ok(signature) => signature,
                Err(error @ SignError::Record(_)) => return self.stop(error.into(), out),
                Err(error) => {
                    out.push(Effect::Duty(Duty::Missed { validator, slot, reason: error.to_string() }));
                    continue;
                }
            };
            let vote = SingleAttestation { attester_index: validator, data, signature };
            take_vote(&mut self.chain, &mut self.seen, &vote);
            validators.push(validator);
            out.push(Effect::Publish(Arc::new(Gossip::Attestation(vote))));
        }
        if !validators.is_empty() {
            out.push(Effect::Duty(Duty::Voted { validators, slot, head: data.beacon_block_root }));
        }
    }
}

/// Why there is no block.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Sign(#[from] SignError),
    #[error("{0}")]
    Produce(#[from] ProduceError),
}
