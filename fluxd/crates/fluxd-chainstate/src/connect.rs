//! What a block changes, and whether it may: pure over a view of the state before it. Mirrors `ConnectBlock` in
//! `src/main.cpp`; the expensive checks are collected, not run.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use fluxd_consensus::{
    check::{
        self, BlockError, CheckedBlock,
        block::{MAX_BLOCK_SIGOPS, legacy_sigops},
    },
    params::Params,
    subsidy,
    upgrades::Upgrade,
};
use fluxd_fluxnode::{
    BlockChanges, Node, NodeState,
    collateral::{self, check_owner, tier_of_coin},
    message::{delegate_update, sound_claim},
};
use fluxd_primitives::{
    Amount, Hash256, OutPoint, Proof, PublicKey, Transaction, TxId, TxOut,
    transaction::fluxnode::{Confirm, FluxnodeTx, Owner, Start},
};
use fluxd_script::instruction::{count_input_sigops, script_hash};
use fluxd_shielded::{SaplingTree, SproutTree};
use fluxd_storage::{BlockUndo, Coins, InputUndo};

use crate::{
    checks::{BlockChecks, Item},
    error::{ChainError, ConnectError, Invalid},
    state::{Coin, Group, StateView},
};

/// Blocks between a coinbase and the first that may spend it.
pub const COINBASE_MATURITY: u32 = 100;
/// Up to this height the coinbase may pay anything.
const ANY_COINBASE_UNTIL: u32 = 2;

/// Everything a valid block changes.
#[derive(Debug)]
pub(crate) struct Plan {
    coins: HashMap<TxId, Option<Arc<Coins>>>,
    sprout_nullifiers: HashSet<Hash256>,
    sapling_nullifiers: HashSet<Hash256>,
    sprout_tree: Option<(SproutTree, Hash256)>,
    sapling_tree: Option<(SaplingTree, Hash256)>,
    pub(crate) nodes: BlockChanges,
    pub(crate) undo: BlockUndo,
    pub(crate) checks: BlockChecks,
    /// What the block adds to the Sprout pool, in zatoshi.
    pub(crate) sprout_value: i64,
    /// What the block adds to the Sapling pool, in zatoshi.
    pub(crate) sapling_value: i64,
}

impl Plan {
    /// Makes the changes of the coins, nullifiers and trees. The node list is the caller's.
    pub(crate) fn apply(&mut self, group: &mut Group) {
        group.coins.extend(self.coins.drain());
        group.sprout_nullifiers.extend(self.sprout_nullifiers.drain().map(|nullifier| (nullifier, true)));
        group.sapling_nullifiers.extend(self.sapling_nullifiers.drain().map(|nullifier| (nullifier, true)));
        if let Some((tree, root)) = self.sprout_tree.take() {
            group.push_sprout(tree, root);
        }
        if let Some((tree, root)) = self.sapling_tree.take() {
            group.push_sapling(tree, root);
        }
    }
}

/// Why a block was not planned.
#[derive(Debug)]
pub(crate) enum Failure {
    Invalid(Invalid),
    Local(ChainError),
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<BlockError> for Failure {
    fn from(error: BlockError) -> Self {
        Self::Invalid(error.into())
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        Self::Local(error)
    }
}

/// What a block is judged against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) params: &'a Params,
    pub(crate) state: StateView<'a>,
    pub(crate) nodes: &'a NodeState,
}

/// Judges the block of a height. `with_scripts` is false below a known block, whose hash vouches for scripts and proofs;
/// `with_maker` is false for a template that nobody signed yet.
pub(crate) fn plan(
    before: Before<'_>,
    block: &Arc<CheckedBlock>,
    height: u32,
    with_scripts: bool,
    with_maker: bool,
) -> Result<Plan, Failure> {
    check::check_block_at(block.block(), before.params, height)?;
    for txid in block.txids() {
        if before.state.coins(txid)?.is_some() {
            return Err(ConnectError::OverwrittenTransaction.into());
        }
    }
    let coinbase = block.block().transactions.first().ok_or(BlockError::CoinbaseMissing)?;
    let paid =
        check::check_payouts(before.params, height, coinbase, before.nodes).map_err(ConnectError::Payout)?;

    let mut connecting = Connecting::new(before, block, height, with_scripts);
    connecting.nodes.paid = paid;
    if with_maker {
        connecting.maker(block);
    }
    for (place, (txid, tx)) in block.transactions().enumerate() {
        connecting.transaction(place, txid, tx)?;
    }
    connecting.finish(coinbase)
}

