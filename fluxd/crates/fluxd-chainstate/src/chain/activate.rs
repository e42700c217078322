//! The best chain becomes the active one, a group of blocks at a time: they are connected in order while their expensive
//! checks run on all threads, their proofs are verified together, and one batch commits them all. Mirrors
//! `ActivateBestChainStep`, `ConnectTip` and `DisconnectTip` in `src/main.cpp`.
//!
//! Nothing outside the open group changes before everything in it is verified: a group with a wrong block is dropped, and
//! what was committed before stands.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use fluxd_consensus::{
    check::{self, CheckedBlock, HeaderContext},
    upgrades::Upgrade,
};
use fluxd_fluxnode::{Undo, state::Before as NodeBefore};
use fluxd_pon::pon_hash;
use fluxd_pow::difficulty::HISTORY;
use fluxd_primitives::{Amount, BlockHash, Hash256, OutPoint, Proof};
use fluxd_storage::{Batch, BlockUndo, Durability, NodeList, Position, Validity, View};
use parking_lot::Mutex;

use crate::{
    chain::{Activation, ChainEvent, ChainState, Result, ValuePools},
    checks::{self, BlockChecks},
    connect::{self, Before, Failure},
    disconnect,
    error::{ChainError, ConnectError, Invalid},
    follow::Change,
    index::BlockId,
    state::empty_sapling_root,
};

/// Blocks of the active chain whose undo data of fluxnodes is kept.
const NODE_UNDO_BLOCKS: u32 = 20_160;
/// While far behind, every so many commits are synced; at the tip every one is.
const SYNC_EVERY: u32 = 16;
/// A tip older than this, in seconds, is far behind.
const FAR_BEHIND: i64 = 4 * 3600;
/// Most blocks of a group, also when it replaces others.
const MAX_GROUP: usize = 512;

/// A block that the open group connected or took back.
struct Step {
    id: BlockId,
    block: Arc<CheckedBlock>,
    height: u32,
    undo: BlockUndo,
    /// Where the nodes that it touched stood before this step.
    nodes: Undo,
    pools: ValuePools,
}

/// Everything that the open group did.
#[derive(Default)]
pub(super) struct Steps {
    disconnected: Vec<Step>,
    connected: Vec<Step>,
}

/// Why a group of blocks was not connected.
pub(super) enum GroupFailure {
    /// The block at this place breaks a rule.
    Invalid(usize, Invalid),
    Local(ChainError),
}

impl GroupFailure {
    /// What a block breaks, in words; the error where nobody is to blame.
    pub(super) fn describe(self) -> Result<String> {
        match self {
            Self::Invalid(place, invalid) => Ok(format!("block {place} of the group: {}", invalid.reason())),
            Self::Local(error) => Err(error),
        }
    }
}

impl ChainState {
    /// Takes one step towards the chain with the most work and commits it. `now` is the time in seconds since the epoch.
    ///
    /// # Errors
    /// The store fails, or does not hold what it should.
    pub fn activate(&mut self, now: i64) -> Result<Activation> {
        let mut activation = Activation::default();
        while let Some(target) = self.best_candidate()? {
            if target == self.index.tip() {
                break;
            }
            let fork = self.index.fork_point(target);
            let Some(path) = self.usable_path(fork, target)? else { continue };
            match self.step(fork, &path, now, &mut activation.events)? {
                None => {
                    activation.more = true;
                    return Ok(activation);
                }
                Some((culprit, invalid)) => {
                    let hash = self.index.entry(culprit).hash();
                    self.reject(culprit, &invalid)?;
                    activation.events.push(ChainEvent::Rejected { hash, invalid });
                }
            }
        }
        self.relieve()?;
        Ok(activation)
    }

    /// Commits headers and bodies that were accepted since the last commit.
    ///
    /// # Errors
    /// The store fails.
    pub fn flush(&mut self) -> Result<()> {
        if self.rows.is_empty() && self.unsynced == 0 {
            return Ok(());
        }
        let mut batch = Batch::default();
        self.write_rows(&mut batch);
        self.store.commit(batch, Durability::Synced)?;
        self.unsynced = 0;
        Ok(())
    }

