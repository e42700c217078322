//! RocksDB: options and the few calls that the store needs.
//!
//! Writes go through its log without a sync per batch: a killed process loses nothing, a power failure at most the
//! last moments, and what is found then is always a state between two batches.

use std::{fmt, path::Path, sync::Arc};

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DB, DBCompressionType, Direction,
    IteratorMode, Options, ReadOptions, WriteBatch,
};

use crate::{
    Bytes, Result,
    error::StoreError,
    schema::Table,
    write_set::{Entry, WriteSet, prefix_end},
};

const WRITE_BUFFER_BYTES: usize = 32 << 20;
const CACHE_BYTES: usize = 64 << 20;
const LOG_BYTES: u64 = 192 << 20;
const OPEN_FILES: i32 = 512;

pub(crate) struct Rocks {
    db: DB,
}

impl fmt::Debug for Rocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rocks").field("path", &self.db.path()).finish()
    }
}

impl Rocks {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_open_files(OPEN_FILES);
        options.set_max_total_wal_size(LOG_BYTES);
        options.set_keep_log_file_num(2);
        let cache = Cache::new_lru_cache(CACHE_BYTES);
        let tables = Table::ALL.map(|table| {
            let mut blocks = BlockBasedOptions::default();
            blocks.set_block_cache(&cache);
            blocks.set_bloom_filter(10.0, false);
            let mut options = Options::default();
            options.set_block_based_table_factory(&blocks);
            options.set_compression_type(DBCompressionType::Lz4);
            options.set_write_buffer_size(WRITE_BUFFER_BYTES);
            ColumnFamilyDescriptor::new(table.name(), options)
        });
        Ok(Self { db: DB::open_cf_descriptors(&options, path, tables)? })
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.db.get_pinned_cf(&self.table(table)?, key)?;
        Ok(found.map(|value| Bytes::from(&*value)))
    }

    pub(crate) fn write(&self, changes: &WriteSet) -> Result<()> {
        let mut batch = WriteBatch::default();
        for table in Table::ALL {
            let handle = self.table(table)?;
            for (key, value) in changes.rows(table) {
                match value {
                    Some(value) => batch.put_cf(&handle, key, value),
                    None => batch.delete_cf(&handle, key),
                }
            }
        }
        Ok(self.db.write(batch)?)
    }

    pub(crate) fn flush(&self) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }

    pub(crate) fn compact(&self) -> Result<()> {
        for table in Table::ALL {
            self.db.compact_range_cf(&self.table(table)?, None::<&[u8]>, None::<&[u8]>);
        }
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Result<RocksSnapshot<'_>> {
        let mut tables = Vec::with_capacity(Table::ALL.len());
        for table in Table::ALL {
            tables.push(self.table(table)?);
        }
        Ok(RocksSnapshot { snapshot: self.db.snapshot(), tables })
    }

    fn table(&self, table: Table) -> Result<Arc<BoundColumnFamily<'_>>> {
        self.db.cf_handle(table.name()).ok_or(StoreError::NoTable(table.name()))
    }
}

pub(crate) struct RocksSnapshot<'a> {
    snapshot: rocksdb::Snapshot<'a>,
    tables: Vec<Arc<BoundColumnFamily<'a>>>,
}

impl fmt::Debug for RocksSnapshot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RocksSnapshot").finish_non_exhaustive()
    }
}

impl RocksSnapshot<'_> {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        let found = self.snapshot.get_pinned_cf(self.table(table)?, key)?;
        Ok(found.map(|value| Bytes::from(&*value)))
    }

    pub(crate) fn seek(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> Result<Option<Entry>> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(prefix);
        let end = prefix_end(prefix);
        if let Some(end) = &end {
            options.set_iterate_upper_bound(end.clone());
        }
        let mode = match (backward, after, &end) {
            (false, None, _) => IteratorMode::From(prefix, Direction::Forward),
            (false, Some(after), _) => IteratorMode::From(after.max(prefix), Direction::Forward),
            (true, Some(after), _) => IteratorMode::From(after, Direction::Reverse),
            (true, None, Some(_)) => IteratorMode::End,
            (true, None, None) => IteratorMode::End,
        };
        for row in self.snapshot.iterator_cf_opt(self.table(table)?, options, mode) {
            let (key, value) = row?;
            if after == Some(&*key) {
                continue;
            }
            return Ok(key.starts_with(prefix).then(|| (key.into_vec(), Bytes::from(value))));
        }
        Ok(None)
    }

    fn table(&self, table: Table) -> Result<&Arc<BoundColumnFamily<'_>>> {
        self.tables.get(table.index()).ok_or(StoreError::NoTable(table.name()))
    }
}
