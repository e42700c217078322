//! Which transactions of the pool go into a block: first by priority, then by fee. Mirrors the loops of `CreateNewBlock`.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap, HashSet},
    sync::Arc,
};

use fluxd_chainstate::{
    ChainError, ChainState, Coin, check_scripts,
    connect::check_values,
    policy::{self, FeeRate},
};
use fluxd_consensus::check::{
    self,
    block::{MAX_BLOCK_SIGOPS, legacy_sigops},
};
use fluxd_fluxnode::collateral::{self, tier_of_coin};
use fluxd_primitives::{Amount, OutPoint, Transaction, TxId, transaction::fluxnode::FluxnodeTx};
use fluxd_script::{Flags, instruction::count_input_sigops};

use crate::template::Settings;

/// Bytes and signature operations that are left for header and coinbase.
const RESERVED_SIZE: usize = 1000;
const RESERVED_SIGOPS: u32 = 100;
/// What a fluxnode transaction counts as its fee, in zatoshi, though it pays none.
const NODE_FEE: i64 = 1_000_000;
/// What the collateral of a fluxnode transaction counts as its value.
const NODE_VALUE: f64 = 100.0;

/// A transaction of the pool.
#[derive(Debug, Clone)]
pub struct PoolTx {
    /// The transaction.
    pub tx: Arc<Transaction>,
    /// Its id.
    pub txid: TxId,
    /// Bytes on the wire.
    pub size: usize,
    /// What an operator added to its fee.
    pub fee_delta: Amount,
    /// What an operator added to its priority.
    pub priority_delta: f64,
}

/// The transactions of a block, after its coinbase.
#[derive(Debug, Default)]
pub struct Selection {
    /// The transactions.
    pub transactions: Vec<Arc<Transaction>>,
    /// Their ids.
    pub txids: Vec<TxId>,
    /// Their fees.
    pub fees: Vec<Amount>,
    /// Their signature operations.
    pub sigops: Vec<u32>,
}

/// A transaction that may be taken, with what decides its turn.
#[derive(Debug, Clone)]
struct Turn {
    place: usize,
    priority: f64,
    rate: FeeRate,
    by_fee: bool,
}

impl PartialEq for Turn {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Turn {}

impl PartialOrd for Turn {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Turn {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_priority = self.priority.total_cmp(&other.priority);
        let by_rate = self.rate.cmp(&other.rate);
        let order = if self.by_fee { by_rate.then(by_priority) } else { by_priority.then(by_rate) };
        order.then(other.place.cmp(&self.place))
    }
}

pub(crate) fn select(
    chain: &ChainState,
    pool: &[PoolTx],
    settings: &Settings,
    time: i64,
) -> Result<Selection, ChainError> {
    Selecting::new(chain, pool, settings, time).run()
}

struct Selecting<'a> {
    chain: &'a ChainState,
    pool: &'a [PoolTx],
    settings: &'a Settings,
    height: u32,
    time: i64,
    by_id: HashMap<TxId, usize>,
    /// Outputs that selected transactions made.
    made: HashMap<OutPoint, Coin>,
    spent: HashSet<OutPoint>,
    /// Collaterals that selected transactions are about: a block has one for each.
    collaterals: HashSet<OutPoint>,
    selection: Selection,
    size: usize,
    sigops: u32,
}

impl<'a> Selecting<'a> {
    fn new(chain: &'a ChainState, pool: &'a [PoolTx], settings: &'a Settings, time: i64) -> Self {
        Self {
            chain,
            pool,
            settings,
            height: chain.index().height().saturating_add(1),
            time,
            by_id: pool.iter().enumerate().map(|(place, entry)| (entry.txid, place)).collect(),
            made: HashMap::new(),
            spent: HashSet::new(),
            collaterals: HashSet::new(),
            selection: Selection::default(),
            size: RESERVED_SIZE,
            sigops: RESERVED_SIGOPS,
        }
    }

