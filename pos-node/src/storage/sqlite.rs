//! The chain's rows in one SQLite file. One connection writes, each batch in one transaction. Reads of the state go
//! through the same connection, so they see what was committed.

use super::{
    Database, FoldedState,
    batch::{Batch, CertificateRow, Entry, Fold, StateRow, StoredBlock, TxPlace, Writes},
    schema::{CHAIN_APPLICATION_ID, CHAIN_STEPS, CHAIN_TABLES, Durability, StoreError, open},
    signed::{fixed, number, stored},
};
use crate::types::{
    block::SignedBlock,
    codec::{decode, encode},
    operation::Checkpoint,
    primitives::{Epoch, List, Root, Slot},
    ssz::sha256,
    transaction::{Receipt, Tx},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};
use std::{cell::RefCell, path::Path, sync::Arc};

/// Statements kept prepared.
const STATEMENTS: usize = 64;
/// Most items of a stored list.
const MAX_LIST: usize = 1 << 17;
/// Bytes of the write-ahead log above which snapshots, which keep it from being started anew, are given up.
const MAX_LOG_BYTES: u64 = 256 << 20;
/// Slots whose transactions are indexed together: few enough that a block's rows fill the pages they are on, many enough
/// that looking through all of them is quick. Archives, which keep everything, have fewer and larger buckets.
const BUCKET_SLOTS: u64 = 32;
/// As [`BUCKET_SLOTS`], in archives.
const ARCHIVE_BUCKET_SLOTS: u64 = 8192;
/// Pages given back to the file system per fold.
const VACUUM_PAGES: u32 = 64;

/// What is kept of the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum History {
    /// Transactions and receipts of the last so many slots; no old states.
    Slots(u64),
    /// Everything, and the value of every key at every slot.
    Archive,
}

impl History {
    /// The bucket that indexes the transactions of a slot; none is below 1.
    fn bucket(self, slot: Slot) -> i64 {
        let slots = if self == Self::Archive { ARCHIVE_BUCKET_SLOTS } else { BUCKET_SLOTS };
        i64::try_from((slot / slots).saturating_add(1)).unwrap_or(i64::MAX)
    }
}

/// A place in a commit, for tests that stop the process there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing is written.
    Begin,
    /// The block is written.
    Block,
    /// The head's chain is written.
    Canonical,
    /// Application values are written.
    Values,
    /// Tree nodes are written.
    Nodes,
    /// The consensus state is written.
    State,
    /// Everything is written, nothing is committed.
    Commit,
    /// The transaction is committed.
    Committed,
}

/// The chain's database.
pub struct SqliteDatabase {
    connection: Connection,
    history: History,
    failure: RefCell<Option<rusqlite::Error>>,
    poisoned: bool,
    at_step: Option<Box<dyn FnMut(Step) + Send>>,
}

impl std::fmt::Debug for SqliteDatabase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteDatabase").field("history", &self.history).finish_non_exhaustive()
    }
}

