//! The one boundary to storage: ordered bytes to bytes, written in atomic batches. Engines are [`Memory`] and
//! [`Rocks`]; [`Prefixed`], [`Versioned`] and [`Linked`] wrap any store. What keys mean is not known here.
//! Mirrors `database`, `database/{memdb,prefixdb,versiondb,linkeddb}`.

mod linked;
mod memory;
mod prefixed;
mod rocks;
mod versioned;

pub use self::{
    linked::{Linked, Node},
    memory::Memory,
    prefixed::{Prefixed, join_prefixes, make_prefix},
    rocks::Rocks,
    versioned::Versioned,
};

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The engine failed; the store refuses everything from then on.
    #[error("the storage engine failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An earlier write failed.
    #[error("the store is unusable since a write failed")]
    Poisoned,
    /// A value that this program wrote cannot be read.
    #[error("corrupt value")]
    Corrupt(#[from] avalanche_codec::CodecError),
    /// A link of a list leads nowhere.
    #[error("broken list")]
    BrokenList,
}

/// Result of a store.
pub type Result<T> = std::result::Result<T, DbError>;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in ascending order of their keys.
pub type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;

/// An ordered key-value store.
pub trait Database: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// The engine failed.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>>;

    /// Applies a batch as a whole or not at all, operations on the same key in their order.
    ///
    /// # Errors
    /// The engine failed, or failed earlier.
    fn write(&self, batch: &Batch) -> Result<()>;

    /// Entries whose keys start with `prefix` and are not below `start`, as they are now: later writes are not seen.
    fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_>;

    /// True when the key has a value.
    ///
    /// # Errors
    /// The engine failed.
    fn has(&self, key: &[u8]) -> Result<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// Sets one value.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn put(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(key, value);
        self.write(&batch)
    }

    /// Removes one value; nothing happens when there is none.
    ///
    /// # Errors
    /// As [`Database::write`].
    fn delete(&self, key: &[u8]) -> Result<()> {
        let mut batch = Batch::new();
        batch.delete(key);
        self.write(&batch)
    }
}

macro_rules! pointer {
    ($($ty:ty),*) => {$(
        impl<D: Database + ?Sized> Database for $ty {
            fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
                (**self).get(key)
            }

            fn write(&self, batch: &Batch) -> Result<()> {
                (**self).write(batch)
            }

            fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_> {
                (**self).iterate(start, prefix)
            }
        }
    )*};
}

pointer!(&D, std::sync::Arc<D>);

/// Changes that belong together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    changes: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    size: usize,
}

impl Batch {
    /// No changes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value.
    pub fn put(&mut self, key: &[u8], value: &[u8]) {
        self.size += key.len() + value.len();
        self.changes.push((key.to_vec(), Some(value.to_vec())));
    }

    /// Removes a value.
    pub fn delete(&mut self, key: &[u8]) {
        self.size += key.len();
        self.changes.push((key.to_vec(), None));
    }

    /// Adds the changes of another batch behind these.
    pub fn append(&mut self, other: Self) {
        self.size += other.size;
        self.changes.extend(other.changes);
    }

    /// The changes in order; None removes.
    pub fn changes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.changes.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))
    }

    /// Bytes of keys and values.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// True when nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}
