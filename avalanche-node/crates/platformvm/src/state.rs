//! What the P-chain keeps: stakers, L1 validators, subnets and numbers in memory and on disk, UTXOs, transactions and blocks
//! on disk alone. A block's changes, the block, and what it hands to other chains become permanent in one write.
//! Mirrors `vms/platformvm/state/state.go`; the layout of rows is our own, but for the differences of validator sets.

mod draft;
mod l1;
mod overlay;
mod rows;
mod staker;
pub mod validator_diffs;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use avalanche_codec::marshal;
use avalanche_crypto::bls;
use avalanche_db::{Batch, Database, DbError, Prefixed};
use avalanche_ids::{Id, NodeId, ShortId};
use avalanche_vm::{
    chain::{Validator, ValidatorSet},
    utxo_store::{Page, UtxoStore},
};

pub use self::{
    draft::{Conversion, Diff, Draft, Scalars, StateError, TxStatus},
    l1::L1Validator,
    overlay::{Changes, Merged},
    staker::{Priority, Staker, StakerKey, StakerTerms, StakingInfo},
};
use self::{
    l1::L1Table,
    rows::{Row, key},
    staker::StakerTable,
    validator_diffs::{DiffError, ValidatorDiffs, WeightDiff},
};
use crate::{
    CHAIN_ID,
    block::Block,
    config::Config,
    fx::{Output, Owner, Utxo},
    genesis::Genesis,
    txs::{NamedTx, UnsignedTx},
};

type Store = Prefixed<Arc<dyn Database>>;

/// Why the state cannot be opened or changed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] DbError),
    /// The genesis breaks a rule of the state.
    #[error("invalid genesis")]
    State(#[from] StateError),
    /// A genesis validator that is none.
    #[error("genesis holds a transaction that is no validator")]
    NoStaker,
    /// The supply does not fit 64 bits.
    #[error("supply overflows")]
    Supply,
    /// The stored state contradicts itself.
    #[error("the stored state is inconsistent: {0}")]
    Inconsistent(&'static str),
}

/// The accepted state.
pub struct State {
    pub(crate) scalars: Scalars,
    pub(crate) supplies: BTreeMap<Id, u64>,
    pub(crate) expiries: BTreeMap<(u64, Id), ()>,
    l1: L1Table,
    current: StakerTable,
    pending: StakerTable,
    staking_info: BTreeMap<(Id, NodeId), StakingInfo>,
    sets: BTreeMap<Id, ValidatorSet>,
    subnets: Vec<Id>,
    owners: BTreeMap<Id, Owner>,
    conversions: BTreeMap<Id, Conversion>,
    transformations: BTreeMap<Id, Arc<NamedTx>>,
    chains: BTreeMap<Id, Vec<Id>>,
    uptimes: BTreeMap<NodeId, (u64, u64)>,
    last_accepted: Id,
    height: u64,
    rows: Store,
    utxos: UtxoStore<Store>,
    utxo_part: Store,
    diffs: ValidatorDiffs<Store>,
    diff_part: Store,
    root: Arc<dyn Database>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("height", &self.height)
            .field("scalars", &self.scalars)
            .finish_non_exhaustive()
    }
}

/// A block with its place, to be stored.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The block.
    pub id: Id,
    /// Its height.
    pub height: u64,
    /// Its encoding.
    pub bytes: &'a [u8],
}

/// How a validator set changes with a block.
#[derive(Debug, Default)]
struct SetChange {
    weight: WeightDiff,
    before: Option<bls::PublicKey>,
    after: Option<bls::PublicKey>,
}

