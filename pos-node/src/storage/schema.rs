//! Every table on one page, by file, with the steps from each version to the next, and the opening of such files.
//!
//! Numbers of 64 bits are stored as 8 big-endian bytes: they sort as numbers and none is out of range.

use rusqlite::Connection;
use std::path::Path;

/// Marks files of this program: "POSS" for the record of signed messages.
pub const SIGNED_APPLICATION_ID: i32 = 0x504f_5353;

/// Steps of the record of signed messages; step `n` leads to version `n + 1`.
///
/// - `meta(key, value)`: `genesis_validators_root`.
/// - `validator(id, pubkey)`.
/// - `block(validator, slot, root)`: root is null where unknown.
/// - `vote(validator, target, source, root)`.
/// - `finality_vote(validator, epoch, root)`.
pub const SIGNED_STEPS: &[&str] = &["
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE validator (id INTEGER PRIMARY KEY, pubkey BLOB NOT NULL UNIQUE);
    CREATE TABLE block (validator INTEGER NOT NULL REFERENCES validator, slot BLOB NOT NULL, root BLOB);
    CREATE INDEX block_slot ON block (validator, slot);
    CREATE TABLE vote (
        validator INTEGER NOT NULL REFERENCES validator, target BLOB NOT NULL, source BLOB NOT NULL, root BLOB
    );
    CREATE INDEX vote_target ON vote (validator, target, source);
    CREATE INDEX vote_source ON vote (validator, source, target);
    CREATE TABLE finality_vote (
        validator INTEGER NOT NULL REFERENCES validator, epoch BLOB NOT NULL, root BLOB NOT NULL,
        PRIMARY KEY (validator, epoch)
    ) WITHOUT ROWID;
"];

/// Marks files of this program: "POSC" for the chain.
pub const CHAIN_APPLICATION_ID: i32 = 0x504f_5343;

/// Steps of the chain's database; step `n` leads to version `n + 1`.
///
/// - `meta(key, value)`: `network` (identity of the chain), `folded` (block), `finalized` (checkpoint), `mode`.
/// - `block(root, slot, bytes)`: signed header and body, of every branch since finality and of the final chain.
/// - `body(slot, root, txs, receipts)`: what belongs to a block, one after the other; pruned by age.
/// - `canonical(slot, root)`: the head's chain.
/// - `tx_place(bucket, id8, slot, position)`: first 8 bytes of ids of transactions of the head's chain. A bucket holds those
///   of a number of slots in a row, so that what is written together lies together; 0 holds what version 2 wrote. Pruned
///   by age with the transactions.
/// - `state(part, piece, bytes)`: consensus state of the folded block.
/// - `kv(hash, key, value)`, `node(path, bytes)`: application state of the folded block, by SHA-256 of the key, and its
///   tree by path.
/// - `history(key, slot, value)`: value of a key before the block of that slot; archives only.
/// - `certificate(epoch, slot, signers, bytes)`: finality certificates with the root of the set that signed each; by age
///   pruned like bodies. `signers(root, bytes)`: those sets.
pub const CHAIN_STEPS: &[&str] = &["
    CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE block (root BLOB NOT NULL UNIQUE, slot BLOB NOT NULL, bytes BLOB NOT NULL);
    CREATE INDEX block_slot ON block (slot);
    CREATE TABLE body (slot BLOB NOT NULL, root BLOB NOT NULL UNIQUE, txs BLOB NOT NULL, receipts BLOB NOT NULL);
    CREATE INDEX body_slot ON body (slot);
    CREATE TABLE canonical (slot BLOB PRIMARY KEY, root BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tx_place (
        id8 BLOB NOT NULL, slot BLOB NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (id8, slot, position)
    ) WITHOUT ROWID;
    CREATE TABLE state (
        part INTEGER NOT NULL, piece INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (part, piece)
    ) WITHOUT ROWID;
    CREATE TABLE kv (hash BLOB PRIMARY KEY, key BLOB NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE node (path BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE history (key BLOB NOT NULL, slot BLOB NOT NULL, value BLOB, PRIMARY KEY (key, slot)) WITHOUT ROWID;
    CREATE TABLE certificate (epoch BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
", "
    DROP TABLE certificate; -- version 1 never wrote to it
    CREATE TABLE certificate (
        epoch BLOB PRIMARY KEY, slot BLOB NOT NULL, signers BLOB NOT NULL, bytes BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE signers (root BLOB PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;
", "
    ALTER TABLE tx_place RENAME TO old_place;
    CREATE TABLE tx_place (
        bucket INTEGER NOT NULL, id8 BLOB NOT NULL, slot BLOB NOT NULL, position INTEGER NOT NULL,
        PRIMARY KEY (bucket, id8, slot, position)
    ) WITHOUT ROWID;
    INSERT INTO tx_place SELECT 0, id8, slot, position FROM old_place;
    DROP TABLE old_place;
"];

/// Tables of the chain's database.
pub const CHAIN_TABLES: &[&str] = &[
    "meta",
    "block",
    "body",
    "canonical",
    "tx_place",
    "state",
    "kv",
    "node",
    "history",
    "certificate",
    "signers",
];

/// When a commit is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before it returns; the file is locked against other processes.
    Synced,
    /// In order and never in part, but the last ones may be lost with power; readers need not wait.
    Ordered,
}

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed; the process should end.
    #[error("database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// The file belongs to something else.
    #[error("not a database of this kind (application id {0:#x})")]
    OtherFile(i32),
    /// A newer program wrote the file.
    #[error("database version {found} is newer than this program's {known}")]
    Newer {
        /// Version of the file.
        found: usize,
        /// Version this program writes.
        known: usize,
    },
    /// The file belongs to another chain.
    #[error("database belongs to another chain")]
    OtherChain,
    /// The file was made to keep more or less of the past than is asked for now.
    #[error("database was made in another mode (full or archive)")]
    OtherMode,
    /// The file is damaged.
    #[error("database is damaged: {0}")]
    Damaged(String),
    /// A read failed.
    #[error("read failed: {0}")]
    Read(String),
    /// An earlier failure made the handle useless.
    #[error("database failed before")]
    Poisoned,
    /// A row is not what this program writes.
    #[error("database holds a malformed {0}")]
    Malformed(&'static str),
}

/// Opens or makes a file, and brings it to the newest version in one transaction per step.
///
/// # Errors
/// Another kind of file, a newer version, or the engine fails.
pub fn open(
    path: &Path,
    application_id: i32,
    steps: &[&str],
    durability: Durability,
) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    match durability {
        Durability::Synced => {
            connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
            connection.pragma_update(None, "journal_mode", "DELETE")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
        }
        Durability::Ordered => {
            connection.pragma_update(None, "page_size", 8192)?;
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "NORMAL")?;
            connection.pragma_update(None, "cache_size", -65_536)?; // KiB
        }
    }
    connection.pragma_update(None, "foreign_keys", true)?;
    let found_id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let is_new = found_id == 0 && version == 0 && tables == 0;
    if found_id != application_id && !is_new {
        return Err(StoreError::OtherFile(found_id));
    }
    let found = usize::try_from(version).map_err(|_| StoreError::Malformed("version"))?;
    if found > steps.len() {
        return Err(StoreError::Newer { found, known: steps.len() });
    }
    for (step, next) in steps.iter().zip(1i64..).skip(found) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", application_id)?;
        transaction.pragma_update(None, "user_version", next)?;
        transaction.commit()?;
    }
    Ok(connection)
}