struct Connecting<'a> {
    before: Before<'a>,
    height: u32,
    with_scripts: bool,
    coins: HashMap<TxId, Option<Arc<Coins>>>,
    sprout_nullifiers: HashSet<Hash256>,
    sapling_nullifiers: HashSet<Hash256>,
    sprout_leaves: Vec<Hash256>,
    sapling_leaves: Vec<Hash256>,
    nodes: BlockChanges,
    undo: BlockUndo,
    checks: BlockChecks,
    fees: Amount,
    sigops: u32,
    sprout_value: i64,
    sapling_value: i64,
}

impl<'a> Connecting<'a> {
    fn new(before: Before<'a>, block: &Arc<CheckedBlock>, height: u32, with_scripts: bool) -> Self {
        Self {
            before,
            height,
            with_scripts,
            coins: HashMap::new(),
            sprout_nullifiers: HashSet::new(),
            sapling_nullifiers: HashSet::new(),
            sprout_leaves: Vec::new(),
            sapling_leaves: Vec::new(),
            nodes: BlockChanges::default(),
            undo: BlockUndo { transactions: Vec::new(), sprout_root: before.state.group.tip.sprout_root },
            checks: BlockChecks {
                block: Arc::clone(block),
                height,
                branch_id: before.params.upgrades.branch_id(height),
                items: Vec::new(),
                shielded: Vec::new(),
            },
            fees: Amount::ZERO,
            sigops: 0,
            sprout_value: 0,
            sapling_value: 0,
        }
    }

    fn maker(&mut self, block: &CheckedBlock) {
        if let Proof::Node { collateral, .. } = &block.block().header.proof {
            let node_key = self.before.nodes.node(collateral).map(|node| node.node_key.clone());
            self.checks.items.push(Item::ProofOfNode { node_key });
        }
    }

    fn transaction(&mut self, place: usize, txid: &TxId, tx: &Transaction) -> Result<(), Failure> {
        self.count_sigops(legacy_sigops(tx))?;
        if !tx.is_coinbase() {
            let spent = self.inputs(tx)?;
            match tx.fluxnode.as_deref() {
                Some(FluxnodeTx::Start(start)) => self.start(place, start)?,
                Some(FluxnodeTx::Confirm(confirm)) => self.confirm(place, confirm)?,
                Some(FluxnodeTx::Unknown(_)) | None => {
                    self.nodes.spent.extend(tx.inputs.iter().map(|input| input.prevout));
                }
            }
            self.shielded_requirements(tx)?;
            for (input, coin) in tx.inputs.iter().zip(&spent) {
                self.count_sigops(count_input_sigops(&coin.output.script_pubkey.0, &input.script_sig.0))?;
            }
            self.values(tx, &spent)?;
            if self.with_scripts {
                self.collect_checks(place, tx, spent);
            }
            self.spend(tx)?;
        }
        if let Some(coins) = Coins::of_transaction(tx, self.height) {
            self.coins.insert(*txid, Some(Arc::new(coins)));
        }
        for joinsplit in &tx.joinsplits {
            self.sprout_nullifiers.extend(joinsplit.nullifiers);
            self.sprout_leaves.extend(joinsplit.commitments);
            self.sprout_value = self
                .sprout_value
                .saturating_add(joinsplit.vpub_old.zat())
                .saturating_sub(joinsplit.vpub_new.zat());
        }
        self.sapling_nullifiers.extend(tx.spends.iter().map(|spend| spend.nullifier));
        self.sapling_leaves.extend(tx.shielded_outputs.iter().map(|output| output.cmu));
        self.sapling_value = self.sapling_value.saturating_sub(tx.value_balance.zat());
        Ok(())
    }

    fn count_sigops(&mut self, count: u32) -> Result<(), ConnectError> {
        self.sigops = self.sigops.saturating_add(count);
        if self.sigops > MAX_BLOCK_SIGOPS { Err(ConnectError::SigOps) } else { Ok(()) }
    }

