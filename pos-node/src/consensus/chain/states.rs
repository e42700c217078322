//! States beyond those of blocks: advanced to a later epoch, their balances and committees, each computed once.

use super::{
    super::{
        fast_confirmation::{FastConfirmation, HeadState},
        fork_choice::{Balances, CheckpointStates, ForkChoice},
        light::EntryProof,
    },
    Chain,
};
use crate::{
    state::{
        State,
        access::Committees,
        app::{Overlay, Store, overlay::StoreNodes},
        tree::{self, proof},
    },
    storage::Database,
    types::{
        operation::Checkpoint,
        params::Params,
        primitives::{Epoch, List, Root, Slot, ValidatorIndex},
    },
};
use std::{collections::BTreeMap, sync::Arc};

/// Balances by checkpoint.
#[derive(Debug, Default)]
pub struct KnownBalances(BTreeMap<Checkpoint, Arc<Balances>>);

impl CheckpointStates for KnownBalances {
    fn balances(&self, checkpoint: &Checkpoint) -> Option<Arc<Balances>> {
        self.0.get(checkpoint).cloned()
    }
}

/// What was computed before.
#[derive(Debug, Default)]
pub(super) struct Memory {
    balances: KnownBalances,
    advanced: BTreeMap<(Epoch, Root), Arc<State>>,
    /// By epoch and the block that fixed its shuffling.
    committees: BTreeMap<(Epoch, Root), Arc<Committees>>,
    justified: Option<Checkpoint>,
    finalized: Option<Checkpoint>,
}

impl Memory {
    pub(super) const fn balances(&self) -> &KnownBalances {
        &self.balances
    }

    /// Whether the checkpoint is another one than the last noted; the very first counts as known.
    pub(super) fn note_justified(&mut self, checkpoint: Checkpoint) -> bool {
        self.justified.replace(checkpoint).is_some_and(|old| old != checkpoint)
    }

    /// As [`Memory::note_justified`].
    pub(super) fn note_finalized(&mut self, checkpoint: Checkpoint) -> bool {
        self.finalized.replace(checkpoint).is_some_and(|old| old != checkpoint)
    }

    pub(super) fn prune(&mut self, epoch: Epoch, choice: &ForkChoice, confirmation: &FastConfirmation) {
        let kept = confirmation.checkpoints(choice);
        let justified = choice.justified();
        self.balances
            .0
            .retain(|checkpoint, _| checkpoint.epoch >= justified.epoch || kept.contains(checkpoint));
        self.advanced.retain(|(of, _), _| of.saturating_add(1) >= epoch);
        self.committees.retain(|(of, _), _| of.saturating_add(2) >= epoch);
    }
}

impl Balances {
    /// Stake by validator in a state.
    #[must_use]
    pub fn of(state: &State, params: &Params) -> Self {
        let epoch = state.current_epoch(params);
        let validators = &state.validators;
        let active: Vec<u64> = (0..)
            .zip(validators.effective_balance.iter())
            .map(|(index, balance)| if validators.is_active(index, epoch) { *balance } else { 0 })
            .collect();
        let sum: u64 = active.iter().sum();
        let slashed = (0..).zip(validators.slashed.iter()).filter(|(_, slashed)| **slashed);
        Self {
            active,
            slashed: slashed.map(|(index, _)| index).collect(),
            total_active: sum.max(params.effective_balance_increment),
        }
    }
}

impl<D: Database> Chain<D> {
    /// The state of a block, advanced to the first slot of `epoch` if it is older.
    pub fn state_in_epoch(&mut self, root: &Root, epoch: Epoch) -> Option<Arc<State>> {
        let start = self.config.params.start_slot(epoch);
        let state = self.blocks.get(root)?.state.clone();
        if state.slot >= start {
            return Some(state);
        }
        if let Some(advanced) = self.memory.advanced.get(&(epoch, *root)) {
            return Some(advanced.clone());
        }
        let mut state = State::clone(&state);
        let view = self.layers.view(&self.db, root);
        state.advance_to(&self.config.params, start, &mut Overlay::new(&view));
        if self.db.health().is_err() {
            return None;
        }
        let state = Arc::new(state);
        self.memory.advanced.insert((epoch, *root), state.clone());
        Some(state)
    }

    /// The proof of an application entry, or of its absence, after a block of the tree.
    #[must_use]
    pub fn prove(&self, root: &Root, key: &[u8]) -> Option<EntryProof> {
        let known = self.blocks.get(root)?;
        let view = self.layers.view(&self.db, root);
        let value = match view.value(key) {
            Some(value) => Some(List::new(value)?),
            None => None,
        };
        let nodes = StoreNodes(&view);
        let proof = proof::prove(&nodes, key);
        self.db.health().ok()?;
        Some(EntryProof {
            header: known.header.header,
            consensus_root: known.state.consensus_root(&self.config.params),
            app_root: Root(tree::root(&nodes)),
            value,
            proof,
        })
    }

    /// The committees of an epoch as a block's chain determines them; the epoch is at most one after the block's.
    pub fn committees(&mut self, root: &Root, epoch: Epoch) -> Option<Arc<Committees>> {
        let params = &self.config.params;
        let lookahead = params.min_seed_lookahead;
        let fixed = params.start_slot(epoch.saturating_sub(lookahead)).saturating_sub(1);
        let decision = self.fork_choice.tree().ancestor_root(root, fixed).unwrap_or(Root::ZERO);
        if let Some(committees) = self.memory.committees.get(&(epoch, decision)) {
            return Some(committees.clone());
        }
        let state = self.state_in_epoch(root, epoch.saturating_sub(lookahead))?;
        let committees = Arc::new(Committees::new(&state, &self.config.params, epoch));
        self.memory.committees.insert((epoch, decision), committees.clone());
        Some(committees)
    }

    /// Committees of an epoch and the two before.
    pub(super) fn recent_committees(&mut self, root: &Root, epoch: Epoch) -> Vec<Arc<Committees>> {
        let mut epochs: Vec<Epoch> = (0..3).map(|back| epoch.saturating_sub(back)).collect();
        epochs.dedup();
        epochs.into_iter().filter_map(|epoch| self.committees(root, epoch)).collect()
    }

    /// Makes sure that the balances of a checkpoint are known, if its block is.
    pub(super) fn ensure_balances(&mut self, checkpoint: &Checkpoint) {
        if self.memory.balances.0.contains_key(checkpoint) {
            return;
        }
        if let Some(state) = self.state_in_epoch(&checkpoint.root, checkpoint.epoch) {
            let balances = Balances::of(&state, &self.config.params);
            self.memory.balances.0.insert(*checkpoint, Arc::new(balances));
        }
    }
}

/// The head's state for fast confirmation.
pub(super) struct PulledUp {
    params: Params,
    balances: Arc<Balances>,
    committees: Vec<Arc<Committees>>,
}

impl PulledUp {
    pub(super) fn new(params: &Params, state: &State, committees: Vec<Arc<Committees>>) -> Self {
        Self { params: params.clone(), balances: Arc::new(Balances::of(state, params)), committees }
    }
}

impl HeadState for PulledUp {
    fn pulled_up_balances(&self) -> Arc<Balances> {
        self.balances.clone()
    }

    fn committee(&self, slot: Slot) -> Vec<ValidatorIndex> {
        let epoch = self.params.epoch_of(slot);
        let found = self.committees.iter().find(|committees| committees.epoch() == epoch);
        found.map(|committees| committees.at(&self.params, slot).to_vec()).unwrap_or_default()
    }
}
