//! The merged-mining proof: a Bitcoin header with enough work whose coinbase commits to this header.
//!
//! The coinbase comes as a SHA-256 midstate and the rest of the transaction. The rules and their order are those of
//! `co/rsk/validators/ProofOfWorkRule.java`, `Rskip92MerkleProofValidator.java` and
//! `co/rsk/peg/utils/MerkleTreeUtils.java`.

use super::{bitcoin_tree, difficulty, fallback, rule::Rule};
use crate::{
    codec::{
        header::{MERGED_MINING_TAG, hash_for_merged_mining},
        sha256::{MIDSTATE_LEN, resume_and_hash_twice, sha256d_header, sha256d_pair},
    },
    params::{MAXIMUM_MERKLE_PROOF_LEN, Params, Rskip},
    types::{Hash32, Header},
};

const MAX_TAG_POSITION: usize = 64;
const MAX_BYTES_AFTER_HASH: usize = 128;
const HASH_LEN: usize = 32;

/// Checks the proof of work of a header, or below orchid its fallback signature. Returns the hash of the Bitcoin
/// header in internal byte order, all zeros for a signed header.
///
/// # Errors
/// The rule that is broken.
pub fn proof_of_work(params: &Params, header: &Header) -> Result<[u8; 32], Rule> {
    if fallback::applies(params, header) {
        fallback::check(params, header)?;
        return Ok([0; 32]);
    }
    if header.fields().mining.is_none() {
        return Err(Rule::MergedMiningMissing);
    }
    let proof = Proof::read(params, header)?;
    if header.coinbase_transaction().is_empty() {
        return Err(Rule::CoinbaseMissing);
    }
    let bitcoin_header = header.bitcoin_header();
    let bitcoin_header: &[u8; 80] =
        bitcoin_header.try_into().map_err(|_| Rule::BitcoinHeaderLength(bitcoin_header.len()))?;
    let bitcoin_hash = sha256d_header(bitcoin_header);
    if !difficulty::meets_target(&bitcoin_hash, header.difficulty()) {
        return Err(Rule::ProofOfWork);
    }
    let coinbase = header.coinbase_transaction();
    let (midstate, tail) =
        coinbase.split_first_chunk::<MIDSTATE_LEN>().ok_or(Rule::CoinbaseMidstate(coinbase.len()))?;
    let hash = hash_for_merged_mining(params, header).ok_or(Rule::ForkDetectionDataMissing)?;
    check_tag(tail, &hash)?;
    check_coinbase_length(midstate, tail)?;
    let root = bitcoin_header[36..].first_chunk::<HASH_LEN>().copied().unwrap_or_default();
    proof.check(&root, resume_and_hash_twice(midstate, tail))?;
    Ok(bitcoin_hash)
}

/// Hash of the Bitcoin coinbase of a header in internal byte order, or `None` when it has no midstate.
#[must_use]
pub fn coinbase_hash(header: &Header) -> Option<[u8; 32]> {
    let (midstate, tail) = header.coinbase_transaction().split_first_chunk::<MIDSTATE_LEN>()?;
    Some(resume_and_hash_twice(midstate, tail))
}

/// The tail commits to `hash`: tag and hash occur, at their last occurrence below position 64, no bare tag follows,
/// and little comes after.
fn check_tag(tail: &[u8], hash: &Hash32) -> Result<(), Rule> {
    let len = MERGED_MINING_TAG.len() + HASH_LEN;
    let position = tail
        .windows(len)
        .rposition(|window| window.starts_with(MERGED_MINING_TAG) && window.ends_with(hash.as_bytes()))
        .ok_or(Rule::TagMissing)?;
    if position >= MAX_TAG_POSITION {
        return Err(Rule::TagPosition(position));
    }
    let after_tag = tail.get(position + 1..).unwrap_or_default();
    if after_tag.windows(MERGED_MINING_TAG.len()).any(|window| window == MERGED_MINING_TAG) {
        return Err(Rule::TagNotLast);
    }
    let after_hash = tail.len().saturating_sub(position).saturating_sub(len);
    if after_hash > MAX_BYTES_AFTER_HASH { Err(Rule::BytesAfterTag(after_hash)) } else { Ok(()) }
}

/// Bytes before the tail and in it, as a wrapping signed sum, are more than the 64 of a Merkle node.
fn check_coinbase_length(midstate: &[u8; MIDSTATE_LEN], tail: &[u8]) -> Result<(), Rule> {
    let count = midstate.first_chunk::<8>().copied().map_or(0, i64::from_be_bytes);
    let len = i64::try_from(tail.len()).unwrap_or(i64::MAX);
    if count.wrapping_add(len) > 64 { Ok(()) } else { Err(Rule::CoinbaseLength) }
}

