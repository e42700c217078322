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
    /// A row is not what this program writes.
    #[error("database holds a malformed {0}")]
    Malformed(&'static str),
}

/// Opens or makes a file, and brings it to the newest version in one transaction per step. Every commit is synced.
///
/// # Errors
/// Another kind of file, a newer version, or the engine fails.
pub fn open(path: &Path, application_id: i32, steps: &[&str]) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
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
