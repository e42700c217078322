//! The list of rules that this client enforces, as the errors that name a broken one.

use crate::types::{Blame, BlockNumber, Difficulty};

/// A rule that a header breaks. Where the reference implementation checks it is in each comment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// The header at height 0 is the network's genesis.
    #[error("the header at height 0 is not the network's genesis")]
    Genesis,
    /// The height is one above the parent's (`BlockHeaderParentDependantValidationRule`, on connecting).
    #[error("number {actual} does not follow the parent's number {parent}")]
    Number {
        /// The header's height.
        actual: BlockNumber,
        /// The parent's height.
        parent: BlockNumber,
    },
    /// The parent hash is the hash of the parent.
    #[error("parent hash is not the hash of the parent")]
    ParentHash,
    /// The difficulty follows from the parent's, the times and the uncle count (`DifficultyRule`,
    /// `DifficultyCalculator`).
    #[error("difficulty is {actual}, expected {expected}")]
    Difficulty {
        /// What the header states.
        actual: Difficulty,
        /// What follows from the parent.
        expected: Difficulty,
    },
    /// The time is after the parent's (`BlockTimeStampValidationRule`).
    #[error("timestamp is not after the parent's")]
    TimestampNotAfterParent,
    /// The time is not too far in the future (`BlockTimeStampValidationRule`).
    #[error("timestamp is {ahead} s ahead of the clock, allowed are {allowed}")]
    TimestampInFuture {
        /// Seconds between the clock and the header.
        ahead: u64,
        /// The network's bound.
        allowed: u64,
    },
    /// From RSKIP-179 on, Bitcoin's and Rootstock's times are close (`BlockTimeStampValidationRule`).
    #[error("timestamp differs by {difference} s from the Bitcoin header's, must be below {allowed}")]
    BitcoinTime {
        /// The difference in seconds.
        difference: u64,
        /// The network's bound, exclusive.
        allowed: u64,
    },
    /// The gas limit moves by at most 1/1024 (`BlockParentGasLimitRule`).
    #[error("gas limit moves by more than 1/1024 from the parent's")]
    GasLimitStep,
    /// The gas limit is at least 3,000,000 (`GasLimitRule`).
    #[error("gas limit is below 3000000")]
    GasLimitMinimum,
    /// Gas used is not above the gas limit (`ValidGasUsedRule`).
    #[error("gas used is above the gas limit")]
    GasUsed,
    /// There is a minimum gas price (`PrevMinGasPriceRule`).
    #[error("minimum gas price is missing")]
    MinimumGasPriceMissing,
    /// The minimum gas price moves by at most 1 % (`PrevMinGasPriceRule`, `BlockGasPriceRange`).
    #[error("minimum gas price moves by more than 1 % from the parent's")]
    MinimumGasPriceStep,
    /// At most 32 bytes of extra data (`ExtraDataRule`).
    #[error("extra data has {0} bytes, allowed are 32")]
    ExtraDataLength(usize),
    /// Below orchid a header without proof and coinbase is signed by the fallback miner of its height
    /// (`ProofOfWorkRule.validFallbackBlockSignature`).
    #[error("fallback-mining signature is not by the key for this height")]
    FallbackSignature,
    /// There are merged-mining fields (`ProofOfWorkRule`).
    #[error("merged-mining fields are missing")]
    MergedMiningMissing,
    /// From orchid on, the Merkle proof is a list of 32-byte hashes (`Rskip92MerkleProofValidator`).
    #[error("Merkle proof of {0} bytes is not a list of 32-byte hashes")]
    MerkleProofFormat(usize),
    /// From RSKIP-180 on, the Merkle proof has at most 960 bytes (`Rskip92MerkleProofValidator`).
    #[error("Merkle proof has {0} bytes, allowed are 960")]
    MerkleProofLength(usize),
    /// Below orchid, the proof is a partial Merkle tree whose stated counts fill it exactly
    /// (`PartialMerkleTreeFormatUtils`).
    #[error("partial Merkle tree is not of its stated size")]
    PartialTreeSize,
    /// Below orchid, the partial Merkle tree has one reading (`PartialMerkleTree` of bitcoinj).
    #[error("partial Merkle tree is malformed")]
    PartialTreeStructure,
    /// Below orchid, the coinbase is among the transactions that the partial tree proves
    /// (`GenesisMerkleProofValidator`).
    #[error("partial Merkle tree does not prove the coinbase")]
    PartialTreeMatch,
    /// There is a compressed coinbase (`ProofOfWorkRule`).
    #[error("compressed coinbase is missing")]
    CoinbaseMissing,
    /// The Bitcoin header has 80 bytes (`BtcHeaderSizeRule`; below orchid its parser needs as many).
    #[error("Bitcoin header has {0} bytes, expected 80")]
    BitcoinHeaderLength(usize),
    /// The Bitcoin header's hash meets the target of the difficulty (`ProofOfWorkRule`).
    #[error("Bitcoin header's hash is above the target")]
    ProofOfWork,
    /// The compressed coinbase holds a midstate (`ProofOfWorkRule`).
    #[error("compressed coinbase of {0} bytes holds no midstate")]
    CoinbaseMidstate(usize),
    /// From RSKIP-110 on, 12 bytes of fork-detection data follow tag and hash prefix
    /// (`BlockHeader.getMiningForkDetectionData`).
    #[error("coinbase holds no fork-detection data")]
    ForkDetectionDataMissing,
    /// The coinbase's tail holds the tag and the hash for merged mining (`ProofOfWorkRule`).
    #[error("coinbase does not commit to this header")]
    TagMissing,
    /// The tag begins in the first 64 bytes of the tail (`ProofOfWorkRule`).
    #[error("merged-mining tag at position {0}, must be below 64")]
    TagPosition(usize),
    /// No other tag follows (`ProofOfWorkRule`).
    #[error("another merged-mining tag follows")]
    TagNotLast,
    /// At most 128 bytes follow the hash (`ProofOfWorkRule`).
    #[error("{0} bytes follow the merged-mining hash, allowed are 128")]
    BytesAfterTag(usize),
    /// The coinbase is longer than 64 bytes (`ProofOfWorkRule`).
    #[error("coinbase is not longer than 64 bytes")]
    CoinbaseLength,
    /// The count of bytes before the coinbase's tail is one that a message can have. Only `canonical` asks for it: the
    /// network accepts such headers.
    #[error("coinbase states an impossible count of bytes before its tail")]
    CoinbaseByteCount,
    /// No inner node of the Merkle branch can be taken for a transaction (`MerkleTreeUtils`).
    #[error("a node of the Merkle branch could be a 64-byte transaction")]
    SixtyFourByteTransaction,
    /// The branch leads from the coinbase to the Bitcoin header's root (`MerkleProofValidator`).
    #[error("Merkle branch does not lead to the Bitcoin header's root")]
    MerkleRoot,
    /// From RSKIP-110 on, the fork-detection data is that of the 449 headers below (`ForkDetectionDataRule`).
    #[error("fork-detection data is {actual}, expected {expected}")]
    ForkDetectionData {
        /// What the coinbase states.
        actual: String,
        /// What follows from the chain; empty when no data can follow.
        expected: String,
    },
    /// The 449 headers below are known (`ForkDetectionDataRule`).
    #[error("ancestors for fork-detection data are missing")]
    ForkDetectionHistory,
}

