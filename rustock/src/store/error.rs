//! Why the store could not do what was asked.

/// Why the store could not do what was asked. Nobody on the network is to blame for any of it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The engine failed.
    #[error("the database engine failed")]
    Engine(#[from] rocksdb::Error),
    /// A row does not have its layout.
    #[error("a row of kind `{row}` is damaged")]
    Damaged {
        /// Kind of the row.
        row: &'static str,
    },
    /// A row that another one refers to is missing.
    #[error("a row of kind `{row}` is missing")]
    Missing {
        /// Kind of the row.
        row: &'static str,
    },
    /// The store was written for another network.
    #[error("the database belongs to another network: {found}")]
    OtherNetwork {
        /// Its identity row.
        found: String,
    },
    /// The store has another format.
    #[error("the database has format {found}, this program knows {known}")]
    OtherFormat {
        /// Its version row.
        found: u32,
        /// What this program writes.
        known: u32,
    },
    /// An earlier write failed.
    #[error("an earlier write failed, the database must be reopened")]
    Poisoned,
}
