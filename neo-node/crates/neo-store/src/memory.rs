//! Tables in memory, for tests and simulations. A snapshot keeps writers waiting.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use crate::{
    Bytes,
    schema::Table,
    write_set::{Entry, WriteSet, next_row},
};

type Tables = [BTreeMap<Vec<u8>, Bytes>; Table::ALL.len()];

#[derive(Debug, Default)]
pub(crate) struct Memory(RwLock<Tables>);

impl Memory {
    pub(crate) fn write(&self, changes: &WriteSet) {
        let mut tables = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for table in Table::ALL {
            for (key, value) in changes.rows(table) {
                let rows = &mut tables[table.index()];
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
    }

    pub(crate) fn snapshot(&self) -> MemorySnapshot<'_> {
        MemorySnapshot(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
pub(crate) struct MemorySnapshot<'a>(RwLockReadGuard<'a, Tables>);

impl MemorySnapshot<'_> {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Bytes> {
        self.0[table.index()].get(key).cloned()
    }

    pub(crate) fn seek(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> Option<Entry> {
        let found = next_row(&self.0[table.index()], prefix, after, backward);
        found.map(|(key, value)| (key.clone(), value.clone()))
    }
}
