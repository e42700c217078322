//! Why the store could not do what was asked. Nobody on the network is to blame for any of it.

use std::{io, path::PathBuf};

use fluxd_primitives::{DecodeError, codec::ReadError};
use fluxd_shielded::tree::TreeError;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database engine failed.
    #[error("the database engine failed")]
    Engine(#[from] fjall::Error),
    /// A flat file could not be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A row does not have its layout.
    #[error("a row of table `{table}` is damaged")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        #[source]
        source: RowError,
    },
    /// A flat file ends before what a row says it holds.
    #[error("{} has {found} bytes, the database knows of {recorded}", path.display())]
    FileTooShort {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The length that the database recorded.
        recorded: u64,
    },
    /// What lies at a position of a flat file is not a record.
    #[error("no record at {} byte {offset}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Where the payload should begin.
        offset: u32,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// A record is longer than any file may become.
    #[error("a record of {0} bytes does not fit into any file")]
    RecordTooLong(usize),
    /// Undo data for a block file that no row names.
    #[error("block file {0} is not known")]
    UnknownFile(u32),
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
    /// An earlier write or sync failed; what is on disk is only known after reopening.
    #[error("an earlier write failed, the database must be reopened")]
    Poisoned,
}

/// Why bytes are not a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A field is malformed.
    #[error("a field is malformed")]
    Decode(#[from] DecodeError),
    /// Too short, or bytes are left over.
    #[error("a field has the wrong length")]
    Read(#[from] ReadError),
    /// A commitment tree is malformed.
    #[error("a commitment tree is malformed")]
    Tree(#[from] TreeError),
    /// A number is outside of the range of its field.
    #[error("a number is out of range")]
    Number,
    /// A byte that selects a form selects none.
    #[error("byte {0:#04x} selects no known form")]
    Selector(u8),
    /// A compressed script names a key that is not on the curve.
    #[error("a script's key is not on the curve")]
    Key,
}

/// Why a position of a flat file holds no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Other first bytes than the network's.
    #[error("the first bytes are not the network's")]
    Magic,
    /// A size that no record has.
    #[error("a record of {0} bytes")]
    Size(u32),
    /// The file ends inside the record.
    #[error("the file ends inside the record")]
    Short,
    /// The undo data was written for another block, or is damaged.
    #[error("the checksum is wrong")]
    Checksum,
    /// The payload is not what it should be.
    #[error("the payload is malformed")]
    Payload(#[from] RowError),
}
