//! The tables as ordered maps in memory, for tests and simulations.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use super::{Batch, Result, Visit, schema::Table};

type Key = (Table, Vec<u8>);

#[derive(Debug, Default)]
pub(super) struct Memory {
    rows: RwLock<BTreeMap<Key, Vec<u8>>>,
}

impl Memory {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.rows.read().get(&(table, key.to_vec())).cloned()
    }

    pub(super) fn write(&self, batch: Batch) {
        let mut rows = self.rows.write();
        for (table, key, value) in batch.into_changes() {
            match value {
                Some(value) => rows.insert((table, key), value),
                None => rows.remove(&(table, key)),
            };
        }
    }

    pub(super) fn for_each(&self, table: Table, visit: Visit<'_>) -> Result<()> {
        let rows = self.rows.read();
        rows.iter().filter(|((of, _), _)| *of == table).try_for_each(|((_, key), value)| visit(key, value))
    }
}
