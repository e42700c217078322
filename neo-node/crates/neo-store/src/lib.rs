//! What the node keeps: tables of byte strings behind one boundary, with snapshots and layers of changes above them.
//!
//! Nothing else names the database engine. Not here: what the rows mean beyond [`schema`], and every rule about them.
//! Mirrors `src/Neo/Persistence` (`IStore`, `DataCache`, `StoreCache`) of the C# reference.

mod database;
mod error;
mod memory;
mod rocks;
pub mod schema;
mod view;
mod write_set;

pub use database::Database;
pub use error::StoreError;
pub use schema::Table;
pub use view::View;
pub use write_set::{Entry, Rows, WriteSet};

/// Immutable bytes, cheap to copy.
pub type Bytes = std::sync::Arc<[u8]>;

/// Result of reading or writing.
pub type Result<T> = std::result::Result<T, StoreError>;

#[cfg(test)]
mod tests;
