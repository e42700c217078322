//! A part of a store that seems to be a whole one: every key lies behind the SHA-256 of the part's name.
//! Mirrors `database/prefixdb`.

use avalanche_ids::Id;

use crate::{Batch, Database, Entries, Result};

/// The bytes before the keys of a part of a store.
#[must_use]
pub fn make_prefix(name: &[u8]) -> [u8; 32] {
    Id::hash_of(name).0
}

/// The bytes before the keys of a part of a part.
#[must_use]
pub fn join_prefixes(outer: &[u8], name: &[u8]) -> [u8; 32] {
    Id::hash_of(&[outer, name].concat()).0
}

/// A part of a store.
#[derive(Debug, Clone)]
pub struct Prefixed<D> {
    inner: D,
    prefix: [u8; 32],
}

impl<D: Database> Prefixed<D> {
    /// The part of this name.
    pub fn new(inner: D, name: &[u8]) -> Self {
        Self { inner, prefix: make_prefix(name) }
    }

    /// The part of this part; keys do not get longer by it.
    pub fn part(&self, name: &[u8]) -> Prefixed<&D> {
        Prefixed { inner: &self.inner, prefix: join_prefixes(&self.prefix, name) }
    }

    /// The changes as the whole store sees them, to be written together with those of other parts.
    #[must_use]
    pub fn outer_batch(&self, batch: &Batch) -> Batch {
        let mut outer = Batch::new();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => outer.put(&self.outer_key(key), value),
                None => outer.delete(&self.outer_key(key)),
            }
        }
        outer
    }

    fn outer_key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix, key].concat()
    }
}

impl<D: Database> Database for Prefixed<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.inner.get(&self.outer_key(key))
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        self.inner.write(&self.outer_batch(batch))
    }

    fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_> {
        let strip =
            |(mut key, value): (Vec<u8>, Vec<u8>)| (key.split_off(self.prefix.len().min(key.len())), value);
        let entries = self.inner.iterate(&self.outer_key(start), &self.outer_key(prefix));
        Box::new(entries.map(move |entry| entry.map(strip)))
    }
}
