//! Transactions that wait for a block: the dearest first, none twice, none against each other. After each block all of
//! them must prove again that they are valid. What "valid" means is asked of the caller. Mirrors `MemoryPool.cs`,
//! `PoolItem.cs` and `TransactionVerificationContext.cs`.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use neo_base::{
    UInt160, UInt256,
    ledger::{Attribute, Transaction},
};

/// Blocks after which a transaction that still waits is announced again; more when the pool is full.
const REBROADCAST_AFTER: u32 = 10;

/// What the pool holds beside a transaction and what matters for its validity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Others {
    /// Fees of the sender's transactions in the pool, without those that this one would drive out, in datoshi.
    pub sender_fees: i64,
    /// Another transaction answers the same oracle request.
    pub oracle_answered: bool,
}

/// Why a transaction is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PoolError<E> {
    /// It is here already.
    #[error("the transaction is in the pool")]
    AlreadyInPool,
    /// All that are here pay more.
    #[error("the pool is full")]
    CapacityReached,
    /// It is in conflict with one that is here and does not pay more.
    #[error("the transaction is in conflict with another one in the pool")]
    Conflict,
    /// It is not valid.
    #[error(transparent)]
    Invalid(E),
}

/// Why a transaction has left the pool otherwise than in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Dearer ones took its place.
    CapacityExceeded,
    /// A transaction in conflict with it came.
    Conflict,
    /// A block made it invalid.
    NoLongerValid,
}

/// What happened in the pool.
#[derive(Debug, Clone)]
pub enum PoolEvent {
    /// A transaction came.
    Added(Arc<Transaction>),
    /// One left otherwise than in a block.
    Removed(Arc<Transaction>, Removal),
    /// One has waited for long: announce it again.
    Rebroadcast(Arc<Transaction>),
}

/// Place in the order: priority, fee for a byte, fee, then the smaller hash.
type Order = (bool, i64, i64, Reverse<UInt256>);

#[derive(Debug, Clone)]
struct Item {
    tx: Arc<Transaction>,
    order: Order,
    /// Height when it was last announced.
    announced: u32,
}

impl Item {
    fn new(tx: Arc<Transaction>, announced: u32) -> Self {
        Self { order: order(&tx), tx, announced }
    }

    fn has_signer_of(&self, tx: &Transaction) -> bool {
        let mut accounts = tx.body().signers.iter().map(|signer| signer.account);
        accounts.any(|account| self.tx.body().signers.iter().any(|signer| signer.account == account))
    }
}

/// Items by hash and by order.
#[derive(Debug, Default)]
struct Sorted {
    items: HashMap<UInt256, Item>,
    order: BTreeSet<Order>,
}

impl Sorted {
    fn insert(&mut self, item: Item) {
        self.order.insert(item.order);
        self.items.insert(item.tx.hash(), item);
    }

    fn remove(&mut self, hash: &UInt256) -> Option<Item> {
        let item = self.items.remove(hash)?;
        self.order.remove(&item.order);
        Some(item)
    }

    fn lowest(&self) -> Option<&Order> {
        self.order.first()
    }
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    capacity: usize,
    height: u32,
    verified: Sorted,
    unverified: Sorted,
    /// Hash that transactions exclude, and who they are.
    excluded: BTreeMap<UInt256, HashSet<UInt256>>,
    sender_fees: HashMap<UInt160, i64>,
    oracle_answers: HashSet<u64>,
}

impl Mempool {
    /// An empty pool for so many transactions.
    #[must_use]
    pub fn new(capacity: usize, height: u32) -> Self {
        Self {
            capacity,
            height,
            verified: Sorted::default(),
            unverified: Sorted::default(),
            excluded: BTreeMap::new(),
            sender_fees: HashMap::new(),
            oracle_answers: HashSet::new(),
        }
    }

