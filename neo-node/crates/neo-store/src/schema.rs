//! Every table on one page.
//!
//! | table   | key                                  | value                                                  | since |
//! |---------|--------------------------------------|--------------------------------------------------------|-------|
//! | meta    | [`IDENTITY`]                         | network (u32 little-endian), hash of the genesis block | 1     |
//! | meta    | [`VERSION`]                          | u32 little-endian: [`SCHEMA_VERSION`]                  | 1     |
//! | meta    | [`HISTORY`]                          | one byte: 1 when the trie keeps every height           | 1     |
//! | meta    | [`VALIDATED`]                        | u32 little-endian: highest signed root                 | 1     |
//! | meta    | [`TOKENS`]                           | next height to index, u32 little-endian; one byte: 1 with transfers | 1 |
//! | storage | contract id (i32 little-endian), key | the value that the contract stored                     | 1     |
//! | trie    | hash of a node                       | its bytes; without history then its references, u32 little-endian | 1 |
//! | roots   | height (u32 big-endian)              | a state root in wire form, with its witness if known   | 1     |
//! | logs    | hash of a block or transaction       | what its executions did                                | 1     |
//! | tokens  | see `neo-runtime/src/tokens.rs`      | balances and transfers of tokens, when they are indexed | 1     |
//!
//! The storage of contracts has the keys of the reference, the Ledger contract's blocks and transactions included
//! (`SmartContract/Native/*.cs`), so blocks have no table of their own.

/// Format of the tables. A store of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of the row that says to which network the store belongs.
pub const IDENTITY: &[u8] = b"identity";
/// Key of the row with the format.
pub const VERSION: &[u8] = b"version";
/// Key of the row that says whether the state of every height is kept.
pub const HISTORY: &[u8] = b"history";

/// Key of the row with the height of the highest root whose witness is known.
pub const VALIDATED: &[u8] = b"validated";

/// Key of the row that says how far tokens are indexed.
pub const TOKENS: &[u8] = b"tokens";

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single rows.
    Meta,
    /// Storage of all contracts.
    Storage,
    /// Nodes of the state trie.
    Trie,
    /// State roots.
    Roots,
    /// Application logs.
    Logs,
    /// What accounts hold of tokens.
    Tokens,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Meta, Self::Storage, Self::Trie, Self::Roots, Self::Logs, Self::Tokens];

    /// The engine's name of the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Storage => "storage",
            Self::Trie => "trie",
            Self::Roots => "roots",
            Self::Logs => "logs",
            Self::Tokens => "tokens",
        }
    }

    /// Place in [`Table::ALL`].
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Meta => 0,
            Self::Storage => 1,
            Self::Trie => 2,
            Self::Roots => 3,
            Self::Logs => 4,
            Self::Tokens => 5,
        }
    }
}
