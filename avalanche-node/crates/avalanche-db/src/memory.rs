//! A store in memory, for tests, the simulator, and short lives.

use std::collections::BTreeMap;

use parking_lot::RwLock;

use crate::{Batch, Database, Entries, Result};

/// An ordered map behind a lock.
#[derive(Debug, Default)]
pub struct Memory {
    entries: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Memory {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Database for Memory {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.entries.read().get(key).cloned())
    }

    fn write(&self, batch: &Batch) -> Result<()> {
        let mut entries = self.entries.write();
        for (key, value) in batch.changes() {
            match value {
                Some(value) => entries.insert(key.to_vec(), value.to_vec()),
                None => entries.remove(key),
            };
        }
        Ok(())
    }

    fn iterate(&self, start: &[u8], prefix: &[u8]) -> Entries<'_> {
        let entries = self.entries.read();
        let from = start.max(prefix).to_vec();
        let found: Vec<_> = entries
            .range(from..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| Ok((key.clone(), value.clone())))
            .collect();
        Box::new(found.into_iter())
    }
}
