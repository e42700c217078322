//! Where a node keeps what it knows: tables behind typed rows, and flat files of blocks and undo data. The only crate
//! that names a storage engine; no rule of the chain lives here.
//!
//! One writer appends blocks and undo data, collects everything else in a [`Batch`], and commits: the files are synced,
//! then one atomic batch names what is in them. A process that ends at any instruction reopens at the state before or
//! after a commit, never between. Layouts are in [`schema`].

mod backend;
mod batch;
pub mod coins;
pub mod compact;
pub mod error;
mod flat;
mod indexes;
mod nodes;
mod read;
pub mod schema;
pub mod undo;

use std::{path::Path, sync::Arc};

use fluxd_primitives::{Block, BlockHash};

use crate::{
    backend::Backend,
    flat::{FlatFiles, FlatReader},
    schema::{SCHEMA_VERSION, Table},
};

pub use crate::{
    backend::Durability,
    batch::Batch,
    coins::Coins,
    error::{RecordError, RowError, StoreError},
    flat::Scan,
    indexes::{AddressDelta, AddressKey, AddressUtxo, IndexTip, NodeEvent, SpentRow, TxPlace},
    nodes::NodeList,
    read::View,
    schema::{BlockRow, FileInfo, Position, Tip, Validity},
    undo::{BlockUndo, InputUndo, Origin},
};

/// Result of a store operation.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Folder of the flat files, as the C++ node names it.
const FILES: &str = "blocks";
/// Folder of the tables.
const TABLES: &str = "state";
/// Folder of tables that are being created.
const UNFINISHED_TABLES: &str = "state.new";

/// To which network a store belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Name of the network.
    pub network: &'a str,
    /// Its genesis block.
    pub genesis: BlockHash,
    /// First bytes of every record in the flat files.
    pub magic: [u8; 4],
}

/// An open store: the one writer.
#[derive(Debug)]
pub struct Store {
    backend: Arc<Backend>,
    files: FlatFiles,
    poisoned: bool,
}

/// Reads a store; can be cloned and sent to other threads.
#[derive(Debug, Clone)]
pub struct StoreReader {
    backend: Arc<Backend>,
    files: FlatReader,
}