    /// Judges a block on top of the tip without connecting it (`TestBlockValidity`). `with_proof` is false for a
    /// template that nobody worked for or signed yet.
    ///
    /// # Errors
    /// The store fails; the rule that the block breaks is the inner error.
    pub fn test_block(
        &self,
        block: &Arc<CheckedBlock>,
        with_proof: bool,
        now: i64,
    ) -> Result<std::result::Result<(), Invalid>> {
        match self.judge(block, with_proof, now) {
            Ok(()) => Ok(Ok(())),
            Err(Failure::Invalid(invalid)) => Ok(Err(invalid)),
            Err(Failure::Local(error)) => Err(error),
        }
    }

    fn judge(
        &self,
        block: &Arc<CheckedBlock>,
        with_proof: bool,
        now: i64,
    ) -> std::result::Result<(), Failure> {
        let invalid = Failure::Invalid;
        let header = &block.block().header;
        let tip = self.index.tip();
        if header.prev != self.index.entry(tip).hash() {
            return Err(invalid(Invalid::UnknownParent));
        }
        let height = self.index.height().saturating_add(1);
        let recent = self.index.history(tip, HISTORY);
        let context = HeaderContext {
            prev_height: self.index.height(),
            recent: &recent,
            tip_height: self.index.height(),
        };
        check::check_header_at(header, &self.params, &context).map_err(|error| invalid(error.into()))?;
        let check = if with_proof { check::check_header } else { check::check_header_without_proof };
        check(header, &self.params, self.index.height(), now).map_err(|error| invalid(error.into()))?;
        let view = self.store.view();
        let before = Before { params: &self.params, state: self.state(&view), nodes: &self.nodes };
        let plan = connect::plan(before, block, height, true, with_proof)?;
        plan.checks.run(&self.params)?;
        let seed = batch_seed(self.options.seed, self.batches, &block.hash());
        checks::check_proofs(&[plan.checks], seed).map_err(|(_, error)| error.into())
    }

    /// The end of the chain that should be active: most work, then the smaller hash of two PoN blocks of the same height,
    /// then the earlier.
    fn best_candidate(&self) -> Result<Option<BlockId>> {
        let mut best: Option<(BlockId, Option<Hash256>)> = None;
        let mut several = self.candidates.best();
        let (first, second) = (several.next(), several.next());
        if second.is_none() {
            return Ok(first);
        }
        for id in self.candidates.best() {
            let hash = self.pon_hash(id)?;
            let better = match &best {
                None => true,
                Some((rival, rival_hash)) => {
                    let (entry, other) = (self.index.entry(id), self.index.entry(*rival));
                    match (hash, rival_hash) {
                        (Some(a), Some(b)) if entry.height() == other.height() && a != *b => a < *b,
                        _ if entry.sequence() != other.sequence() => entry.sequence() < other.sequence(),
                        _ => self.index.is_active(id),
                    }
                }
            };
            if better {
                best = Some((id, hash));
            }
        }
        Ok(best.map(|(id, _)| id))
    }

    fn pon_hash(&self, id: BlockId) -> Result<Option<Hash256>> {
        if !self.index.entry(id).is_pon() {
            return Ok(None);
        }
        let header = self.row(id)?.header;
        Ok(match &header.proof {
            Proof::Node { collateral, .. } => {
                Some(pon_hash(collateral, &header.prev, self.params.pon.slot(header.time)))
            }
            Proof::Work { .. } => None,
        })
    }

    /// The blocks from the fork to the target, oldest first; `None`, with the candidate dropped, when one of them is
    /// known to be invalid or its body is not there.
    fn usable_path(&mut self, fork: BlockId, target: BlockId) -> Result<Option<Vec<BlockId>>> {
        let mut path = Vec::new();
        let mut walk = target;
        while walk != fork {
            let entry = self.index.entry(walk);
            if entry.is_failed() || !entry.has_body() {
                self.candidates.remove(&self.index, target);
                return Ok(None);
            }
            path.push(walk);
            match entry.prev() {
                Some(prev) => walk = prev,
                None => return Err(ChainError::Genesis),
            }
        }
        path.reverse();
        Ok(Some(path))
    }

