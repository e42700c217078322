//! The store as a whole.

use std::path::Path;

use crate::{
    Bytes, Result,
    memory::Memory,
    rocks::Rocks,
    schema::Table,
    view::{Snapshot, View},
    write_set::WriteSet,
};

/// All tables, on disk or in memory.
#[derive(Debug)]
pub struct Database(Engine);

#[derive(Debug)]
enum Engine {
    Memory(Memory),
    Rocks(Box<Rocks>),
}

impl Database {
    /// Opens the tables in a folder, or makes them.
    ///
    /// # Errors
    /// The folder cannot be used, another process has it open, or its files are damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self(Engine::Rocks(Box::new(Rocks::open(path)?))))
    }

    /// Empty tables in memory.
    #[must_use]
    pub fn in_memory() -> Self {
        Self(Engine::Memory(Memory::default()))
    }

    /// What is stored now. Later writes do not show. In memory, writers wait until it is dropped.
    ///
    /// # Errors
    /// The files lack a table.
    pub fn view(&self) -> Result<View<'_>> {
        let snapshot = match &self.0 {
            Engine::Memory(memory) => Snapshot::Memory(memory.snapshot()),
            Engine::Rocks(rocks) => Snapshot::Rocks(rocks.snapshot()?),
        };
        Ok(View::new(snapshot))
    }

    /// The value of a key as it is stored now.
    ///
    /// # Errors
    /// The engine failed.
    pub fn get(&self, table: Table, key: &[u8]) -> Result<Option<Bytes>> {
        match &self.0 {
            Engine::Memory(memory) => Ok(memory.snapshot().get(table, key)),
            Engine::Rocks(rocks) => rocks.get(table, key),
        }
    }

    /// Writes all changes or none.
    ///
    /// # Errors
    /// The engine failed; nothing was written, and nothing can be written any more.
    pub fn write(&self, changes: &WriteSet) -> Result<()> {
        match &self.0 {
            Engine::Memory(memory) => memory.write(changes),
            Engine::Rocks(rocks) => rocks.write(changes)?,
        }
        Ok(())
    }

    /// Waits until everything written lies on the disk.
    ///
    /// # Errors
    /// The engine failed.
    pub fn flush(&self) -> Result<()> {
        match &self.0 {
            Engine::Memory(_) => Ok(()),
            Engine::Rocks(rocks) => rocks.flush(),
        }
    }

    /// Gives back the room of what was deleted.
    ///
    /// # Errors
    /// The files lack a table.
    pub fn compact(&self) -> Result<()> {
        match &self.0 {
            Engine::Memory(_) => Ok(()),
            Engine::Rocks(rocks) => rocks.compact(),
        }
    }
}
