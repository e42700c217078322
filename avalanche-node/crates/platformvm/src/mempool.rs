//! Transactions that wait for a block, the best payers of gas first. They were verified when they came; nothing is known of
//! them later. Mirrors `vms/platformvm/txs/mempool`.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use avalanche_ids::Id;
use avalanche_vm::gas::Dimensions;

use crate::{
    config::Config,
    txs::{
        NamedTx, UnsignedTx,
        fee::{self, ComplexityError},
    },
};

/// Gas of all transactions that wait together.
const GAS_CAPACITY: u64 = 1_000_000;
/// Refused transactions whose reason is remembered.
const DROPPED: usize = 64;

/// Why a transaction cannot wait. The name of the reference's error is in brackets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MempoolError {
    /// It waits already (`ErrDuplicateTx`).
    #[error("duplicate tx")]
    Duplicate,
    /// Another one that waits spends the same (`ErrConflictsWithOtherTx`).
    #[error("tx conflicts with other tx")]
    Conflict,
    /// There is no room, and it does not pay more than those that wait (`ErrNotEnoughGas`).
    #[error("not enough gas")]
    NotEnoughGas,
    /// It makes more AVAX than it spends (`errAVAXMinted`).
    #[error("AVAX minted")]
    Minted,
    /// It has no gas.
    #[error("no gas used")]
    NoGas(#[source] Option<ComplexityError>),
}

/// What a transaction pays for its gas; the higher the better, then the higher id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Price {
    burned: u64,
    gas: u64,
    id: Id,
}

impl Ord for Price {
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |left: u64, right: u64| u128::from(left) * u128::from(right);
        cross(self.burned, other.gas).cmp(&cross(other.burned, self.gas)).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Price {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The transactions that wait.
#[derive(Debug)]
pub struct Mempool {
    weights: Dimensions,
    avax_asset_id: Id,
    ordered: BTreeSet<Price>,
    txs: BTreeMap<Id, (Arc<NamedTx>, Price)>,
    spenders: BTreeMap<Id, Id>,
    dropped: VecDeque<(Id, String)>,
    gas_left: u64,
}

impl Mempool {
    /// Nothing waits.
    #[must_use]
    pub const fn new(config: &Config) -> Self {
        Self {
            weights: config.gas.weights,
            avax_asset_id: config.avax_asset_id,
            ordered: BTreeSet::new(),
            txs: BTreeMap::new(),
            spenders: BTreeMap::new(),
            dropped: VecDeque::new(),
            gas_left: GAS_CAPACITY,
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.txs.len()
    }

    /// True when none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.txs.is_empty()
    }

    /// One that waits.
    #[must_use]
    pub fn get(&self, id: &Id) -> Option<&Arc<NamedTx>> {
        self.txs.get(id).map(|(tx, _)| tx)
    }

    /// All that wait, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<NamedTx>> {
        self.ordered.iter().rev().filter_map(|price| self.get(&price.id))
    }

    /// The best one.
    #[must_use]
    pub fn best(&self) -> Option<&Arc<NamedTx>> {
        self.iter().next()
    }

    /// Adds a transaction; those that pay less give way.
    ///
    /// # Errors
    /// As [`MempoolError`] says.
    pub fn add(&mut self, tx: Arc<NamedTx>) -> Result<(), MempoolError> {
        if self.txs.contains_key(&tx.id) {
            return Err(MempoolError::Duplicate);
        }
        let spent: Vec<_> = spent(&tx.tx.unsigned).collect();
        if spent.iter().any(|id| self.spenders.contains_key(id)) {
            return Err(MempoolError::Conflict);
        }
        let price = self.price(&tx)?;
        self.make_room(&price)?;
        self.gas_left = self.gas_left.saturating_sub(price.gas);
        self.ordered.insert(price);
        self.spenders.extend(spent.into_iter().map(|id| (id, tx.id)));
        self.dropped.retain(|(id, _)| *id != tx.id);
        self.txs.insert(tx.id, (tx, price));
        Ok(())
    }

    fn make_room(&mut self, price: &Price) -> Result<(), MempoolError> {
        let mut left = self.gas_left;
        let mut out = Vec::new();
        for waiting in &self.ordered {
            let cheaper = u128::from(waiting.burned) * u128::from(price.gas)
                < u128::from(price.burned) * u128::from(waiting.gas);
            if price.gas <= left || !cheaper {
                break;
            }
            left = left.saturating_add(waiting.gas);
            out.push(waiting.id);
        }
        if price.gas > left {
            return Err(MempoolError::NotEnoughGas);
        }
        for id in out {
            self.remove(&id);
        }
        Ok(())
    }

    fn price(&self, tx: &NamedTx) -> Result<Price, MempoolError> {
        let unsigned = &tx.tx.unsigned;
        let sum = |mut amounts: Box<dyn Iterator<Item = (Id, u64)> + '_>| {
            amounts.try_fold(0_u64, |sum, (asset, amount)| {
                if asset == self.avax_asset_id { sum.checked_add(amount) } else { Some(sum) }
            })
        };
        let consumed =
            sum(Box::new(unsigned.inputs().map(|input| (input.asset_id, input.input.transfer().amount))));
        let produced =
            sum(Box::new(unsigned.outputs().map(|output| (output.asset_id, output.out.transfer().amount))));
        let produced = produced.and_then(|produced| produced.checked_add(balance(unsigned)?));
        let burned = consumed.zip(produced).and_then(|(consumed, produced)| consumed.checked_sub(produced));
        let burned = burned.ok_or(MempoolError::Minted)?;
        let complexity = fee::complexity(unsigned).map_err(|error| MempoolError::NoGas(Some(error)))?;
        match complexity.to_gas(self.weights) {
            Ok(gas) if gas > 0 => Ok(Price { burned, gas, id: tx.id }),
            _ => Err(MempoolError::NoGas(None)),
        }
    }

    /// Removes one.
    pub fn remove(&mut self, id: &Id) -> Option<Arc<NamedTx>> {
        let (tx, price) = self.txs.remove(id)?;
        self.ordered.remove(&price);
        self.gas_left = self.gas_left.saturating_add(price.gas);
        for spent in spent(&tx.tx.unsigned) {
            self.spenders.remove(&spent);
        }
        Some(tx)
    }

    /// Removes all that spend what a transaction spends, and itself.
    pub fn remove_conflicts(&mut self, tx: &UnsignedTx) {
        let conflicts: BTreeSet<_> = spent(tx).filter_map(|id| self.spenders.get(&id).copied()).collect();
        for id in conflicts {
            self.remove(&id);
        }
    }

    /// Remembers why a transaction was refused.
    pub fn mark_dropped(&mut self, id: Id, reason: String) {
        if self.txs.contains_key(&id) {
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

fn spent(tx: &UnsignedTx) -> impl Iterator<Item = Id> {
    tx.inputs().map(|input| input.utxo_id.input_id())
}

/// nAVAX that a transaction pays to the balances of L1 validators; None when it does not fit 64 bits.
fn balance(tx: &UnsignedTx) -> Option<u64> {
    match tx {
        UnsignedTx::ConvertSubnetToL1(tx) => {
            tx.validators.iter().try_fold(0_u64, |sum, validator| sum.checked_add(validator.balance))
        }
        UnsignedTx::RegisterL1Validator(tx) => Some(tx.balance),
        UnsignedTx::IncreaseL1ValidatorBalance(tx) => Some(tx.balance),
        _ => Some(0),
    }
}