    fn coins(&self, txid: &TxId) -> Result<Option<Arc<Coins>>, ChainError> {
        match self.coins.get(txid) {
            Some(coins) => Ok(coins.clone()),
            None => self.before.state.coins(txid),
        }
    }

    fn coin(&self, outpoint: &OutPoint) -> Result<Option<Coin>, ChainError> {
        Ok(self.coins(&outpoint.txid)?.and_then(|coins| Coin::of(&coins, outpoint.index)))
    }

    fn inputs(&self, tx: &Transaction) -> Result<Vec<Coin>, Failure> {
        let coin = |outpoint| Ok(self.coin(outpoint)?.ok_or(ConnectError::MissingInput)?);
        tx.inputs.iter().map(|input| coin(&input.prevout)).collect()
    }

    fn start(&mut self, place: usize, start: &Start) -> Result<(), Failure> {
        let Some(claim) = &start.claim else {
            return Err(ConnectError::MissingCollateral.into());
        };
        let nodes = self.before.nodes;
        nodes.check_start(&claim.collateral, self.height).map_err(ConnectError::Node)?;
        let coin = self.coin(&claim.collateral)?.ok_or(ConnectError::MissingCollateral)?;
        let node = started_node(self.before.params, self.height, start, &coin)?;
        let delegates = nodes.delegates(&claim.collateral).to_vec();
        self.checks.items.push(Item::Start { tx: place, delegates });
        self.nodes.starts.push((claim.collateral, node));
        if let Some(keys) = delegate_update(start) {
            self.nodes.delegates.push((claim.collateral, keys.to_vec()));
        }
        Ok(())
    }

    fn confirm(&mut self, place: usize, confirm: &Confirm) -> Result<(), Failure> {
        let coin = self.coin(&confirm.collateral)?.ok_or(ConnectError::MissingCollateral)?;
        tier_of_coin(&self.before.params.nodes, self.height, &collateral_coin(&coin), None, &[])
            .map_err(ConnectError::Collateral)?;
        let node_key = confirmed_key(self.before.params, self.before.nodes, self.height, confirm)?;
        self.checks.items.push(Item::Confirm { tx: place, node_key });
        let change = (confirm.collateral, confirm.ip.clone());
        if confirm.update_type == 0 {
            self.nodes.confirms.push(change);
        } else {
            self.nodes.updates.push(change);
        }
        Ok(())
    }

    fn shielded_requirements(&self, tx: &Transaction) -> Result<(), Failure> {
        for nullifier in tx.joinsplits.iter().flat_map(|joinsplit| &joinsplit.nullifiers) {
            if self.sprout_nullifiers.contains(nullifier) {
                return Err(ConnectError::ShieldedRequirements.into());
            }
        }
        for spend in &tx.spends {
            if self.sapling_nullifiers.contains(&spend.nullifier) {
                return Err(ConnectError::ShieldedRequirements.into());
            }
        }
        if has_shielded_requirements(self.before.state, tx)? {
            Ok(())
        } else {
            Err(ConnectError::ShieldedRequirements.into())
        }
    }

    fn values(&mut self, tx: &Transaction, spent: &[Coin]) -> Result<(), ConnectError> {
        let fee = check_values(self.before.params, tx, spent, self.height)?;
        self.fees = self.fees.checked_add(fee).ok_or(ConnectError::FeeRange)?;
        Ok(())
    }

    fn collect_checks(&mut self, place: usize, tx: &Transaction, spent: Vec<Coin>) {
        if !tx.inputs.is_empty() {
            let spent: Vec<TxOut> = spent.into_iter().map(|coin| coin.output).collect();
            self.checks.items.push(Item::Scripts { tx: place, spent });
        }
        if !tx.joinsplits.is_empty() || !tx.spends.is_empty() || !tx.shielded_outputs.is_empty() {
            self.checks.shielded.push(place);
        }
    }

    fn spend(&mut self, tx: &Transaction) -> Result<(), Failure> {
        let mut undo: Vec<InputUndo> = Vec::with_capacity(tx.inputs.len());
        for input in &tx.inputs {
            let txid = input.prevout.txid;
            // What this plan changed already is its own; what it takes from the state is copied once.
            let known = match self.coins.remove(&txid) {
                Some(known) => known,
                None => self.before.state.coins(&txid)?,
            };
            let mut coins = known.ok_or(ConnectError::MissingInput)?;
            undo.push(
                Arc::make_mut(&mut coins).spend(input.prevout.index).ok_or(ConnectError::MissingInput)?,
            );
            self.coins.insert(txid, (!coins.is_spent()).then_some(coins));
        }
        self.undo.transactions.push(undo);
        Ok(())
    }

