//! fjall: one keyspace per table, one journal for all, so that a batch over several tables is one entry of it.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};

use super::{Durability, Visit};
use crate::{Result, batch::Change, schema::Table};

/// Bytes of blocks that the engine keeps in memory.
const CACHE_BYTES: u64 = 64 << 20;
/// Threads that flush and compact.
const WORKERS: usize = 2;

pub(crate) struct Fjall {
    database: Database,
    tables: Vec<Keyspace>,
}

impl std::fmt::Debug for Fjall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fjall")
    }
}

impl Fjall {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let database = Database::builder(path).cache_size(CACHE_BYTES).worker_threads(WORKERS).open()?;
        let tables = Table::ALL
            .into_iter()
            .map(|table| database.keyspace(table.name(), KeyspaceCreateOptions::default))
            .collect::<std::result::Result<_, _>>()?;
        Ok(Self { database, tables })
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { snapshot: self.database.snapshot(), tables: self.tables.clone() }
    }

    pub(super) fn write(&self, changes: impl Iterator<Item = Change>, durability: Durability) -> Result<()> {
        let mut batch = self.database.batch().durability(match durability {
            Durability::Synced => Some(PersistMode::SyncAll),
            Durability::Buffered => Some(PersistMode::Buffer),
        });
        for (table, key, value) in changes {
            let table = of(&self.tables, table);
            match value {
                Some(value) => batch.insert(table, key, value),
                None => batch.remove(table, key),
            }
        }
        Ok(batch.commit()?)
    }
}

pub(crate) struct Snapshot {
    snapshot: fjall::Snapshot,
    tables: Vec<Keyspace>,
}

impl Snapshot {
    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.snapshot.get(of(&self.tables, table), key)?.map(|row| row.to_vec()))
    }

    pub(super) fn for_each(&self, table: Table, visit: Visit<'_>) -> Result<()> {
        for row in self.snapshot.iter(of(&self.tables, table)) {
            let (key, row) = row.into_inner()?;
            visit(&key, &row)?;
        }
        Ok(())
    }

    pub(super) fn for_range(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
        for row in self.snapshot.range(of(&self.tables, table), from..to) {
            let (key, row) = row.into_inner()?;
            visit(&key, &row)?;
        }
        Ok(())
    }
}

fn of(tables: &[Keyspace], table: Table) -> &Keyspace {
    let place = Table::ALL.iter().position(|known| *known == table);
    place.and_then(|place| tables.get(place)).expect("one keyspace was opened per table")
}
