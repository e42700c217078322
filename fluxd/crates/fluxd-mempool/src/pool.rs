//! The pool: its transactions by id, by what they spend, by collateral; what leaves with a block and what comes back with
//! one that is taken back. Mirrors `CTxMemPool` of `src/txmempool.cpp`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use fluxd_chainstate::{ChainEvent, ChainState, address_of, policy::FeeRate};
use fluxd_consensus::check;
use fluxd_primitives::{Amount, Hash256, OutPoint, Transaction, TxId};
use fluxd_storage::{AddressKey, Coins};
use rand::{SeedableRng, rngs::StdRng};

use crate::{
    accept::Admission,
    entry::Entry,
    estimator::FeeEstimator,
    limit::{RecentIds, WeightedTree},
};

/// Most ids that are remembered after an eviction, or after a block.
const RECENT_IDS: usize = 40_000;
/// A fluxnode transaction that waits longer than this, in seconds, goes.
const NODE_SECONDS: i64 = 1800;

/// What an operator sets.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// Fee rate below which a transaction counts as free.
    pub min_relay_rate: FeeRate,
    /// Cost that all transactions together may have (`-mempooltxcostlimit`).
    pub cost_limit: i64,
    /// Minutes that an evicted transaction stays out (`-mempoolevictionmemoryminutes`).
    pub eviction_minutes: i64,
    /// Thousands of bytes of free transactions per minute (`-limitfreerelay`).
    pub limit_free_relay: i64,
    /// Free transactions need priority (`-relaypriority`).
    pub relay_priority: bool,
    /// Bare multisig is standard (`-permitbaremultisig`).
    pub bare_multisig: bool,
    /// Only standard transactions are taken; private networks take others.
    pub require_standard: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            min_relay_rate: FeeRate { zat_per_kb: 100 },
            cost_limit: 80_000_000,
            eviction_minutes: 60,
            limit_free_relay: 500,
            relay_priority: false,
            bare_multisig: true,
            require_standard: true,
        }
    }
}

/// The pool.
#[derive(Debug)]
pub struct Mempool {
    pub(crate) policy: Policy,
    pub(crate) entries: BTreeMap<TxId, Entry>,
    /// Which input of which transaction spends an output.
    spenders: BTreeMap<OutPoint, (TxId, u32)>,
    sprout_nullifiers: HashMap<Hash256, TxId>,
    sapling_nullifiers: HashMap<Hash256, TxId>,
    /// The fluxnode transaction about a collateral.
    pub(crate) by_collateral: HashMap<OutPoint, TxId>,
    /// Fluxnode transactions with the times when they came.
    pub(crate) seen_nodes: BTreeMap<TxId, i64>,
    deltas: HashMap<TxId, (f64, Amount)>,
    tree: WeightedTree,
    pub(crate) evicted: RecentIds,
    pub(crate) in_blocks: RecentIds,
    pub(crate) estimator: FeeEstimator,
    /// Bytes of free transactions lately, and when that was counted.
    pub(crate) free_bytes: (f64, i64),
    bytes: usize,
    memory: usize,
    updates: u64,
    rng: StdRng,
}

impl Mempool {
    /// An empty pool; `seed` is entropy for the choice of what is evicted.
    #[must_use]
    pub fn new(policy: Policy, seed: [u8; 32]) -> Self {
        Self {
            tree: WeightedTree::new(policy.cost_limit),
            evicted: RecentIds::new(RECENT_IDS, policy.eviction_minutes.saturating_mul(60)),
            in_blocks: RecentIds::new(RECENT_IDS, policy.eviction_minutes.saturating_mul(180)),
            estimator: FeeEstimator::new(policy.min_relay_rate),
            policy,
            entries: BTreeMap::new(),
            spenders: BTreeMap::new(),
            sprout_nullifiers: HashMap::new(),
            sapling_nullifiers: HashMap::new(),
            by_collateral: HashMap::new(),
            seen_nodes: BTreeMap::new(),
            deltas: HashMap::new(),
            free_bytes: (0.0, 0),
            bytes: 0,
            memory: 0,
            updates: 0,
            rng: StdRng::from_seed(seed),
        }
    }

