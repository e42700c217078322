//! The whole state as one stream: every table, the last blocks with their undo data so that a reorganization still works,
//! and a checksum over all of it. What is imported is a chain state in lite mode: older bodies are not there.
//!
//! Layout: magic 8, genesis hash 32, then records of a tag byte, two lengths u32 and two byte strings: tag 255 ends the
//! stream, 254 is a block (hash, then block and undo data), others name a table by its place in `Table::ALL`. Last
//! come 32 bytes of SHA-256 over everything before.

use std::{
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use fluxd_consensus::params::Params;
use fluxd_primitives::{Block, BlockHash, Codec, codec::Writer};
use fluxd_storage::{Batch, BlockUndo, Durability, Store, schema::Table};
use sha2::{Digest, Sha256};

use crate::{
    chain::{ChainState, Options, Result, identity},
    error::ChainError,
};

const MAGIC: &[u8; 8] = b"fluxsn\0\x01";
/// The mark of an import that did not finish; such tables are thrown away.
const MARK: &str = "snapshot";
const TAG_BLOCK: u8 = 254;
const TAG_END: u8 = 255;
/// Blocks whose bodies go with a snapshot: as many as any reorganization may take back, and more.
const BLOCKS: u32 = 288;
/// Longest key or row.
const MAX_BYTES: u32 = 64 << 20;
/// Rows of one batch of an import.
const ROWS: u32 = 20_000;

/// What a snapshot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotSummary {
    /// The tip.
    pub tip: BlockHash,
    /// Its height.
    pub height: u32,
    /// Rows of all tables.
    pub rows: u64,
    /// Blocks with their bodies.
    pub blocks: u32,
    /// The checksum at its end.
    pub checksum: [u8; 32],
}

impl ChainState {
    /// Writes a snapshot of the committed state.
    ///
    /// # Errors
    /// The store fails, or the stream does.
    pub fn export_snapshot(&mut self, out: &mut dyn Write) -> Result<SnapshotSummary> {
        self.flush()?;
        let mut out = Summing { out, hasher: Sha256::new() };
        out.put(MAGIC)?;
        out.put(&self.params.genesis.header.hash().0)?;
        let view = self.store.view();
        let mut rows = 0;
        for (tag, table) in (0..).zip(Table::ALL) {
            // Flat files are not in a snapshot, and a store writes its own identity.
            if table == Table::Files {
                continue;
            }
            let mut failure = None;
            view.for_each_raw(table, |key, row| {
                let own = table == Table::Meta && !is_carried(key);
                if failure.is_none() && !own {
                    rows += 1;
                    failure = out.record(tag, key, row).err();
                }
                Ok(())
            })?;
            if let Some(error) = failure {
                return Err(error);
            }
        }
        let height = self.index.height();
        let mut blocks = 0;
        for number in height.saturating_sub(BLOCKS - 1).max(1)..=height {
            let Some(id) = self.index.at_height(number) else { break };
            let (body, undo) = (self.body(id)?, self.undo_of(id)?);
            let mut payload = Writer::new();
            let block = body.block().to_bytes();
            payload.u32_le(u32::try_from(block.len()).unwrap_or(u32::MAX)).put(&block).put(&undo.to_bytes());
            out.record(TAG_BLOCK, &body.hash().0, payload.as_slice())?;
            blocks += 1;
        }
        out.record(TAG_END, &[], &[])?;
        let checksum: [u8; 32] = out.hasher.clone().finalize().into();
        out.put(&checksum)?;
        out.out.flush().map_err(ChainError::SnapshotFile)?;
        Ok(SnapshotSummary { tip: self.group.tip.hash, height, rows, blocks, checksum })
    }

    /// Makes a chain state of a snapshot in a folder that holds none. `expected` is the checksum that somebody trusted
    /// gave; without it only damage is noticed.
    ///
    /// # Errors
    /// The stream is damaged, of another network or another checksum, the folder is in use, or the store fails. An import
    /// that fails or is interrupted leaves tables that no chain state opens and the next import replaces.
    pub fn import_snapshot(
        dir: &Path,
        params: Arc<Params>,
        options: Options,
        input: &mut dyn Read,
        expected: Option<[u8; 32]>,
    ) -> Result<Self> {
        if is_unfinished(dir, &params)? {
            Store::delete_tables(dir)?;
        }
        let mut store = Store::open(dir, &identity(&params))?;
        if store.view().tip()?.is_some() {
            return Err(ChainError::Snapshot("the folder holds a chain state already"));
        }
        let mut batch = Batch::default();
        batch.set_flag(MARK, true);
        store.commit(batch, Durability::Synced)?;
        let mut input = Hashing { input, hasher: Sha256::new() };
        if input.array::<8>()? != *MAGIC {
            return Err(ChainError::Snapshot("not a snapshot, or of another version"));
        }
        if input.array::<32>()? != params.genesis.header.hash().0 {
            return Err(ChainError::Snapshot("it belongs to another network"));
        }
        let tip = read_records(&mut store, &mut input)?;
        let computed: [u8; 32] = input.hasher.clone().finalize().into();
        if input.array::<32>()? != computed {
            return Err(ChainError::Snapshot("the checksum is wrong"));
        }
        if expected.is_some_and(|expected| expected != computed) {
            return Err(ChainError::Snapshot("the checksum is not the expected one"));
        }
        let mut last = Batch::default();
        for (key, row) in tip {
            last.put_raw(Table::Meta, &key, &row);
        }
        last.set_flag(MARK, false);
        store.commit(last, Durability::Synced)?;
        drop(store);
        Self::open(dir, params, options)
    }
}