impl SqliteDatabase {
    /// Opens or makes the database of one network, whose identity is any fixed 32 bytes.
    ///
    /// # Errors
    /// Another kind of file, network or mode, a newer version, or the engine fails.
    pub fn open(path: &Path, network: &Root, history: History) -> Result<Self, StoreError> {
        let connection = open(path, CHAIN_APPLICATION_ID, CHAIN_STEPS, Durability::Ordered)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        let claim = |key: &str, value: &[u8]| -> Result<Vec<u8>, StoreError> {
            let sql = "INSERT OR IGNORE INTO meta (key, value) VALUES (?1, ?2)";
            connection.execute(sql, params![key, value])?;
            Ok(connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))?)
        };
        if claim("network", &network.0)? != network.0 {
            return Err(StoreError::OtherChain);
        }
        let wanted: &[u8] = if history == History::Archive { b"archive" } else { b"full" };
        if claim("mode", wanted)? != wanted {
            return Err(StoreError::OtherMode);
        }
        let failure = RefCell::new(None);
        Ok(Self { connection, history, failure, poisoned: false, at_step: None })
    }

    /// Calls `hook` at every step of every commit.
    pub fn at_step(&mut self, hook: impl FnMut(Step) + Send + 'static) {
        self.at_step = Some(Box::new(hook));
    }

    /// What a key's value was after the block of `slot`; only archives know.
    ///
    /// # Errors
    /// The engine failed, or the database is no archive.
    pub fn value_at(&self, key: &[u8], slot: Slot) -> Result<Option<Vec<u8>>, StoreError> {
        if self.history != History::Archive {
            return Err(StoreError::OtherMode);
        }
        let sql = "SELECT value FROM history WHERE key = ?1 AND slot > ?2 ORDER BY slot LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        match statement.query_row(params![key, number(slot)], |row| row.get(0)).optional()? {
            Some(before) => Ok(before),
            None => self.row("SELECT value FROM kv WHERE hash = ?1", &sha256(key)),
        }
    }

    /// Copies the whole database into a file that must not exist.
    ///
    /// # Errors
    /// The engine failed, or the file exists.
    pub fn backup(&self, path: &Path) -> Result<(), StoreError> {
        self.connection.execute("VACUUM INTO ?1", [path.to_string_lossy()])?;
        Ok(())
    }

    /// Size of the file in bytes.
    ///
    /// # Errors
    /// The engine failed.
    pub fn size(&self) -> Result<u64, StoreError> {
        let sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()";
        let size: i64 = self.connection.query_row(sql, [], |row| row.get(0))?;
        Ok(u64::try_from(size).unwrap_or(0))
    }

    /// Version of the layout.
    #[must_use]
    pub const fn version() -> usize {
        CHAIN_STEPS.len()
    }

    /// Number of rows of every table.
    ///
    /// # Errors
    /// The engine failed.
    pub fn rows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let count = |table: &'static str| {
            let sql = format!("SELECT count(*) FROM {table}");
            let count: i64 = self.connection.query_row(&sql, [], |row| row.get(0))?;
            Ok((table, u64::try_from(count).unwrap_or(0)))
        };
        CHAIN_TABLES.iter().copied().map(count).collect()
    }

    /// Rewrites the file into its smallest form.
    ///
    /// # Errors
    /// The engine failed.
    pub fn compact(&self) -> Result<(), StoreError> {
        Ok(self.connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)")?)
    }

    /// Checks the file itself: every page and index.
    ///
    /// # Errors
    /// The engine failed, or found damage.
    pub fn check_file(&self) -> Result<(), StoreError> {
        let found: String = self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
        if found == "ok" { Ok(()) } else { Err(StoreError::Damaged(found)) }
    }

    /// One column of one row by its key.
    fn row(&self, sql: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// A read whose failure is told later.
    fn read(&self, sql: &str, key: &[u8]) -> Option<Vec<u8>> {
        let found = self
            .connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.query_row([key], |row| row.get(0)).optional());
        found.unwrap_or_else(|error| {
            self.failure.borrow_mut().get_or_insert(error);
            None
        })
    }

    fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let mut no_hook = |_| {};
        let at_step: &mut dyn FnMut(Step) = match &mut self.at_step {
            Some(hook) => hook.as_mut(),
            None => &mut no_hook,
        };
        at_step(Step::Begin);
        let transaction = self.connection.transaction()?;
        if let Some((root, block)) = &batch.block {
            insert_block(&transaction, root, block)?;
        }
        at_step(Step::Block);
        for (slot, root) in &batch.canonical {
            set_canonical(&transaction, self.history, *slot, root.as_ref())?;
        }
        for root in &batch.forget {
            for sql in ["DELETE FROM block WHERE root = ?1", "DELETE FROM body WHERE root = ?1"] {
                transaction.prepare_cached(sql)?.execute([root.0])?;
            }
        }
        at_step(Step::Canonical);
        if let Some(fold) = &batch.fold {
            write_fold(&transaction, fold, self.history, at_step)?;
        }
        if let Some(checkpoint) = &batch.finalized {
            set_meta(&transaction, "finalized", &encode(checkpoint))?;
        }
        for row in &batch.certificates {
            insert_certificate(&transaction, row)?;
        }
        at_step(Step::Commit);
        transaction.commit()?;
        at_step(Step::Committed);
        if batch.fold.is_some() {
            self.connection.execute_batch(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
        }
        Ok(())
    }
}