    /// What an operator set.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Transactions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes of all transactions on the wire.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of memory that they are counted with.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.memory
    }

    /// Cost of everything, as the limit counts it.
    #[must_use]
    pub fn cost(&self) -> i64 {
        self.tree.cost()
    }

    /// Changes so far: a template is old when this number has grown.
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Estimates of fees and priorities.
    #[must_use]
    pub fn estimator(&self) -> &FeeEstimator {
        &self.estimator
    }

    /// As [`Self::estimator`], to restore it from a file.
    pub fn estimator_mut(&mut self) -> &mut FeeEstimator {
        &mut self.estimator
    }

    /// A transaction.
    #[must_use]
    pub fn get(&self, txid: &TxId) -> Option<&Entry> {
        self.entries.get(txid)
    }

    /// All transactions, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Which input of which transaction spends an output.
    #[must_use]
    pub fn spender(&self, outpoint: &OutPoint) -> Option<(TxId, u32)> {
        self.spenders.get(outpoint).copied()
    }

    /// The input that spends an output, with the output's value and address.
    #[must_use]
    pub fn spending(&self, outpoint: &OutPoint) -> Option<PoolSpending> {
        let (txid, input) = self.spender(outpoint)?;
        let spent = self.entries.get(&txid)?.spent.get(usize::try_from(input).ok()?)?;
        Some(PoolSpending { txid, input, value: spent.value, address: address_of(spent) })
    }

    /// True when a transaction spends a nullifier.
    #[must_use]
    pub fn spends_nullifier(&self, sprout: bool, nullifier: &Hash256) -> bool {
        let spent = if sprout { &self.sprout_nullifiers } else { &self.sapling_nullifiers };
        spent.contains_key(nullifier)
    }

    /// Transactions of the pool that a transaction spends outputs of, in the order of their ids.
    #[must_use]
    pub fn parents(&self, tx: &Transaction) -> BTreeSet<TxId> {
        let ids = tx.inputs.iter().map(|input| input.prevout.txid);
        ids.filter(|txid| self.entries.contains_key(txid)).collect()
    }

    /// The outputs of a transaction that no other transaction of the pool spends, as coins.
    #[must_use]
    pub fn coins(&self, txid: &TxId) -> Option<Coins> {
        let entry = self.entries.get(txid)?;
        let mut coins = Coins::of_transaction(&entry.tx, MEMPOOL_HEIGHT)?;
        for index in 0..u32::try_from(entry.tx.outputs.len()).unwrap_or(u32::MAX) {
            if self.spenders.contains_key(&OutPoint { txid: *txid, index }) {
                coins.spend(index);
            }
        }
        Some(coins)
    }

    /// Inputs and outputs of the pool that touch an address: transaction, place, whether it is an input, value (negative
    /// for inputs), and when the transaction came.
    #[must_use]
    pub fn address_deltas(&self, address: &AddressKey) -> Vec<PoolDelta> {
        let mut found = Vec::new();
        for entry in self.entries.values() {
            let mut note = |index, prevout, value| {
                found.push(PoolDelta { txid: entry.txid, index, prevout, value, time: entry.time });
            };
            for ((index, input), spent) in (0..).zip(&entry.tx.inputs).zip(&entry.spent) {
                if address_of(spent).as_ref() == Some(address) {
                    let value = spent.value.checked_neg().unwrap_or_default();
                    note(index, Some(input.prevout), value);
                }
            }
            for (index, output) in (0..).zip(&entry.tx.outputs) {
                if address_of(output).as_ref() == Some(address) {
                    note(index, None, output.value);
                }
            }
        }
        found
    }

    /// Adds to the priority and the fee that templates count for a transaction (`prioritisetransaction`).
    pub fn prioritise(&mut self, txid: TxId, priority: f64, fee: Amount) {
        let (priority_delta, fee_delta) = self.deltas.entry(txid).or_default();
        *priority_delta += priority;
        *fee_delta = fee_delta.checked_add(fee).unwrap_or(*fee_delta);
        self.updates += 1;
    }

    /// What was added to the priority and the fee of a transaction.
    #[must_use]
    pub fn delta(&self, txid: &TxId) -> (f64, Amount) {
        self.deltas.get(txid).copied().unwrap_or_default()
    }

    /// Follows a change of the chain. `events` are what one activation did; `now` is the time in seconds since the epoch;
    /// `is_synced` is false while the chain is far behind. Returns the transactions that went because a block
    /// conflicts with them.
    pub fn follow(
        &mut self,
        chain: &ChainState,
        events: &[ChainEvent],
        now: i64,
        is_synced: bool,
    ) -> Vec<TxId> {
        let mut conflicts = Vec::new();
        let mut returned: Vec<Arc<Transaction>> = Vec::new();
        for event in events {
            match event {
                ChainEvent::Connected { block, height, .. } => {
                    self.remove_block(block.transactions(), *height, now, is_synced, &mut conflicts);
                }
                ChainEvent::Disconnected { block, .. } => {
                    let ids = block.transactions();
                    let others = ids.filter(|(_, tx)| !tx.is_coinbase());
                    let mut others: Vec<Arc<Transaction>> =
                        others.map(|(_, tx)| Arc::new(tx.clone())).collect();
                    others.append(&mut returned);
                    returned = others;
                    if block.txids().iter().any(|txid| self.in_blocks.contains(txid, now)) {
                        self.in_blocks.clear();
                    }
                }
                ChainEvent::Rejected { .. } => {}
            }
        }
        if returned.is_empty() {
            self.remove_other_branches(chain);
            return conflicts;
        }
        for tx in returned {
            let txid = tx.txid();
            let admission = Admission { limit_free: false, reject_absurd_fee: false, now, is_synced };
            if self.accept(chain, &tx, admission).is_err() && !self.entries.contains_key(&txid) {
                self.remove_children_of(&tx, &txid);
            }
        }
        self.remove_unfit(chain, now);
        self.remove_other_branches(chain);
        conflicts
    }

    /// Takes a transaction out, and with `recursive` everything that spends its outputs. Returns what went.
    pub fn remove(&mut self, txid: &TxId, recursive: bool) -> Vec<TxId> {
        let mut removed = Vec::new();
        let mut queue = vec![*txid];
        while let Some(txid) = queue.pop() {
            let Some(entry) = self.entries.remove(&txid) else { continue };
            if recursive {
                queue.extend(self.children(&txid, &entry.tx));
            }
            for input in &entry.tx.inputs {
                self.spenders.remove(&input.prevout);
            }
            for nullifier in entry.tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers) {
                self.sprout_nullifiers.remove(nullifier);
            }
            for spend in &entry.tx.spends {
                self.sapling_nullifiers.remove(&spend.nullifier);
            }
            if let Some(collateral) = entry.tx.fluxnode.as_ref().and_then(|body| body.collateral())
                && self.by_collateral.get(&collateral) == Some(&txid)
            {
                self.by_collateral.remove(&collateral);
            }
            self.bytes = self.bytes.saturating_sub(entry.size);
            self.memory = self.memory.saturating_sub(entry.memory());
            self.tree.remove(&txid);
            self.estimator.remove(&txid);
            self.updates += 1;
            removed.push(txid);
        }
        removed
    }

    pub(crate) fn add(&mut self, entry: Entry, is_synced: bool) {
        let (txid, tx) = (entry.txid, Arc::clone(&entry.tx));
        self.tree.add(txid, entry.cost(), entry.fee);
        for (number, input) in (0..).zip(&tx.inputs) {
            self.spenders.insert(input.prevout, (txid, number));
        }
        for nullifier in tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers) {
            self.sprout_nullifiers.insert(*nullifier, txid);
        }
        for spend in &tx.spends {
            self.sapling_nullifiers.insert(spend.nullifier, txid);
        }
        self.bytes += entry.size;
        self.memory += entry.memory();
        self.updates += 1;
        self.estimator.add(&entry, is_synced);
        self.entries.insert(txid, entry);
    }

    /// Fluxnode transactions that wait too long go.
    pub(crate) fn remove_old_nodes(&mut self, now: i64) {
        let old: Vec<TxId> = self
            .seen_nodes
            .iter()
            .filter(|(_, time)| now.saturating_sub(**time) > NODE_SECONDS)
            .map(|(txid, _)| *txid)
            .collect();
        for txid in old {
            self.seen_nodes.remove(&txid);
            self.remove(&txid, false);
        }
    }

    /// Evicts until the pool costs no more than it may. Returns what went.
    pub(crate) fn shrink(&mut self, now: i64) -> Vec<TxId> {
        let mut gone = Vec::new();
        while let Some(txid) = self.tree.drop_one(&mut self.rng) {
            self.evicted.add(txid, now);
            gone.extend(self.remove(&txid, true));
        }
        gone
    }

    /// What a block confirms goes, and what conflicts with it (`removeForBlock`).
    fn remove_block<'a>(
        &mut self,
        transactions: impl Iterator<Item = (&'a TxId, &'a Transaction)>,
        height: u32,
        now: i64,
        is_synced: bool,
        conflicts: &mut Vec<TxId>,
    ) {
        let transactions: Vec<_> = transactions.collect();
        let mut confirmed: Vec<Entry> = Vec::new();
        for (txid, tx) in &transactions {
            let waiting = match tx.fluxnode.as_ref().and_then(|body| body.collateral()) {
                Some(collateral) => self.by_collateral.get(&collateral).copied(),
                None => Some(**txid),
            };
            confirmed.extend(waiting.and_then(|txid| self.entries.get(&txid).cloned()));
        }
        for (txid, tx) in &transactions {
            self.remove(txid, false);
            self.remove_conflicts(tx, txid, conflicts);
            self.deltas.remove(*txid);
        }
        self.estimator.block(height, &confirmed, is_synced);
        for entry in confirmed.iter().filter(|entry| entry.tx.is_fluxnode()) {
            self.remove(&entry.txid, false);
        }
        for (txid, _) in transactions.iter().filter(|(_, tx)| tx.is_fluxnode()) {
            self.in_blocks.add(**txid, now);
        }
        let expired: Vec<TxId> = self
            .entries
            .values()
            .filter(|entry| check::is_expired(&entry.tx, height))
            .map(|entry| entry.txid)
            .collect();
        for txid in expired {
            self.remove(&txid, true);
        }
        self.updates += 1;
    }

    fn remove_conflicts(&mut self, tx: &Transaction, txid: &TxId, conflicts: &mut Vec<TxId>) {
        let mut rivals: BTreeSet<TxId> =
            tx.inputs.iter().filter_map(|input| Some(self.spenders.get(&input.prevout)?.0)).collect();
        for nullifier in tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers) {
            rivals.extend(self.sprout_nullifiers.get(nullifier));
        }
        for spend in &tx.spends {
            rivals.extend(self.sapling_nullifiers.get(&spend.nullifier));
        }
        rivals.remove(txid);
        for rival in rivals {
            conflicts.extend(self.remove(&rival, true));
        }
    }

    fn children(&self, txid: &TxId, tx: &Transaction) -> Vec<TxId> {
        let outputs = 0..u32::try_from(tx.outputs.len()).unwrap_or(u32::MAX);
        let spender = |index| Some(self.spenders.get(&OutPoint { txid: *txid, index })?.0);
        outputs.filter_map(spender).collect()
    }

    fn remove_children_of(&mut self, tx: &Transaction, txid: &TxId) {
        for child in self.children(txid, tx) {
            self.remove(&child, true);
        }
    }

    /// After blocks were taken back: what is not final any more, spends a coinbase too early, spends what is gone, or
    /// uses an anchor that is gone.
    fn remove_unfit(&mut self, chain: &ChainState, now: i64) {
        let height = chain.index().height().saturating_add(1);
        let time = chain.index().median_time(chain.index().tip());
        let mut unfit = Vec::new();
        for entry in self.entries.values() {
            let inputs_fit = entry.tx.inputs.iter().all(|input| {
                self.entries.contains_key(&input.prevout.txid)
                    || chain.coin(&input.prevout).ok().flatten().is_some_and(|coin| {
                        !coin.coinbase
                            || height.saturating_sub(coin.height)
                                >= fluxd_chainstate::connect::COINBASE_MATURITY
                    })
            });
            let fits = check::is_final(&entry.tx, height, time)
                && inputs_fit
                && chain.has_shielded_requirements(&entry.tx).unwrap_or(false);
            if !fits {
                unfit.push(entry.txid);
            }
        }
        for txid in unfit {
            self.remove(&txid, true);
        }
        self.remove_old_nodes(now);
    }

    fn remove_other_branches(&mut self, chain: &ChainState) {
        let height = chain.index().height().saturating_add(1);
        let branch = chain.params().upgrades.branch_id(height);
        let others: Vec<TxId> =
            self.entries.values().filter(|entry| entry.branch_id != branch).map(|entry| entry.txid).collect();
        for txid in others {
            self.remove(&txid, true);
        }
    }
}

/// The height that outputs of the pool count as.
pub(crate) const MEMPOOL_HEIGHT: u32 = 0x7fff_ffff;

/// An input of the pool and what it spends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSpending {
    /// The transaction.
    pub txid: TxId,
    /// Its input.
    pub input: u32,
    /// The value that is spent.
    pub value: Amount,
    /// Whom the output pays, where the indexes know it.
    pub address: Option<AddressKey>,
}

/// An input or output of the pool that touches an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolDelta {
    /// The transaction.
    pub txid: TxId,
    /// Its input or output.
    pub index: u32,
    /// The output that is spent, of an input.
    pub prevout: Option<OutPoint>,
    /// The value, negative for an input.
    pub value: Amount,
    /// When the transaction came, seconds since the epoch.
    pub time: i64,
}
