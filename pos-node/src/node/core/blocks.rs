//! The way of a block into the chain: its transactions are gathered, its parent is found, it is executed, and what
//! waited for it follows.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use shared_vendor::clock::Time;

use super::{Core, Effect, ask::Purpose};
use crate::{
    consensus::{
        chain::import::{Import, ImportError},
        fork_choice::BlockRefusal,
    },
    network::{
        request::{Answer, BlockChunk, MAX_TX_IDS, Request},
        score::Fault,
    },
    storage::Database,
    sync::range::{Imported, Input as RangeInput, Peer},
    types::{
        block::SignedBlock,
        operation::SingleAttestation,
        primitives::{List, Root, Slot, ValidatorIndex},
        transaction::Tx,
    },
};

const MAX_ORPHANS: usize = 256;
const MAX_FUTURE: usize = 64;
const MAX_INCOMPLETE: usize = 64;
const MAX_VOTES: usize = 1 << 14;
/// Votes for unknown blocks are dropped when their slot is this far back.
const VOTES_WAIT: Slot = 2;
/// Peers asked for the transactions of one block.
const MAX_BODY_PEERS: usize = 4;

/// A block, its transactions if they are here, and who sent it.
type Kept = (SignedBlock, Option<Vec<Tx>>, Option<Peer>);
/// A block with its transactions, and who sent it.
type Ready = (SignedBlock, Vec<Tx>, Option<Peer>);

/// A block whose transactions are being gathered.
#[derive(Debug)]
struct Incomplete {
    block: SignedBlock,
    have: BTreeMap<Root, Tx>,
    asked: BTreeSet<Peer>,
}

impl Incomplete {
    fn missing(&self) -> Vec<Root> {
        self.block.body.tx_ids.iter().filter(|id| !self.have.contains_key(id)).copied().collect()
    }

    fn take(mut self) -> (SignedBlock, Vec<Tx>) {
        let txs = self.block.body.tx_ids.iter().filter_map(|id| self.have.remove(id)).collect();
        (self.block, txs)
    }
}

/// What waits for something else.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// By the missing parent.
    orphans: BTreeMap<Root, Vec<Kept>>,
    future: BTreeMap<Slot, Vec<Ready>>,
    incomplete: BTreeMap<Root, Incomplete>,
    /// By the missing block.
    votes: BTreeMap<Root, Vec<SingleAttestation>>,
    seconds: BTreeSet<(Slot, ValidatorIndex)>,
}

impl Waiting {
    /// Whether this is the first second block of a proposer for a slot.
    pub(super) fn second(&mut self, slot: Slot, proposer: ValidatorIndex) -> bool {
        self.seconds.insert((slot, proposer))
    }

    pub(super) fn is_incomplete(&self, root: &Root) -> bool {
        self.incomplete.contains_key(root)
    }

    pub(super) fn keep_orphan(&mut self, block: SignedBlock, txs: Option<Vec<Tx>>, peer: Option<Peer>) {
        if self.orphans.values().map(Vec::len).sum::<usize>() >= MAX_ORPHANS {
            self.orphans.pop_first();
        }
        let siblings = self.orphans.entry(block.header.header.parent_root).or_default();
        if siblings.iter().all(|(kept, ..)| kept.header != block.header) {
            siblings.push((block, txs, peer));
        }
    }

    pub(super) fn keep_vote(&mut self, vote: SingleAttestation) {
        let missing = vote.data.beacon_block_root;
        if self.votes.values().map(Vec::len).sum::<usize>() < MAX_VOTES {
            self.votes.entry(missing).or_default().push(vote);
        }
    }

    fn keep_future(&mut self, block: SignedBlock, txs: Vec<Tx>, peer: Option<Peer>) {
        if self.future.values().map(Vec::len).sum::<usize>() < MAX_FUTURE {
            self.future.entry(block.header.header.slot).or_default().push((block, txs, peer));
        }
    }

