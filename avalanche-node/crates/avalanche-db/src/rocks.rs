//! The store on disk, by RocksDB. Batches go to its log, which survives the end of the process at any instruction;
//! [`Rocks::sync`] makes them survive the end of the machine.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rocksdb::{DB, DBCompressionType, Options, ReadOptions, WriteBatch};

use crate::{Batch, Database, DbError, Entries, Result};

const WRITE_BUFFER_BYTES: usize = 64 * 1024 * 1024;

/// An open RocksDB. One process can have it open.
pub struct Rocks {
    db: DB,
    poisoned: AtomicBool,
}

impl std::fmt::Debug for Rocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rocks").field("path", &self.db.path()).finish_non_exhaustive()
    }
}

impl Rocks {
    /// Opens the store in a folder, which is made when it is not there.
    ///
    /// # Errors
    /// The folder cannot be used, holds something else, or is open in another process.
    pub fn open(path: &Path) -> Result<Self> {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(WRITE_BUFFER_BYTES);
        options.set_paranoid_checks(true);
        let db = DB::open(&options, path).map_err(engine)?;
        Ok(Self { db, poisoned: AtomicBool::new(false) })
    }

    /// Waits until everything written is on the medium.
    ///
    /// # Errors
    /// The engine failed; the store is unusable from then on.
    pub fn sync(&self) -> Result<()> {
        self.guard(|| self.db.flush_wal(true))
    }

    fn guard(&self, write: impl FnOnce() -> std::result::Result<(), rocksdb::Error>) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(DbError::Poisoned);
        }
        write().map_err(|error| {
            self.poisoned.store(true, Ordering::Release);
            engine(error)
        })
    }
}

impl Database for Rocks {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get(key).map_err(engine)
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut changes = WriteBatch::default();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => changes.put(key, value),
                None => changes.delete(key),
            }
        }
        self.guard(|| self.db.write(changes))
    }

    fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_> {
        let mut options = ReadOptions::default();
        if let Some(end) = end_of_prefix(prefix) {
            options.set_iterate_upper_bound(end);
        }
        let from = start.max(prefix);
        // The next entry is looked for when it is asked for: it may be behind many that were deleted.
        let mut cursor = self.db.raw_iterator_opt(options);
        cursor.seek(from);
        let mut is_used = false;
        Box::new(std::iter::from_fn(move || {
            if std::mem::replace(&mut is_used, true) && cursor.valid() {
                cursor.next();
            }
            match cursor.item() {
                Some((key, value)) => Some(Ok((key.into(), value.into()))),
                None => cursor.status().err().map(|error| Err(engine(error))),
            }
        }))
    }
}

/// The smallest key above all that start with a prefix; None when there is none.
fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(above) = last.checked_add(1) {
            end.push(above);
            return Some(end);
        }
    }
    None
}

fn engine(error: rocksdb::Error) -> DbError {
    DbError::Engine(Box::new(error))
}
