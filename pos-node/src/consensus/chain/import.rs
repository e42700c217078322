//! Blocks: place, execute, choose, commit. Also the way from a database back to a chain.

use super::{Chain, ChainError, Event, Known, MAX_INVALID};
use crate::{
    consensus::{fork_choice::BlockRefusal, tree::Block},
    state::{
        State,
        app::Overlay,
        encoding,
        transition::{
            block::{BlockContext, BlockError, Processed, process},
            epoch::justification,
        },
        verifier::Verifier,
    },
    storage::{Batch, Database, Fold, StoredBlock},
    types::{
        block::SignedBlock,
        params::Config,
        primitives::{Root, ValidatorIndex},
        transaction::Tx,
    },
};
use std::{collections::BTreeSet, sync::Arc};

/// What became of a block that breaks no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Import {
    /// It is in the tree now.
    Imported(Root),
    /// It was there before.
    Known(Root),
    /// Its parent is unknown: ask for that one, and keep or drop this one.
    Orphan {
        /// The parent.
        parent: Root,
    },
    /// Its slot has not begun: try again then.
    Future,
}

/// Why a block is not imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// It has no place in the tree.
    #[error("block has no place in the tree")]
    Place(#[from] BlockRefusal),
    /// It is invalid.
    #[error("invalid block")]
    Invalid(#[from] BlockError),
    /// It builds on an invalid block.
    #[error("builds on an invalid block")]
    InvalidParent,
    /// This node cannot go on.
    #[error("chain cannot go on")]
    Chain(#[from] ChainError),
}

impl ImportError {
    /// Whether the block itself breaks a rule, so that whoever made it is to blame. A block that came without its
    /// right body or signature says nothing about the block of that root.
    #[must_use]
    pub const fn is_invalid_block(&self) -> bool {
        match self {
            Self::Invalid(error) => {
                !matches!(error, BlockError::BodyRoot | BlockError::TxIds | BlockError::ValidatorSignature(0))
            }
            Self::InvalidParent
            | Self::Place(BlockRefusal::NotAfterParent | BlockRefusal::NotFinalDescendant) => true,
            Self::Place(_) | Self::Chain(_) => false,
        }
    }
}

impl<D: Database> Chain<D> {
    /// Takes in a block with all its transactions in order.
    ///
    /// # Errors
    /// The rule that is broken; nothing is changed then. [`ImportError::Chain`] means that the process should end.
    pub fn import(&mut self, block: &SignedBlock, txs: &[Tx]) -> Result<Import, ImportError> {
        let verifier = self.verifier.clone();
        self.import_with(block, txs, Some(verifier.as_ref()), true)
    }

    fn import_with(
        &mut self,
        block: &SignedBlock,
        txs: &[Tx],
        verifier: Option<&dyn Verifier>,
        write: bool,
    ) -> Result<Import, ImportError> {
        let root = block.root();
        let header = block.header.header;
        if self.blocks.contains_key(&root) {
            return Ok(Import::Known(root));
        }
        if self.invalid.contains(&root) || self.invalid.contains(&header.parent_root) {
            self.note_invalid(root);
            return Err(ImportError::InvalidParent);
        }
        match self.fork_choice.check_block(header.slot, &header.parent_root) {
            Ok(()) => {}
            Err(BlockRefusal::UnknownParent) => return Ok(Import::Orphan { parent: header.parent_root }),
            Err(BlockRefusal::FutureSlot) => return Ok(Import::Future),
            Err(refusal) => return Err(refusal.into()),
        }
        let parent = self.blocks.get(&header.parent_root).ok_or(BlockRefusal::UnknownParent)?;
        let view = self.layers.view(&self.db, &header.parent_root);
        let mut app = Overlay::new(&view);
        let mut state = State::clone(&parent.state);
        let context = BlockContext { config: &self.config, verifier };
        let result = process(&mut state, &mut app, &context, block, txs);
        self.db.health().map_err(ChainError::from)?;
        let processed = match result {
            Ok(processed) => processed,
            Err(error) => {
                let error = ImportError::Invalid(error);
                if error.is_invalid_block() {
                    self.note_invalid(root);
                }
                return Err(error);
            }
        };
        let changes = app.into_changes();
        self.layers.push(root, header.parent_root, changes);
        self.blocks.insert(root, Known { header: block.header, state: Arc::new(state) });
        self.choose(root, block, &processed)?;
        let stored = write.then(|| {
            let stored =
                StoredBlock { block: block.clone(), txs: txs.to_vec(), receipts: processed.receipts };
            (root, Arc::new(stored))
        });
        self.events.push(Event::Block { root, slot: header.slot });
        self.settle(stored)?;
        self.fold_in_idle_time()?;
        Ok(Import::Imported(root))
    }

    /// Gives an executed block to the fork choice, with its votes and offences.
    fn choose(&mut self, root: Root, block: &SignedBlock, processed: &Processed) -> Result<(), ImportError> {
        let header = block.header.header;
        let Some(state) = self.state(&root) else { return Ok(()) };
        let unrealized = justification::unrealized(&state, &self.config.params);
        let node = Block {
            root,
            parent_root: header.parent_root,
            slot: header.slot,
            proposer_index: header.proposer_index,
            justified: state.finality.current_justified,
            finalized: state.finality.finalized,
            unrealized_justified: unrealized.current_justified,
            unrealized_finalized: unrealized.finalized,
        };
        let justified = self.fork_choice.justified();
        self.ensure_balances(&justified);
        self.fork_choice.on_block(node, self.memory.balances())?;
        for (data, voters) in &processed.votes {
            self.fork_choice.on_attestation(data, voters, true).ok(); // votes for blocks unknown here do not count
        }
        for slashing in &block.body.attester_slashings {
            let first: BTreeSet<ValidatorIndex> =
                slashing.attestation_1.attesting_indices.iter().copied().collect();
            let second = slashing.attestation_2.attesting_indices.iter().copied();
            self.fork_choice.on_equivocation(second.filter(|index| first.contains(index)));
        }
        if let Some(offence) = self.slasher.on_header(&block.header)
            && self.pool.add_proposer_slashing(offence)
        {
            self.events.push(Event::ProposerOffence(offence));
        }
        Ok(())
    }

    fn note_invalid(&mut self, root: Root) {
        if self.invalid.len() >= MAX_INVALID {
            self.invalid.pop_first();
        }
        self.invalid.insert(root);
    }

    /// Goes on with the chain of a database: folds what is final, and executes again all blocks since. Their signatures
    /// were verified before they were written.
    ///
    /// # Errors
    /// The database is empty, failed, or holds something that is not a chain of these rules.
    pub fn open(config: Arc<Config>, mut db: D, verifier: Arc<dyn Verifier>) -> Result<Self, ChainError> {
        let folded = db.folded()?.ok_or(ChainError::Inconsistent("no folded block"))?;
        let checkpoint = db.finalized()?.ok_or(ChainError::Inconsistent("no final checkpoint"))?;
        let rows = db.state_rows()?;
        let state = encoding::from_rows(&rows)
            .ok()
            .filter(|state| state.is_well_formed(&config.params))
            .ok_or(ChainError::Inconsistent("malformed consensus state"))?;
        let state = finish_folding(&config, &mut db, folded, checkpoint.root, state)?;
        let anchor = db.block(&checkpoint.root)?.ok_or(ChainError::Inconsistent("no final block"))?;
        let header = anchor.block.header;
        let mut chain = Self::anchored(config, db, verifier, checkpoint, header, Arc::new(state));
        let genesis_ms = chain.config.genesis_time.saturating_mul(1000);
        for root in chain.db.roots_after(header.header.slot)? {
            let Some(stored) = chain.db.block(&root)? else { continue };
            let start = stored.block.header.header.slot.saturating_mul(chain.config.params.slot_ms);
            chain.fork_choice.on_tick(genesis_ms.saturating_add(start));
            match chain.import_with(&stored.block, &stored.txs, None, false) {
                Err(ImportError::Chain(error)) => return Err(error),
                Err(ImportError::Invalid(_)) => {
                    return Err(ChainError::Inconsistent("a stored block is invalid"));
                }
                Ok(_) | Err(_) => {} // blocks of branches that finality cut off have no place any more
            }
        }
        chain.events.clear();
        Ok(chain)
    }
}

/// Executes and folds the blocks from the folded one to the final one.
fn finish_folding<D: Database>(
    config: &Config,
    db: &mut D,
    folded: Root,
    last: Root,
    mut state: State,
) -> Result<State, ChainError> {
    let mut path = Vec::new();
    let mut next = last;
    while next != folded {
        let stored = db.block(&next)?.ok_or(ChainError::Inconsistent("a final block is missing"))?;
        next = stored.block.header.header.parent_root;
        path.push(stored);
    }
    for stored in path.into_iter().rev() {
        let before = state.clone();
        let layers = super::Layers::default();
        let view = layers.view(&*db, &folded);
        let mut app = Overlay::new(&view);
        let context = BlockContext { config, verifier: None };
        let result = process(&mut state, &mut app, &context, &stored.block, &stored.txs);
        db.health()?;
        result.map_err(|_| ChainError::Inconsistent("a final block is invalid"))?;
        let (values, nodes) = super::super::layers::rows(app.into_changes());
        let root = stored.block.root();
        let state_rows = encoding::rows(&state, Some(&before));
        db.commit(Batch { fold: Some(Fold { root, values, nodes, state: state_rows }), ..Batch::default() })?;
    }
    Ok(state)
}
