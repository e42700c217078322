//! A consistent state of the tables: a snapshot with layers of changes above it. Mirrors `StoreCache.cs` and
//! `ClonedCache.cs`.

use std::sync::Arc;

use crate::{
    Bytes, Result,
    memory::MemorySnapshot,
    rocks::RocksSnapshot,
    schema::Table,
    write_set::{Entry, WriteSet, next_row},
};

#[derive(Debug)]
pub(crate) enum Snapshot<'a> {
    Memory(MemorySnapshot<'a>),
    Rocks(RocksSnapshot<'a>),
}

impl Snapshot<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        match self {
            Self::Memory(memory) => Ok(memory.get(table, key)),
            Self::Rocks(rocks) => rocks.get(table, key),
        }
    }

    fn seek(&self, table: Table, prefix: &[u8], after: Option<&[u8]>, back: bool) -> Result<Option<Entry>> {
        match self {
            Self::Memory(memory) => Ok(memory.seek(table, prefix, after, back)),
            Self::Rocks(rocks) => rocks.seek(table, prefix, after, back),
        }
    }
}

/// A state of the tables that does not change.
#[derive(Debug)]
pub struct View<'a> {
    base: Snapshot<'a>,
    /// Changes above the snapshot; the last one is the newest.
    layers: Vec<Arc<WriteSet>>,
}

impl<'a> View<'a> {
    pub(crate) fn new(base: Snapshot<'a>) -> Self {
        Self { base, layers: Vec::new() }
    }

    /// The same state with changes on top.
    #[must_use]
    pub fn with(mut self, changes: Arc<WriteSet>) -> Self {
        if !changes.is_empty() {
            self.layers.push(changes);
        }
        self
    }

    /// The value of a key.
    ///
    /// # Errors
    /// The engine failed.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        match self.layers.iter().rev().find_map(|layer| layer.get(table, key)) {
            Some(changed) => Ok(changed.cloned()),
            None => self.base.get(table, key),
        }
    }

    /// The next row in the order of keys whose key starts with `prefix`: the one behind `after`, or the first.
    /// `backward` reverses the order.
    ///
    /// # Errors
    /// The engine failed.
    pub fn seek(
        &self,
        table: Table,
        prefix: &[u8],
        after: Option<&[u8]>,
        backward: bool,
    ) -> Result<Option<Entry>> {
        let mut after = after.map(<[u8]>::to_vec);
        loop {
            // the nearest key of any layer; the newest layer that has it decides
            let mut nearest =
                self.base.seek(table, prefix, after.as_deref(), backward)?.map(|(k, v)| (k, Some(v)));
            for layer in &self.layers {
                let Some((key, value)) = next_row(layer.rows(table), prefix, after.as_deref(), backward)
                else {
                    continue;
                };
                let nearer = nearest.as_ref().is_none_or(|(best, _)| key == best || (key < best) != backward);
                if nearer {
                    nearest = Some((key.clone(), value.clone()));
                }
            }
            match nearest {
                None => return Ok(None),
                Some((key, Some(value))) => return Ok(Some((key, value))),
                Some((key, None)) => after = Some(key),
            }
        }
    }
}