    fn finish(self, coinbase: &Transaction) -> Result<Plan, Failure> {
        let params = self.before.params;
        let group = self.before.state.group;
        let sprout_tree = if self.sprout_leaves.is_empty() {
            None
        } else {
            let mut tree = group.sprout_tree.clone();
            self.sprout_leaves.iter().try_for_each(|leaf| tree.append(*leaf)).map_err(ConnectError::Tree)?;
            let root = tree.root();
            Some((tree, root))
        };
        let sapling_tree = if self.sapling_leaves.is_empty() {
            None
        } else {
            let mut tree = group.sapling_tree.clone();
            self.sapling_leaves.iter().try_for_each(|leaf| tree.append(*leaf)).map_err(ConnectError::Tree)?;
            let root = tree.root();
            Some((tree, root))
        };
        let sapling_root = sapling_tree.as_ref().map_or(group.tip.sapling_root, |(_, root)| *root);
        if params.upgrades.is_active(Upgrade::Acadia, self.height)
            && self.checks.block.block().header.sapling_root != sapling_root
        {
            return Err(ConnectError::SaplingRoot.into());
        }
        let mut allowed = self.fees.checked_add(subsidy::block_subsidy(params, self.height));
        for funding in subsidy::fundings(params, self.height) {
            allowed = allowed.and_then(|sum| sum.checked_add(funding.amount));
        }
        let allowed = allowed.ok_or(ConnectError::CoinbaseAmount)?;
        let paid = value_out(coinbase).ok_or(ConnectError::CoinbaseAmount)?;
        if self.height > ANY_COINBASE_UNTIL && paid > allowed {
            return Err(ConnectError::CoinbaseAmount.into());
        }
        Ok(Plan {
            coins: self.coins,
            sprout_nullifiers: self.sprout_nullifiers,
            sapling_nullifiers: self.sapling_nullifiers,
            sprout_tree,
            sapling_tree,
            nodes: self.nodes,
            undo: self.undo,
            checks: self.checks,
            sprout_value: self.sprout_value,
            sapling_value: self.sapling_value,
        })
    }
}

/// Checks the coin behind a START in a block of this height and returns the node that it starts.
///
/// # Errors
/// The coin is no collateral, or belongs to someone else.
pub fn started_node(params: &Params, height: u32, start: &Start, coin: &Coin) -> Result<Node, ConnectError> {
    let claim = start.claim.as_ref().ok_or(ConnectError::MissingCollateral)?;
    let owner_key = match &claim.owner {
        Owner::Key(key) => Some(key),
        Owner::RedeemScript(_) => None,
    };
    let foundation_keys: Vec<PublicKey> =
        params.foundation_keys.iter().map(|timed| timed.key.clone()).collect();
    let collateral = collateral_coin(coin);
    check_owner(start, &collateral, params.foundation_key(claim.sig_time)).map_err(ConnectError::Owner)?;
    let tier = tier_of_coin(&params.nodes, height, &collateral, owner_key, &foundation_keys)
        .map_err(ConnectError::Collateral)?;
    let script = &coin.output.script_pubkey;
    let of_foundation = owner_key.is_some() && script_hash(&script.0).is_some();
    Ok(Node {
        owner: sound_claim(start).map_or_else(|| claim.owner.clone(), |claim| claim.owner.clone()),
        collateral_script: of_foundation.then(|| script.clone()),
        node_key: claim.node_key.clone(),
        tier,
        collateral: coin.output.value,
        added: height,
        confirmed: 0,
        last_confirmed: 0,
        last_paid: 0,
        ip: Vec::new(),
    })
}

/// Checks a CONFIRM in a block of this height against the node list before it, and returns the key that must have
/// signed it.
///
/// # Errors
/// The rule of the node list that it breaks.
pub fn confirmed_key(
    params: &Params,
    nodes: &NodeState,
    height: u32,
    confirm: &Confirm,
) -> Result<PublicKey, ConnectError> {
    let node = if confirm.update_type == 0 {
        nodes.check_confirm(&confirm.collateral, confirm.benchmark_tier)?
    } else {
        nodes.check_update(&params.nodes, &confirm.collateral, &confirm.ip, confirm.benchmark_tier, height)?
    };
    Ok(node.node_key.clone())
}