fn insert_block(transaction: &Transaction<'_>, root: &Root, stored: &StoredBlock) -> Result<(), StoreError> {
    let slot = number(stored.block.header.header.slot);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO block (root, slot, bytes) VALUES (?1, ?2, ?3)")?
        .execute(params![root.0, slot, encode(&stored.block)])?;
    let txs = encode_list(&stored.txs);
    let receipts = encode_list(&stored.receipts);
    transaction
        .prepare_cached("INSERT OR REPLACE INTO body (root, slot, txs, receipts) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![root.0, slot, txs, receipts])?;
    Ok(())
}

fn insert_certificate(transaction: &Transaction<'_>, row: &CertificateRow) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR IGNORE INTO signers (root, bytes) VALUES (?1, ?2)")?
        .execute(params![row.signers_root.0, row.signers])?;
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO certificate (epoch, slot, signers, bytes) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![number(row.epoch), number(row.slot), row.signers_root.0, row.certificate])?;
    Ok(())
}

fn set_canonical(
    transaction: &Transaction<'_>,
    history: History,
    slot: Slot,
    root: Option<&Root>,
) -> Result<(), StoreError> {
    let bucket = history.bucket(slot);
    let sql = "SELECT b.bytes FROM canonical c JOIN block b ON b.root = c.root WHERE c.slot = ?1";
    let old: Option<Vec<u8>> =
        transaction.prepare_cached(sql)?.query_row([number(slot)], |row| row.get(0)).optional()?;
    if let Some(bytes) = old {
        let mut delete = transaction.prepare_cached(
            "DELETE FROM tx_place WHERE bucket IN (0, ?4) AND id8 = ?1 AND slot = ?2 AND position = ?3",
        )?;
        let block: SignedBlock = decode(&bytes, usize::MAX).map_err(|_| StoreError::Malformed("block"))?;
        for (position, id) in (0i64..).zip(&block.body.tx_ids) {
            delete.execute(params![id8(id), number(slot), position, bucket])?;
        }
    }
    let Some(root) = root else {
        transaction.prepare_cached("DELETE FROM canonical WHERE slot = ?1")?.execute([number(slot)])?;
        return Ok(());
    };
    transaction
        .prepare_cached("INSERT OR REPLACE INTO canonical (slot, root) VALUES (?1, ?2)")?
        .execute(params![number(slot), root.0])?;
    let bytes: Vec<u8> = transaction
        .prepare_cached("SELECT bytes FROM block WHERE root = ?1")?
        .query_row([root.0], |row| row.get(0))?;
    let block: SignedBlock = decode(&bytes, usize::MAX).map_err(|_| StoreError::Malformed("block"))?;
    let mut insert = transaction.prepare_cached(
        "INSERT OR REPLACE INTO tx_place (bucket, id8, slot, position) VALUES (?4, ?1, ?2, ?3)",
    )?;
    let mut places: Vec<([u8; 8], i64)> =
        block.body.tx_ids.iter().zip(0i64..).map(|(id, position)| (id8(id), position)).collect();
    places.sort_unstable();
    for (id8, position) in places {
        insert.execute(params![id8, number(slot), position, bucket])?;
    }
    Ok(())
}

