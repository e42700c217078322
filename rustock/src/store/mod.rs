//! The only code that knows the database engine: headers by hash, the index of the chain by height, and the tip.
//!
//! No rule of the chain lives here; `chain` decides what to write. Layouts are in `store/schema.rs`. Every write is
//! one atomic batch, so that a killed process reopens at the state before or after it, never between.

mod batch;
mod error;
mod memory;
mod rocks;
pub mod schema;

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;

use self::{memory::Memory, rocks::Rocks, schema::Table};
use crate::{
    params::Params,
    types::{BlockHash, BlockNumber, Difficulty},
};

pub use batch::Batch;
pub use error::StoreError;

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Looks at one row: key and value.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// The best block of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    /// Its hash.
    pub hash: BlockHash,
    /// Its height.
    pub number: BlockNumber,
    /// Sum of the difficulties of all headers up to it. Uncles, which only bodies name, are not in it.
    pub total_difficulty: Difficulty,
}

/// A header as it lies in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredHeader {
    /// The compressed wire encoding.
    pub wire: Bytes,
    /// Sum of the difficulties of all headers up to it.
    pub total_difficulty: Difficulty,
}

/// An open store. Reads may come from any thread; writes belong to the one that owns the chain.
#[derive(Debug)]
pub struct Store {
    backend: Backend,
    poisoned: AtomicBool,
}

#[derive(Debug)]
enum Backend {
    Rocks(Rocks),
    Memory(Memory),
}

impl Store {
    /// Opens the store in a directory, or creates it for the network.
    ///
    /// # Errors
    /// The engine cannot open it, or it belongs to another network or to a newer format.
    pub fn open(path: &Path, params: &Params) -> Result<Self> {
        Self::prepare(Backend::Rocks(Rocks::open(path)?), params)
    }

    /// An empty store in memory, for tests and simulations.
    ///
    /// # Errors
    /// None in practice; the signature is that of [`Store::open`].
    pub fn in_memory(params: &Params) -> Result<Self> {
        Self::prepare(Backend::Memory(Memory::default()), params)
    }

    fn prepare(backend: Backend, params: &Params) -> Result<Self> {
        let store = Self { backend, poisoned: AtomicBool::new(false) };
        let identity = schema::identity(params);
        match store.get(Table::Meta, schema::IDENTITY)? {
            None => {
                let mut batch = Batch::default();
                batch.put(Table::Meta, schema::IDENTITY.to_vec(), identity);
                batch.put(
                    Table::Meta,
                    schema::VERSION.to_vec(),
                    schema::SCHEMA_VERSION.to_be_bytes().to_vec(),
                );
                store.commit(batch)?;
            }
            Some(found) if found != identity => {
                return Err(StoreError::OtherNetwork { found: String::from_utf8_lossy(&found).into_owned() });
            }
            Some(_) => {
                let found = store.get(Table::Meta, schema::VERSION)?.unwrap_or_default();
                let found = found.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
                if found != schema::SCHEMA_VERSION {
                    return Err(StoreError::OtherFormat { found, known: schema::SCHEMA_VERSION });
                }
            }
        }
        Ok(store)
    }

    /// The best block; `None` in a new store.
    ///
    /// # Errors
    /// The engine fails, or the row is damaged.
    pub fn tip(&self) -> Result<Option<Tip>> {
        self.block(schema::TIP, "tip")
    }

    /// The block that the chain began at; `None` when that is genesis.
    ///
    /// # Errors
    /// The engine fails, or the row is damaged.
    pub fn checkpoint(&self) -> Result<Option<Tip>> {
        self.block(schema::CHECKPOINT, "checkpoint")
    }

    /// The lowest header above genesis; `None` when none is missing between them.
    ///
    /// # Errors
    /// The engine fails, or the row is damaged.
    pub fn lowest(&self) -> Result<Option<Tip>> {
        self.block(schema::LOWEST, "lowest")
    }

    fn block(&self, key: &[u8], name: &'static str) -> Result<Option<Tip>> {
        let Some(row) = self.get(Table::Meta, key)? else { return Ok(None) };
        schema::read_tip(&row).map(Some).ok_or(StoreError::Damaged { row: name })
    }

    /// The header with this hash, on the chain or on a side branch.
    ///
    /// # Errors
    /// The engine fails, or the row is damaged.
    pub fn header(&self, hash: &BlockHash) -> Result<Option<StoredHeader>> {
        let Some(row) = self.get(Table::Headers, hash.as_bytes())? else { return Ok(None) };
        schema::read_header(row).map(Some).ok_or(StoreError::Damaged { row: "header" })
    }

    /// True when the header with this hash is stored.
    ///
    /// # Errors
    /// The engine fails.
    pub fn contains(&self, hash: &BlockHash) -> Result<bool> {
        Ok(self.get(Table::Headers, hash.as_bytes())?.is_some())
    }

    /// The hash at a height of the chain.
    ///
    /// # Errors
    /// The engine fails, or the row is damaged.
    pub fn hash_by_number(&self, number: BlockNumber) -> Result<Option<BlockHash>> {
        let Some(row) = self.get(Table::Numbers, &schema::number_key(number))? else { return Ok(None) };
        schema::read_hash(&row).map(Some).ok_or(StoreError::Damaged { row: "number" })
    }

    /// All rows of a table in the order of their keys.
    ///
    /// # Errors
    /// The engine fails; the walk stops at the first error, also of `visit`.
    pub fn for_each(&self, table: Table, mut visit: impl FnMut(&[u8], &[u8]) -> Result<()>) -> Result<()> {
        match &self.backend {
            Backend::Rocks(rocks) => rocks.for_each(table, &mut visit),
            Backend::Memory(memory) => memory.for_each(table, &mut visit),
        }
    }

    /// Writes a batch, all of it or nothing. After a failed write every later one is refused: what is on disk is then
    /// only known after reopening.
    ///
    /// # Errors
    /// The engine fails, or an earlier write did.
    pub fn commit(&self, batch: Batch) -> Result<()> {
        if self.poisoned.load(Ordering::Acquire) {
            return Err(StoreError::Poisoned);
        }
        let written = match &self.backend {
            Backend::Rocks(rocks) => rocks.write(batch),
            Backend::Memory(memory) => {
                memory.write(batch);
                Ok(())
            }
        };
        if written.is_err() {
            self.poisoned.store(true, Ordering::Release);
        }
        written
    }

    /// Makes everything written so far survive a power failure, and the next opening quick: to be called before the end.
    ///
    /// # Errors
    /// The engine fails.
    pub fn flush(&self) -> Result<()> {
        match &self.backend {
            Backend::Rocks(rocks) => rocks.flush(),
            Backend::Memory(_) => Ok(()),
        }
    }

    /// Rewrites the files into their smallest form.
    pub fn compact(&self) {
        if let Backend::Rocks(rocks) = &self.backend {
            rocks.compact();
        }
    }

    /// Bytes of a table on disk, as the engine estimates them; 0 in memory.
    #[must_use]
    pub fn size(&self, table: Table) -> u64 {
        match &self.backend {
            Backend::Rocks(rocks) => rocks.size(table),
            Backend::Memory(_) => 0,
        }
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match &self.backend {
            Backend::Rocks(rocks) => rocks.get(table, key),
            Backend::Memory(memory) => Ok(memory.get(table, key)),
        }
    }
}
