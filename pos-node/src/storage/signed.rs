//! Rows of the record of signed messages. A [`Transaction`] shows what a decision needs and takes what was decided; it
//! is on disk when [`Transaction::commit`] returns.

use super::schema::{Durability, SIGNED_APPLICATION_ID, SIGNED_STEPS, StoreError, open};
use crate::types::primitives::{Epoch, PublicKey, Root, Slot};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params, types::FromSql};
use std::path::Path;

/// A block: slot, and what was signed if known.
pub type BlockRow = (Slot, Option<Root>);
/// A vote: source, target, and what was signed if known.
pub type VoteRow = (Epoch, Epoch, Option<Root>);

/// The open file. It is locked against other processes.
#[derive(Debug)]
pub struct SignedStore {
    connection: Connection,
}

impl SignedStore {
    /// Opens or makes the record of one chain.
    ///
    /// # Errors
    /// Another kind of file, chain or newer version, or the engine fails.
    pub fn open(path: &Path, genesis_validators_root: &Root) -> Result<Self, StoreError> {
        let connection = open(path, SIGNED_APPLICATION_ID, SIGNED_STEPS, Durability::Synced)?;
        connection.execute(
            "INSERT OR IGNORE INTO meta (key, value) VALUES ('genesis_validators_root', ?1)",
            params![genesis_validators_root.0],
        )?;
        let found: Vec<u8> = connection.query_row(
            "SELECT value FROM meta WHERE key = 'genesis_validators_root'",
            [],
            |row| row.get(0),
        )?;
        if found == genesis_validators_root.0 { Ok(Self { connection }) } else { Err(StoreError::OtherChain) }
    }

    /// Starts a transaction; dropped without commit it changes nothing.
    ///
    /// # Errors
    /// The engine fails.
    pub fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        let inner = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        Ok(Transaction { inner })
    }
}

/// A transaction on the record.
#[derive(Debug)]
pub struct Transaction<'a> {
    inner: rusqlite::Transaction<'a>,
}