fn write_fold(
    transaction: &Transaction<'_>,
    fold: &Fold,
    history: History,
    at_step: &mut dyn FnMut(Step),
) -> Result<(), StoreError> {
    let sql = "SELECT slot FROM block WHERE root = ?1";
    let slot = transaction.prepare_cached(sql)?.query_row([fold.root.0], |row| Ok(stored(row, 0)))??;
    match history {
        History::Archive => {
            let mut keep = transaction.prepare_cached(
                "INSERT OR REPLACE INTO history (key, slot, value)
                 SELECT ?1, ?2, (SELECT value FROM kv WHERE hash = ?3)",
            )?;
            for (key, _) in &fold.values {
                keep.execute(params![key, number(slot), sha256(key)])?;
            }
        }
        History::Slots(kept) => {
            let oldest = slot.saturating_sub(kept);
            transaction.prepare_cached("DELETE FROM body WHERE slot < ?1")?.execute([number(oldest)])?;
            let sql = "DELETE FROM tx_place WHERE bucket > 0 AND bucket < ?1";
            transaction.prepare_cached(sql)?.execute([history.bucket(oldest)])?;
            let gone = transaction
                .prepare_cached("DELETE FROM certificate WHERE slot < ?1")?
                .execute([number(oldest)])?;
            if gone > 0 {
                let sql = "DELETE FROM signers WHERE root NOT IN (SELECT signers FROM certificate)";
                transaction.prepare_cached(sql)?.execute([])?;
            }
        }
    }
    write_values(transaction, &fold.values)?;
    at_step(Step::Values);
    write_nodes(transaction, &fold.nodes)?;
    at_step(Step::Nodes);
    for (part, piece, bytes) in &fold.state {
        if bytes.is_empty() {
            let sql = "DELETE FROM state WHERE part = ?1 AND piece = ?2";
            transaction.prepare_cached(sql)?.execute(params![part, piece])?;
        } else {
            let sql = "INSERT OR REPLACE INTO state (part, piece, bytes) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![part, piece, bytes])?;
        }
    }
    set_meta(transaction, "folded", &fold.root.0)?;
    at_step(Step::State);
    Ok(())
}

fn write_values(transaction: &Transaction<'_>, writes: &Writes) -> Result<(), StoreError> {
    let mut insert =
        transaction.prepare_cached("INSERT OR REPLACE INTO kv (hash, key, value) VALUES (?1, ?2, ?3)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM kv WHERE hash = ?1")?;
    let mut sorted: Vec<_> = writes.iter().map(|(key, value)| (sha256(key), key, value)).collect();
    sorted.sort_unstable_by_key(|(hash, ..)| *hash); // neighbours share pages
    for (hash, key, value) in sorted {
        match value {
            Some(value) => insert.execute(params![hash, key, value])?,
            None => delete.execute([hash])?,
        };
    }
    Ok(())
}

fn write_nodes(transaction: &Transaction<'_>, writes: &Writes) -> Result<(), StoreError> {
    let mut insert =
        transaction.prepare_cached("INSERT OR REPLACE INTO node (path, bytes) VALUES (?1, ?2)")?;
    let mut delete = transaction.prepare_cached("DELETE FROM node WHERE path = ?1")?;
    for (path, bytes) in writes {
        match bytes {
            Some(bytes) => insert.execute(params![path, bytes])?,
            None => delete.execute([path])?,
        };
    }
    Ok(())
}

fn set_meta(transaction: &Transaction<'_>, key: &str, value: &[u8]) -> Result<(), StoreError> {
    transaction
        .prepare_cached("INSERT OR REPLACE INTO meta (key, value) VALUES (?1, ?2)")?
        .execute(params![key, value])?;
    Ok(())
}

fn id8(id: &Root) -> [u8; 8] {
    id.0.first_chunk().copied().unwrap_or_default()
}

fn encode_list<T: crate::types::codec::Wire + Clone>(items: &[T]) -> Vec<u8> {
    let list: Option<List<T, MAX_LIST>> = List::new(items.to_vec());
    list.map(|list| encode(&list)).unwrap_or_default()
}