    fn run(mut self) -> Result<Selection, ChainError> {
        let mut by_fee = self.settings.priority_size == 0;
        let mut heap: BinaryHeap<Turn> = BinaryHeap::new();
        let mut waiting: HashMap<TxId, Vec<usize>> = HashMap::new();
        let mut missing: HashMap<usize, HashSet<TxId>> = HashMap::new();
        let mut turns: HashMap<usize, Turn> = HashMap::new();
        for place in 0..self.pool.len() {
            let Some((turn, parents)) = self.turn(place)? else { continue };
            if parents.is_empty() {
                heap.push(Turn { by_fee, ..turn });
            } else {
                for parent in &parents {
                    waiting.entry(*parent).or_default().push(place);
                }
                missing.insert(place, parents);
                turns.insert(place, turn);
            }
        }
        while let Some(turn) = heap.pop() {
            let Some(entry) = self.pool.get(turn.place) else { continue };
            let full_size = self.size.saturating_add(entry.size);
            if full_size >= self.settings.max_size {
                continue;
            }
            let free = entry.priority_delta <= 0.0
                && entry.fee_delta <= Amount::ZERO
                && turn.rate < self.settings.min_relay_rate
                && full_size >= self.settings.min_size;
            if by_fee && free {
                continue;
            }
            if !by_fee && (full_size >= self.settings.priority_size || !policy::allows_free(turn.priority)) {
                by_fee = true;
                heap = heap.into_iter().map(|turn| Turn { by_fee, ..turn }).collect();
            }
            if !self.take(entry)? {
                continue;
            }
            for child in waiting.remove(&entry.txid).unwrap_or_default() {
                let Some(parents) = missing.get_mut(&child) else { continue };
                parents.remove(&entry.txid);
                if parents.is_empty()
                    && let Some(turn) = turns.remove(&child)
                {
                    heap.push(Turn { by_fee, ..turn });
                }
            }
        }
        Ok(self.selection)
    }

    /// What decides the turn of a transaction, and the transactions of the pool that must come before it; `None` for one
    /// that cannot be in the block.
    fn turn(&self, place: usize) -> Result<Option<(Turn, HashSet<TxId>)>, ChainError> {
        let Some(entry) = self.pool.get(place) else { return Ok(None) };
        let tx = &entry.tx;
        if tx.is_coinbase()
            || !check::is_final(tx, self.height, self.time)
            || check::is_expired(tx, self.height)
        {
            return Ok(None);
        }
        let mut parents = HashSet::new();
        let (mut value_in, mut value_times_age) = (0_i64, 0.0);
        for input in &tx.inputs {
            match self.chain.coin(&input.prevout)? {
                Some(coin) => {
                    let age = self.height.saturating_sub(coin.height);
                    value_in = value_in.saturating_add(coin.output.value.zat());
                    value_times_age += policy::zat_number(coin.output.value.zat()) * f64::from(age);
                }
                None => {
                    let parent = self.by_id.get(&input.prevout.txid).and_then(|place| self.pool.get(*place));
                    let index = usize::try_from(input.prevout.index).unwrap_or(usize::MAX);
                    let Some(output) = parent.and_then(|parent| parent.tx.outputs.get(index)) else {
                        return Ok(None);
                    };
                    value_in = value_in.saturating_add(output.value.zat());
                    parents.insert(input.prevout.txid);
                }
            }
        }
        if let Some(body) = &tx.fluxnode {
            let Some(coin) = self.node_coin(body)? else { return Ok(None) };
            value_times_age += NODE_VALUE * f64::from(self.height.saturating_sub(coin.height));
        }
        let shielded = fluxd_chainstate::connect::shielded_value_in(tx).unwrap_or_default();
        value_in = value_in.saturating_add(shielded.zat()).saturating_add(entry.fee_delta.zat());
        let priority = policy::priority(tx, entry.size, value_times_age) + entry.priority_delta;
        let out = fluxd_chainstate::connect::value_out(tx).unwrap_or_default();
        let fee = if tx.is_fluxnode() { NODE_FEE } else { value_in.saturating_sub(out.zat()) };
        let rate = FeeRate::of(Amount::from_zat(fee), entry.size);
        Ok(Some((Turn { place, priority, rate, by_fee: false }, parents)))
    }