impl State {
    /// Opens the state in the node's store; an empty one begins with a genesis.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub fn open(root: Arc<dyn Database>, config: &Config, genesis: &[u8]) -> Result<Self, OpenError> {
        let part = |name: &[u8]| Prefixed::new(Arc::clone(&root), name);
        let utxo_part = part(b"platformvm utxos");
        let mut state = Self {
            scalars: Scalars::default(),
            supplies: BTreeMap::new(),
            expiries: BTreeMap::new(),
            l1: L1Table::default(),
            current: StakerTable::default(),
            pending: StakerTable::default(),
            staking_info: BTreeMap::new(),
            sets: BTreeMap::new(),
            subnets: Vec::new(),
            owners: BTreeMap::new(),
            conversions: BTreeMap::new(),
            transformations: BTreeMap::new(),
            chains: BTreeMap::new(),
            uptimes: BTreeMap::new(),
            last_accepted: Id::EMPTY,
            height: 0,
            rows: part(b"platformvm"),
            utxos: UtxoStore::open(utxo_part.clone())?,
            utxo_part,
            diffs: ValidatorDiffs::new(part(b"platformvm diffs")),
            diff_part: part(b"platformvm diffs"),
            root,
        };
        if !state.load()? {
            state.begin(config, genesis)?;
        }
        Ok(state)
    }

    /// Makes the state that a genesis describes.
    fn begin(&mut self, config: &Config, genesis_bytes: &[u8]) -> Result<(), OpenError> {
        let genesis = Genesis::parse(genesis_bytes).map_err(DbError::from)?;
        let mut draft = Draft::new(self, Vec::new(), false);
        draft.scalars_mut().timestamp = genesis.timestamp;
        for utxo in &genesis.utxos {
            draft.add_utxo(utxo.utxo.clone());
        }
        let mut supply = genesis.initial_supply;
        for tx in genesis.validators {
            let terms = StakerTerms::of(&tx.unsigned).ok_or(OpenError::NoStaker)?;
            let rewards = crate::reward::Config::for_primary(config, terms.start);
            let duration = terms.end.saturating_sub(terms.start);
            let reward = rewards.calculate_seconds(duration, terms.weight, supply);
            supply = supply.checked_add(reward).ok_or(OpenError::Supply)?;
            let tx = Arc::new(NamedTx::new(tx));
            let staker = terms.become_current(tx.id, terms.start, terms.end, reward);
            draft.put_current_validator(Arc::new(staker))?;
            draft.add_tx(tx, TxStatus::Committed);
        }
        draft.set_supply(CHAIN_ID, supply);
        for tx in genesis.chains {
            let tx = Arc::new(NamedTx::new(tx));
            draft.add_chain(CHAIN_ID, tx.id);
            draft.add_tx(tx, TxStatus::Committed);
        }
        let diff = draft.into_diff();
        let block = Block::genesis(Id::hash_of(genesis_bytes));
        let bytes = block.bytes();
        let accepted = Accepted { id: block.id(), height: 0, bytes: &bytes };
        self.commit(diff, &[accepted], Batch::new())
    }

    /// The last accepted block whose changes are made.
    #[must_use]
    pub const fn last_accepted(&self) -> Id {
        self.last_accepted
    }

    /// Its height.
    #[must_use]
    pub const fn height(&self) -> u64 {
        self.height
    }

    /// The numbers.
    #[must_use]
    pub const fn scalars(&self) -> &Scalars {
        &self.scalars
    }

    /// A draft without changes, to read the accepted state as a block would.
    #[must_use]
    pub fn draft(&self) -> Draft<'_> {
        Draft::new(self, Vec::new(), false)
    }

    /// A UTXO.
    ///
    /// # Errors
    /// The store failed.
    pub fn utxo(&self, id: &Id) -> Result<Option<Utxo>, DbError> {
        self.utxos.get(id)
    }

    /// UTXOs of addresses; see [`UtxoStore::of_addresses`].
    ///
    /// # Errors
    /// The store failed.
    pub fn utxos_of(
        &self,
        addresses: &BTreeSet<ShortId>,
        start: Option<(ShortId, Id)>,
        limit: usize,
    ) -> Result<Page<Output>, DbError> {
        self.utxos.of_addresses(addresses, start, limit)
    }

    /// All subnets, oldest first, without the primary network.
    #[must_use]
    pub fn subnets(&self) -> &[Id] {
        &self.subnets
    }

    /// The chains of a subnet by the transactions that made them, oldest first.
    #[must_use]
    pub fn chains(&self, subnet: Id) -> &[Id] {
        self.chains.get(&subnet).map_or(&[], Vec::as_slice)
    }

    /// Validators of L1s, of one L1 or all.
    pub fn l1_validators(&self, subnet: Option<Id>) -> impl Iterator<Item = &L1Validator> {
        self.l1.by_id.values().filter(move |validator| subnet.is_none_or(|subnet| validator.subnet == subnet))
    }

    /// The current validators of a subnet as others see them.
    #[must_use]
    pub fn current_set(&self, subnet: Id) -> ValidatorSet {
        self.sets.get(&subnet).cloned().unwrap_or_default()
    }

    /// Weight of a node among the current validators of a subnet; zero when it is none.
    #[must_use]
    pub fn weight_of(&self, subnet: Id, node: NodeId) -> u64 {
        self.sets.get(&subnet).and_then(|set| set.get(&node)).map_or(0, |validator| validator.weight)
    }

    /// The validators of a subnet at a height that is not above the current one.
    ///
    /// # Errors
    /// The store failed or holds something else.
    pub fn set_at(&self, subnet: Id, height: u64) -> Result<ValidatorSet, DiffError> {
        let mut set = self.current_set(subnet);
        if height < self.height {
            self.diffs.rewind(&mut set, subnet, self.height, height)?;
        }
        Ok(set)
    }

    /// How long a validator was seen online and until when that was counted, both in seconds; None for no validator.
    #[must_use]
    pub fn uptime(&self, node: NodeId) -> Option<(u64, u64)> {
        let validator = self.current.validators.get(&(CHAIN_ID, node))?;
        Some(self.uptimes.get(&node).copied().unwrap_or((0, validator.start)))
    }

    /// Writes uptimes.
    ///
    /// # Errors
    /// The store failed.
    pub fn set_uptimes(
        &mut self,
        uptimes: impl IntoIterator<Item = (NodeId, (u64, u64))>,
    ) -> Result<(), DbError> {
        let mut batch = Batch::new();
        for (node, uptime) in uptimes {
            let value = [uptime.0.to_be_bytes(), uptime.1.to_be_bytes()].concat();
            batch.put(&key(Row::Uptime, &[node.as_bytes()]), &value);
            self.uptimes.insert(node, uptime);
        }
        self.rows.write(&batch)
    }

    /// Current validators of the primary network.
    pub fn primary_validators(&self) -> impl Iterator<Item = NodeId> {
        self.sets.get(&CHAIN_ID).into_iter().flat_map(|set| set.keys().copied())
    }

    /// Makes the changes of an accepted block permanent: `accepted` are the block and, in front of it, a proposal it
    /// decides; `beside` is written in the same batch.
    ///
    /// # Errors
    /// The store failed; or the changes contradict the state, which is then of no use.
    pub fn commit(&mut self, diff: Diff, accepted: &[Accepted<'_>], beside: Batch) -> Result<(), OpenError> {
        let height = accepted.last().map_or(self.height, |block| block.height);
        let mut batch = Batch::new();
        if let Some(last) = accepted.last() {
            self.last_accepted = last.id;
        }
        self.height = height;
        for block in accepted {
            batch.put(&key(Row::Block, &[block.id.as_bytes()]), block.bytes);
            batch.put(&key(Row::Height, &[&block.height.to_be_bytes()]), block.id.as_bytes());
        }
        let undo = self.write_sets(&diff, height)?;
        let mut whole = self.diff_part.outer_batch(&undo);
        self.write_rows(diff, &mut batch, &mut whole)?;
        whole.append(self.rows.outer_batch(&batch));
        whole.append(beside);
        self.root.write(&whole)?;
        Ok(())
    }

    /// Changes the current validator sets and returns the rows that undo it, for their part of the store.
    fn write_sets(&mut self, diff: &Diff, height: u64) -> Result<Batch, OpenError> {
        let changes = self.set_changes(diff)?;
        let mut batch = Batch::new();
        for ((subnet, node), change) in changes {
            let set = self.sets.entry(subnet).or_default();
            let before = set.get(&node).map_or(0, |validator| validator.weight);
            let after = if change.weight.decrease {
                before.checked_sub(change.weight.amount)
            } else {
                before.checked_add(change.weight.amount)
            };
            match after.ok_or(OpenError::Inconsistent("weight of a validator"))? {
                0 => drop(set.remove(&node)),
                weight => drop(set.insert(node, Validator { weight, public_key: change.after })),
            }
            if set.is_empty() {
                self.sets.remove(&subnet);
            }
            if change.weight.amount != 0 {
                let row = self.diffs.record_weight(subnet, height, node, change.weight);
                batch.append(row);
            }
            if change.before != change.after {
                batch.append(self.diffs.record_key(subnet, height, node, change.before.as_ref()));
            }
        }
        Ok(batch)
    }

    fn set_changes(&self, diff: &Diff) -> Result<BTreeMap<(Id, NodeId), SetChange>, OpenError> {
        const WEIGHT: OpenError = OpenError::Inconsistent("weight of a validator");
        let mut changes = BTreeMap::<(Id, NodeId), SetChange>::new();
        let old = &self.current;
        let new_validator = |key: &(Id, NodeId)| match diff.current.validators.get(key) {
            Some(changed) => changed.as_ref(),
            None => old.validators.get(key),
        };
        let touched = diff.current.validators.keys().copied();
        let touched: BTreeSet<_> =
            touched.chain(diff.current.delegators.keys().map(|(subnet, node, _)| (*subnet, *node))).collect();
        for key in touched {
            let primary = (CHAIN_ID, key.1);
            let mut weight = WeightDiff::default();
            let (before, after) = (old.validators.get(&key), new_validator(&key));
            weight = weight.gain(after.map_or(0, |staker| staker.weight)).ok_or(WEIGHT)?;
            weight = weight.lose(before.map_or(0, |staker| staker.weight)).ok_or(WEIGHT)?;
            let change = SetChange {
                weight,
                before: before.and(old.validators.get(&primary)).and_then(|staker| staker.public_key),
                after: after.and(new_validator(&primary)).and_then(|staker| staker.public_key),
            };
            changes.insert(key, change);
        }
        for (key, changed) in &diff.current.delegators {
            let change = changes.entry((key.0, key.1)).or_default();
            let before = old.delegators.get(key).map_or(0, |staker| staker.weight);
            let after = changed.as_ref().map_or(0, |staker| staker.weight);
            let weight = change.weight.gain(after).and_then(|weight| weight.lose(before));
            change.weight = weight.ok_or(WEIGHT)?;
        }
        for (id, changed) in &diff.l1.by_id {
            if let Some(before) = self.l1.by_id.get(id) {
                let change = changes.entry((before.subnet, before.effective_node_id())).or_default();
                change.weight = change.weight.lose(before.weight).ok_or(WEIGHT)?;
                change.before = before.effective_public_key();
            }
            if let Some(after) = changed {
                let change = changes.entry((after.subnet, after.effective_node_id())).or_default();
                change.weight = change.weight.gain(after.weight).ok_or(WEIGHT)?;
                change.after = after.effective_public_key();
            }
        }
        Ok(changes)
    }

    /// Makes all other changes in memory and adds their rows: to `batch` those of the main part, to `whole` the others.
    fn write_rows(&mut self, diff: Diff, batch: &mut Batch, whole: &mut Batch) -> Result<(), OpenError> {
        self.scalars = diff.scalars;
        let meta =
            rows::Meta { scalars: self.scalars, last_accepted: self.last_accepted, height: self.height };
        batch.put(&key(Row::Meta, &[]), &marshal(&meta));
        for (subnet, supply) in diff.supplies {
            batch.put(&key(Row::Supply, &[subnet.as_bytes()]), &supply.to_be_bytes());
            self.supplies.insert(subnet, supply);
        }
        for ((expiry, id), change) in &diff.expiries {
            rows::put(
                batch,
                Row::Expiry,
                &[&expiry.to_be_bytes(), id.as_bytes()],
                change.map(|()| Vec::new()),
            );
        }
        apply(&mut self.expiries, diff.expiries);
        for (id, change) in &diff.l1.by_id {
            rows::put(batch, Row::L1, &[id.as_bytes()], change.as_ref().map(marshal));
        }
        apply(&mut self.l1.by_id, diff.l1.by_id);
        apply(&mut self.l1.active, diff.l1.active);
        apply(&mut self.l1.nodes, diff.l1.nodes);
        self.l1.weights.extend(diff.l1.weights);
        self.l1.weights.retain(|_, weight| *weight > 0);
        for (table, changes, row) in
            [(&mut self.current, diff.current, Row::Current), (&mut self.pending, diff.pending, Row::Pending)]
        {
            // A renewed staker has a second place in the order and one row: what is removed goes first.
            for removed in [true, false] {
                for (place, change) in
                    changes.ordered.iter().filter(|(_, change)| change.is_none() == removed)
                {
                    rows::put(batch, row, &[place.tx_id.as_bytes()], change.as_deref().map(marshal));
                }
            }
            for (place, change) in &changes.validators {
                if row == Row::Current && change.is_none() {
                    self.uptimes.remove(&place.1);
                    if place.0 == CHAIN_ID {
                        batch.delete(&key(Row::Uptime, &[place.1.as_bytes()]));
                    }
                }
            }
            apply(&mut table.ordered, changes.ordered);
            apply(&mut table.validators, changes.validators);
            apply(&mut table.delegators, changes.delegators);
        }
        for ((subnet, node), change) in &diff.staking_info {
            let parts = [subnet.as_bytes().as_slice(), node.as_bytes().as_slice()];
            rows::put(batch, Row::StakingInfo, &parts, change.as_ref().map(marshal));
        }
        apply(&mut self.staking_info, diff.staking_info);
        for subnet in diff.subnets {
            let place = u64::try_from(self.subnets.len()).unwrap_or(u64::MAX);
            batch.put(&key(Row::Subnet, &[&place.to_be_bytes()]), subnet.as_bytes());
            self.subnets.push(subnet);
        }
        for (subnet, owner) in diff.owners {
            batch.put(&key(Row::Owner, &[subnet.as_bytes()]), &marshal(&owner));
            self.owners.insert(subnet, owner);
        }
        for (subnet, conversion) in diff.conversions {
            batch.put(&key(Row::Conversion, &[subnet.as_bytes()]), &marshal(&conversion));
            self.conversions.insert(subnet, conversion);
        }
        for (subnet, tx) in diff.transformations {
            batch.put(&key(Row::Transformation, &[subnet.as_bytes()]), &tx.bytes);
            self.transformations.insert(subnet, tx);
        }
        for (subnet, tx) in diff.chains {
            let chains = self.chains.entry(subnet).or_default();
            let place = u64::try_from(chains.len()).unwrap_or(u64::MAX);
            batch.put(&key(Row::Chain, &[subnet.as_bytes(), &place.to_be_bytes()]), tx.as_bytes());
            chains.push(tx);
        }
        for (id, (tx, status)) in diff.txs {
            let value = [&[rows::status_byte(status)], tx.bytes.as_slice()].concat();
            batch.put(&key(Row::Tx, &[id.as_bytes()]), &value);
        }
        for (tx, utxos) in diff.reward_utxos {
            for utxo in utxos {
                let parts = [tx.as_bytes().as_slice(), &utxo.id.output_index.to_be_bytes()];
                batch.put(&key(Row::Reward, &parts), &marshal(&utxo));
            }
        }
        let mut utxos = Batch::new();
        self.utxos.changes(diff.utxos.iter().map(|(id, change)| (id, change.as_ref())), &mut utxos)?;
        whole.append(self.utxo_part.outer_batch(&utxos));
        Ok(())
    }
}

fn apply<K: Ord, V>(table: &mut BTreeMap<K, V>, changes: Changes<K, V>) {
    for (key, change) in changes {
        match change {
            Some(value) => drop(table.insert(key, value)),
            None => drop(table.remove(&key)),
        }
    }
}

/// True for a transaction that adds a validator whose rewards are renewed.
#[must_use]
pub const fn is_auto_renewed(tx: &UnsignedTx) -> bool {
    matches!(tx, UnsignedTx::AddAutoRenewedValidator(_))
}