    /// Blocks whose slot has begun.
    pub(super) fn take_future(&mut self, slot: Slot) -> Vec<Ready> {
        let later = self.future.split_off(&slot.saturating_add(1));
        mem::replace(&mut self.future, later).into_values().flatten().collect()
    }

    pub(super) fn forget_before(&mut self, slot: Slot) {
        let oldest = slot.saturating_sub(VOTES_WAIT);
        self.votes.retain(|_, votes| {
            votes.retain(|vote| vote.data.slot >= oldest);
            !votes.is_empty()
        });
        self.seconds = self.seconds.split_off(&(slot.saturating_sub(64), 0));
    }

    pub(super) fn forget_orphans_before(&mut self, slot: Slot) {
        self.orphans.retain(|_, blocks| {
            blocks.retain(|(block, ..)| block.header.header.slot > slot);
            !blocks.is_empty()
        });
        self.incomplete.retain(|_, incomplete| incomplete.block.header.header.slot > slot);
    }
}

impl<D: Database> Core<D> {
    /// Gathers a block's transactions, then imports it.
    pub(super) fn complete(
        &mut self,
        now: Time,
        block: SignedBlock,
        peer: Option<Peer>,
        out: &mut Vec<Effect>,
    ) {
        let root = block.root();
        let have = self.txs_at_hand(&block);
        let incomplete = Incomplete { block, have, asked: BTreeSet::new() };
        if incomplete.missing().is_empty() {
            let (block, txs) = incomplete.take();
            self.import(now, block, txs, peer, out);
        } else if self.waiting.incomplete.len() < MAX_INCOMPLETE {
            self.waiting.incomplete.insert(root, incomplete);
            self.ask_bodies(now, root, peer, out);
        }
    }

    /// Asks a peer (who sent the block, else any) for the transactions that a block still lacks.
    fn ask_bodies(&mut self, now: Time, root: Root, first: Option<Peer>, out: &mut Vec<Effect>) {
        let Some(incomplete) = self.waiting.incomplete.get_mut(&root) else { return };
        let fresh = |peer: &Peer| !incomplete.asked.contains(peer) && self.peers.contains_key(peer);
        let peer = first.filter(fresh).or_else(|| self.peers.keys().copied().find(fresh));
        let Some(peer) = peer.filter(|_| incomplete.asked.len() < MAX_BODY_PEERS) else {
            // asked for again when a descendant or a vote needs it
            self.waiting.incomplete.remove(&root);
            return;
        };
        incomplete.asked.insert(peer);
        let requests: Vec<Request> = incomplete
            .missing()
            .chunks(MAX_TX_IDS)
            .filter_map(|ids| List::new(ids.to_vec()))
            .map(Request::TxsById)
            .collect();
        for request in requests {
            self.ask(now, peer, Purpose::Bodies(root), request, out);
        }
    }

    pub(super) fn on_bodies(
        &mut self,
        now: Time,
        peer: Peer,
        root: Root,
        answer: Option<Answer>,
        out: &mut Vec<Effect>,
    ) {
        let Some(incomplete) = self.waiting.incomplete.get_mut(&root) else { return };
        let missing: BTreeSet<Root> = incomplete.missing().into_iter().collect();
        if let Some(Answer::Txs(txs)) = answer {
            for tx in txs {
                let id = tx.id();
                if missing.contains(&id) {
                    incomplete.have.insert(id, tx);
                } else if !incomplete.have.contains_key(&id) {
                    out.push(Effect::Fault(peer, Fault::Invalid));
                }
            }
        }
        let under_way =
            self.asks.values().any(|asked| matches!(asked.purpose, Purpose::Bodies(of) if of == root));
        let is_complete = incomplete.missing().is_empty();
        if is_complete {
            if let Some(incomplete) = self.waiting.incomplete.remove(&root) {
                let (block, txs) = incomplete.take();
                self.import(now, block, txs, Some(peer), out);
            }
        } else if !under_way {
            self.ask_bodies(now, root, None, out);
        }
    }

