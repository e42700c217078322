//! The chain as one node sees it: blocks and votes come in, the head, the confirmed, justified and final blocks come
//! out, and every change is committed to the database before it counts. No I/O but through [`Database`]; time is an
//! argument. Mirrors the `Store` of `specs/phase0/fork-choice.md` with execution and storage around it.
//!
//! [`import`] takes blocks, [`checkpoint`] starts from a final one, [`votes`] takes everything that is gossiped singly, [`produce`] serves validators,
//! [`states`] keeps states and answers questions about them, [`verify`] checks what the database holds.

pub mod checkpoint;
pub mod import;
pub mod produce;
pub mod states;
pub mod verify;
pub mod votes;

use super::{
    fast_confirmation::FastConfirmation,
    finality::{Due, Finality},
    fork_choice::{BlockRefusal, ForkChoice},
    layers::{Layers, View},
    pool::Pool,
    slasher::Slasher,
};
use crate::{
    state::{State, encoding, genesis::Start, verifier::Verifier},
    storage::{Batch, CertificateRow, Database, Fold, StoreError, StoredBlock},
    types::{
        codec::encode,
        operation::{
            AttesterSlashing, Checkpoint, FinalityCert, FinalitySlashing, ProposerSlashing, SignedHeader,
        },
        params::Config,
        primitives::{Root, Slot, ValidatorIndex},
    },
};
use states::{Memory, PulledUp};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

/// Most rows of blocks that are folded together.
const ROWS_AT_ONCE: usize = 65_536;
/// Epochs of final blocks that may wait for idle time to be folded.
const EPOCHS_TO_FOLD: u64 = 2;
/// Most roots of invalid blocks remembered.
const MAX_INVALID: usize = 4096;

/// Something that happened, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "events are few and do not live long")]
pub enum Event {
    /// A block was imported.
    Block {
        /// The block.
        root: Root,
        /// Its slot.
        slot: Slot,
    },
    /// The chain has another head.
    Head {
        /// The head before.
        old: Root,
        /// The head now.
        new: Root,
        /// Its slot.
        slot: Slot,
        /// The youngest block of both chains. It is the old head unless blocks were re-organised away.
        common: Root,
    },
    /// A checkpoint was justified.
    Justified(Checkpoint),
    /// A checkpoint became final.
    Finalized(Checkpoint),
    /// The youngest block that cannot be re-organised away under synchrony changed.
    Confirmed(Root),
    /// Somebody signed two blocks for one slot; to be gossiped.
    ProposerOffence(ProposerSlashing),
    /// Somebody's votes contradict each other; to be gossiped.
    AttesterOffence(Box<AttesterSlashing>),
    /// Somebody signed two finality votes for one epoch; to be gossiped.
    FinalityOffence(Box<FinalitySlashing>),
    /// Holders of keys in the set should sign this checkpoint and gossip their votes.
    SignFinality(Due),
    /// Two thirds signed a checkpoint.
    Certificate(Box<FinalityCert>),
}