    /// Replaces the blocks above the fork by the first blocks of the path, and commits. Returns the block that breaks a
    /// rule, if one does; then nothing changed, or the blocks before it were committed.
    fn step(
        &mut self,
        fork: BlockId,
        path: &[BlockId],
        now: i64,
        events: &mut Vec<ChainEvent>,
    ) -> Result<Option<(BlockId, Invalid)>> {
        let tip = self.index.tip();
        let tip_work = self.index.entry(tip).work();
        let enough = path.iter().position(|id| self.index.entry(*id).work() > tip_work);
        let reorg = if tip == fork { 0 } else { enough.map_or(path.len(), |place| place + 1) };
        let mut count = self.options.group_blocks.max(1).max(reorg).min(MAX_GROUP).min(path.len());
        loop {
            let wanted = path.get(..count).unwrap_or_default();
            let before = (self.group.successor(), self.pools);
            let mut steps = Steps::default();
            let result = self.perform(fork, wanted, &mut steps);
            match result {
                Ok(()) => {
                    self.commit(steps, now, events)?;
                    return Ok(None);
                }
                Err(failure) => {
                    self.drop_group(steps, before);
                    match failure {
                        GroupFailure::Local(error) => return Err(error),
                        // What comes before the culprit is good, and may stand even without it.
                        GroupFailure::Invalid(place, _) if place > 0 && tip == fork => count = place,
                        GroupFailure::Invalid(place, invalid) => {
                            let culprit = wanted.get(place).copied().unwrap_or(fork);
                            return Ok(Some((culprit, invalid)));
                        }
                    }
                }
            }
        }
    }

    /// Takes blocks back until the fork is the tip, without connecting others, and commits.
    pub(super) fn retreat(&mut self, fork: BlockId, now: i64, events: &mut Vec<ChainEvent>) -> Result<()> {
        while self.index.tip() != fork {
            let height = self.index.height().saturating_sub(u32::try_from(MAX_GROUP).unwrap_or(u32::MAX));
            let target = self.index.at_height(height.max(self.index.entry(fork).height())).unwrap_or(fork);
            let before = (self.group.successor(), self.pools);
            let mut steps = Steps::default();
            match self.perform(target, &[], &mut steps) {
                Ok(()) => self.commit(steps, now, events)?,
                Err(GroupFailure::Local(error)) => {
                    self.drop_group(steps, before);
                    return Err(error);
                }
                Err(GroupFailure::Invalid(..)) => self.drop_group(steps, before),
            }
        }
        Ok(())
    }

    pub(super) fn perform(
        &mut self,
        fork: BlockId,
        path: &[BlockId],
        steps: &mut Steps,
    ) -> std::result::Result<(), GroupFailure> {
        let mut walk = self.index.tip();
        while walk != fork {
            let step = self.disconnect(walk).map_err(GroupFailure::Local)?;
            steps.disconnected.push(step);
            walk = self.index.entry(walk).prev().ok_or(GroupFailure::Local(ChainError::Genesis))?;
        }
        self.connect(path, steps)
    }

    fn disconnect(&mut self, id: BlockId) -> Result<Step> {
        let entry = self.index.entry(id);
        let (hash, height) = (entry.hash(), entry.height());
        let prev = entry.prev().ok_or(ChainError::Genesis)?;
        let prev_hash = self.index.entry(prev).hash();
        let block = self.body(id)?;
        let row = self.row(id)?;
        let position = row.block.ok_or(ChainError::NoBody(hash))?;
        let offset = row.undo_offset.ok_or(ChainError::NoUndo(hash))?;
        let undo = self.store.reader().undo(Position { file: position.file, offset }, &prev_hash)?;
        let prev_row = self.row(prev)?;
        let acadia = self.params.upgrades.is_active(Upgrade::Acadia, height.saturating_sub(1));
        let sapling_root = if acadia { prev_row.header.sapling_root } else { empty_sapling_root() };
        let view = self.store.view();
        let nodes = view.node_undo(&hash)?;
        let tip_height = self.index.height();
        if nodes.is_none() && tip_height.saturating_sub(height) >= NODE_UNDO_BLOCKS {
            return Err(ChainError::NoUndo(hash));
        }
        disconnect::disconnect(
            &mut self.group,
            &self.cache,
            &view,
            &block,
            height,
            undo.clone(),
            sapling_root,
        )?;
        self.group.tip.hash = prev_hash;
        self.group.tip.height = height.saturating_sub(1);
        let nodes = self.nodes.revert(nodes.unwrap_or_default());
        let pools = std::mem::replace(
            &mut self.pools,
            ValuePools { sprout: prev_row.sprout_value, sapling: prev_row.sapling_value },
        );
        Ok(Step { id, block, height, undo, nodes, pools })
    }