impl Transaction<'_> {
    /// Makes the changes durable.
    ///
    /// # Errors
    /// The engine fails; nothing that was decided may be acted on then.
    pub fn commit(self) -> Result<(), StoreError> {
        Ok(self.inner.commit()?)
    }

    /// The row number of a key, which is added if it is new.
    ///
    /// # Errors
    /// The engine fails.
    pub fn validator(&self, pubkey: &PublicKey) -> Result<i64, StoreError> {
        self.inner.execute("INSERT OR IGNORE INTO validator (pubkey) VALUES (?1)", params![pubkey.0])?;
        let sql = "SELECT id FROM validator WHERE pubkey = ?1";
        Ok(self.inner.query_row(sql, params![pubkey.0], |row| row.get(0))?)
    }

    /// Every key.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn validators(&self) -> Result<Vec<(i64, PublicKey)>, StoreError> {
        let mut statement = self.inner.prepare("SELECT id, pubkey FROM validator ORDER BY pubkey")?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?;
        rows.map(|row| {
            let (id, bytes) = row?;
            Ok((id, PublicKey(bytes.try_into().map_err(|_| StoreError::Malformed("key"))?)))
        })
        .collect()
    }

    /// Blocks of a slot, and those of the lowest and highest slot: all that any rule looks at.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn blocks_about(&self, validator: i64, slot: Slot) -> Result<Vec<BlockRow>, StoreError> {
        let sql = "SELECT slot, root FROM block WHERE validator = ?1 AND (slot = ?2
            OR slot = (SELECT min(slot) FROM block WHERE validator = ?1)
            OR slot = (SELECT max(slot) FROM block WHERE validator = ?1))";
        self.rows(sql, params![validator, number(slot)], |row| Ok((stored(row, 0)?, root(row, 1)?)))
    }

    /// Every block of a key.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn blocks(&self, validator: i64) -> Result<Vec<BlockRow>, StoreError> {
        let sql = "SELECT slot, root FROM block WHERE validator = ?1 ORDER BY slot, root";
        self.rows(sql, params![validator], |row| Ok((stored(row, 0)?, root(row, 1)?)))
    }

    /// Votes of a target, votes that surround a vote or are surrounded by it, and those with the lowest and highest
    /// source and target: all that any rule looks at.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn votes_about(
        &self,
        validator: i64,
        source: Epoch,
        target: Epoch,
    ) -> Result<Vec<VoteRow>, StoreError> {
        let sql = "SELECT source, target, root FROM vote WHERE validator = ?1 AND target = ?3
            UNION SELECT source, target, root FROM vote WHERE validator = ?1 AND source < ?2 AND target > ?3
            UNION SELECT source, target, root FROM vote WHERE validator = ?1 AND source > ?2 AND target < ?3
            UNION SELECT source, target, root FROM vote WHERE validator = ?1 AND (
                source = (SELECT min(source) FROM vote WHERE validator = ?1)
                OR source = (SELECT max(source) FROM vote WHERE validator = ?1)
                OR target = (SELECT min(target) FROM vote WHERE validator = ?1)
                OR target = (SELECT max(target) FROM vote WHERE validator = ?1))";
        self.rows(sql, params![validator, number(source), number(target)], vote_row)
    }

    /// Every vote of a key.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn votes(&self, validator: i64) -> Result<Vec<VoteRow>, StoreError> {
        let sql = "SELECT source, target, root FROM vote WHERE validator = ?1 ORDER BY target, source, root";
        self.rows(sql, params![validator], vote_row)
    }

    /// What was signed as finality vote of an epoch.
    ///
    /// # Errors
    /// The engine fails, or a row is malformed.
    pub fn finality_vote(&self, validator: i64, epoch: Epoch) -> Result<Option<Root>, StoreError> {
        let sql = "SELECT root FROM finality_vote WHERE validator = ?1 AND epoch = ?2";
        let found =
            self.inner.query_row(sql, params![validator, number(epoch)], |row| row.get::<_, Vec<u8>>(0));
        let bytes = found.optional()?;
        bytes.map(|bytes| bytes.try_into().map(Root).map_err(|_| StoreError::Malformed("root"))).transpose()
    }

    /// Adds a block, unless the same row is there.
    ///
    /// # Errors
    /// The engine fails.
    pub fn insert_block(&self, validator: i64, (slot, root): BlockRow) -> Result<(), StoreError> {
        let sql = "INSERT INTO block (validator, slot, root) SELECT ?1, ?2, ?3
            WHERE NOT EXISTS (SELECT 1 FROM block WHERE validator = ?1 AND slot = ?2 AND root IS ?3)";
        self.inner.execute(sql, params![validator, number(slot), root.map(|root| root.0)])?;
        Ok(())
    }

    /// Adds a vote, unless the same row is there.
    ///
    /// # Errors
    /// The engine fails.
    pub fn insert_vote(&self, validator: i64, (source, target, root): VoteRow) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO vote (validator, source, target, root) SELECT ?1, ?2, ?3, ?4 WHERE NOT EXISTS (
            SELECT 1 FROM vote WHERE validator = ?1 AND target = ?3 AND source = ?2 AND root IS ?4)";
        let root = root.map(|root| root.0);
        self.inner.execute(sql, params![validator, number(source), number(target), root])?;
        Ok(())
    }

    /// Adds a finality vote; there must be none of this epoch.
    ///
    /// # Errors
    /// The engine fails, or there is one.
    pub fn insert_finality_vote(&self, validator: i64, epoch: Epoch, root: &Root) -> Result<(), StoreError> {
        let sql = "INSERT INTO finality_vote (validator, epoch, root) VALUES (?1, ?2, ?3)";
        self.inner.execute(sql, params![validator, number(epoch), root.0])?;
        Ok(())
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl rusqlite::Params,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.inner.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

fn vote_row(row: &Row<'_>) -> Result<VoteRow, StoreError> {
    Ok((stored(row, 0)?, stored(row, 1)?, root(row, 2)?))
}

pub(super) const fn number(value: u64) -> [u8; 8] {
    value.to_be_bytes()
}

pub(super) fn stored(row: &Row<'_>, column: usize) -> Result<u64, StoreError> {
    let bytes: [u8; 8] = fixed(row.get_ref(column)?).ok_or(StoreError::Malformed("number"))?;
    Ok(u64::from_be_bytes(bytes))
}

fn root(row: &Row<'_>, column: usize) -> Result<Option<Root>, StoreError> {
    match row.get_ref(column)? {
        rusqlite::types::ValueRef::Null => Ok(None),
        value => fixed(value).map(|bytes| Some(Root(bytes))).ok_or(StoreError::Malformed("root")),
    }
}

pub(super) fn fixed<const N: usize>(value: rusqlite::types::ValueRef<'_>) -> Option<[u8; N]> {
    <[u8; N]>::column_result(value).ok()
}