/// The way from the coinbase to the Bitcoin header's root.
enum Proof<'a> {
    /// Siblings in display byte order, from orchid on.
    Branch(&'a [[u8; HASH_LEN]]),
    /// Below orchid.
    PartialTree(bitcoin_tree::PartialTree<'a>),
}

impl<'a> Proof<'a> {
    fn read(params: &Params, header: &'a Header) -> Result<Self, Rule> {
        let bytes = header.merkle_proof();
        if !params.is_active(Rskip::R92, header.number()) {
            return bitcoin_tree::PartialTree::read(bytes).map(Self::PartialTree);
        }
        if params.is_active(Rskip::R180, header.number()) && bytes.len() > MAXIMUM_MERKLE_PROOF_LEN {
            return Err(Rule::MerkleProofLength(bytes.len()));
        }
        match bytes.as_chunks::<HASH_LEN>() {
            (siblings, []) => Ok(Self::Branch(siblings)),
            _ => Err(Rule::MerkleProofFormat(bytes.len())),
        }
    }

    fn check(&self, root: &[u8; HASH_LEN], coinbase: [u8; HASH_LEN]) -> Result<(), Rule> {
        match self {
            Self::PartialTree(tree) => tree.check(root, &coinbase),
            Self::Branch(siblings) => {
                let mut node = coinbase;
                for sibling in *siblings {
                    let mut right = *sibling;
                    right.reverse();
                    node = combine(&node, &right)?;
                }
                if node == *root { Ok(()) } else { Err(Rule::MerkleRoot) }
            }
        }
    }
}

/// The node above two nodes, all in internal byte order.
///
/// # Errors
/// The two could be a transaction of 64 bytes.
pub(super) fn combine(left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> Result<[u8; HASH_LEN], Rule> {
    // The input count of such a transaction is byte 4 of the left node in display order.
    if left[27] == 1 && is_64_byte_transaction(left, right) {
        return Err(Rule::SixtyFourByteTransaction);
    }
    Ok(sha256d_pair(left, right))
}

/// Could the two nodes, each in display byte order as the reference looks at them, be a transaction with one input and
/// one output?
fn is_64_byte_transaction(left: &[u8; HASH_LEN], right: &[u8; HASH_LEN]) -> bool {
    const MAX_OUTPUT_INDEX: u32 = 1_000_000;
    const MAX_SATOSHIS: i64 = 2_100_000_000_000_000;
    let mut bytes = [0; 2 * HASH_LEN];
    for (to, from) in bytes.iter_mut().zip(left.iter().rev().chain(right.iter().rev())) {
        *to = *from;
    }
    let read = || -> Option<bool> {
        let output_index = u32::from_le_bytes(*bytes.get(37..)?.first_chunk()?);
        let input_script = usize::from(*bytes.get(41)?);
        if input_script > 4 {
            return Some(false);
        }
        let output_count = *bytes.get(46 + input_script)?;
        let value = i64::from_le_bytes(*bytes.get(47 + input_script..)?.first_chunk()?);
        let output_script = usize::from(*bytes.get(55 + input_script)?);
        Some(
            bytes.get(4) == Some(&1)
                && (output_index <= MAX_OUTPUT_INDEX || output_index == u32::MAX)
                && output_count == 1
                && (1..=MAX_SATOSHIS).contains(&value)
                && input_script + output_script == 4,
        )
    };
    read().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transaction of 64 bytes, cut into the two nodes (in internal byte order) that would hash to its id.
    fn transaction(edit: impl FnOnce(&mut [u8; 64])) -> ([u8; 32], [u8; 32]) {
        let mut bytes = [0; 64];
        bytes[4] = 1; // inputs
        bytes[41] = 2; // bytes of input script
        bytes[48] = 1; // outputs
        bytes[49] = 9; // satoshis
        bytes[57] = 2; // bytes of output script
        edit(&mut bytes);
        let (mut left, mut right) = ([0; 32], [0; 32]);
        left.copy_from_slice(&bytes[..32]);
        right.copy_from_slice(&bytes[32..]);
        left.reverse();
        right.reverse();
        (left, right)
    }

    #[test]
    fn nodes_that_read_as_a_transaction_are_refused() {
        let refused = |edit: fn(&mut [u8; 64])| {
            let (left, right) = transaction(edit);
            combine(&left, &right) == Err(Rule::SixtyFourByteTransaction)
        };
        assert!(refused(|_| {}));
        assert!(refused(|tx| tx[37..41].copy_from_slice(&[0xff; 4])), "a coinbase input");
        assert!(refused(|tx| tx[37..41].copy_from_slice(&1_000_000_u32.to_le_bytes())));
        assert!(!refused(|tx| tx[37..41].copy_from_slice(&1_000_001_u32.to_le_bytes())));
        assert!(!refused(|tx| tx[4] = 2));
        assert!(!refused(|tx| tx[41] = 5));
        assert!(!refused(|tx| tx[48] = 0));
        assert!(!refused(|tx| tx[49] = 0), "no value");
        assert!(!refused(|tx| tx[56] = 0x80), "negative value");
        assert!(!refused(|tx| tx[57] = 3));
        assert!(refused(|tx| {
            (tx[41], tx[48], tx[49], tx[57]) = (0, 0, 0, 0);
            (tx[46], tx[47], tx[55]) = (1, 9, 4);
        }));
    }
}