    /// The collateral of a fluxnode transaction that the node list would take now.
    fn node_coin(&self, body: &FluxnodeTx) -> Result<Option<Coin>, ChainError> {
        let Some(outpoint) = body.collateral() else { return Ok(None) };
        let Some(coin) = self.chain.coin(&outpoint)? else { return Ok(None) };
        let params = self.chain.params();
        let collateral = collateral::Coin {
            value: coin.output.value,
            script_pubkey: &coin.output.script_pubkey,
            height: coin.height,
        };
        let fits = tier_of_coin(&params.nodes, self.height, &collateral, None, &[]).is_ok();
        let welcome = match body {
            FluxnodeTx::Start(_) => self.chain.nodes().check_start(&outpoint, self.height).is_ok(),
            FluxnodeTx::Confirm(confirm) => {
                fluxd_chainstate::connect::confirmed_key(params, self.chain.nodes(), self.height, confirm)
                    .is_ok()
            }
            FluxnodeTx::Unknown(_) => false,
        };
        Ok((fits && welcome).then_some(coin))
    }

    /// Takes a transaction into the block if the state, with those before it, allows it.
    fn take(&mut self, entry: &PoolTx) -> Result<bool, ChainError> {
        let tx = &entry.tx;
        let mut sigops = legacy_sigops(tx);
        if self.sigops.saturating_add(sigops) >= MAX_BLOCK_SIGOPS {
            return Ok(false);
        }
        let mut coins = Vec::with_capacity(tx.inputs.len());
        for input in &tx.inputs {
            let coin = match self.made.get(&input.prevout) {
                Some(coin) => Some(coin.clone()),
                None => self.chain.coin(&input.prevout)?,
            };
            match coin.filter(|_| !self.spent.contains(&input.prevout)) {
                Some(coin) => coins.push(coin),
                None => return Ok(false),
            }
        }
        if let Some(collateral) = tx.fluxnode.as_ref().and_then(|body| body.collateral())
            && (self.spent.contains(&collateral) || self.collaterals.contains(&collateral))
        {
            return Ok(false);
        }
        let params = self.chain.params();
        let Ok(fee) = check_values(params, tx, &coins, self.height) else { return Ok(false) };
        for (input, coin) in tx.inputs.iter().zip(&coins) {
            sigops =
                sigops.saturating_add(count_input_sigops(&coin.output.script_pubkey.0, &input.script_sig.0));
        }
        if self.sigops.saturating_add(sigops) >= MAX_BLOCK_SIGOPS {
            return Ok(false);
        }
        let spent: Vec<_> = coins.into_iter().map(|coin| coin.output).collect();
        let branch = params.upgrades.branch_id(self.height);
        if check_scripts(tx, &spent, Flags::CONSENSUS, branch).is_err() {
            return Ok(false);
        }
        self.spent.extend(tx.inputs.iter().map(|input| input.prevout));
        for (index, output) in (0..).zip(&tx.outputs) {
            let coin =
                Coin { output: output.clone(), height: self.height, coinbase: false, version: tx.version };
            self.made.insert(OutPoint { txid: entry.txid, index }, coin);
        }
        if let Some(collateral) = tx.fluxnode.as_ref().and_then(|body| body.collateral()) {
            self.collaterals.insert(collateral);
        }
        self.size = self.size.saturating_add(entry.size);
        self.sigops = self.sigops.saturating_add(sigops);
        self.selection.transactions.push(Arc::clone(tx));
        self.selection.txids.push(entry.txid);
        self.selection.fees.push(fee);
        self.selection.sigops.push(sigops);
        Ok(true)
    }
}
