//! What is gossiped: a verdict for the transport, and then to use.

use std::sync::Arc;

use shared_vendor::clock::Time;

use super::{Core, Duty, Effect, Handle};
use crate::{
    consensus::finality::FinalityVoteError,
    network::{
        gossip::{
            CLOCK_DISPARITY_MS, Reason, Rejection, Verdict, check_block, operation_verdict, slot_start_ms,
            take_vote,
        },
        message::Gossip,
    },
    storage::Database,
    sync::range::Peer,
    types::{
        block::SignedBlock,
        operation::{SignedFinalityVote, SingleAttestation},
    },
};

/// Votes kept that came a little early.
const MAX_EARLY: usize = 4096;

impl<D: Database> Core<D> {
    pub(super) fn on_gossip(
        &mut self,
        now: Time,
        peer: Peer,
        handle: Handle,
        message: &Arc<Gossip>,
        out: &mut Vec<Effect>,
    ) {
        let verdict = match message.as_ref() {
            Gossip::Block(block) => return self.on_block(now, peer, handle, block, out),
            Gossip::Attestation(vote) => return self.on_vote(now, peer, handle, vote, out),
            Gossip::Txs(txs) => self.take_txs(txs),
            Gossip::FinalityVote(vote) => self.take_finality_vote(vote),
            Gossip::VoluntaryExit(exit) => operation_verdict(self.chain.on_exit(exit)),
            Gossip::ProposerSlashing(evidence) => {
                operation_verdict(self.chain.on_proposer_slashing(evidence))
            }
            Gossip::FinalitySlashing(evidence) => {
                operation_verdict(self.chain.on_finality_slashing(evidence))
            }
            Gossip::AttesterSlashing(evidence) => {
                operation_verdict(self.chain.on_attester_slashing(evidence))
            }
        };
        out.push(Effect::Verdict { handle, peer, verdict });
    }

    fn on_block(
        &mut self,
        now: Time,
        peer: Peer,
        handle: Handle,
        block: &SignedBlock,
        out: &mut Vec<Effect>,
    ) {
        let unix_ms = self.unix_ms(now);
        let verdict = check_block(&mut self.chain, &mut self.seen, self.verifier.as_ref(), unix_ms, block);
        out.push(Effect::Verdict { handle, peer, verdict });
        let header = &block.header.header;
        match verdict {
            Verdict::Accept => {
                self.heard(header.proposer_index, header.slot, out);
                self.complete(now, block.clone(), Some(peer), out);
            }
            // one more is taken in, so that the chain sees the offence
            Verdict::Ignore(Reason::BlockSecond)
                if self.waiting.second(header.slot, header.proposer_index) =>
            {
                self.complete(now, block.clone(), Some(peer), out);
            }
            Verdict::Ignore(Reason::BlockParentUnknown) => {
                self.waiting.keep_orphan(block.clone(), None, Some(peer));
                self.lookups.want(header.parent_root, Some(peer), 1);
            }
            Verdict::Ignore(_) | Verdict::Reject(_) => {}
        }
    }

    pub(super) fn on_vote(
        &mut self,
        now: Time,
        peer: Peer,
        handle: Handle,
        vote: &SingleAttestation,
        out: &mut Vec<Effect>,
    ) {
        let data = &vote.data;
        let early = data.slot == self.chain.current_slot().saturating_add(1)
            && slot_start_ms(self.chain.config(), data.slot)
                <= self.unix_ms(now).saturating_add(CLOCK_DISPARITY_MS);
        if early && self.early.len() < MAX_EARLY {
            self.early.push((peer, handle, vote.clone()));
            return;
        }
        let verdict = take_vote(&mut self.chain, &mut self.seen, vote);
        out.push(Effect::Verdict { handle, peer, verdict });
        match verdict {
            Verdict::Accept => self.heard(vote.attester_index, data.slot, out),
            Verdict::Ignore(Reason::VoteBlockUnknown) => {
                for root in [data.beacon_block_root, data.target.root] {
                    if !self.chain.contains(&root) && !self.waiting.is_incomplete(&root) {
                        self.lookups.want(root, Some(peer), 0);
                    }
                }
                self.waiting.keep_vote(vote.clone());
            }
            Verdict::Ignore(_) | Verdict::Reject(_) => {}
        }
    }

    /// Gives a finality vote to the chain; one that is early is kept until something becomes final.
    pub(super) fn take_finality_vote(&mut self, vote: &SignedFinalityVote) -> Verdict {
        match self.chain.on_finality_vote(vote) {
            Ok(()) => Verdict::Accept,
            Err(error) if error.is_offence() => Verdict::Reject(Rejection::FinalityVote),
            Err(FinalityVoteError::NotFinal) => {
                if self.early_finality.len() < MAX_EARLY {
                    self.early_finality.push(*vote);
                }
                Verdict::Ignore(Reason::FinalityVoteEarly)
            }
            Err(_) => Verdict::Ignore(Reason::FinalityVoteSeen),
        }
    }

    /// Votes that waited for a block.
    pub(super) fn retry_votes(&mut self, votes: Vec<SingleAttestation>) {
        for vote in votes {
            if take_vote(&mut self.chain, &mut self.seen, &vote) == Verdict::Ignore(Reason::VoteBlockUnknown)
            {
                self.waiting.keep_vote(vote);
            }
        }
    }

    /// A message of a validator came from outside.
    fn heard(&mut self, validator: u64, slot: u64, out: &mut Vec<Effect>) {
        if self.duties.heard(&self.chain.config().params, validator, slot) {
            out.push(Effect::Duty(Duty::Doppelganger(validator)));
        }
    }
}