/// Why the chain cannot go on. The process should end.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The database failed.
    #[error("database failed")]
    Store(#[from] StoreError),
    /// What the database holds is not a chain of these rules.
    #[error("database is inconsistent: {0}")]
    Inconsistent(&'static str),
}

/// A block in the tree.
#[derive(Debug, Clone)]
struct Known {
    header: SignedHeader,
    state: Arc<State>,
}

/// The chain.
pub struct Chain<D> {
    config: Arc<Config>,
    verifier: Arc<dyn Verifier>,
    db: D,
    fork_choice: ForkChoice,
    confirmation: FastConfirmation,
    /// Every block of the tree.
    blocks: BTreeMap<Root, Known>,
    layers: Layers,
    memory: Memory,
    pool: Pool,
    slasher: Slasher,
    finality: Finality,
    /// Certificates that the next batch takes to the database.
    certificates: Vec<CertificateRow>,
    early: Vec<(crate::types::operation::AttestationData, ValidatorIndex)>,
    invalid: BTreeSet<Root>,
    head: Root,
    folded: (Root, Arc<State>),
    to_fold: VecDeque<Root>,
    events: Vec<Event>,
}

impl<D: Database> Chain<D> {
    /// Starts a chain at genesis in an empty database.
    ///
    /// # Errors
    /// The database failed.
    pub fn create(
        config: Arc<Config>,
        start: Start,
        mut db: D,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, ChainError> {
        let root = start.block.root();
        let checkpoint = Checkpoint { epoch: 0, root };
        let stored = StoredBlock { block: start.block, txs: Vec::new(), receipts: Vec::new() };
        let values = start.store.entries().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
        let nodes = start.store.nodes().map(|(path, node)| (path.to_bytes(), Some(encode(node))));
        let fold = Fold {
            root,
            values: values.collect(),
            nodes: nodes.collect(),
            state: encoding::rows(&start.state, None),
        };
        let header = stored.block.header;
        db.commit(Batch {
            block: Some((root, Arc::new(stored))),
            canonical: vec![(0, Some(root))],
            fold: Some(fold),
            finalized: Some(checkpoint),
            ..Batch::default()
        })?;
        Ok(Self::anchored(config, db, verifier, checkpoint, header, Arc::new(start.state)))
    }

    /// A chain whose tree is one block, folded and final.
    fn anchored(
        config: Arc<Config>,
        db: D,
        verifier: Arc<dyn Verifier>,
        checkpoint: Checkpoint,
        header: SignedHeader,
        state: Arc<State>,
    ) -> Self {
        let root = checkpoint.root;
        let fork_choice = ForkChoice::from_checkpoint(
            Arc::new(config.params.clone()),
            config.genesis_time,
            checkpoint,
            header.header.parent_root,
            header.header.slot,
        );
        let mut finality = Finality::default();
        if checkpoint.epoch == 0 || state.slot == config.params.start_slot(checkpoint.epoch) {
            finality.on_final(&config.params, &checkpoint, &state, header.header.state_root);
        }
        Self {
            finality,
            certificates: Vec::new(),
            confirmation: FastConfirmation::new(&fork_choice),
            memory: Memory::default(),
            blocks: BTreeMap::from([(root, Known { header, state: state.clone() })]),
            layers: Layers::default(),
            pool: Pool::default(),
            slasher: Slasher::default(),
            early: Vec::new(),
            invalid: BTreeSet::new(),
            head: root,
            folded: (root, state),
            to_fold: VecDeque::new(),
            events: Vec::new(),
            config,
            verifier,
            db,
            fork_choice,
        }
    }

    /// Constants and identity.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The database.
    #[must_use]
    pub const fn db(&self) -> &D {
        &self.db
    }

    /// Gives the database back.
    #[must_use]
    pub fn into_db(self) -> D {
        self.db
    }

    /// Blocks, time and votes.
    #[must_use]
    pub const fn fork_choice(&self) -> &ForkChoice {
        &self.fork_choice
    }

    /// The head of the chain.
    #[must_use]
    pub const fn head(&self) -> Root {
        self.head
    }

    /// Slot of the head.
    #[must_use]
    pub fn head_slot(&self) -> Slot {
        self.blocks.get(&self.head).map_or(0, |known| known.header.header.slot)
    }

    /// The youngest block that cannot be re-organised away under synchrony.
    #[must_use]
    pub const fn confirmed(&self) -> Root {
        self.confirmation.confirmed
    }

    /// The latest justified checkpoint.
    #[must_use]
    pub const fn justified(&self) -> Checkpoint {
        self.fork_choice.justified()
    }

    /// The latest final checkpoint.
    #[must_use]
    pub const fn finalized(&self) -> Checkpoint {
        self.fork_choice.finalized()
    }

    /// The slot that time has reached.
    #[must_use]
    pub fn current_slot(&self) -> Slot {
        self.fork_choice.current_slot()
    }

    /// Whether a block is in the tree.
    #[must_use]
    pub fn contains(&self, root: &Root) -> bool {
        self.blocks.contains_key(root)
    }

    /// Whether a block is known to be invalid.
    #[must_use]
    pub fn is_invalid(&self, root: &Root) -> bool {
        self.invalid.contains(root)
    }

    /// The state after a block of the tree.
    #[must_use]
    pub fn state(&self, root: &Root) -> Option<Arc<State>> {
        self.blocks.get(root).map(|known| known.state.clone())
    }

    /// The application state after a block of the tree.
    #[must_use]
    pub fn app(&self, root: &Root) -> Option<View<'_, D>> {
        self.blocks.contains_key(root).then(|| self.layers.view(&self.db, root))
    }

    /// Finality votes and certificates.
    #[must_use]
    pub const fn finality(&self) -> &Finality {
        &self.finality
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Time passes (Unix milliseconds).
    ///
    /// # Errors
    /// The database failed.
    pub fn on_tick(&mut self, now_ms: u64) -> Result<(), ChainError> {
        let before = self.fork_choice.current_slot();
        let genesis_ms = self.config.genesis_time.saturating_mul(1000);
        let slot_ms = self.config.params.slot_ms;
        let now = now_ms.saturating_sub(genesis_ms) / slot_ms;
        let stepwise = now.saturating_sub(before) <= self.config.params.slots_per_epoch;
        if stepwise {
            for slot in before.saturating_add(1)..=now {
                self.fork_choice.on_tick(genesis_ms.saturating_add(slot.saturating_mul(slot_ms)));
                self.on_slot()?;
            }
        }
        self.fork_choice.on_tick(now_ms);
        if !stepwise {
            self.confirmation = FastConfirmation::new(&self.fork_choice);
            self.on_slot()?;
        }
        self.fold_in_idle_time()
    }

    /// Whether final blocks wait to be written into the state on disk.
    #[must_use]
    pub fn has_to_fold(&self) -> bool {
        !self.to_fold.is_empty()
    }

    /// Folds in the second half of a slot, when its block and votes are through; at any time when there is much to fold.
    fn fold_in_idle_time(&mut self) -> Result<(), ChainError> {
        let many = self.config.params.slots_per_epoch.saturating_mul(EPOCHS_TO_FOLD);
        let waits = u64::try_from(self.to_fold.len()).unwrap_or(u64::MAX);
        if waits > many || self.fork_choice.is_second_half_of_slot() {
            self.fold_next()?;
        }
        Ok(())
    }

    /// A slot began: votes of the one before count now.
    fn on_slot(&mut self) -> Result<(), ChainError> {
        let slot = self.fork_choice.current_slot();
        let (due, early) =
            std::mem::take(&mut self.early).into_iter().partition(|(data, _)| data.slot < slot);
        self.early = early;
        let due: Vec<_> = due;
        for (data, voter) in &due {
            self.fork_choice.on_attestation(data, &[*voter], false).ok(); // its block may have been pruned
        }
        self.settle(None)?;
        self.confirm();
        let epoch = self.fork_choice.current_epoch();
        if slot.is_multiple_of(self.config.params.slots_per_epoch) {
            self.slasher.prune(&self.config.params, epoch);
            self.pool.prune(&self.folded.1, epoch);
            self.memory.prune(epoch, &self.fork_choice, &self.confirmation);
        }
        Ok(())
    }

    fn confirm(&mut self) {
        let epoch = self.fork_choice.current_epoch();
        for checkpoint in self.confirmation.checkpoints(&self.fork_choice) {
            self.ensure_balances(&checkpoint);
        }
        let Some(state) = self.state_in_epoch(&self.head(), epoch) else { return };
        let committees = self.recent_committees(&self.head(), epoch);
        let head_state = PulledUp::new(&self.config.params, &state, committees);
        let before = self.confirmation.confirmed;
        let run = self.confirmation.on_slot(&mut self.fork_choice, self.memory.balances(), &head_state);
        if run.is_err() {
            self.confirmation = FastConfirmation::new(&self.fork_choice);
        }
        if self.confirmation.confirmed != before {
            self.events.push(Event::Confirmed(self.confirmation.confirmed));
        }
    }

    /// Finds the head again and takes the consequences of everything since the last time: commits `block` with the
    /// head's chain and the final checkpoint.
    fn settle(&mut self, block: Option<(Root, Arc<StoredBlock>)>) -> Result<(), ChainError> {
        let (justified, finalized) = (self.fork_choice.justified(), self.fork_choice.finalized());
        self.ensure_balances(&justified);
        let head = match self.fork_choice.head(self.memory.balances()) {
            Ok(head) => head,
            Err(BlockRefusal::MissingBalances) => {
                self.db.health()?;
                return Err(ChainError::Inconsistent("no state of the justified checkpoint"));
            }
            Err(_) => return Err(ChainError::Inconsistent("justified block is not in the tree")),
        };
        let certificates = std::mem::take(&mut self.certificates);
        let mut batch = Batch { block, certificates, ..Batch::default() };
        if head != self.head {
            self.change_head(head, &mut batch);
        }
        if self.memory.note_justified(justified) {
            self.events.push(Event::Justified(justified));
        }
        if self.memory.note_finalized(finalized) {
            self.finalize(finalized, &mut batch);
        }
        if batch != Batch::default() {
            self.db.commit(batch)?;
        }
        Ok(())
    }

    fn change_head(&mut self, new: Root, batch: &mut Batch) {
        let tree = self.fork_choice.tree();
        let mut common = self.head;
        while !tree.is_ancestor(&new, &common) {
            let Some(node) = tree.get(&common) else { break };
            batch.canonical.push((node.block.slot, None));
            common = node.block.parent_root;
        }
        for root in tree.path(&common, &new) {
            if let Some(node) = tree.get(&root) {
                batch.canonical.push((node.block.slot, Some(root)));
            }
        }
        let slot = tree.get(&new).map_or(0, |node| node.block.slot);
        self.events.push(Event::Head { old: self.head, new, slot, common });
        self.head = new;
    }

    /// The final checkpoint and those that were final before it in its own chain's eyes are to be signed.
    fn note_signers(&mut self, checkpoint: Checkpoint) {
        let mut next = checkpoint;
        let mut found = Vec::new();
        while !self.finality.knows(next.epoch)
            && let Some(state) = self.state_in_epoch(&next.root, next.epoch)
            && let Some(known) = self.blocks.get(&next.root)
        {
            let before = state.finality.finalized;
            found.push((next, state, known.header.header.state_root));
            next = before;
        }
        for (checkpoint, state, state_root) in found.into_iter().rev() {
            let due = self.finality.on_final(&self.config.params, &checkpoint, &state, state_root);
            self.events.extend(due.map(Event::SignFinality));
        }
    }

    /// Everything that does not descend from the final block is forgotten; what leads to it waits to be folded.
    fn finalize(&mut self, checkpoint: Checkpoint, batch: &mut Batch) {
        self.note_signers(checkpoint);
        let from = self.to_fold.back().copied().unwrap_or(self.folded.0);
        let path = self.fork_choice.tree().path(&from, &checkpoint.root);
        let on_path: BTreeSet<Root> = path.iter().copied().chain([from]).collect();
        self.to_fold.extend(path);
        self.fork_choice.prune();
        let tree = self.fork_choice.tree();
        for root in self.blocks.keys().filter(|root| tree.get(root).is_none()) {
            if !on_path.contains(root) && !self.to_fold.contains(root) {
                batch.forget.push(*root);
            }
        }
        for root in &batch.forget {
            self.blocks.remove(root);
            self.layers.forget(root);
        }
        batch.finalized = Some(checkpoint);
        self.events.push(Event::Finalized(checkpoint));
    }

    /// Writes the changes of the next final block into the state on disk; false when all are written. Small blocks go
    /// together, unless the database remembers the state of each.
    ///
    /// # Errors
    /// The database failed.
    pub fn fold_next(&mut self) -> Result<bool, ChainError> {
        let Some(mut root) = self.to_fold.pop_front() else { return Ok(false) };
        let before = self.folded.0;
        let mut passed = Vec::new();
        let mut rows = self.layers.size(&root);
        let (values, nodes) = self.layers.take(&root);
        let (mut values, mut nodes): (BTreeMap<_, _>, BTreeMap<_, _>) =
            (values.into_iter().collect(), nodes.into_iter().collect());
        while !self.db.keeps_history()
            && let Some(next) = self.to_fold.front().copied()
            && rows.saturating_add(self.layers.size(&next)) <= ROWS_AT_ONCE
        {
            self.to_fold.pop_front();
            rows = rows.saturating_add(self.layers.size(&next));
            let (more_values, more_nodes) = self.layers.take(&next);
            values.extend(more_values);
            nodes.extend(more_nodes);
            passed.push(std::mem::replace(&mut root, next));
        }
        let known = self.blocks.get(&root).ok_or(ChainError::Inconsistent("a final block is missing"))?;
        let state = known.state.clone();
        let fold = Fold {
            root,
            values: values.into_iter().collect(),
            nodes: nodes.into_iter().collect(),
            state: encoding::rows(&state, Some(&self.folded.1)),
        };
        self.db.commit(Batch { fold: Some(fold), ..Batch::default() })?;
        self.folded = (root, state);
        for root in passed.into_iter().chain([before]) {
            if self.fork_choice.tree().get(&root).is_none() {
                self.blocks.remove(&root);
            }
        }
        Ok(true)
    }
}

#[cfg(test)]
mod kill_tests;
#[cfg(test)]
mod tests;
