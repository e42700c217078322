//! The block header as a value: its bytes as they travel, the fields that rules look at, and where the others are.
//!
//! Decoding, encoding and hashing are in `codec::header`; rules are in `verify`. Mirrors the fields of
//! `org/ethereum/core/BlockHeader.java`.

use std::fmt;

use bytes::Bytes;
use ruint::aliases::U256;

use super::{BlockHash, BlockNumber, Difficulty, Hash32, Timestamp};

/// Bytes of fork-detection data in the hash for merged mining.
pub const FORK_DETECTION_DATA_LEN: usize = 12;

/// The 12 bytes by which a miner commits to the recent chain (RSKIP-110).
pub type ForkDetectionData = [u8; FORK_DETECTION_DATA_LEN];

/// Where a field's content lies in [`Header::wire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Everything that was read from a header's bytes. Only `codec::header` makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fields {
    /// Keccak-256 of the hash preimage.
    pub hash: BlockHash,
    /// Hash of the preimage without mining fields, with the root of RSKIP-UMM applied, before fork-detection data.
    pub merged_mining_base: Hash32,
    /// Hash of the block below.
    pub parent_hash: BlockHash,
    /// Height.
    pub number: BlockNumber,
    /// The block's own difficulty, as stated.
    pub difficulty: Difficulty,
    /// Seconds since 1970.
    pub timestamp: Timestamp,
    /// Gas limit as a number.
    pub gas_limit: U256,
    /// Gas used; fits a signed 64-bit integer.
    pub gas_used: u64,
    /// Fees paid to the miner, in wei.
    pub paid_fees: U256,
    /// Lowest gas price of a transaction, in wei; `None` when the field is empty.
    pub minimum_gas_price: Option<U256>,
    /// Uncles named by the block; fits a signed 32-bit integer.
    pub uncle_count: u32,
    /// 0 before RSKIP-351, otherwise the version byte of the extension data.
    pub version: u8,
    /// Where the fields of the list begin and end, without the mining fields.
    pub base: Span,
    /// Hash of the list of uncles.
    pub uncles_hash: Span,
    /// Miner's address: 20 bytes or none.
    pub coinbase: Span,
    /// Root of the state trie.
    pub state_root: Span,
    /// Root of the transactions trie.
    pub transactions_root: Span,
    /// Root of the receipts trie.
    pub receipts_root: Span,
    /// Logs bloom (version 0) or the encoded version and hash of the extension.
    pub extension_data: Span,
    /// Difficulty as encoded.
    pub difficulty_bytes: Span,
    /// Gas limit as encoded.
    pub gas_limit_bytes: Span,
    /// Bytes of the miner's choice.
    pub extra_data: Span,
    /// `None` before RSKIP-UMM, then empty or 20 bytes.
    pub umm_root: Option<Span>,
    /// The merged-mining fields, when the header has them.
    pub mining: Option<MiningFields>,
}

/// The three merged-mining fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MiningFields {
    /// Bitcoin header, 80 bytes (before orchid possibly a signature).
    pub bitcoin_header: Span,
    /// Siblings of the coinbase in the Bitcoin block, or a serialised partial Merkle tree before orchid.
    pub merkle_proof: Span,
    /// Compressed coinbase transaction: SHA-256 midstate and tail.
    pub coinbase_transaction: Span,
}

/// A decoded block header. Holds the compressed wire encoding and the values read from it; being decoded says nothing
/// about being valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    wire: Bytes,
    fields: Fields,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header")
            .field("number", &self.fields.number)
            .field("hash", &self.fields.hash)
            .finish()
    }
}

impl Header {
    /// Puts bytes and the fields read from them together.
    pub(crate) fn from_parts(wire: Bytes, fields: Fields) -> Self {
        Self { wire, fields }
    }

    /// The bytes that travel in a headers message: RLP, compressed form.
    #[must_use]
    pub fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// All that was read.
    #[must_use]
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The content of a field.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        self.wire.get(span.start..span.end).unwrap_or_default()
    }

    /// The block's hash.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        self.fields.hash
    }

    /// The parent's hash.
    #[must_use]
    pub fn parent_hash(&self) -> BlockHash {
        self.fields.parent_hash
    }

    /// The block's height.
    #[must_use]
    pub fn number(&self) -> BlockNumber {
        self.fields.number
    }

    /// The block's stated difficulty.
    #[must_use]
    pub fn difficulty(&self) -> Difficulty {
        self.fields.difficulty
    }

    /// The block's time.
    #[must_use]
    pub fn timestamp(&self) -> Timestamp {
        self.fields.timestamp
    }

    /// Hash of the list of uncles.
    #[must_use]
    pub fn uncles_hash(&self) -> &[u8] {
        self.bytes(self.fields.uncles_hash)
    }

    /// Miner's address: 20 bytes or none.
    #[must_use]
    pub fn coinbase(&self) -> &[u8] {
        self.bytes(self.fields.coinbase)
    }

    /// Root of the state trie.
    #[must_use]
    pub fn state_root(&self) -> &[u8] {
        self.bytes(self.fields.state_root)
    }

    /// Root of the transactions trie.
    #[must_use]
    pub fn transactions_root(&self) -> &[u8] {
        self.bytes(self.fields.transactions_root)
    }

    /// Root of the receipts trie.
    #[must_use]
    pub fn receipts_root(&self) -> &[u8] {
        self.bytes(self.fields.receipts_root)
    }

    /// The 256-byte bloom filter of the block's logs; `None` for versions 1 and 2, whose headers carry only its hash.
    #[must_use]
    pub fn logs_bloom(&self) -> Option<&[u8]> {
        (!self.is_extended()).then(|| self.bytes(self.fields.extension_data))
    }

    /// Version and hash of the extension as encoded in the header (versions 1 and 2 only).
    #[must_use]
    pub fn extension_data(&self) -> Option<&[u8]> {
        self.is_extended().then(|| self.bytes(self.fields.extension_data))
    }

    /// True for versions 1 and 2, whose bloom and edges live in an extension (RSKIP-351).
    #[must_use]
    pub fn is_extended(&self) -> bool {
        matches!(self.fields.version, 1 | 2)
    }

    /// The miner's free bytes.
    #[must_use]
    pub fn extra_data(&self) -> &[u8] {
        self.bytes(self.fields.extra_data)
    }

    /// Root of RSKIP-UMM: `None` before its activation, then empty or 20 bytes.
    #[must_use]
    pub fn umm_root(&self) -> Option<&[u8]> {
        self.fields.umm_root.map(|span| self.bytes(span))
    }

    /// Bitcoin header of the merged-mining proof; empty when there is none.
    #[must_use]
    pub fn bitcoin_header(&self) -> &[u8] {
        self.fields.mining.map(|mining| self.bytes(mining.bitcoin_header)).unwrap_or_default()
    }

    /// Merkle proof of the merged-mining proof; empty when there is none.
    #[must_use]
    pub fn merkle_proof(&self) -> &[u8] {
        self.fields.mining.map(|mining| self.bytes(mining.merkle_proof)).unwrap_or_default()
    }

    /// Compressed coinbase transaction of the merged-mining proof; empty when there is none.
    #[must_use]
    pub fn coinbase_transaction(&self) -> &[u8] {
        self.fields.mining.map(|mining| self.bytes(mining.coinbase_transaction)).unwrap_or_default()
    }
}
