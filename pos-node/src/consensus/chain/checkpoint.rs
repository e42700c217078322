//! Starting from a final checkpoint instead of genesis, and giving one away: the block, its consensus state, and the
//! entries of the application state in provable pieces.

use super::{Chain, ChainError};
use crate::{
    consensus::layers::{Base, rows},
    state::{
        State,
        app::overlay::Changes,
        encoding,
        tree::{
            self, Leaf, MemoryNodes,
            path::successor,
            range::{self, RangeError, RangeProof},
        },
        verifier::Verifier,
    },
    storage::{Batch, Database, Fold, FoldedState, StoredBlock},
    types::{
        block::SignedBlock,
        codec::{self, Wire, container, put_len},
        operation::Checkpoint,
        params::Config,
        primitives::{List, Root},
        ssz::{Chunk, sha256},
    },
};
use shared_vendor::bytes::{Reader, Writer};
use std::sync::Arc;

/// Most entries of a piece.
pub const MAX_ENTRIES: usize = 16_384;
/// Most bytes of a key.
pub const MAX_KEY_BYTES: usize = 256;
/// Most bytes of a value.
pub const MAX_VALUE_BYTES: usize = 131_072;

container! {
    /// A key of the application state and its value.
    plain struct Entry {
        /// The key.
        key: List<u8, MAX_KEY_BYTES>,
        /// The value.
        value: List<u8, MAX_VALUE_BYTES>,
    }
}

container! {
    /// All entries from one key hash on up to the last of them, with the proof that they are all.
    plain struct StatePiece {
        /// Entries in the order of their keys' hashes.
        entries: List<Entry, MAX_ENTRIES>,
        /// The last key hash that the piece covers; all ones in the last piece.
        last: Root,
        /// The proof.
        proof: RangeProof,
    }
}

/// Why a checkpoint cannot be started from.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The block is not that of the checkpoint.
    #[error("block is not that of the checkpoint")]
    Block,
    /// The consensus state is malformed or of another chain.
    #[error("malformed consensus state, or of another chain")]
    State,
    /// The states are not those that the block's header commits to.
    #[error("states are not those of the block")]
    StateRoot,
    /// A piece of the application state is wrong.
    #[error("piece of the application state is wrong")]
    Piece(#[from] RangeError),
    /// The database failed or is not empty.
    #[error("database cannot take the checkpoint")]
    Chain(#[from] ChainError),
}

impl From<crate::storage::StoreError> for CheckpointError {
    fn from(error: crate::storage::StoreError) -> Self {
        Self::Chain(error.into())
    }
}

impl StatePiece {
    /// The piece of a state that begins at `first` and takes about `max_bytes`.
    ///
    /// # Errors
    /// The database failed.
    pub fn read(state: &impl FoldedState, first: &Chunk, max_bytes: usize) -> Result<Self, ChainError> {
        let limit = u32::try_from(MAX_ENTRIES).unwrap_or(u32::MAX);
        let found = state.entries_from(first, limit)?;
        let complete = found.len() < MAX_ENTRIES;
        let (mut entries, mut bytes, total) = (Vec::new(), 0usize, found.len());
        for (key, value) in found {
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len()).saturating_add(16);
            if bytes > max_bytes && !entries.is_empty() {
                break;
            }
            let (Some(key), Some(value)) = (List::new(key), List::new(value)) else {
                return Err(ChainError::Inconsistent("an entry is too long"));
            };
            entries.push(Entry { key, value });
        }
        let whole = complete && entries.len() == total;
        let last = match entries.last() {
            Some(entry) if !whole => sha256(&entry.key),
            _ => [0xff; 32],
        };
        let proof = range::prove(&Base(state), first, &last);
        let entries = List::new(entries).ok_or(ChainError::Inconsistent("too many entries"))?;
        Ok(Self { entries, last: Root(last), proof })
    }

    /// Checks the piece that begins at `first`; gives where the next one begins, or `None` after the last.
    ///
    /// # Errors
    /// What is wrong.
    pub fn verify(&self, app_root: &Root, first: &Chunk) -> Result<Option<Chunk>, RangeError> {
        let leaves: Vec<Leaf> = self
            .entries
            .iter()
            .map(|entry| Leaf { key_hash: sha256(&entry.key), value_hash: sha256(&entry.value) })
            .collect();
        range::verify(&app_root.0, first, &self.last.0, &leaves, &self.proof)?;
        Ok(successor(&self.last.0))
    }
}

