//! Block headers in their three forms (Equihash, ZelHash, PoN) and blocks. Mirrors `src/primitives/block.{h,cpp}`.
//!
//! Equihash and ZelHash headers share one layout; the length of the solution tells them apart.

use crate::{
    codec::{Codec, Reader, Result, Writer, list, put_list, put_var_bytes, var_bytes},
    hash::{BlockHash, Hash256, TxId, sha256d},
    target::CompactTarget,
    transaction::{OutPoint, Transaction},
};

/// Headers of this version and above carry a proof of node.
pub const PON_VERSION: i32 = 100;

/// What makes a header expensive or entitled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Proof of work: Equihash or ZelHash.
    Work {
        /// The nonce, hashed after the 108 common bytes.
        nonce: Hash256,
        /// Packed indices; the length selects the parameters.
        solution: Vec<u8>,
    },
    /// Proof of node.
    Node {
        /// Collateral of the fluxnode that made the block.
        collateral: OutPoint,
        /// DER signature by the node's key (or the list of an emergency block); not part of the block hash.
        signature: Vec<u8>,
    },
}

/// A block header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockHeader {
    /// 4 for proof of work, 100 and above for proof of node.
    pub version: i32,
    /// The parent.
    pub prev: BlockHash,
    /// Root of the tree of transaction ids.
    pub merkle_root: Hash256,
    /// Root of the Sapling tree after this block (reserved before Acadia).
    pub sapling_root: Hash256,
    /// Seconds since the epoch.
    pub time: u32,
    /// The target in compact form.
    pub bits: CompactTarget,
    /// Fields that depend on the version.
    pub proof: Proof,
}

impl BlockHeader {
    /// True when the header carries a proof of node.
    #[must_use]
    pub fn is_pon(&self) -> bool {
        self.version >= PON_VERSION
    }

    /// The block hash. For a PoN header it covers the collateral but not the signature.
    #[must_use]
    pub fn hash(&self) -> BlockHash {
        let mut writer = Writer::with_capacity(1500);
        self.put_common(&mut writer);
        match &self.proof {
            Proof::Work { nonce, solution } => {
                nonce.encode(&mut writer);
                put_var_bytes(&mut writer, solution);
            }
            Proof::Node { collateral, .. } => collateral.encode(&mut writer),
        }
        BlockHash(sha256d(writer.as_slice()))
    }

    /// The 108 bytes that all forms share and that Equihash takes before the nonce.
    #[must_use]
    pub fn common_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(108);
        self.put_common(&mut writer);
        writer.into_vec()
    }

    fn put_common(&self, writer: &mut Writer) {
        writer.i32_le(self.version);
        self.prev.encode(writer);
        self.merkle_root.encode(writer);
        self.sapling_root.encode(writer);
        writer.u32_le(self.time).u32_le(self.bits.0);
    }
}

impl Codec for BlockHeader {
    const MIN_BYTES: usize = 141;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let version = reader.i32_le()?;
        let prev = BlockHash::decode(reader)?;
        let merkle_root = Hash256::decode(reader)?;
        let sapling_root = Hash256::decode(reader)?;
        let time = reader.u32_le()?;
        let bits = CompactTarget(reader.u32_le()?);
        let proof = if version >= PON_VERSION {
            Proof::Node { collateral: OutPoint::decode(reader)?, signature: var_bytes(reader)? }
        } else {
            Proof::Work { nonce: Hash256::decode(reader)?, solution: var_bytes(reader)? }
        };
        Ok(Self { version, prev, merkle_root, sapling_root, time, bits, proof })
    }

    fn encode(&self, writer: &mut Writer) {
        self.put_common(writer);
        match &self.proof {
            Proof::Work { nonce, solution } => {
                nonce.encode(writer);
                put_var_bytes(writer, solution);
            }
            Proof::Node { collateral, signature } => {
                collateral.encode(writer);
                put_var_bytes(writer, signature);
            }
        }
    }
}

/// A header with its transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: BlockHeader,
    /// The transactions; the first is the coinbase in a valid block.
    pub transactions: Vec<Transaction>,
}

impl Codec for Block {
    const MIN_BYTES: usize = BlockHeader::MIN_BYTES + 1;

    fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        Ok(Self { header: BlockHeader::decode(reader)?, transactions: list(reader)? })
    }

    fn encode(&self, writer: &mut Writer) {
        self.header.encode(writer);
        put_list(writer, &self.transactions);
    }
}

/// A merkle root and whether the list it came from repeats a tail (CVE-2012-2459).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MerkleRoot {
    /// The root; zero for an empty list.
    pub root: Hash256,
    /// Two equal hashes were paired at the end of a level: another list has the same root.
    pub mutated: bool,
}

/// The merkle root over transaction ids; odd levels repeat their last hash.
#[must_use]
pub fn merkle_root(txids: &[TxId]) -> MerkleRoot {
    let mut level: Vec<[u8; 32]> = txids.iter().map(|id| id.0).collect();
    let mut mutated = false;
    while level.len() > 1 {
        if level.len().is_multiple_of(2)
            && let [.., left, right] = level.as_slice()
        {
            mutated |= left == right;
        }
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => sha256d(&[*left, *right].concat()),
                [single] => sha256d(&[*single, *single].concat()),
                _ => [0; 32],
            })
            .collect();
    }
    MerkleRoot { root: level.first().copied().map_or(Hash256::ZERO, Hash256), mutated }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_tail_has_the_same_root_and_is_noticed() {
        let ids: Vec<TxId> = (1..=6).map(|n| TxId([n; 32])).collect();
        let mut doubled = ids.clone();
        doubled.extend(&ids[4..]);
        assert_eq!(merkle_root(&ids).root, merkle_root(&doubled).root);
        assert!(!merkle_root(&ids).mutated);
        assert!(merkle_root(&doubled).mutated);
        assert_eq!(merkle_root(&[]).root, Hash256::ZERO);
    }
}