impl Rule {
    /// A short stable name of the rule, for output and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Genesis => "genesis",
            Self::Number { .. } => "number",
            Self::ParentHash => "parent-hash",
            Self::Difficulty { .. } => "difficulty",
            Self::TimestampNotAfterParent => "timestamp-not-after-parent",
            Self::TimestampInFuture { .. } => "timestamp-in-future",
            Self::BitcoinTime { .. } => "bitcoin-time",
            Self::GasLimitStep => "gas-limit-step",
            Self::GasLimitMinimum => "gas-limit-minimum",
            Self::GasUsed => "gas-used",
            Self::MinimumGasPriceMissing => "minimum-gas-price-missing",
            Self::MinimumGasPriceStep => "minimum-gas-price-step",
            Self::ExtraDataLength(_) => "extra-data-length",
            Self::FallbackSignature => "fallback-signature",
            Self::MergedMiningMissing => "merged-mining-missing",
            Self::MerkleProofFormat(_) => "merkle-proof-format",
            Self::MerkleProofLength(_) => "merkle-proof-length",
            Self::PartialTreeSize => "partial-tree-size",
            Self::PartialTreeStructure => "partial-tree-structure",
            Self::PartialTreeMatch => "partial-tree-match",
            Self::CoinbaseMissing => "coinbase-missing",
            Self::BitcoinHeaderLength(_) => "bitcoin-header-length",
            Self::ProofOfWork => "proof-of-work",
            Self::CoinbaseMidstate(_) => "coinbase-midstate",
            Self::ForkDetectionDataMissing => "fork-detection-data-missing",
            Self::TagMissing => "tag-missing",
            Self::TagPosition(_) => "tag-position",
            Self::TagNotLast => "tag-not-last",
            Self::BytesAfterTag(_) => "bytes-after-tag",
            Self::CoinbaseLength => "coinbase-length",
            Self::CoinbaseByteCount => "coinbase-byte-count",
            Self::SixtyFourByteTransaction => "64-byte-transaction",
            Self::MerkleRoot => "merkle-root",
            Self::ForkDetectionData { .. } => "fork-detection-data",
            Self::ForkDetectionHistory => "fork-detection-history",
        }
    }

    /// Who is at fault: the sender, except where our clock or our missing history may be the reason.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::TimestampInFuture { .. } => Blame::Nobody,
            Self::ForkDetectionHistory => Blame::Local,
            _ => Blame::Peer,
        }
    }
}
