//! Transactions whose parents are not known yet, up to a number of them. Mirrors `mapOrphanTransactions` of
//! `src/main.cpp`.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use fluxd_primitives::{Transaction, TxId};
use rand::{RngExt, rngs::StdRng};

/// A longer transaction is not kept; its sender may bring it again.
const MAX_BYTES: usize = 5000;

/// Transactions whose parents are not known yet. `P` names the peer that brought one.
#[derive(Debug)]
pub struct Orphans<P> {
    limit: usize,
    by_id: BTreeMap<TxId, (Arc<Transaction>, P)>,
    by_parent: BTreeMap<TxId, BTreeSet<TxId>>,
    rng: StdRng,
}

impl<P: Copy + PartialEq> Orphans<P> {
    /// Room for `limit` transactions; the generator chooses which one goes.
    #[must_use]
    pub fn new(limit: usize, rng: StdRng) -> Self {
        Self { limit, by_id: BTreeMap::new(), by_parent: BTreeMap::new(), rng }
    }

    /// Keeps a transaction of `size` bytes; returns whether it is new and small enough.
    pub fn add(&mut self, txid: TxId, tx: &Arc<Transaction>, size: usize, from: P) -> bool {
        if self.by_id.contains_key(&txid) || size > MAX_BYTES {
            return false;
        }
        for input in &tx.inputs {
            self.by_parent.entry(input.prevout.txid).or_default().insert(txid);
        }
        self.by_id.insert(txid, (Arc::clone(tx), from));
        while self.by_id.len() > self.limit {
            let mut random = TxId::ZERO;
            self.rng.fill(&mut random.0);
            let next = self.by_id.range(random..).next().or_else(|| self.by_id.iter().next());
            let Some(victim) = next.map(|(txid, _)| *txid) else { break };
            self.remove(&victim);
        }
        true
    }

    /// The transactions that spend outputs of this one, with the peers that brought them.
    #[must_use]
    pub fn children(&self, parent: &TxId) -> Vec<(TxId, Arc<Transaction>, P)> {
        let ids = self.by_parent.get(parent).into_iter().flatten();
        ids.filter_map(|txid| self.by_id.get(txid).map(|(tx, from)| (*txid, Arc::clone(tx), *from))).collect()
    }

    /// Forgets a transaction.
    pub fn remove(&mut self, txid: &TxId) {
        let Some((tx, _)) = self.by_id.remove(txid) else { return };
        for input in &tx.inputs {
            if let Some(children) = self.by_parent.get_mut(&input.prevout.txid) {
                children.remove(txid);
                if children.is_empty() {
                    self.by_parent.remove(&input.prevout.txid);
                }
            }
        }
    }

    /// Forgets what a peer brought.
    pub fn remove_from(&mut self, peer: P) {
        let ids: Vec<TxId> =
            self.by_id.iter().filter(|(_, (_, from))| *from == peer).map(|(txid, _)| *txid).collect();
        for txid in ids {
            self.remove(&txid);
        }
    }

    /// True when a transaction waits here.
    #[must_use]
    pub fn contains(&self, txid: &TxId) -> bool {
        self.by_id.contains_key(txid)
    }

    /// Transactions that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use fluxd_primitives::{OutPoint, Script, TxIn};
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn orphans_are_found_by_their_parents_and_bounded() {
        let mut orphans = Orphans::new(3, StdRng::seed_from_u64(1));
        let child = |parent: u8| {
            let prevout = OutPoint { txid: TxId([parent; 32]), index: 0 };
            let input = TxIn { prevout, script_sig: Script::default(), sequence: 0 };
            Arc::new(Transaction { version: 4, inputs: vec![input], ..Transaction::default() })
        };
        for number in 0..10 {
            assert!(orphans.add(TxId([100 + number; 32]), &child(number), 100, number));
            assert!(orphans.len() <= 3);
        }
        assert!(!orphans.add(TxId([90; 32]), &child(1), 5001, 0), "too long");
        let kept: Vec<u8> = (0..10).filter(|number| orphans.contains(&TxId([100 + number; 32]))).collect();
        let first = kept[0];
        assert_eq!(orphans.children(&TxId([first; 32])).len(), 1);
        orphans.remove_from(first);
        assert!(orphans.children(&TxId([first; 32])).is_empty());
        assert_eq!(orphans.len(), 2);
    }
}