    /// Transactions in the pool.
    #[must_use]
    pub fn len(&self) -> usize {
        self.verified.items.len().saturating_add(self.unverified.items.len())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of all transactions.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let items = self.verified.items.values().chain(self.unverified.items.values());
        items.fold(0, |sum, item| sum.saturating_add(item.tx.size()))
    }

    /// Most transactions there can be.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// A transaction, verified since the last block or not.
    #[must_use]
    pub fn get(&self, hash: &UInt256) -> Option<Arc<Transaction>> {
        let item = self.verified.items.get(hash).or_else(|| self.unverified.items.get(hash));
        item.map(|item| Arc::clone(&item.tx))
    }

    /// Whether a transaction has been verified since the last block.
    #[must_use]
    pub fn is_verified(&self, hash: &UInt256) -> bool {
        self.verified.items.contains_key(hash)
    }

    /// The best verified transactions, best first.
    #[must_use]
    pub fn best(&self, limit: usize) -> Vec<Arc<Transaction>> {
        in_order(&self.verified).take(limit).collect()
    }

    /// All hashes: verified ones, best first, and those that are not verified again yet.
    #[must_use]
    pub fn hashes(&self) -> (Vec<UInt256>, Vec<UInt256>) {
        let hashes = |sorted: &Sorted| sorted.order.iter().rev().map(|order| order.3.0).collect();
        (hashes(&self.verified), hashes(&self.unverified))
    }

    /// Whether there is room for a transaction, or one that pays less.
    #[must_use]
    pub fn has_room_for(&self, tx: &Transaction) -> bool {
        self.len() < self.capacity || self.lowest().is_some_and(|lowest| *lowest <= order(tx))
    }