    fn connect(&mut self, path: &[BlockId], steps: &mut Steps) -> std::result::Result<(), GroupFailure> {
        if path.is_empty() {
            return Ok(());
        }
        let failures: Mutex<BTreeMap<usize, ConnectError>> = Mutex::default();
        let params = Arc::clone(&self.params);
        let view = self.store.view();
        let mut proofs: Vec<BlockChecks> = Vec::new();
        let outcome = rayon::in_place_scope(|scope| {
            for (place, id) in path.iter().enumerate() {
                if !failures.lock().is_empty() {
                    return Ok(());
                }
                let checks = self.connect_one(&view, *id, steps).map_err(|failure| match failure {
                    Failure::Invalid(invalid) => GroupFailure::Invalid(place, invalid),
                    Failure::Local(error) => GroupFailure::Local(error),
                })?;
                if !checks.shielded.is_empty() {
                    proofs.push(BlockChecks { items: Vec::new(), ..checks.clone() });
                }
                let (params, failures) = (&params, &failures);
                scope.spawn(move |_| {
                    if let Err(error) = checks.run(params) {
                        failures.lock().insert(place, error);
                    }
                });
            }
            Ok(())
        });
        // A signature that fails in an earlier block comes first.
        let first = failures.into_inner().into_iter().next();
        match (outcome, first) {
            (Err(GroupFailure::Invalid(place, invalid)), None) => {
                return Err(GroupFailure::Invalid(place, invalid));
            }
            (Err(GroupFailure::Invalid(place, invalid)), Some((earlier, _))) if place < earlier => {
                return Err(GroupFailure::Invalid(place, invalid));
            }
            (Err(GroupFailure::Local(error)), _) => return Err(GroupFailure::Local(error)),
            (_, Some((place, error))) => return Err(GroupFailure::Invalid(place, error.into())),
            (Ok(()), None) => {}
        }
        self.batches = self.batches.wrapping_add(1);
        let seed = batch_seed(self.options.seed, self.batches, &self.group.tip.hash);
        checks::check_proofs(&proofs, seed).map_err(|(hash, error)| {
            let place = path.iter().position(|id| self.index.entry(*id).hash() == hash);
            GroupFailure::Invalid(place.unwrap_or_default(), error.into())
        })
    }

    fn connect_one(
        &mut self,
        view: &View,
        id: BlockId,
        steps: &mut Steps,
    ) -> std::result::Result<BlockChecks, Failure> {
        let block = self.body(id)?;
        let height = self.index.entry(id).height();
        let with_scripts = !self.is_vouched_for(id);
        let before = Before { params: &self.params, state: self.state(view), nodes: &self.nodes };
        let mut plan = connect::plan(before, &block, height, with_scripts, true)?;
        let add = |value: Amount, more: i64| Amount::from_zat(value.zat().saturating_add(more));
        let pools = ValuePools {
            sprout: add(self.pools.sprout, plan.sprout_value),
            sapling: add(self.pools.sapling, plan.sapling_value),
        };
        plan.apply(&mut self.group);
        self.group.tip.hash = block.hash();
        self.group.tip.height = height;
        self.pools = pools;
        let nodes = self.nodes.apply(&self.params.nodes, height, plan.nodes);
        steps.connected.push(Step { id, block, height, undo: plan.undo, nodes, pools });
        Ok(plan.checks)
    }

    /// Forgets everything that the open group did.
    pub(super) fn drop_group(&mut self, steps: Steps, before: (crate::state::Group, ValuePools)) {
        for step in steps.connected.into_iter().rev().chain(steps.disconnected.into_iter().rev()) {
            self.nodes.revert(step.nodes);
        }
        (self.group, self.pools) = before;
    }