    /// The answer to a question for a single block.
    pub(super) fn on_found(
        &mut self,
        now: Time,
        peer: Peer,
        root: Root,
        answer: Option<Answer>,
        out: &mut Vec<Effect>,
    ) {
        let Some(Answer::Blocks(chunks)) = answer else {
            self.lookups.failed(&root, peer);
            return;
        };
        let Some(chunk) = chunks.into_iter().find(|chunk| chunk.block.root() == root) else {
            self.lookups.failed(&root, peer);
            return;
        };
        let depth = self.lookups.found(&root).unwrap_or(0);
        let parent = chunk.block.header.header.parent_root;
        let BlockChunk { block, txs } = chunk;
        if !self.chain.contains(&parent) && !self.chain.is_invalid(&parent) {
            let slot = block.header.header.slot;
            if slot <= self.chain.config().params.start_slot(self.chain.finalized().epoch) {
                return;
            }
            self.waiting.keep_orphan(block, txs.map(List::into_vec), Some(peer));
            if !self.lookups.want(parent, Some(peer), depth.saturating_add(1)) {
                self.range_step(now, RangeInput::Forked(peer), out);
            }
            return;
        }
        match txs {
            Some(txs) => self.import(now, block, txs.into_vec(), Some(peer), out),
            None => self.complete(now, block, Some(peer), out),
        }
    }

    /// Imports blocks of a batch in order.
    pub(super) fn import_batch(
        &mut self,
        now: Time,
        chunks: Vec<BlockChunk>,
        out: &mut Vec<Effect>,
    ) -> Imported {
        for BlockChunk { block, txs } in chunks {
            let root = block.root();
            let txs = txs.map(List::into_vec).unwrap_or_default();
            match self.chain.import(&block, &txs) {
                Ok(Import::Imported(_)) => self.follow(now, root, out),
                Ok(Import::Known(_)) => {}
                Ok(Import::Future) => self.waiting.keep_future(block, txs, None), // the peer's clock is ahead
                Ok(Import::Orphan { .. }) => return Imported::Unlinked,
                Err(ImportError::Chain(error)) => {
                    self.stop(error.into(), out);
                    return Imported::Invalid;
                }
                // before our final slot: nothing to learn from it
                Err(ImportError::Place(BlockRefusal::NotAfterFinalized)) => {}
                Err(_) => return Imported::Invalid,
            }
        }
        Imported::All
    }

    /// Imports a block, and then what waited for it.
    pub(super) fn import(
        &mut self,
        now: Time,
        block: SignedBlock,
        txs: Vec<Tx>,
        peer: Option<Peer>,
        out: &mut Vec<Effect>,
    ) {
        let root = block.root();
        match self.chain.import(&block, &txs) {
            Ok(Import::Imported(_)) => {
                self.note_block(&root, block.body.exec.gas_used);
                self.follow(now, root, out);
                self.vote_when_head_is_here(now, out);
            }
            Ok(Import::Known(_)) => {}
            Ok(Import::Future) => self.waiting.keep_future(block, txs, peer),
            Ok(Import::Orphan { parent }) => {
                self.waiting.keep_orphan(block, Some(txs), peer);
                self.lookups.want(parent, peer, 1);
            }
            Err(ImportError::Chain(error)) => self.stop(error.into(), out),
            Err(error) => {
                if let Some(peer) = peer.filter(|_| error.is_invalid_block()) {
                    out.push(Effect::Fault(peer, Fault::Invalid));
                }
                self.waiting.orphans.remove(&root);
                self.waiting.votes.remove(&root);
            }
        }
    }

    /// A block is in the tree now.
    fn follow(&mut self, now: Time, root: Root, out: &mut Vec<Effect>) {
        self.lookups.found(&root);
        self.waiting.incomplete.remove(&root);
        if let Some(votes) = self.waiting.votes.remove(&root) {
            self.retry_votes(votes);
        }
        for (block, txs, peer) in self.waiting.orphans.remove(&root).unwrap_or_default() {
            match txs {
                Some(txs) => self.import(now, block, txs, peer, out),
                None => self.complete(now, block, peer, out),
            }
        }
    }
}
