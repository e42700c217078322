//! Why a store cannot be read or written.

/// A failure of the store. None of them can be repaired by trying again.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The engine failed: the disk is full or broken, or its files are damaged.
    #[error("database engine")]
    Engine(#[from] rocksdb::Error),
    /// The files lack a table.
    #[error("the database has no table {0}")]
    NoTable(&'static str),
}

impl StoreError {
    /// True when the files themselves are damaged, and neither the disk nor the system is at fault.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Engine(err) => err.kind() == rocksdb::ErrorKind::Corruption,
            Self::NoTable(_) => true,
        }
    }
}