/// Checks what a transaction spends in a block of this height, and returns its fee (`CheckTxInputs`). `spent` are the
/// coins of its inputs, in order.
///
/// # Errors
/// The rule that is broken.
pub fn check_values(
    params: &Params,
    tx: &Transaction,
    spent: &[Coin],
    height: u32,
) -> Result<Amount, ConnectError> {
    let is_rebranded = params.upgrades.is_active(Upgrade::Flux, height);
    let mut value = Amount::ZERO;
    for coin in spent {
        if coin.coinbase {
            if height.saturating_sub(coin.height) < COINBASE_MATURITY {
                return Err(ConnectError::ImmatureCoinbase);
            }
            if !is_rebranded && params.protect_coinbase && !tx.outputs.is_empty() {
                return Err(ConnectError::TransparentCoinbaseSpend);
            }
        }
        value = value
            .checked_add(coin.output.value)
            .filter(|sum| sum.in_range() && coin.output.value.in_range())
            .ok_or(ConnectError::InputValues)?;
    }
    let shielded = shielded_value_in(tx).ok_or(ConnectError::InputValues)?;
    value = value.checked_add(shielded).filter(|sum| sum.in_range()).ok_or(ConnectError::InputValues)?;
    let out = value_out(tx).ok_or(ConnectError::InputsBelowOutputs)?;
    if value < out {
        return Err(ConnectError::InputsBelowOutputs);
    }
    value.checked_sub(out).filter(|fee| fee.in_range()).ok_or(ConnectError::FeeRange)
}

/// What a transaction takes out of the transparent inputs: outputs and what enters shielded pools (`GetValueOut`).
#[must_use]
pub fn value_out(tx: &Transaction) -> Option<Amount> {
    let mut sum = Amount::ZERO;
    for output in &tx.outputs {
        sum = sum.checked_add(output.value)?;
    }
    if tx.value_balance < Amount::ZERO {
        sum = sum.checked_sub(tx.value_balance)?;
    }
    for joinsplit in &tx.joinsplits {
        sum = sum.checked_add(joinsplit.vpub_old)?;
    }
    Some(sum)
}

/// What leaves shielded pools for the transparent outputs (`GetShieldedValueIn`).
#[must_use]
pub fn shielded_value_in(tx: &Transaction) -> Option<Amount> {
    let mut sum = tx.value_balance.max(Amount::ZERO);
    for joinsplit in &tx.joinsplits {
        sum = sum.checked_add(joinsplit.vpub_new)?;
    }
    Some(sum)
}

/// True when no nullifier of a transaction is spent and every anchor is known; a JoinSplit may also use the tree that an
/// earlier one of the same transaction makes (`HaveShieldedRequirements`).
pub(crate) fn has_shielded_requirements(state: StateView<'_>, tx: &Transaction) -> Result<bool, Failure> {
    let mut made: HashMap<Hash256, SproutTree> = HashMap::new();
    for joinsplit in &tx.joinsplits {
        for nullifier in &joinsplit.nullifiers {
            if state.is_sprout_spent(nullifier)? {
                return Ok(false);
            }
        }
        let tree = match made.get(&joinsplit.anchor) {
            Some(tree) => Some(tree.clone()),
            None => state.sprout_anchor(&joinsplit.anchor)?,
        };
        let Some(mut tree) = tree else { return Ok(false) };
        for commitment in &joinsplit.commitments {
            tree.append(*commitment).map_err(ConnectError::Tree)?;
        }
        made.insert(tree.root(), tree);
    }
    let mut anchors = BTreeSet::new();
    for spend in &tx.spends {
        if state.is_sapling_spent(&spend.nullifier)? {
            return Ok(false);
        }
        if anchors.insert(spend.anchor.0) && state.sapling_anchor(&spend.anchor)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn collateral_coin(coin: &Coin) -> collateral::Coin<'_> {
    collateral::Coin {
        value: coin.output.value,
        script_pubkey: &coin.output.script_pubkey,
        height: coin.height,
    }
}
