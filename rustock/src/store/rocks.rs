//! RocksDB: options and the few calls that the store needs.
//!
//! Writes go through its log without a sync per batch: a killed process loses nothing, a power failure at most the
//! last moments, and what is found then is always a state between two batches.

use std::path::Path;

use rocksdb::{
    ColumnFamilyDescriptor, DB, DBCompressionType, IteratorMode, Options, WriteBatch,
    properties::ESTIMATE_LIVE_DATA_SIZE,
};

use super::{Batch, Result, StoreError, Visit, schema::Table};

const WRITE_BUFFER_BYTES: usize = 32 << 20;
const LOG_BYTES: u64 = 128 << 20;
const OPEN_FILES: i32 = 256;

pub(super) struct Rocks {
    db: DB,
}

impl std::fmt::Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rocks").field("path", &self.db.path()).finish()
    }
}

impl Rocks {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_open_files(OPEN_FILES);
        options.set_max_total_wal_size(LOG_BYTES);
        options.set_keep_log_file_num(2);
        let tables = Table::ALL.map(|table| {
            let mut options = Options::default();
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(WRITE_BUFFER_BYTES);
            ColumnFamilyDescriptor::new(table.name(), options)
        });
        Ok(Self { db: DB::open_cf_descriptors(&options, path, tables)? })
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.db.get_cf(&self.table(table)?, key)?)
    }

    pub(super) fn write(&self, batch: Batch) -> Result<()> {
        let mut changes = WriteBatch::default();
        for (table, key, value) in batch.into_changes() {
            let table = self.table(table)?;
            match value {
                Some(value) => changes.put_cf(&table, key, value),
                None => changes.delete_cf(&table, key),
            }
        }
        Ok(self.db.write(changes)?)
    }

    pub(super) fn for_each(&self, table: Table, visit: Visit<'_>) -> Result<()> {
        for row in self.db.iterator_cf(&self.table(table)?, IteratorMode::Start) {
            let (key, value) = row?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// Tables instead of the log: what is opened next has nothing to repeat.
    pub(super) fn flush(&self) -> Result<()> {
        self.db.flush_wal(true)?;
        Table::ALL.iter().try_for_each(|table| Ok(self.db.flush_cf(&self.table(*table)?)?))
    }

    pub(super) fn compact(&self) {
        for table in Table::ALL {
            if let Ok(table) = self.table(table) {
                self.db.compact_range_cf(&table, None::<&[u8]>, None::<&[u8]>);
            }
        }
    }

    pub(super) fn size(&self, table: Table) -> u64 {
        let size = |table| self.db.property_int_value_cf(&table, ESTIMATE_LIVE_DATA_SIZE);
        self.table(table).ok().and_then(|table| size(table).ok().flatten()).unwrap_or(0)
    }

    fn table(&self, table: Table) -> Result<std::sync::Arc<rocksdb::BoundColumnFamily<'_>>> {
        self.db.cf_handle(table.name()).ok_or(StoreError::Missing { row: table.name() })
    }
}
