//! The two engines behind the tables: fjall on disk, an ordered map in memory.

mod fjall;
mod memory;

use std::path::Path;

use self::{fjall::Fjall, memory::Memory};
use crate::{Result, batch::Change, schema::Table};

/// Looks at one row: key and value.
type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<()>;

/// Whether a commit survives a power failure, or only the end of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// What a power failure leaves is the state after this commit, or after a later one.
    Synced,
    /// What a power failure leaves is the state after this commit or an earlier one, never between two.
    Buffered,
}

#[derive(Debug)]
pub(crate) enum Backend {
    Fjall(Fjall),
    Memory(Memory),
}

impl Backend {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self::Fjall(Fjall::open(path)?))
    }

    pub(crate) fn in_memory() -> Self {
        Self::Memory(Memory::default())
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        match self {
            Self::Fjall(fjall) => Snapshot::Fjall(fjall.snapshot()),
            Self::Memory(memory) => Snapshot::Memory(memory.snapshot()),
        }
    }

    pub(crate) fn write(&self, changes: impl Iterator<Item = Change>, durability: Durability) -> Result<()> {
        match self {
            Self::Fjall(fjall) => fjall.write(changes, durability),
            Self::Memory(memory) => {
                memory.write(changes);
                Ok(())
            }
        }
    }
}

pub(crate) enum Snapshot {
    Fjall(fjall::Snapshot),
    Memory(memory::Snapshot),
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Snapshot {
    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>> {
        match self {
            Self::Fjall(snapshot) => snapshot.get(table, key),
            Self::Memory(snapshot) => Ok(snapshot.get(table, key)),
        }
    }

    pub(crate) fn for_each(&self, table: Table, visit: Visit<'_>) -> Result<()> {
        match self {
            Self::Fjall(snapshot) => snapshot.for_each(table, visit),
            Self::Memory(snapshot) => snapshot.for_each(table, visit),
        }
    }

    /// The rows with keys `from <= key < to`, in order.
    pub(crate) fn for_range(&self, table: Table, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<()> {
        match self {
            Self::Fjall(snapshot) => snapshot.for_range(table, from, to, visit),
            Self::Memory(snapshot) => snapshot.for_range(table, from, to, visit),
        }
    }
}
