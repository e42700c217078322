//! Transactions that wait for a block, oldest first. Mirrors `vms/txs/mempool`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use avalanche_ids::Id;

use crate::txs::{NamedTx, UnsignedTx};

/// Longest transaction that can wait, in bytes.
pub const MAX_TX_LEN: usize = 64 * 1024;
/// Bytes of all transactions that wait.
const MAX_LEN: usize = 64 * 1024 * 1024;
/// Refused transactions whose reason is remembered.
const DROPPED: usize = 64;

/// Why a transaction cannot wait. The name of the reference's error is in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// It waits already (`ErrDuplicateTx`).
    #[error("duplicate tx")]
    Duplicate,
    /// Above [`MAX_TX_LEN`] (`ErrTxTooLarge`).
    #[error("tx too large")]
    TooLarge,
    /// No room (`ErrMempoolFull`).
    #[error("mempool is full")]
    Full,
    /// Another one that waits spends the same (`ErrConflictsWithOtherTx`).
    #[error("tx conflicts with other tx")]
    Conflict,
}

/// The transactions that wait.
#[derive(Debug, Default)]
pub struct Mempool {
    order: BTreeMap<u64, Arc<NamedTx>>,
    places: BTreeMap<Id, u64>,
    spenders: BTreeMap<Id, Id>,
    dropped: VecDeque<(Id, String)>,
    next: u64,
    len: usize,
}

impl Mempool {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// One that waits.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Arc<NamedTx>> {
        self.order.get(self.places.get(id)?)
    }

    /// All that wait, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NamedTx>> {
        self.order.values()
    }

    /// Adds a transaction.
    ///
    /// # Errors
    /// As [`MempoolError`] says.
    pub fn add(&mut self, tx: Arc<NamedTx>) -> Result<(), MempoolError> {
        let len = tx.bytes.len();
        let spent = spent(&tx.tx.unsigned);
        if self.places.contains_key(&tx.id) {
            return Err(MempoolError::Duplicate);
        }
        if len > MAX_TX_LEN {
            return Err(MempoolError::TooLarge);
        }
        if self.len.saturating_add(len) > MAX_LEN {
            return Err(MempoolError::Full);
        }
        if spent.iter().any(|id| self.spenders.contains_key(id)) {
            return Err(MempoolError::Conflict);
        }
        self.spenders.extend(spent.into_iter().map(|id| (id, tx.id)));
        self.dropped.retain(|(id, _)| *id != tx.id);
        self.len = self.len.saturating_add(len);
        self.places.insert(tx.id, self.next);
        self.order.insert(self.next, tx);
        self.next = self.next.wrapping_add(1);
        Ok(())
    }

    /// Removes one.
    pub fn remove(&mut self, id: &Id) {
        let Some(tx) = self.places.remove(id).and_then(|place| self.order.remove(&place)) else { return };
        self.len = self.len.saturating_sub(tx.bytes.len());
        for id in spent(&tx.tx.unsigned) {
            self.spenders.remove(&id);
        }
    }

    /// Removes a transaction and all that spend what it spends.
    pub fn remove_conflicts(&mut self, tx: &NamedTx) {
        self.remove(&tx.id);
        let conflicts: BTreeSet<_> =
            spent(&tx.tx.unsigned).iter().filter_map(|id| self.spenders.get(id).copied()).collect();
        for id in conflicts {
            self.remove(&id);
        }
    }

    /// Remembers why a transaction was refused.
    pub fn mark_dropped(&mut self, id: Id, reason: String) {
        if self.places.contains_key(&id) {
            return;
        }
        self.dropped.retain(|(dropped, _)| *dropped != id);
        self.dropped.push_back((id, reason));
        if self.dropped.len() > DROPPED {
            self.dropped.pop_front();
        }
    }

    /// Why a transaction was refused.
    #[must_use]
    pub fn drop_reason(&self, id: &Id) -> Option<&str> {
        self.dropped.iter().find(|(dropped, _)| dropped == id).map(|(_, reason)| reason.as_str())
    }
}

fn spent(tx: &UnsignedTx) -> Vec<Id> {
    let mut spent: Vec<_> = tx.base().ins.iter().map(|input| input.utxo_id.input_id()).collect();
    match tx {
        UnsignedTx::Import(tx) => {
            spent.extend(tx.imported_inputs.iter().map(|input| input.utxo_id.input_id()));
        }
        UnsignedTx::Operation(tx) => {
            spent.extend(tx.ops.iter().flat_map(|operation| &operation.utxo_ids).map(|id| id.input_id()));
        }
        _ => {}
    }
    spent
}