    /// Writes everything that the open group did as one batch, and reports it.
    fn commit(&mut self, steps: Steps, now: i64, events: &mut Vec<ChainEvent>) -> Result<()> {
        let mut batch = Batch::default();
        let view = self.store.view();
        let mut touched: BTreeMap<OutPoint, NodeBefore> = BTreeMap::new();
        for step in steps.disconnected.iter().chain(&steps.connected) {
            for (outpoint, before) in &step.nodes.0 {
                touched.entry(*outpoint).or_insert_with(|| before.clone());
            }
        }
        for step in &steps.disconnected {
            batch.set_height(step.height, None);
            batch.set_node_undo(&step.block.hash(), None);
            self.followers.disconnect(&mut batch, &change(step));
        }
        for step in &steps.connected {
            self.write_connected(&mut batch, step)?;
            self.followers.connect(&view, &mut batch, &change(step))?;
        }
        for (outpoint, before) in &touched {
            write_node(&mut batch, outpoint, before, &self.nodes.standing(outpoint));
        }
        self.group.write(&mut batch);
        self.write_rows(&mut batch);
        let tip_time = self.rows_time(&steps);
        drop(view);
        self.unsynced += 1;
        let far_behind = tip_time.saturating_add(FAR_BEHIND) < now;
        let durability = if far_behind && self.unsynced < SYNC_EVERY {
            Durability::Buffered
        } else {
            self.unsynced = 0;
            Durability::Synced
        };
        self.store.commit(batch, durability)?;

        let successor = self.group.successor();
        let group = std::mem::replace(&mut self.group, successor);
        self.cache.update(group.coins);
        for step in steps.disconnected {
            self.index.pop_active();
            events.push(ChainEvent::Disconnected {
                block: step.block,
                height: step.height,
                nodes: Arc::new(step.nodes),
            });
        }
        for step in steps.connected {
            self.index.push_active(step.id);
            self.index.set_connected(step.id);
            self.bodies.forget(step.id);
            events.push(ChainEvent::Connected {
                block: step.block,
                height: step.height,
                nodes: Arc::new(step.nodes),
            });
        }
        self.candidates.prune(self.index.entry(self.index.tip()).work());
        self.prune().map(|_| ())
    }

    fn write_connected(&mut self, batch: &mut Batch, step: &Step) -> Result<()> {
        let hash = step.block.hash();
        let mut row = self.row(step.id)?;
        let position = row.block.ok_or(ChainError::NoBody(hash))?;
        if row.undo_offset.is_none() {
            row.undo_offset =
                Some(self.store.append_undo(position.file, &step.undo, &step.block.block().header.prev)?);
        }
        row.validity = Validity::Connected;
        row.sprout_value = step.pools.sprout;
        row.sapling_value = step.pools.sapling;
        self.rows.insert(step.id, row);
        batch.set_height(step.height, Some(&hash));
        if !step.nodes.0.is_empty() {
            batch.set_node_undo(&hash, Some(&step.nodes));
        }
        let expired = step.height.checked_sub(NODE_UNDO_BLOCKS).and_then(|old| self.index.at_height(old));
        if let Some(old) = expired {
            batch.set_node_undo(&self.index.entry(old).hash(), None);
        }
        Ok(())
    }

    fn rows_time(&self, steps: &Steps) -> i64 {
        let last = steps.connected.last().map(|step| step.block.block().header.time);
        last.map_or_else(|| i64::from(self.index.entry(self.index.tip()).time()), i64::from)
    }

    pub(super) fn write_rows(&mut self, batch: &mut Batch) {
        let rows: HashMap<BlockId, _> = std::mem::take(&mut self.rows);
        for (id, row) in rows {
            batch.put_block(&self.index.entry(id).hash(), &row);
        }
    }

    /// Marks a block that could not be connected; where only its bytes are to blame, they are forgotten, so that other
    /// bytes of the same block may come.
    fn reject(&mut self, culprit: BlockId, invalid: &Invalid) -> Result<()> {
        if invalid.is_about_bytes() {
            let mut row = self.row(culprit)?;
            row.validity = Validity::Header;
            row.block = None;
            row.transactions = 0;
            self.rows.insert(culprit, row);
            self.bodies.forget(culprit);
            self.index.unlink(culprit);
        } else {
            self.mark_failed(culprit)?;
        }
        self.candidates.rebuild(&self.index);
        self.flush()
    }
}

fn change(step: &Step) -> Change<'_> {
    Change { block: &step.block, height: step.height, undo: &step.undo }
}

/// Writes what differs between where a node stood and where it stands.
fn write_node(batch: &mut Batch, outpoint: &OutPoint, before: &NodeBefore, now: &NodeBefore) {
    for (list, old, new) in [
        (NodeList::Started, &before.started, &now.started),
        (NodeList::Dos, &before.dos, &now.dos),
        (NodeList::Confirmed, &before.confirmed, &now.confirmed),
    ] {
        if old != new {
            batch.set_node(list, outpoint, new.as_ref());
        }
    }
    if before.delegates != now.delegates {
        batch.set_delegates(outpoint, now.delegates.as_deref().unwrap_or_default());
    }
}

/// Numbers for one batch of proofs: from the node's entropy, a counter and the block, so that they never repeat.
fn batch_seed(seed: [u8; 32], counter: u64, hash: &BlockHash) -> [u8; 32] {
    fluxd_primitives::sha256(&[&seed[..], &counter.to_le_bytes(), &hash.0].concat())
}
