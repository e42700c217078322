//! Every table on one page.
//!
//! | table   | key                 | value                                                        | since |
//! |---------|---------------------|--------------------------------------------------------------|-------|
//! | meta    | `identity`          | text: network name, space, genesis hash in hex               | 1     |
//! | meta    | `version`           | u32 big-endian: [`SCHEMA_VERSION`]                           | 1     |
//! | meta    | `tip`               | hash 32, number u64 big-endian, total difficulty 32 big-endian | 1   |
//! | meta    | `checkpoint`        | as `tip`: the block that was trusted; absent in a chain from genesis | 1 |
//! | meta    | `lowest`            | as `tip`: the lowest header above genesis; absent when none is missing | 1 |
//! | headers | block hash 32       | total difficulty 32 big-endian, compressed wire encoding     | 1     |
//! | numbers | number u64 big-endian | hash 32 of the chain's block at that height                | 1     |
//!
//! Headers of side branches lie in `headers` only; `numbers` holds exactly the heights 0 to the tip's, without those
//! between genesis and `lowest` in a chain that began at a checkpoint.

use bytes::Bytes;
use ruint::aliases::U256;

use super::{StoredHeader, Tip};
use crate::{
    params::Params,
    types::{BlockHash, BlockNumber, Difficulty},
};

/// Format of the tables. A store of another version is refused.
pub const SCHEMA_VERSION: u32 = 1;

/// Key of the row that says to which network the store belongs.
pub const IDENTITY: &[u8] = b"identity";
/// Key of the row with the format.
pub const VERSION: &[u8] = b"version";
/// Key of the row with the best block.
pub const TIP: &[u8] = b"tip";
/// Key of the row with the block that the chain began at, when that is not genesis.
pub const CHECKPOINT: &[u8] = b"checkpoint";
/// Key of the row with the lowest header above genesis, while some are missing.
pub const LOWEST: &[u8] = b"lowest";

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Single rows.
    Meta,
    /// Headers by hash.
    Headers,
    /// Hashes of the chain by height.
    Numbers,
}

impl Table {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Meta, Self::Headers, Self::Numbers];

    /// The engine's name of the table.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Headers => "headers",
            Self::Numbers => "numbers",
        }
    }
}

/// Content of the identity row.
#[must_use]
pub fn identity(params: &Params) -> Vec<u8> {
    let genesis = params.genesis.as_ref().map(|genesis| genesis.hash).unwrap_or_default();
    format!("{} {genesis}", params.network).into_bytes()
}

/// Key in `numbers`.
#[must_use]
pub fn number_key(number: BlockNumber) -> [u8; 8] {
    number.0.to_be_bytes()
}

/// Height of a key in `numbers`.
#[must_use]
pub fn read_number_key(key: &[u8]) -> Option<BlockNumber> {
    key.try_into().ok().map(u64::from_be_bytes).map(BlockNumber)
}

/// Value in `headers`.
#[must_use]
pub fn header_row(header: &StoredHeader) -> Vec<u8> {
    [&header.total_difficulty.0.to_be_bytes::<32>(), &header.wire[..]].concat()
}

/// The inverse of [`header_row`].
#[must_use]
pub fn read_header(row: Vec<u8>) -> Option<StoredHeader> {
    let mut row = Bytes::from(row);
    let total_difficulty = Difficulty(U256::from_be_bytes(*row.first_chunk::<32>()?));
    let wire = row.split_off(32);
    Some(StoredHeader { wire, total_difficulty })
}

/// Value of a row in `numbers`.
#[must_use]
pub fn read_hash(row: &[u8]) -> Option<BlockHash> {
    row.try_into().ok().map(BlockHash)
}

/// Content of the tip row.
#[must_use]
pub fn tip_row(tip: &Tip) -> Vec<u8> {
    [&tip.hash.0[..], &tip.number.0.to_be_bytes(), &tip.total_difficulty.0.to_be_bytes::<32>()].concat()
}

/// The inverse of [`tip_row`].
#[must_use]
pub fn read_tip(row: &[u8]) -> Option<Tip> {
    let (hash, rest) = row.split_first_chunk::<32>()?;
    let (number, rest) = rest.split_first_chunk::<8>()?;
    let total: [u8; 32] = rest.try_into().ok()?;
    Some(Tip {
        hash: BlockHash(*hash),
        number: BlockNumber(u64::from_be_bytes(*number)),
        total_difficulty: Difficulty(U256::from_be_bytes(total)),
    })
}