    /// Height of the last block that the pool has heard of.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.height
    }

    /// What a transaction that could be taken now must be valid beside.
    ///
    /// # Errors
    /// Those of [`Self::add`] that do not depend on the validity of the transaction.
    pub fn survey<E>(&self, tx: &Transaction) -> Result<Others, PoolError<E>> {
        self.room(tx).map(|driven_out| self.others(tx, &driven_out))
    }

    /// Which others leave when the transaction comes.
    fn room<E>(&self, tx: &Transaction) -> Result<Vec<UInt256>, PoolError<E>> {
        if self.verified.items.contains_key(&tx.hash()) || self.unverified.items.contains_key(&tx.hash()) {
            return Err(PoolError::AlreadyInPool);
        }
        if !self.has_room_for(tx) {
            return Err(PoolError::CapacityReached);
        }
        self.conflicts(tx).ok_or(PoolError::Conflict)
    }

    /// Takes a transaction, if `verify` finds it valid beside what the pool holds.
    ///
    /// # Errors
    /// It is here already, pays too little for a full pool, is in conflict with one that pays more, or is invalid.
    pub fn add<E>(
        &mut self,
        tx: Arc<Transaction>,
        verify: impl FnOnce(&Arc<Transaction>, Others) -> Result<(), E>,
        events: &mut Vec<PoolEvent>,
    ) -> Result<(), PoolError<E>> {
        let driven_out = self.room(&tx)?;
        verify(&tx, self.others(&tx, &driven_out)).map_err(PoolError::Invalid)?;
        self.accept(Item::new(Arc::clone(&tx), self.height));
        for hash in driven_out {
            if let Some(item) = self.remove_verified(&hash) {
                events.push(PoolEvent::Removed(item.tx, Removal::Conflict));
            }
        }
        let mut kept = true;
        while self.len() > self.capacity {
            let Some(item) = self.remove_lowest() else { break };
            kept &= item.tx.hash() != tx.hash();
            events.push(PoolEvent::Removed(item.tx, Removal::CapacityExceeded));
        }
        if !kept {
            return Err(PoolError::CapacityReached);
        }
        events.push(PoolEvent::Added(tx));
        Ok(())
    }

    /// A block was added: its transactions leave, and so do those it excludes; all others must be verified again.
    pub fn on_block(&mut self, height: u32, transactions: &[Transaction], events: &mut Vec<PoolEvent>) {
        self.height = height;
        let persisted: HashSet<UInt256> = transactions.iter().map(Transaction::hash).collect();
        let mut excluded: HashMap<UInt256, Vec<UInt160>> = HashMap::new();
        for tx in transactions {
            if self.remove_verified(&tx.hash()).is_none() {
                self.unverified.remove(&tx.hash());
            }
            for hash in conflicts_of(tx) {
                let signers = tx.body().signers.iter().map(|signer| signer.account);
                excluded.entry(hash).or_default().extend(signers);
            }
        }
        let stale: Vec<UInt256> =
            self.verified
                .items
                .values()
                .filter(|item| {
                    let signers = &item.tx.body().signers;
                    excluded.get(&item.tx.hash()).is_some_and(|accounts| {
                        signers.iter().any(|signer| accounts.contains(&signer.account))
                    }) || conflicts_of(&item.tx).any(|hash| persisted.contains(&hash))
                })
                .map(|item| item.tx.hash())
                .collect();
        for hash in stale {
            if let Some(item) = self.remove_verified(&hash) {
                events.push(PoolEvent::Removed(item.tx, Removal::Conflict));
            }
        }
        for item in std::mem::take(&mut self.verified).items.into_values() {
            self.unverified.insert(item);
        }
        self.excluded.clear();
        self.sender_fees.clear();
        self.oracle_answers.clear();
    }

    /// Verifies up to `count` of the best unverified transactions, while `go_on` holds. Returns how many are left.
    pub fn reverify<E>(
        &mut self,
        count: usize,
        mut verify: impl FnMut(&Arc<Transaction>, Others) -> Result<(), E>,
        mut go_on: impl FnMut() -> bool,
        events: &mut Vec<PoolEvent>,
    ) -> usize {
        for _ in 0..count {
            let Some(order) = self.unverified.order.last().copied() else { break };
            let Some(mut item) = self.unverified.remove(&order.3.0) else { break };
            let driven_out = self.conflicts(&item.tx);
            let verdict = driven_out.as_ref().map(|out| verify(&item.tx, self.others(&item.tx, out)).is_ok());
            if verdict == Some(true) {
                if self.height.saturating_sub(item.announced) >= self.rebroadcast_after() {
                    item.announced = self.height;
                    events.push(PoolEvent::Rebroadcast(Arc::clone(&item.tx)));
                }
                self.accept(item);
                for hash in driven_out.unwrap_or_default() {
                    if let Some(item) = self.remove_verified(&hash) {
                        events.push(PoolEvent::Removed(item.tx, Removal::NoLongerValid));
                    }
                }
            } else {
                events.push(PoolEvent::Removed(item.tx, Removal::NoLongerValid));
            }
            if !go_on() {
                break;
            }
        }
        self.unverified.items.len()
    }

    fn rebroadcast_after(&self) -> u32 {
        let threshold = (self.capacity / 10).max(1);
        let times = u32::try_from(self.len() / threshold).unwrap_or(u32::MAX).max(1);
        REBROADCAST_AFTER.saturating_mul(times)
    }

    /// Fees and oracle answers of the others, as if those driven out were gone.
    fn others(&self, tx: &Transaction, driven_out: &[UInt256]) -> Others {
        let sender = tx.body().sender();
        let mut sender_fees = self.sender_fees.get(&sender).copied().unwrap_or_default();
        for item in driven_out.iter().filter_map(|hash| self.verified.items.get(hash)) {
            if item.tx.body().sender() == sender {
                sender_fees = sender_fees.saturating_sub(fees(&item.tx));
            }
        }
        let oracle_answered = oracle_request(tx).is_some_and(|id| self.oracle_answers.contains(&id));
        Others { sender_fees, oracle_answered }
    }

    /// Transactions of the pool that this one would drive out; `None` when it may not.
    fn conflicts(&self, tx: &Transaction) -> Option<Vec<UInt256>> {
        let (mut out, mut fee_sum) = (Vec::new(), 0_i64);
        let sender = tx.body().sender();
        for hash in self.excluded.get(&tx.hash()).into_iter().flatten() {
            let item = self.verified.items.get(hash)?;
            if item.tx.body().signers.iter().any(|signer| signer.account == sender) {
                fee_sum = fee_sum.saturating_add(item.tx.body().network_fee);
            }
            out.push(*hash);
        }
        for hash in conflicts_of(tx) {
            if let Some(item) = self.verified.items.get(&hash) {
                if !item.has_signer_of(tx) {
                    return None;
                }
                fee_sum = fee_sum.saturating_add(item.tx.body().network_fee);
                out.push(hash);
            }
        }
        (fee_sum == 0 || fee_sum < tx.body().network_fee).then_some(out)
    }

    fn accept(&mut self, item: Item) {
        let tx = &item.tx;
        for hash in conflicts_of(tx) {
            self.excluded.entry(hash).or_default().insert(tx.hash());
        }
        let sum = self.sender_fees.entry(tx.body().sender()).or_default();
        *sum = sum.saturating_add(fees(tx));
        self.oracle_answers.extend(oracle_request(tx));
        self.verified.insert(item);
    }

    fn remove_verified(&mut self, hash: &UInt256) -> Option<Item> {
        let item = self.verified.remove(hash)?;
        for excluded in conflicts_of(&item.tx) {
            if let Some(by) = self.excluded.get_mut(&excluded) {
                by.remove(hash);
                if by.is_empty() {
                    self.excluded.remove(&excluded);
                }
            }
        }
        let sender = item.tx.body().sender();
        if let Some(sum) = self.sender_fees.get_mut(&sender) {
            *sum = sum.saturating_sub(fees(&item.tx));
            if *sum == 0 {
                self.sender_fees.remove(&sender);
            }
        }
        if let Some(id) = oracle_request(&item.tx) {
            self.oracle_answers.remove(&id);
        }
        Some(item)
    }

    fn lowest(&self) -> Option<&Order> {
        match (self.verified.lowest(), self.unverified.lowest()) {
            (Some(verified), Some(unverified)) => Some(verified.min(unverified)),
            (verified, unverified) => verified.or(unverified),
        }
    }

    fn remove_lowest(&mut self) -> Option<Item> {
        let hash = self.lowest()?.3.0;
        self.remove_verified(&hash).or_else(|| self.unverified.remove(&hash))
    }
}

