//! Transactions: into the pool, out to the network in batches, and in step with the head.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use shared_vendor::clock::Time;

use super::{Core, Effect};
use crate::{
    mempool::{Head, Refusal},
    network::{
        gossip::{Reason, Rejection, Verdict},
        message::{BATCH_BYTES, Gossip, MAX_BATCH, TxBatch},
    },
    state::{app::Overlay, transition::tx::TxError},
    storage::Database,
    types::{
        block::SignedBlock,
        codec::encode,
        primitives::{Address, Root},
        transaction::Tx,
    },
};

/// A batch that has not grown enough is sent after this long.
const FLUSH_AFTER: Duration = Duration::from_millis(100);
/// Blocks of another branch in which transactions of a block are looked for.
const MAX_BRANCH: usize = 8;

impl<D: Database> Core<D> {
    /// Offers transactions to the pool; gives their ids or why not.
    fn offer(&mut self, txs: Vec<Tx>) -> Vec<Result<Root, Refusal>> {
        let count = txs.len();
        let root = self.chain.head();
        let (Some(state), Some(view)) = (self.chain.state(&root), self.chain.app(&root)) else {
            return Vec::with_capacity(count);
        };
        let app = Overlay::new(&view);
        let account = |address: &Address| app.account(address);
        let head = Head {
            account: &account,
            config: self.chain.config(),
            genesis_validators_root: state.genesis_validators_root,
            params: &state.params,
            base_fee: state.next_base_fee,
            slot: self.chain.current_slot().max(state.slot).saturating_add(1),
        };
        self.mempool.insert(txs, &head, self.verifier.as_ref())
    }

    /// Takes in transactions of this node's own users and gossips those that entered the pool.
    pub fn submit(&mut self, now: Time, txs: Vec<Tx>, out: &mut Vec<Effect>) -> Vec<Result<Root, Refusal>> {
        let results = self.offer(txs);
        for id in results.iter().flatten() {
            if let Some(tx) = self.mempool.get(id).cloned() {
                self.queue(now, &tx, out);
            }
        }
        results
    }

    fn queue(&mut self, now: Time, tx: &Arc<Tx>, out: &mut Vec<Effect>) {
        let bytes = encode(tx.as_ref()).len();
        if self.batch.1.saturating_add(bytes) > BATCH_BYTES || self.batch.0.len() >= MAX_BATCH {
            self.flush(out);
        }
        self.batch.0.push(tx.as_ref().clone());
        self.batch.1 = self.batch.1.saturating_add(bytes);
        self.batch_due.get_or_insert(now.after(FLUSH_AFTER));
    }

    /// Sends what has been gathered.
    pub(super) fn flush(&mut self, out: &mut Vec<Effect>) {
        self.batch_due = None;
        let (txs, _) = std::mem::take(&mut self.batch);
        if let Some(batch) = TxBatch::new(txs).filter(|batch| !batch.is_empty()) {
            out.push(Effect::Publish(Arc::new(Gossip::Txs(batch))));
        }
    }

    /// Takes in gossiped transactions.
    pub(super) fn take_txs(&mut self, txs: &TxBatch) -> Verdict {
        if txs.is_empty() {
            return Verdict::Reject(Rejection::TxsEmpty);
        }
        let results = self.offer(txs.to_vec());
        if results.iter().any(|result| matches!(result, Err(Refusal::Invalid(TxError::ChainId(_))))) {
            Verdict::Reject(Rejection::TxChain)
        } else if results.iter().any(|result| matches!(result, Err(refusal) if refusal.is_offence())) {
            Verdict::Reject(Rejection::TxSignature)
        } else if results.iter().any(Result::is_ok) {
            Verdict::Accept
        } else {
            Verdict::Ignore(Reason::TxsNotNew)
        }
    }

    /// The head moved from one block to another: the pool drops what was included, and gets back what was undone.
    pub(super) fn follow_head(&mut self, old: &Root, new: &Root, common: &Root) {
        let undone = self.txs_between(common, old);
        let included = self.txs_between(common, new);
        let senders: BTreeSet<Address> = undone.iter().chain(&included).map(Tx::sender).collect();
        let (Some(state), Some(view)) = (self.chain.state(new), self.chain.app(new)) else { return };
        let app = Overlay::new(&view);
        let account = |address: &Address| app.account(address);
        let head = Head {
            account: &account,
            config: self.chain.config(),
            genesis_validators_root: state.genesis_validators_root,
            params: &state.params,
            base_fee: state.next_base_fee,
            slot: self.chain.current_slot().max(state.slot).saturating_add(1),
        };
        self.mempool.on_head(&head, senders);
        if !undone.is_empty() {
            self.offer(undone);
        }
    }

    /// Transactions of the blocks after `from` up to `to`.
    pub(super) fn txs_between(&self, from: &Root, to: &Root) -> Vec<Tx> {
        let mut found = Vec::new();
        for root in self.chain.fork_choice().tree().path(from, to) {
            if let Ok(Some(stored)) = self.chain.db().block(&root) {
                found.extend(stored.txs.iter().cloned());
            }
        }
        found
    }

    /// Those of these transactions that are in the pool, and the ids of the others.
    fn pooled(&self, ids: &[Root]) -> (BTreeMap<Root, Tx>, BTreeSet<Root>) {
        let (mut found, mut missing) = (BTreeMap::new(), BTreeSet::new());
        for id in ids {
            if let Some(tx) = self.mempool.get(id) {
                found.insert(*id, tx.as_ref().clone());
            } else {
                missing.insert(*id);
            }
        }
        (found, missing)
    }

    /// Those of these transactions that are in the pool or in the head's chain since the final block: older ones travel
    /// with their blocks. Each block that has some of them is read once.
    pub(super) fn known_txs(&self, ids: &[Root]) -> Vec<Tx> {
        let (mut found, mut missing) = self.pooled(ids);
        let since = self.chain.config().params.start_slot(self.chain.finalized().epoch);
        while let Some(id) = missing.pop_first() {
            let place = self.chain.db().tx_place(&id, since).ok().flatten();
            let Some(stored) = place.and_then(|place| self.chain.db().block(&place.block).ok().flatten())
            else {
                continue;
            };
            for (of, tx) in stored.block.body.tx_ids.iter().zip(&stored.txs) {
                if *of == id || missing.remove(of) {
                    found.insert(*of, tx.clone());
                }
            }
        }
        found.into_values().collect()
    }

    /// Those of a block's transactions that are here: in the pool, or in the youngest blocks of the head's chain that
    /// are not of the block's own chain, for what is in one of those has left the pool.
    pub(super) fn txs_at_hand(&self, block: &SignedBlock) -> BTreeMap<Root, Tx> {
        let (mut found, mut missing) = self.pooled(&block.body.tx_ids);
        let (tree, parent) = (self.chain.fork_choice().tree(), block.header.header.parent_root);
        let mut next = self.chain.head();
        for _ in 0..MAX_BRANCH {
            let Some(node) = tree.get(&next).filter(|_| !missing.is_empty()) else { break };
            if tree.is_ancestor(&parent, &next) {
                break;
            }
            if let Ok(Some(stored)) = self.chain.db().block(&next) {
                let of_block = stored.block.body.tx_ids.iter().zip(&stored.txs);
                found.extend(of_block.filter(|(id, _)| missing.remove(id)).map(|(id, tx)| (*id, tx.clone())));
            }
            next = node.block.parent_root;
        }
        found
    }
}
