//! From what a block changes to rows: contract storage, trie, roots, logs. Mirrors `StateStore.cs` of the plugin
//! `StateService`, and `LogStorageStore.cs` of the plugin `ApplicationLogs`.

use std::{collections::HashMap, sync::Arc};

use neo_base::{
    UInt256,
    codec::{self, DecodeError, Wire, read_var_int, write_count},
    ledger::Witness,
};
use neo_contract::engine::EngineError;
use neo_store::{Bytes, Database, Table, WriteSet};
use shared_vendor::bytes::{Reader, Writer};

use crate::{
    execute::Executed,
    ledger::{LedgerError, is_ledger_row},
    log::{self, Log},
    state_root::{NodeSource, Trie},
    view::LedgerView,
};

/// Nodes of the trie that stay in memory: those so far from the root.
const KEPT_DEPTH: usize = 12;

/// A root of the state, as it is signed and sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRoot {
    /// Height of the block after which it holds.
    pub index: u32,
    /// The root.
    pub root: UInt256,
    /// Signatures of the state validators, if they are known.
    pub witness: Option<Witness>,
}

impl StateRoot {
    /// What is hashed and signed.
    #[must_use]
    pub fn unsigned(&self) -> Vec<u8> {
        let mut writer = Writer::new();
        writer.u8(0).u32_le(self.index);
        self.root.write(&mut writer);
        writer.into_vec()
    }

    /// SHA-256 of everything but the witness.
    #[must_use]
    pub fn hash(&self) -> UInt256 {
        UInt256(neo_crypto::hash::sha256(&self.unsigned()))
    }
}

impl Wire for StateRoot {
    fn read(reader: &mut Reader<'_>) -> codec::Result<Self> {
        if reader.u8()? != 0 {
            return Err(DecodeError::Invalid("unknown version of a state root"));
        }
        let (index, root) = (reader.u32_le()?, Wire::read(reader)?);
        let witness = match read_var_int(reader)? {
            0 => None,
            1 => Some(Witness::read(reader)?),
            _ => return Err(DecodeError::Invalid("a state root has at most one witness")),
        };
        Ok(Self { index, root, witness })
    }

    fn write(&self, writer: &mut Writer) {
        writer.put(&self.unsigned());
        write_count(writer, usize::from(self.witness.is_some()));
        if let Some(witness) = &self.witness {
            witness.write(writer);
        }
    }
}

/// The stored root of a height.
pub(crate) fn state_root(view: &LedgerView<'_>, height: u32) -> Result<Option<StateRoot>, LedgerError> {
    let bytes = view.tables.get(Table::Roots, &height.to_be_bytes())?;
    let root = bytes.map(|bytes| StateRoot::from_bytes(&bytes)).transpose();
    root.map_err(|_| LedgerError::State(EngineError::State("a state root")))
}

/// Nodes that are stored.
#[derive(Debug)]
pub(crate) struct Nodes {
    database: Arc<Database>,
    history: bool,
}

impl Nodes {
    pub(crate) fn new(database: Arc<Database>, history: bool) -> Self {
        Self { database, history }
    }
}

impl NodeSource for Nodes {
    fn node(&self, hash: &UInt256) -> Option<Vec<u8>> {
        let bytes = self.database.get(Table::Trie, hash.as_bytes()).ok()??;
        Some(node_bytes(&bytes, self.history).to_vec())
    }
}

/// The bytes of a node in its row; without history a row ends with the number of references.
pub(crate) fn node_bytes(row: &[u8], history: bool) -> &[u8] {
    if history { row } else { row.split_last_chunk::<4>().map_or(row, |(node, _)| node) }
}

/// The trie that goes from block to block.
#[derive(Debug)]
pub(crate) struct Roots {
    trie: Trie<Nodes>,
    history: bool,
}

impl Roots {
    pub(crate) fn new(trie: Trie<Nodes>, history: bool) -> Self {
        Self { trie, history }
    }

    /// Puts the changes of a block into the trie and all its rows into `changes`; the new root.
    pub(crate) fn apply(
        &mut self,
        database: &Database,
        waiting: &WriteSet,
        executed: &Executed,
        changes: &mut WriteSet,
    ) -> Result<UInt256, LedgerError> {
        for (key, value) in &executed.changes {
            if !is_ledger_row(key) {
                match value {
                    Some(value) => self.trie.put(key, value)?,
                    None => self.trie.delete(key)?,
                }
            }
            changes.set(Table::Storage, key.clone(), value.clone());
        }
        let commit = self.trie.commit();
        if self.history {
            for (hash, bytes) in commit.added {
                changes.put(Table::Trie, hash.0.to_vec(), bytes);
            }
            return Ok(commit.root);
        }
        let mut counts: HashMap<UInt256, (i64, Option<Vec<u8>>)> = HashMap::new();
        for (hash, bytes) in commit.added {
            let entry = counts.entry(hash).or_default();
            entry.0 = entry.0.saturating_add(1);
            entry.1 = Some(bytes);
        }
        for hash in commit.removed {
            let entry = counts.entry(hash).or_default();
            entry.0 = entry.0.saturating_sub(1);
        }
        for (hash, (change, bytes)) in counts {
            let old = match waiting.get(Table::Trie, &hash.0) {
                Some(known) => known.cloned(),
                None => database.get(Table::Trie, &hash.0)?,
            };
            put_node(changes, hash, change, bytes, old.as_ref());
        }
        Ok(commit.root)
    }

    /// Forgets nodes far from the root. Only after everything is written.
    pub(crate) fn collapse(&mut self) {
        self.trie.collapse(KEPT_DEPTH);
    }
}

fn put_node(changes: &mut WriteSet, hash: UInt256, change: i64, bytes: Option<Vec<u8>>, old: Option<&Bytes>) {
    let split = old.and_then(|row| row.split_last_chunk::<4>());
    let references = split.map_or(0, |(_, count)| i64::from(u32::from_le_bytes(*count)));
    let references = u32::try_from(references.saturating_add(change)).unwrap_or_default();
    if references == 0 {
        changes.delete(Table::Trie, hash.0.to_vec());
        return;
    }
    let node = bytes.or_else(|| split.map(|(node, _)| node.to_vec()));
    if let Some(mut row) = node {
        row.extend_from_slice(&references.to_le_bytes());
        changes.put(Table::Trie, hash.0.to_vec(), row);
    }
}

/// Rows of what the executions of a block did.
pub(crate) fn put_logs(executed: &Executed, changes: &mut WriteSet) {
    let hash = executed.block.header.hash();
    changes.put(Table::Logs, log::key(&hash), executed.log.to_bytes());
    for (hash, execution) in &executed.transactions {
        let log = Log { executions: vec![execution.clone()] };
        changes.put(Table::Logs, log::key(hash), log.to_bytes());
    }
}