fn in_order(sorted: &Sorted) -> impl Iterator<Item = Arc<Transaction>> {
    sorted
        .order
        .iter()
        .rev()
        .filter_map(|order| sorted.items.get(&order.3.0))
        .map(|item| Arc::clone(&item.tx))
}

fn order(tx: &Transaction) -> Order {
    let body = tx.body();
    let priority = body.attributes.iter().any(|attribute| matches!(attribute, Attribute::HighPriority));
    let size = i64::try_from(tx.size()).unwrap_or(i64::MAX).max(1);
    (priority, body.network_fee / size, body.network_fee, Reverse(tx.hash()))
}

fn fees(tx: &Transaction) -> i64 {
    tx.body().system_fee.saturating_add(tx.body().network_fee)
}

fn conflicts_of(tx: &Transaction) -> impl Iterator<Item = UInt256> {
    tx.body().attributes.iter().filter_map(|attribute| match attribute {
        Attribute::Conflicts(hash) => Some(*hash),
        _ => None,
    })
}

fn oracle_request(tx: &Transaction) -> Option<u64> {
    tx.body().attributes.iter().find_map(|attribute| match attribute {
        Attribute::OracleResponse { id, .. } => Some(*id),
        _ => None,
    })
}

#[cfg(test)]
mod tests;
