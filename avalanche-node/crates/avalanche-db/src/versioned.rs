//! Changes held in memory over a store until they are committed or dropped. Mirrors `database/versiondb`.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::{Batch, Database, Entries, Entry, Result};

/// A store with uncommitted changes.
#[derive(Debug)]
pub struct Versioned<D> {
    base: D,
    changes: RwLock<BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

impl<D: Database> Versioned<D> {
    /// A store without changes over `base`.
    pub const fn new(base: D) -> Self {
        Self { base, changes: RwLock::new(BTreeMap::new()) }
    }

    /// The changes, to be written together with those of other stores. They stay until [`Versioned::abort`].
    #[must_use]
    pub fn commit_batch(&self) -> Batch {
        let mut batch = Batch::new();
        for (key, value) in self.changes.read().iter() {
            match value {
                Some(value) => batch.put(key, value),
                None => batch.delete(key),
            }
        }
        batch
    }

    /// Writes the changes to the base and forgets them.
    ///
    /// # Errors
    /// The base failed; the changes stay.
    pub fn commit(&self) -> Result<()> {
        let batch = self.commit_batch();
        self.base.write(&batch)?;
        self.abort();
        Ok(())
    }

    /// Forgets the changes.
    pub fn abort(&self) {
        self.changes.write().clear();
    }
}

impl<D: Database> Database for Versioned<D> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self.changes.read().get(key) {
            Some(value) => Ok(value.clone()),
            None => self.base.get(key),
        }
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut changes = self.changes.write();
        for (key, value) in batch.changes() {
            changes.insert(key.to_vec(), value.map(<[u8]>::to_vec));
        }
        Ok(())
    }

    fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_> {
        let changes = self.changes.read();
        let from = start.max(prefix).to_vec();
        let changed: Vec<_> = changes
            .range(from..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let base = self.base.iterate(start, prefix);
        Box::new(Merged { base: base.peekable(), changed: changed.into_iter().peekable() })
    }
}

/// Two ascending sequences as one; where both have a key, the change counts.
struct Merged<B: Iterator, C: Iterator> {
    base: std::iter::Peekable<B>,
    changed: std::iter::Peekable<C>,
}

impl<B, C> Iterator for Merged<B, C>
where
    B: Iterator<Item = Result<Entry>>,
    C: Iterator<Item = (Vec<u8>, Option<Vec<u8>>)>,
{
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some((changed, _)) = self.changed.peek() else { return self.base.next() };
            match self.base.peek() {
                Some(Err(_)) => return self.base.next(),
                Some(Ok((key, _))) if key < changed => return self.base.next(),
                Some(Ok((key, _))) if key == changed => drop(self.base.next()),
                _ => {}
            }
            if let (key, Some(value)) = self.changed.next()? {
                return Some(Ok((key, value)));
            }
        }
    }
}