impl Store {
    /// Opens the store in a folder, or creates it for the network.
    ///
    /// # Errors
    /// It belongs to another network or format, a flat file lacks what the tables name, or engine or files fail.
    pub fn open(dir: &Path, identity: &Identity<'_>) -> Result<Self> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| StoreError::File { path, source }
        };
        std::fs::create_dir_all(dir).map_err(failed(dir))?;
        let tables = dir.join(TABLES);
        if !tables.exists() {
            // Made beside their place first: an engine that runs out of room while it creates its files does not open them again.
            let unfinished = dir.join(UNFINISHED_TABLES);
            match std::fs::remove_dir_all(&unfinished) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                    return Err(StoreError::File { path: unfinished, source });
                }
                _ => drop(Backend::open(&unfinished)?),
            }
            std::fs::rename(&unfinished, &tables).map_err(failed(&tables))?;
            std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(failed(dir))?;
        }
        Self::prepare(Backend::open(&tables)?, dir, identity)
    }

    /// A store with its tables in memory and its flat files in a folder, for tests and simulations.
    ///
    /// # Errors
    /// The flat files fail.
    pub fn in_memory(dir: &Path, identity: &Identity<'_>) -> Result<Self> {
        Self::prepare(Backend::in_memory(), dir, identity)
    }

    /// Deletes the tables in a folder; the flat files stay. Nothing may have them open.
    ///
    /// # Errors
    /// They cannot be deleted.
    pub fn delete_tables(dir: &Path) -> Result<()> {
        let path = dir.join(TABLES);
        match std::fs::remove_dir_all(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(StoreError::File { path, source })
            }
            _ => Ok(()),
        }
    }

    fn prepare(backend: Backend, dir: &Path, identity: &Identity<'_>) -> Result<Self> {
        let view = View(backend.snapshot());
        let wanted = format!("{} {}", identity.network, identity.genesis);
        let raw = |row: &[u8]| Ok(row.to_vec());
        match view.row(Table::Meta, schema::IDENTITY, raw)? {
            None => {
                let mut batch = Batch::default();
                batch.put(Table::Meta, schema::IDENTITY, wanted.into_bytes());
                batch.put(Table::Meta, schema::VERSION, SCHEMA_VERSION.to_be_bytes().to_vec());
                backend.write(batch.into_changes(), Durability::Synced)?;
            }
            Some(found) if found != wanted.as_bytes() => {
                return Err(StoreError::OtherNetwork { found: String::from_utf8_lossy(&found).into_owned() });
            }
            Some(_) => {
                let found = view.row(Table::Meta, schema::VERSION, schema::read_number)?.unwrap_or_default();
                if found != SCHEMA_VERSION {
                    return Err(StoreError::OtherFormat { found, known: SCHEMA_VERSION });
                }
            }
        }
        let infos = view.files()?.into_iter().collect();
        let files = FlatFiles::open(dir.join(FILES), identity.magic, infos)?;
        Ok(Self { backend: Arc::new(backend), files, poisoned: false })
    }

    /// A reader for other threads.
    #[must_use]
    pub fn reader(&self) -> StoreReader {
        StoreReader { backend: Arc::clone(&self.backend), files: self.files.reader().clone() }
    }

    /// All tables as they are now.
    #[must_use]
    pub fn view(&self) -> View {
        View(self.backend.snapshot())
    }

    /// Appends a block to the flat files. Nothing knows of it until a batch with its position is committed.
    ///
    /// # Errors
    /// The file cannot be written, or an earlier write failed.
    pub fn append_block(&mut self, block: &Block, height: u32) -> Result<Position> {
        self.write(|store| store.files.append_block(block, height))
    }

    /// Appends the undo data of a block, whose file number it shares; `parent` is the hash of the block before it.
    /// Nothing knows of it until a batch with its offset is committed.
    ///
    /// # Errors
    /// No block lies in that file, the file cannot be written, or an earlier write failed.
    pub fn append_undo(&mut self, file: u32, undo: &BlockUndo, parent: &BlockHash) -> Result<u32> {
        self.write(|store| store.files.append_undo(file, undo, parent))
    }

    /// Takes a block over that [`StoreReader::scan`] found in a file which the tables do not name yet.
    pub fn adopt_block(&mut self, position: Position, block: &Block, height: u32) {
        self.files.adopt_block(position, block, height);
    }

    /// What the flat files hold, by number.
    #[must_use]
    pub fn files(&self) -> Vec<(u32, FileInfo)> {
        self.files.infos()
    }

    /// Writes a batch that does not name what lies in some flat files any more, then deletes these files.
    ///
    /// # Errors
    /// As [`Self::commit`], or a file cannot be deleted.
    pub fn commit_without_files(&mut self, mut batch: Batch, numbers: &[u32]) -> Result<()> {
        for number in numbers {
            batch.remove_file(*number);
        }
        self.files.forget(numbers);
        self.commit(batch, Durability::Synced)?;
        self.write(|store| store.files.delete_forgotten())
    }

    /// Syncs what was appended, then writes the batch, all of it or nothing.
    ///
    /// # Errors
    /// Engine or files fail, or an earlier write failed: after a failed write every later one is refused.
    pub fn commit(&mut self, mut batch: Batch, durability: Durability) -> Result<()> {
        self.write(|store| {
            for (number, info) in store.files.sync()? {
                batch.put_file(number, &info);
            }
            store.backend.write(batch.into_changes(), durability)
        })
    }

    fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let result = work(self);
        self.poisoned = matches!(result, Err(StoreError::Engine(_) | StoreError::File { .. }));
        result
    }
}

impl StoreReader {
    /// All tables as they are now.
    #[must_use]
    pub fn view(&self) -> View {
        View(self.backend.snapshot())
    }

    /// The block at a position that a row names.
    ///
    /// # Errors
    /// No block lies there, or the file cannot be read.
    pub fn block(&self, position: Position) -> Result<Block> {
        self.files.block(position)
    }

    /// The undo data at a position; `parent` is the hash of the block before the one it belongs to.
    ///
    /// # Errors
    /// No undo data of that block lies there, or the file cannot be read.
    pub fn undo(&self, position: Position, parent: &BlockHash) -> Result<BlockUndo> {
        self.files.undo(position, parent)
    }

    /// The numbers of all block files, in order, also of those that the tables do not name.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn block_files(&self) -> Result<Vec<u32>> {
        Ok(self.files.numbers()?.into_iter().collect())
    }

    /// All blocks of a file as they lie in it, found without the tables.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn scan(&self, number: u32) -> Result<Scan> {
        self.files.scan(number)
    }
}

#[cfg(test)]
mod tests;