/// Everything a chain can start from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    /// The final checkpoint.
    pub checkpoint: Checkpoint,
    /// Its block.
    pub block: SignedBlock,
    /// The consensus state after the block.
    pub state: State,
    /// All entries of the application state after the block, in any order.
    pub entries: Vec<Entry>,
}

/// The file that a checkpoint is exported to. What it says is checked when a chain starts from it.
impl Wire for Anchor {
    const MIN_BYTES: usize = 40;

    fn put(&self, out: &mut Writer) {
        self.checkpoint.put(out);
        self.block.put(out);
        self.state.put(out);
        put_len(self.entries.len(), out);
        for entry in &self.entries {
            entry.put(out);
        }
    }

    fn take(input: &mut Reader<'_>) -> codec::Result<Self> {
        let (checkpoint, block, state) = (Wire::take(input)?, Wire::take(input)?, Wire::take(input)?);
        let claimed = input.u64_le()?;
        let count = input.count(claimed, usize::MAX, Entry::MIN_BYTES)?;
        let entries = (0..count).map(|_| Entry::take(input)).collect::<codec::Result<_>>()?;
        Ok(Self { checkpoint, block, state, entries })
    }
}

impl<D: Database> Chain<D> {
    /// Starts from a checkpoint in an empty database. Whether the checkpoint is to be trusted is the caller's business;
    /// that everything belongs to it is checked.
    ///
    /// # Errors
    /// What does not belong to the checkpoint, or the database fails.
    pub fn from_checkpoint(
        config: Arc<Config>,
        anchor: Anchor,
        mut db: D,
        verifier: Arc<dyn Verifier>,
    ) -> Result<Self, CheckpointError> {
        let Anchor { checkpoint, block, state, entries } = anchor;
        let header = block.header;
        let root = block.root();
        let in_time = header.header.slot <= config.params.start_slot(checkpoint.epoch);
        if root != checkpoint.root || !block.body_matches() || !in_time {
            return Err(CheckpointError::Block);
        }
        if !state.is_well_formed(&config.params)
            || state.genesis_time != config.genesis_time
            || state.slot != header.header.slot
        {
            return Err(CheckpointError::State);
        }
        if db.folded()?.is_some() {
            return Err(ChainError::Inconsistent("the database is not empty").into());
        }
        let values = entries.into_iter().map(|entry| (entry.key.into_vec(), Some(entry.value.into_vec())));
        let values: std::collections::BTreeMap<_, _> = values.collect();
        let changes = values.iter().map(|(key, value)| (key.as_slice(), value.as_deref()));
        let update = tree::update::update(&MemoryNodes::default(), changes);
        if state.combined_root(&config.params, &Root(update.root)) != header.header.state_root {
            return Err(CheckpointError::StateRoot);
        }
        let (values, nodes) = rows(Changes { root: Root(update.root), values, nodes: update.writes });
        let stored = StoredBlock { block, txs: Vec::new(), receipts: Vec::new() };
        db.commit(Batch {
            block: Some((root, Arc::new(stored))),
            canonical: vec![(header.header.slot, Some(root))],
            fold: Some(Fold { root, values, nodes, state: encoding::rows(&state, None) }),
            finalized: Some(checkpoint),
            ..Batch::default()
        })?;
        Ok(Self::anchored(config, db, verifier, checkpoint, header, Arc::new(state)))
    }

    /// The folded block and its consensus state: what goes with the pieces of a snapshot taken now.
    ///
    /// # Errors
    /// The database failed.
    pub fn folded(&self) -> Result<(SignedBlock, Arc<State>), ChainError> {
        let (root, state) = &self.folded;
        let stored = self.db.block(root)?.ok_or(ChainError::Inconsistent("no folded block"))?;
        Ok((stored.block.clone(), state.clone()))
    }

    /// The block of a checkpoint with everything that can be started from, if it is the folded one.
    ///
    /// # Errors
    /// The database failed.
    pub fn export(&self) -> Result<Option<Anchor>, ChainError> {
        let checkpoint = self.finalized();
        if self.folded.0 != checkpoint.root {
            return Ok(None);
        }
        let (block, state) = self.folded()?;
        let (mut entries, mut next) = (Vec::new(), Some([0; 32]));
        while let Some(first) = next {
            let piece = StatePiece::read(&self.db, &first, usize::MAX)?;
            next = successor(&piece.last.0);
            entries.extend(piece.entries.into_vec());
        }
        Ok(Some(Anchor { checkpoint, block, state: State::clone(&state), entries }))
    }
}
