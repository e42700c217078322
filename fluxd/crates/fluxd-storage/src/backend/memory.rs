//! The tables as an ordered map, for tests and simulations.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use super::Visit;
use crate::{Result, batch::Change, schema::Table};

type Rows = BTreeMap<(Table, Vec<u8>), Vec<u8>>;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    rows: RwLock<Arc<Rows>>,
}

impl Memory {
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot(Arc::clone(&self.rows.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Copies the map when a snapshot of it is still held.
    pub(super) fn write(&self, changes: impl Iterator<Item = Change>) {
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let rows = Arc::make_mut(&mut rows);
        for (table, key, value) in changes {
            match value {
                Some(value) => rows.insert((table, key), value),
                None => rows.remove(&(table, key)),
            };
        }
    }
}

pub(crate) struct Snapshot(Arc<Rows>);

impl Snapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.0.get(&(table, key.to_vec())).cloned()
    }

    pub(super) fn for_each(&self, table: Table, visit: Visit<'_>) -> Result<()> {
        let rows = self.0.range((table, Vec::new())..);
        rows.take_while(|((of, _), _)| *of == table).try_for_each(|((_, key), row)| visit(key, row))
    }

    pub(super) fn for_range(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
        let rows = self.0.range((table, from.to_vec())..(table, to.to_vec()));
        rows.into_iter().try_for_each(|((_, key), row)| visit(key, row))
    }
}
