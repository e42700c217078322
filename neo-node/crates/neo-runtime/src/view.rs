//! The state that the ledger shows: that of its tip, or that of an earlier height by the state trie.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use neo_base::UInt256;
use neo_contract::{
    engine::{Entry, Store, StoreError},
    native::ContractId,
};
use neo_store::Table;
use neo_vm::Bytes;

use crate::{
    commit::node_bytes,
    state_root::{NodeSource, Trie, TrieError},
};

/// Number of the Ledger contract, whose rows are not part of the trie.
pub(crate) const LEDGER_PREFIX: [u8; 4] = (-4_i32).to_le_bytes();

/// Rows that every verification reads: fees and limits, balances of senders, the current block. All views of one state share them.
#[derive(Debug, Default)]
pub(crate) struct HotRows(RwLock<HashMap<Vec<u8>, Option<Bytes>>>);

/// Most rows that are kept.
const MAX_HOT: usize = 4_096;

impl HotRows {
    /// Policy and GAS, and the shortest rows of Ledger, of which one names the current block.
    fn is_hot(key: &[u8]) -> bool {
        let Some((id, rest)) = key.split_first_chunk() else { return false };
        match i32::from_le_bytes(*id) {
            ContractId::POLICY | ContractId::GAS => true,
            ContractId::LEDGER => rest.len() == 1,
            _ => false,
        }
    }

    fn get(
        &self,
        key: &[u8],
        read: impl FnOnce() -> Result<Option<Bytes>, StoreError>,
    ) -> Result<Option<Bytes>, StoreError> {
        if !Self::is_hot(key) {
            return read();
        }
        if let Some(found) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key) {
            return Ok(found.clone());
        }
        let found = read()?;
        let mut rows = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if rows.len() < MAX_HOT {
            rows.insert(key.to_vec(), found.clone());
        }
        Ok(found)
    }
}

/// The storage of all contracts at one height. It does not change while it is held.
#[derive(Debug)]
pub struct LedgerView<'a> {
    pub(crate) tables: neo_store::View<'a>,
    pub(crate) hot: Arc<HotRows>,
    /// Whether the trie keeps every height.
    pub(crate) history: bool,
}

impl Store for LedgerView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.hot.get(key, || Ok(self.tables.get(Table::Storage, key)?))
    }

    fn seek(&self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<Entry>, StoreError> {
        Ok(self.tables.seek(Table::Storage, prefix, after, backward)?)
    }
}

impl NodeSource for LedgerView<'_> {
    fn node(&self, hash: &UInt256) -> Option<Vec<u8>> {
        let row = self.tables.get(Table::Trie, hash.as_bytes()).ok()??;
        Some(node_bytes(&row, self.history).to_vec())
    }
}

/// The storage of all contracts at an earlier height. Blocks and transactions are those of the tip, except that the
/// current block is the one of the height.
#[derive(Debug)]
pub struct HistoricView<'a> {
    pub(crate) now: LedgerView<'a>,
    pub(crate) root: UInt256,
    /// Row of the Ledger contract that names the current block.
    pub(crate) current: (Vec<u8>, Bytes),
}

impl HistoricView<'_> {
    /// The state root of the height.
    #[must_use]
    pub fn root(&self) -> UInt256 {
        self.root
    }

    fn trie(&self) -> Trie<impl NodeSource> {
        Trie::new(self.root, |hash: &UInt256| self.now.node(hash))
    }
}

impl Store for HistoricView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        if key == self.current.0 {
            return Ok(Some(self.current.1.clone()));
        }
        if key.starts_with(&LEDGER_PREFIX) {
            return self.now.get(key);
        }
        match self.trie().get(key) {
            Ok(value) => Ok(value.map(Bytes::from)),
            // longer than any key that is stored
            Err(TrieError::Key(_)) => Ok(None),
            Err(err) => Err(err.into()),
        }
    }

    fn seek(&self, prefix: &[u8], after: Option<&[u8]>, backward: bool) -> Result<Option<Entry>, StoreError> {
        if prefix.starts_with(&LEDGER_PREFIX) {
            return self.now.seek(prefix, after, backward);
        }
        let found = self.trie().seek(prefix, after, backward)?;
        Ok(found.map(|(key, value)| (key, Bytes::from(value))))
    }
}