fn decode_list<T: crate::types::codec::Wire>(bytes: &[u8]) -> Result<Vec<T>, StoreError> {
    decode::<List<T, MAX_LIST>>(bytes, usize::MAX)
        .map(List::into_vec)
        .map_err(|_| StoreError::Malformed("body"))
}

fn root_of(bytes: Option<Vec<u8>>) -> Result<Option<Root>, StoreError> {
    bytes.map(|bytes| bytes.try_into().map(Root).map_err(|_| StoreError::Malformed("root"))).transpose()
}

/// The folded state read through some connection.
fn folded(connection: &Connection) -> Result<Option<Root>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE key = 'folded'")?;
    root_of(statement.query_row([], |row| row.get(0)).optional()?)
}

fn state_rows(connection: &Connection) -> Result<Vec<StateRow>, StoreError> {
    let sql = "SELECT part, piece, bytes FROM state ORDER BY part, piece";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn entries_from(connection: &Connection, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
    let sql = "SELECT key, value FROM kv WHERE hash >= ?1 ORDER BY hash LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map(params![first, limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The folded state as it was when the snapshot was taken, on a connection of its own: commits go on beside it.
#[derive(Debug)]
pub struct SqliteSnapshot {
    connection: Connection,
}

impl FoldedState for SqliteSnapshot {
    fn node(&self, path: &[u8]) -> Option<Vec<u8>> {
        let sql = "SELECT bytes FROM node WHERE path = ?1";
        let mut statement = self.connection.prepare_cached(sql).ok()?;
        statement.query_row([path], |row| row.get(0)).optional().ok().flatten()
    }

    fn folded(&self) -> Result<Option<Root>, StoreError> {
        folded(&self.connection)
    }

    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError> {
        state_rows(&self.connection)
    }

    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
        entries_from(&self.connection, first, limit)
    }
}

impl FoldedState for SqliteDatabase {
    fn node(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.read("SELECT bytes FROM node WHERE path = ?1", path)
    }

    fn folded(&self) -> Result<Option<Root>, StoreError> {
        folded(&self.connection)
    }

    fn state_rows(&self) -> Result<Vec<StateRow>, StoreError> {
        state_rows(&self.connection)
    }

    fn entries_from(&self, first: &[u8; 32], limit: u32) -> Result<Vec<Entry>, StoreError> {
        entries_from(&self.connection, first, limit)
    }
}

impl Database for SqliteDatabase {
    type Snapshot = SqliteSnapshot;

    fn keeps_history(&self) -> bool {
        self.history == History::Archive
    }

    fn snapshot(&self) -> Result<SqliteSnapshot, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let path = self.connection.path().ok_or(StoreError::Malformed("path"))?;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.execute_batch("BEGIN")?;
        folded(&connection)?; // the first read fixes what the transaction sees
        Ok(SqliteSnapshot { connection })
    }

    fn snapshots_are_costly(&self) -> bool {
        let log = self.connection.path().map(|path| format!("{path}-wal"));
        log.and_then(|path| std::fs::metadata(path).ok()).is_some_and(|log| log.len() > MAX_LOG_BYTES)
    }

    fn value(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.read("SELECT value FROM kv WHERE hash = ?1", &sha256(key))
    }

    fn health(&self) -> Result<(), StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        self.failure.borrow().as_ref().map_or(Ok(()), |error| Err(StoreError::Read(error.to_string())))
    }

    fn commit(&mut self, batch: Batch) -> Result<(), StoreError> {
        self.health()?;
        let result = self.write(&batch);
        self.poisoned = result.is_err();
        result
    }

    fn finalized(&self) -> Result<Option<Checkpoint>, StoreError> {
        let bytes = self.meta("finalized")?;
        bytes.map(|bytes| decode(&bytes, 64).map_err(|_| StoreError::Malformed("checkpoint"))).transpose()
    }

    fn block(&self, root: &Root) -> Result<Option<Arc<StoredBlock>>, StoreError> {
        let sql = "SELECT k.bytes, b.txs, b.receipts FROM block k LEFT JOIN body b ON b.root = k.root WHERE k.root = ?1";
        let mut statement = self.connection.prepare_cached(sql)?;
        type Columns = (Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);
        let found: Option<Columns> =
            statement.query_row([root.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
        let Some((block, txs, receipts)) = found else { return Ok(None) };
        let block = decode(&block, usize::MAX).map_err(|_| StoreError::Malformed("block"))?;
        let txs: Vec<Tx> = txs.map_or(Ok(Vec::new()), |bytes| decode_list(&bytes))?;
        let receipts: Vec<Receipt> = receipts.map_or(Ok(Vec::new()), |bytes| decode_list(&bytes))?;
        Ok(Some(Arc::new(StoredBlock { block, txs, receipts })))
    }

    fn roots_after(&self, slot: Slot) -> Result<Vec<Root>, StoreError> {
        let sql = "SELECT root FROM block WHERE slot > ?1 ORDER BY slot, rowid";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([number(slot)])?;
        let mut roots = Vec::new();
        while let Some(row) = rows.next()? {
            roots.push(Root(fixed(row.get_ref(0)?).ok_or(StoreError::Malformed("root"))?));
        }
        Ok(roots)
    }

    fn canonical(&self, slot: Slot) -> Result<Option<Root>, StoreError> {
        root_of(self.row("SELECT root FROM canonical WHERE slot = ?1", &number(slot))?)
    }

    fn tx_place(&self, id: &Root, since: Slot) -> Result<Option<TxPlace>, StoreError> {
        // bucket after bucket, the youngest first
        let sql = "WITH RECURSIVE bucket (number) AS (
                SELECT max(bucket) FROM tx_place
                UNION ALL
                SELECT (SELECT max(bucket) FROM tx_place WHERE bucket < number) FROM bucket WHERE number > ?2
            )
            SELECT t.slot, t.position, k.root, k.bytes
            FROM bucket CROSS JOIN tx_place t ON t.bucket = number AND t.id8 = ?1
            JOIN canonical c ON c.slot = t.slot JOIN block k ON k.root = c.root";
        let mut statement = self.connection.prepare_cached(sql)?;
        let oldest = if since == 0 { 0 } else { self.history.bucket(since) };
        let mut rows = statement.query(params![id8(id), oldest])?;
        while let Some(row) = rows.next()? {
            let index =
                usize::try_from(row.get::<_, i64>(1)?).map_err(|_| StoreError::Malformed("position"))?;
            let bytes: Vec<u8> = row.get(3)?;
            let block: SignedBlock =
                decode(&bytes, usize::MAX).map_err(|_| StoreError::Malformed("block"))?;
            if block.body.tx_ids.get(index) == Some(id) {
                let root = Root(fixed(row.get_ref(2)?).ok_or(StoreError::Malformed("root"))?);
                let slot = stored(row, 0)?;
                return Ok((slot >= since).then_some(TxPlace { block: root, slot, index }));
            }
        }
        Ok(None)
    }

    fn certificates(&self, from: Epoch, limit: u32) -> Result<Vec<CertificateRow>, StoreError> {
        let sql = "SELECT c.epoch, c.bytes, c.signers, s.bytes, c.slot FROM certificate c
            JOIN signers s ON s.root = c.signers WHERE c.epoch >= ?1 ORDER BY c.epoch LIMIT ?2";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(params![number(from), limit])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(CertificateRow {
                epoch: stored(row, 0)?,
                certificate: row.get(1)?,
                signers_root: Root(fixed(row.get_ref(2)?).ok_or(StoreError::Malformed("root"))?),
                signers: row.get(3)?,
                slot: stored(row, 4)?,
            });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;