/// True when an import into this folder did not finish.
fn is_unfinished(dir: &Path, params: &Params) -> Result<bool> {
    let store = Store::open(dir, &identity(params))?;
    Ok(store.view().flag(MARK)?)
}

/// True when the mark of an unfinished import is set.
pub(super) fn is_marked(store: &Store) -> Result<bool> {
    Ok(store.view().flag(MARK)?)
}

/// Rows of the meta table that belong to the chain: the tip, and how far indexes are.
fn is_carried(key: &[u8]) -> bool {
    key == b"tip" || key.starts_with(b"index:")
}

/// Writes all records but those of the meta table, which it returns: they make the state complete.
fn read_records(store: &mut Store, input: &mut Hashing<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let damaged = || ChainError::Snapshot("a record is damaged");
    let mut meta = Vec::new();
    let mut batch = Batch::default();
    let mut rows = 0;
    loop {
        let (tag, key, row) = input.record()?;
        match tag {
            TAG_END => break,
            TAG_BLOCK => {
                store.commit(std::mem::take(&mut batch), Durability::Buffered)?;
                let hash = BlockHash::from_bytes(&key).map_err(|_| damaged())?;
                put_block(store, &hash, &row)?;
            }
            _ => {
                let table = *Table::ALL.get(usize::from(tag)).ok_or_else(damaged)?;
                match table {
                    Table::Meta if is_carried(&key) => meta.push((key, row)),
                    Table::Meta | Table::Files => return Err(damaged()),
                    Table::Blocks => batch.put_bare_block(&key, &row).map_err(|_| damaged())?,
                    table => batch.put_raw(table, &key, &row),
                }
                rows += 1;
                if rows % ROWS == 0 {
                    store.commit(std::mem::take(&mut batch), Durability::Buffered)?;
                }
            }
        }
    }
    store.commit(batch, Durability::Synced)?;
    Ok(meta)
}

/// Puts a block and its undo data into the flat files, and their places into its row.
fn put_block(store: &mut Store, hash: &BlockHash, payload: &[u8]) -> Result<()> {
    let damaged = || ChainError::Snapshot("a block is damaged");
    let (length, rest) = payload.split_first_chunk::<4>().ok_or_else(damaged)?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let (block, undo) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let block = Block::from_bytes(block).map_err(|_| damaged())?;
    let undo = BlockUndo::from_bytes(undo).map_err(|_| damaged())?;
    let mut row = store.view().block(hash)?.ok_or_else(damaged)?;
    if block.header.hash() != *hash {
        return Err(damaged());
    }
    let position = store.append_block(&block, row.height)?;
    row.undo_offset = Some(store.append_undo(position.file, &undo, &block.header.prev)?);
    row.block = Some(position);
    let mut batch = Batch::default();
    batch.put_block(hash, &row);
    Ok(store.commit(batch, Durability::Buffered)?)
}

struct Summing<'a> {
    out: &'a mut dyn Write,
    hasher: Sha256,
}

impl Summing<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes).map_err(ChainError::SnapshotFile)
    }

    fn record(&mut self, tag: u8, key: &[u8], row: &[u8]) -> Result<()> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let mut writer = Writer::with_capacity(9);
        writer.u8(tag).u32_le(length(key)).u32_le(length(row));
        self.put(writer.as_slice())?;
        self.put(key)?;
        self.put(row)
    }
}

struct Hashing<'a> {
    input: &'a mut dyn Read,
    hasher: Sha256,
}

impl Hashing<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(ChainError::SnapshotFile)?;
        self.hasher.update(bytes);
        Ok(bytes)
    }

    fn bytes(&mut self, length: u32) -> Result<Vec<u8>> {
        if length > MAX_BYTES {
            return Err(ChainError::Snapshot("a record is too long"));
        }
        let mut bytes = Vec::new();
        let mut part = (&mut *self.input).take(u64::from(length));
        part.read_to_end(&mut bytes).map_err(ChainError::SnapshotFile)?;
        if u32::try_from(bytes.len()) != Ok(length) {
            return Err(ChainError::Snapshot("it ends too early"));
        }
        self.hasher.update(&bytes);
        Ok(bytes)
    }

    fn record(&mut self) -> Result<(u8, Vec<u8>, Vec<u8>)> {
        let [tag] = self.array::<1>()?;
        let key_length = u32::from_le_bytes(self.array()?);
        let row_length = u32::from_le_bytes(self.array()?);
        Ok((tag, self.bytes(key_length)?, self.bytes(row_length)?))
    }
}
